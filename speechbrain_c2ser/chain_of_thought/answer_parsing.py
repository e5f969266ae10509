"""Reading style, content and emotion back out of any answer.

Written for free text: the templates' own phrasings, others, lower-cased ones,
answers that break off. What is missing or contradicts itself is None.
"""

import functools
import re
from dataclasses import dataclass, replace

from speechbrain_c2ser.chain_of_thought.answer_forms import (
    decided,
    final_answer,
    says_no_emotion,
    stated,
    without_label_quotes,
)
from speechbrain_c2ser.chain_of_thought.templates import FINISH
from speechbrain_c2ser.chain_of_thought.weighed_answers import most_weighed
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.labels.emotion_words import CONCEPTS
from speechbrain_c2ser.labels.space import MARKS

ATTRIBUTES = ("speed", "pitch", "volume")
CHINESE = re.compile("[\u4e00-\u9fff]")
LETTER = re.compile(r"[^\W\d_]")

OPENING, CLOSING = '"“「『«＂', '"”」』»＂'
SINGLE_OPENING = re.compile(r"(?<!\w)['‘](?=.)", re.DOTALL)
SINGLE_CLOSING = re.compile(r"['’](?!\w)")

# What stands right before the emotion.
CARRIER = re.compile(
    r"\b(?:sound(?:s|ed|ing)?|seem(?:s|ed)?|feel(?:s|ing)?"
    r"|emotion(?:al state)? is)\b|听起来|情绪是|语气显得",
    re.IGNORECASE,
)

# One pair of marks around a whole answer.
WHOLE = re.compile(
    r"\s*(?:[\"“「『]([^\"“”「」『』]+)[\"”」』]"
    r"|['‘]((?:[^'‘’]|(?<=\w)['’](?=\w))+)['’])\s*"
)
# "Angry or sad? Sad.": asked first, unless what comes next affirms it.
ASKING = re.compile(
    r"\A[^.!?\n。！？]*[?？](?!\W*(?:yes|yeah|no|not|ja|nein)\b|\W*[是不没有])",
    re.IGNORECASE,
)

CLAUSE = re.compile(
    r"[.!?;,\n。！？；，]|\b(?:but|while|whereas|although|though|yet|aber)\b",
    re.IGNORECASE,
)
WORDING = re.compile(
    r"\b(?:words?|wording|content|text|transcript|sentence|lexical\w*|semantic\w*"
    r"|lyrics|what is said|claims?|claimed|insists?|insisted|worte|inhalt"
    r"|sa(?:ys?|id) (?:that )?(?:s?he|they))\b|内容|文字|字面|语义|內容|語義",
    re.IGNORECASE,
)
VOICE = re.compile(
    r"\b(?:voice|vocal\w*|tone|sounds?|speaker|emotion\w*|delivery|prosody"
    r"|prosodic|intonation|acoustic\w*|stimme|tonfall)\b"
    r"|语气|声音|情绪|语调|說話人|说话人|語氣|聲音|情緒|語調",
    re.IGNORECASE,
)

NORMAL = "normal|medium|moderate|average|regular"
STYLE_EN = {
    "speed": (
        "speaking rate|speech rate|pace|speed|tempo|rate|speech",
        {"low": "slow|low", "normal": NORMAL, "high": "fast|quick|rapid|high"},
    ),
    "pitch": (
        "pitch",
        {"low": "low|deep", "normal": NORMAL, "high": "high"},
    ),
    "volume": (
        "volume|energy|loudness",
        {"low": "low|quiet|soft", "normal": NORMAL, "high": "high|loud"},
    ),
}
NORMAL_ZH = "正常|适中|中等|一般"
STYLE_ZH = {
    "speed": (
        "语速|速度",
        {"low": "缓慢|慢|低", "normal": NORMAL_ZH, "high": "快|高"},
    ),
    "pitch": (
        "音调|音高|声调",
        {"low": "低", "normal": NORMAL_ZH, "high": "高"},
    ),
    "volume": (
        "音量|声音|响度|能量",
        {"low": "低|小|轻", "normal": NORMAL_ZH, "high": "高|大|响"},
    ),
}


@dataclass(frozen=True)
class ParsedAnswer:
    """What an answer says.

    Arguments
    ---------
    style : dict | None
        speed, pitch, volume -> "low", "normal", "high" or None; None if the
        answer tells nothing of the style.
    content : str | None
        The quoted words.
    emotion : str | None
        A label; None is unparsed.
    language : str | None
        "en" or "zh", of the answer around the quotation.
    """

    style: dict | None
    content: str | None
    emotion: str | None
    language: str | None


def parse_answer(text, label_space, synonyms=True):
    """Read an answer.

    JSON, a recogniser's tag, <answer> or "Emotion:" decide where they stand
    (see :mod:`.answer_forms`); thoughts in <think> are left out. Else the
    emotion is looked for outside of the quotation and beside the style words,
    by :meth:`LabelSpace.parse`, of several the one that shares, ranks or words
    put first; a label that is itself quoted counts where
    nothing else names one. Several labels are none: never a guess.

    Arguments
    ---------
    text : str | None
        Explicit or implicit answer, as written by a model.
    label_space : LabelSpace
        The labels it may name.
    synonyms : bool
        Whether synonyms of the labels count, as in :meth:`LabelSpace.parse`.

    Returns
    -------
    ParsedAnswer

    Example
    -------
    >>> space = LabelSpace(["happy", "sad"])
    >>> parse_answer('a slow pace. "so sad!" sounds happy', space)
    ParsedAnswer(style={'speed': 'low', 'pitch': None, 'volume': None}, \
content='so sad!', emotion='happy', language='en')
    >>> parse_answer("", space)
    ParsedAnswer(style=None, content=None, emotion=None, language=None)
    """
    text = final_answer(text or "")
    whole = WHOLE.fullmatch(text)
    if whole and VOICE.search(text) and CARRIER.search(text):
        text = whole[1] or whole[2]

    read = functools.partial(_read, label_space, synonyms)

    def told(words):
        return read(words) or _free_text(words, label_space, synonyms)[1]

    is_form, emotion = decided(text, told)
    if is_form:
        return replace(_parts(text)[0], content=None, emotion=emotion)
    answer, emotion = _free_text(text, label_space, synonyms)
    # A corpus's code: "ANG".
    if emotion is None and synonyms and len(text.strip(MARKS)) > 2:
        emotion = label_space.map(text)
    return replace(answer, emotion=emotion)


def _read(label_space, synonyms, words):
    """The label that a few words are, or name."""
    known = label_space.map(words) if synonyms else None
    return known or label_space.parse(words, synonyms=synonyms)


def _free_text(text, label_space, synonyms):
    """A sentence's style and content, and the emotion that it names."""
    read = functools.partial(_read, label_space, synonyms)
    plain = without_label_quotes(text, label_space)
    is_plain = not set(plain) & set(OPENING)
    if set(text) & set(OPENING) and is_plain and _quotation(plain)[2]:
        text = plain  # only what single marks hold was said
    answer, rest = _parts(text)
    emotion = stated(rest, read) or label_space.parse(rest, synonyms=synonyms)
    mentions = label_space.mentions(rest, synonyms=synonyms)
    if emotion is None and mentions:
        # "While the words are happy, the tone is sad."
        emotion = label_space.parse(_of_the_voice(rest), synonyms=synonyms)
    emotion = emotion or most_weighed(rest, mentions)
    if emotion is None and mentions:
        emotion = label_space.parse(ASKING.sub(" ", rest), synonyms=synonyms)
    if emotion is None and not mentions:
        # Nothing else names it: the label itself may be quoted.
        bare = without_label_quotes(text, label_space)
        # Half a pair of marks:
        if bare == text and label_space.map(text):
            bare = text.strip(MARKS)
        emotion = stated(bare, read)
        if emotion is None and bare != text:
            emotion = label_space.parse(_parts(bare)[1], synonyms=synonyms)
        if emotion is not None:
            answer, _ = _parts(bare)
    if emotion is None and not mentions and says_no_emotion(rest):
        emotion = read("neutral")
    return answer, emotion


def _of_the_voice(text):
    """A text without the clauses that judge what is said, not how."""
    clauses = CLAUSE.split(text)
    return ". ".join(
        part
        for part in clauses
        if not WORDING.search(part) or VOICE.search(part)
    )


def _parts(text):
    """What an answer says but for the emotion, and where that is named."""
    start, end, closed = _quotation(text)
    outside = text[:start] + "\n" + text[end:]
    content = text[start + 1 : end - 1].strip() if closed else None
    style, rest = _style(outside)
    answer = ParsedAnswer(
        style=style if any(style.values()) else None,
        content=content or None,
        emotion=None,
        language=_language(outside) or _language(text),
    )
    return answer, rest


def split_before_emotion(text):
    """The part of an explicit answer that comes before the emotion's word.

    Appending what ``label_answers(space, "explicit", language)`` holds for a
    label gives the answer that names it.

    Arguments
    ---------
    text : str
        An explicit answer, or a model's attempt at one.

    Returns
    -------
    str
        Up to what introduces the emotion, after the quotation if there is
        something, else before it; failing that, up to the first word for an
        emotion. A text that never comes to the emotion is continued to that
        point: an open quotation is closed, and an introduction added.

    Example
    -------
    >>> split_before_emotion('A fast pace. "I sound sad." sounds happy.')
    'A fast pace. "I sound sad." sounds'
    >>> split_before_emotion('A fast pace, and the words "I am')
    'A fast pace, and the words "I am" sound'
    """
    text = (text or "").strip()
    start, end, closed = _quotation(text)
    quoted = start < len(text)
    for begin, stop in ((end, len(text)), (0, start)):
        match = CARRIER.search(text, begin, stop)
        if match:
            return text[: match.end()]
    for begin, stop in ((end, len(text)), (0, start)):
        mentions = _any_emotion().mentions(text[begin:stop])
        if mentions:
            return text[: begin + mentions[0][1]].rstrip()
    language = _language(text[:start] + text[end:]) or _language(text) or "en"
    after_text, after_quotation = FINISH[language]
    if quoted and not closed:
        return text + after_quotation
    finished = text.rstrip(" .,，。")
    return (finished + after_text) if finished else after_text.lstrip(" .。")


@functools.cache
def _any_emotion():
    return LabelSpace([c for c in CONCEPTS if c not in ("other", "unknown")])


def _quotation(text):
    """Start, end and whether it is closed; start = len(text) if none."""
    places = [i for i, c in enumerate(text) if c in OPENING]
    if places:
        start = places[0]
        last = max(text.rfind(c, start + 1) for c in CLOSING)
        if last > start:
            return start, last + 1, True
        return start, len(text), False
    single = SINGLE_OPENING.search(text)
    ends = single and [m.end() for m in SINGLE_CLOSING.finditer(text)]
    if ends and ends[-1] > single.end() + 1:
        return single.start(), ends[-1], True
    return len(text), len(text), False


def _language(text):
    if CHINESE.search(text):
        return "zh"
    return "en" if LETTER.search(text) else None


@functools.cache
def style_patterns() -> list[tuple]:
    """How style is told: [(attribute, value, pattern)].

    Example
    -------
    >>> [a for a, v, p in style_patterns() if p.search("a slow pace")]
    ['speed']
    """
    patterns = []
    for attribute in ATTRIBUTES:
        nouns, words = STYLE_EN[attribute]
        for value, word in words.items():
            forms = (
                rf"\b(?:{word})[ -](?:{nouns})\b"
                rf"|\b(?:{nouns})(?: is| was|:)? (?:very )?(?:{word})\b"
            )
            patterns.append((attribute, value, forms))
        nouns, words = STYLE_ZH[attribute]
        for value, word in words.items():
            forms = (
                f"(?:{nouns})(?:比较|较为|偏|较|很|为|是)?(?:{word})"
                f"|(?:{word})的?(?:{nouns})"
            )
            patterns.append((attribute, value, forms))
    return [(a, v, re.compile(f, re.IGNORECASE)) for a, v, f in patterns]


def _style(text):
    """Style words, and the text without them."""
    levels = {attribute: set() for attribute in ATTRIBUTES}
    rest = text
    for attribute, value, pattern in style_patterns():
        if pattern.search(text):
            levels[attribute].add(value)
            rest = pattern.sub(" ", rest)
    style = {
        attribute: values.pop() if len(values) == 1 else None
        for attribute, values in levels.items()
    }
    return style, rest
