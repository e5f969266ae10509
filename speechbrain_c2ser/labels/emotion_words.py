"""The words for emotions: definitions, surface words and synonyms.

One entry a concept. The first word of a language is the one that answers
use; the others are understood only. A word stands under one concept.
"""

import functools
import re
from collections.abc import Iterable, Mapping

from speechbrain_c2ser.labels.spelling import plain_label

# concept: (broader concept or None, definition, {language: words})
CONCEPTS = {
    "angry": (
        None,
        "Displeasure and antagonism towards someone or something.",
        {
            "en": "angry anger angrily furious enraged mad irate hostile "
            "angrier angriest angers angered outraged indignant rage fury "
            "fuming livid infuriated pissed wrathful aggressive resentful",
            "zh": "生气 愤怒 气愤 恼怒 恼火 发怒 发火 怒气 暴怒 愤慨 气恼 震怒 "
            "盛怒 火冒三丈 忿怒 激怒 怒火 暴躁",
            "de": "wütend Wut ärgerlich Ärger zornig Zorn wutentbrannt "
            "verärgert",
            "emoji": "😠 😡 🤬 👿 💢",
        },
    ),
    "happy": (
        None,
        "Joy and contentment.",
        {
            "en": "happy happiness happily joy joyful joyous cheerful "
            "cheerfully delighted delight glad happier happiest joyfully "
            "cheery elated merry joyfulness cheerfulness gleeful ecstatic "
            "overjoyed jubilant rejoicing",
            "zh": "高兴 开心 快乐 愉快 喜悦 欢快 欢乐 愉悦 欣喜 欢喜 兴高采烈 "
            "幸福",
            "de": "glücklich Glück fröhlich Freude freudig froh heiter",
            "emoji": "😊 😀 😃 😄 😁 🙂 🥰 ☺ 😆 😂",
        },
    ),
    "fearful": (
        None,
        "Being afraid of a threat.",
        {
            "en": "fearful fear fearfully afraid scared frightened terrified "
            "terror fright frightening scary panicked fears fearfulness "
            "horrified petrified panic",
            "zh": "害怕 恐惧 恐慌 惊恐 惧怕 吓坏 惊吓 畏惧 惶恐 惊慌",
            "de": "ängstlich Angst furchtsam Furcht verängstigt",
            "emoji": "😨 😱 😰 😧",
        },
    ),
    "surprised": (
        None,
        "A reaction to the unexpected.",
        {
            "en": "surprised surprise astonished astonishment amazed "
            "amazement startled shocked shock astounded surprises surprising "
            "surprisingly stunned disbelief",
            "zh": "惊讶 惊奇 吃惊 诧异 惊异 震惊 讶异 错愕",
            "de": "überrascht Überraschung erstaunt Erstaunen verblüfft",
            "emoji": "😲 😮 😯 😳",
        },
    ),
    "neutral": (
        None,
        "No emotion stands out.",
        {
            "en": "neutral neutrality unemotional emotionless neutrally "
            "matter-of-fact",
            "zh": "平静 中性 中立 无情绪 平淡",
            "de": "neutral sachlich",
            "emoji": "😐 😶 😑",
        },
    ),
    "sad": (
        None,
        "Loss, disappointment or grief.",
        {
            "en": "sad sadness sadly sorrow sorrowful mournful grief sadder "
            "saddest saddened sorrowfully melancholy melancholic depressed "
            "heartbroken gloomy dejected unhappy distressed tearful miserable "
            "despair somber hopeless",
            "zh": "悲伤 难过 伤心 悲痛 忧伤 悲哀 哀伤 伤感 哀痛 心碎 低落 "
            "忧郁 失落 忧愁",
            "de": "traurig Trauer Traurigkeit betrübt",
            "emoji": "😢 😭 😔 😞 🙁 ☹ 😥",
        },
    ),
    "disgusted": (
        None,
        "Revulsion at someone or something.",
        {
            "en": "disgusted disgust revulsion repulsed disgusting disgustedly "
            "disgusts revolted",
            "zh": "厌恶 恶心 反感 嫌弃 嫌恶 憎恶 讨厌",
            "de": "angeekelt Ekel angewidert",
            "emoji": "🤢 🤮",
        },
    ),
    "bored": (
        None,
        "Want of interest.",
        {
            "en": "bored boredom boredem uninterested",
            "zh": "无聊 厌倦",
            "de": "gelangweilt Langeweile",
        },
    ),
    "calm": (
        "neutral",
        "At rest, without agitation.",
        {
            "en": "calm calmness calmly relaxed composed",
            "zh": "沉着 放松 冷静 平和",
            "de": "ruhig gelassen",
        },
    ),
    "excited": (
        "happy",
        "High activation, mostly of joy.",
        {
            "en": "excited excitement excitedly enthusiastic",
            "zh": "兴奋 激动",
            "de": "begeistert Begeisterung",
        },
    ),
    "amused": (
        "happy",
        "Finding something funny.",
        {
            "en": "amused amusement",
            "zh": "被逗乐",
            "de": "amüsiert belustigt",
        },
    ),
    "pleased": (
        "happy",
        "Quiet pleasure.",
        {
            "en": "pleased pleasure contentment",
            "zh": "满意 满足",
            "de": "zufrieden",
        },
    ),
    "frustrated": (
        "angry",
        "Blocked from what one wants.",
        {
            "en": "frustrated frustration annoyed annoyance irritated "
            "irritation exasperated",
            "zh": "沮丧 挫败 懊恼 烦躁 不满",
            "de": "frustriert Frust genervt",
        },
    ),
    "contemptuous": (
        "disgusted",
        "Looking down on someone.",
        {
            "en": "contemptuous contempt disdain scornful",
            "zh": "轻蔑 鄙视 蔑视",
            "de": "verächtlich Verachtung",
        },
    ),
    "anxious": (
        "fearful",
        "Unease about what may come.",
        {
            "en": "anxious anxiety worried worry nervous apprehensive",
            "zh": "焦虑 担心 担忧 紧张",
            "de": "besorgt Sorge nervös",
        },
    ),
    "disappointed": (
        "sad",
        "Expected more.",
        {
            "en": "disappointed disappointment",
            "zh": "失望",
            "de": "enttäuscht Enttäuschung",
        },
    ),
    "sleepy": (
        None,
        "Tired, close to sleep.",
        {
            "en": "sleepy sleepiness drowsy",
            "zh": "困倦 瞌睡",
            "de": "schläfrig Schläfrigkeit",
        },
    ),
    "pained": (
        None,
        "In bodily pain.",
        {"en": "pained painful", "zh": "疼痛", "de": "schmerzvoll"},
    ),
    "other": (
        None,
        "An emotion outside the set.",
        {"en": "other", "zh": "其他 其它", "de": "andere"},
    ),
    "unknown": (
        None,
        "Cannot be told.",
        {
            "en": "unknown unclear undefined",
            "zh": "未知 不明",
            "de": "unbekannt",
        },
    ),
}

# They hold a word for an emotion and name none.
IDLE = (
    *(
        "composed " + next_one
        for next_one in "of by in as for a an the".split()
    ),
    *("不满意", "不满足", "zum glück"),
)
# (word, language, its concept, the concept that it means in sets without that)
MEANT_ELSE = (("沮丧", "zh", "frustrated", "sad"),)
# Everyday words too: they count only where no emotion is named.
CATCH_ALL = ("other", "unknown")

# Codes of corpora; labels of rows only, never looked for in sentences.
CODES = {
    "ang": "angry",
    "hap": "happy",
    "fea": "fearful",
    "sur": "surprised",
    "neu": "neutral",
    "neutral state": "neutral",
    "pleasant surprise": "surprised",  # of TESS, as are the next
    "pleasant surprised": "surprised",
    "ps": "surprised",
    "dis": "disgusted",
    "exc": "excited",
    "fru": "frustrated",
    "oth": "other",
    "xxx": "unknown",
    "unk": "unknown",
    "emo unknown": "unknown",
}

SPACES = {
    "emo_emilia": "angry happy fearful surprised neutral sad disgusted",
    "emotion2vec": (
        "angry disgusted fearful happy neutral other sad surprised unknown"
    ),
    "emodb": "angry bored disgusted fearful happy neutral sad",
    "iemocap4": "angry happy neutral sad",
    "iemocap5": "angry frustrated happy neutral sad",
    "casia": "angry fearful happy neutral sad surprised",
    "esd": "angry happy neutral sad surprised",
    "ravdess": ("angry calm disgusted fearful happy neutral sad surprised"),
    "cremad": "angry disgusted fearful happy neutral sad",
    "emovdb": "amused angry disgusted neutral sleepy",
    "msp_podcast": (
        "angry contemptuous disgusted fearful happy neutral sad surprised"
    ),
    "asvp_esd": (
        "angry bored disappointed disgusted excited fearful happy neutral "
        "pained pleased sad surprised"
    ),
    "zed": "angry happy neutral sad",
}

# Between the emotions of a label that names several.
BETWEEN = re.compile(r"[,;/|+&，；、]|\band\b|\bund\b")

# Label sets by their size, for coarser labels: any other maps into them.
SPACE_OF_SIZE = {
    4: "iemocap4",
    5: "iemocap5",
    6: "casia",
    7: "emo_emilia",
    9: "emotion2vec",
}


@functools.cache  # asked for every row and label; nobody changes the list
def words_of(concept: str, language: str | None = None) -> list[str]:
    """Words of a concept in lower case, the surface word first.

    Arguments
    ---------
    concept : str
        A key of ``CONCEPTS``.
    language : str | None
        "en", "zh" or "de"; None is all of them.

    Returns
    -------
    list of str
        Empty for a language without words.

    Example
    -------
    >>> words_of("bored", "de")
    ['gelangweilt', 'langeweile']
    """
    words = CONCEPTS[concept][2]
    languages = words if language is None else [language]
    return [
        word.lower()
        for each in languages
        for word in words.get(each, "").split()
    ]


def words_meant_else(known: list[tuple]) -> list[tuple]:
    """Words that change their emotion where a set lacks their own.

    Arguments
    ---------
    known : list of tuple
        (label, concept) of a set.

    Returns
    -------
    list of tuple
        (word, label, language).

    Example
    -------
    >>> words_meant_else([("sad", "sad")])
    [('沮丧', 'sad', 'zh')]
    >>> words_meant_else([("sad", "sad"), ("frustrated", "frustrated")])
    []
    """
    held = {concept for _, concept in known}
    return [
        (word, label, language)
        for word, language, own, other in MEANT_ELSE
        for label, concept in known
        if concept == other and own not in held
    ]


def concept_of(name):
    """The concept that a raw label means, or None.

    Example
    -------
    >>> concept_of("Sadness"), concept_of("ang"), concept_of("yellow")
    ('sad', 'angry', None)
    """
    name = plain_label(name)
    if name in CONCEPTS:
        return name
    if name in CODES:
        return CODES[name]
    for concept in CONCEPTS:
        if name in words_of(concept):
            return concept
    return None


def several_emotions(name: str) -> list[str]:
    """The emotions of a label that names several apart; else none.

    One emotion in two words or languages, or a narrower one beside its
    broader, is one.

    Example
    -------
    >>> several_emotions("happy, sad"), several_emotions("happy/excited")
    (['happy', 'sad'], [])
    """
    parts = BETWEEN.split(plain_label(name).strip("[](){}"))
    concepts = {concept_of(part.strip("'\" ")) for part in parts}
    if None in concepts:
        return []
    narrower = {c for c in concepts if CONCEPTS[c][0] in concepts}
    return sorted(concepts - narrower) if len(concepts - narrower) > 1 else []


def same_meaning(names: Iterable[str]) -> list[str]:
    """A sentence for each emotion that goes by several of some labels.

    Example
    -------
    >>> same_meaning(["happy", "joy", "sad"])
    ['The labels happy and joy mean one emotion and are classes apart.']
    """
    meant: dict[str, list[str]] = {}
    for name in sorted(names):
        if concept := concept_of(name):
            meant.setdefault(concept, []).append(name)
    return [
        f"The labels {' and '.join(same)} mean one emotion and are classes "
        "apart."
        for same in meant.values()
        if len(same) > 1
    ]


def refuse_several(labels: Mapping[str, int]) -> None:
    """Refuse labels that name several emotions: they are no class.

    Arguments
    ---------
    labels : mapping
        Label -> number of items that have it.

    Raises
    ------
    ValueError
        Names one and tells what to give instead.

    Example
    -------
    >>> refuse_several({"happy, sad": 2, "angry": 9})
    Traceback (most recent call last):
    ...
    ValueError: 2 items have several emotions in one label, such as \
'happy, sad': give one each, or such labels in a column votes; one class of \
two names is written with _ (happy_sad).
    """
    several = {name: several_emotions(str(name)) for name in labels}
    several = {name: found for name, found in several.items() if found}
    if several:
        name, found = next(iter(several.items()))
        raise ValueError(
            f"{sum(labels[name] for name in several)} items have several "
            f"emotions in one label, such as {name!r}: give one each, or such "
            "labels in a column votes; one class of two names is written "
            f"with _ ({'_'.join(found)})."
        )
