"""An emotion that an answer gives in JSON, under any usual key.

Of several values the best named counts; of scores the highest. Values that
are what was said, or why, are never the answer. JSON that is broken, or breaks
off, is read by its keys.
"""

import ast
import json
import re
import unicodedata
from collections.abc import Callable

from speechbrain_c2ser.labels.spelling import PLAIN

# Names of what an answer decides, in JSON and before a colon; best first.
KEYS = (
    "finalemotion predictedemotion primaryemotion mainemotion dominantemotion "
    "detectedemotion recognizedemotion recognisedemotion identifiedemotion "
    "inferredemotion overallemotion speakeremotion speakersemotion emotion emo "
    "emotionlabel emotionalstate emotionaltone emotioncategory emotionclass "
    "emotiontype primary dominant main emotions finalanswer answer label "
    "predictedlabel prediction predicted class category result conclusion "
    "verdict choice option bestguess guess mood tone "
    "feeling sentiment output response 情绪 情感 情绪标签 情感标签 情绪类别 "
    "情感类别 情绪状态 标签 答案 结果 结论 预测 语气 心情 "
    "gefühl stimmung antwort"
).split()
# Values of these are what was said, or why, and never the answer.
ASIDE = (
    "text transcript transcription content words word utterance sequence "
    "sentence asr caption quote file filename path audio reason reasoning "
    "explanation rationale thought thoughts analysis evidence style 内容 理由 "
    "原因 解释 文本 依据 转录 文字"
).split()
# In the name of an emotion that is not the one asked for, or of its measure.
OTHER = re.compile(
    "text|transcri|content|word|sentence|caption|reason|expla|rational|thought"
    "|analy|evidence|second|other|alternat|possible|candidate|true|referenc"
    "|semantic|lexical|intens|level|score|confiden|chang|cause|trigger|[2-9]$"
    "|内容|理由|原因|解释|依据|次|其他|可能|文|语义|强度|变化"
)
# Of a label in a list of several, and beside it.
NAMES = ("name", "type", "value")
SCORES = (
    "score probability prob confidence likelihood p weight percentage percent "
    "share 置信度 概率 得分"
).split()
YES = ("yes", "true", "y", "ja", "是")
NO = ("no", "false", "n", "nein", "否")
OPENING = re.compile(r"[{\[]")
BETWEEN = re.compile(r"[\s,;]*")
COMMENT = re.compile(r"/\*.{0,400}?\*/|(?<![:\w])//[^\n]*", re.DOTALL)
STRAIGHT = str.maketrans("“”„‟‘’：，", '""""\'\':,')
NAME = r"([^\W\d_][^\n\"':={}\[\],]{0,40}?)"
# A key and its colon; a value reaches to the next one.
QUOTED_KEY = re.compile(
    rf"(?:(?<=[{{,;\n])\s{{0,40}}|\s)([\"']){NAME}\1\s*(?::|=>?)\s*"
)
ANY_KEY = re.compile(rf"(?<=[{{,;\n])\s{{0,40}}([\"']?){NAME}\1\s*(?::|=>?)\s*")
# Where a value ends that begins with one of these; else at LOOSE_END.
VALUE_END = {'"': r'"\s*[}\]]', "'": r"'\s*[}\]]", "[": r"\]"}
LOOSE_END = r"[,;}\n]"
# Characters of an answer that are looked at for JSON, brackets of it that may
# turn out to open none, and depth at which values are looked for.
LONGEST, TRIES, DEEPEST = 20000, 20, 20


def key_rank(key: object) -> int | None:
    """Place of a key among those that name an answer, or None.

    Any other key with the word emotion comes last, but for "text emotion" and
    the like.

    Example
    -------
    >>> key_rank("Emotion") > key_rank("Predicted emotion"), key_rank("why")
    (True, None)
    """
    plain = _plain_key(key)
    if plain in KEYS:
        return KEYS.index(plain)
    is_emotion = re.search("emotion(?!al(?!state|tone))|情绪|情感", plain)
    return len(KEYS) if is_emotion and not OTHER.search(plain) else None


def only_one(labels: set) -> str | None:
    """The one label of a set; None of several: never a guess.

    Example
    -------
    >>> only_one({"sad"}), only_one({"sad", "happy"})
    ('sad', None)
    """
    return labels.pop() if len(labels) == 1 else None


def json_answer(text: str) -> dict | list | None:
    """The JSON (or Python) object or list of a text that answers, or None.

    Of several with prose between them the last that has the key of an answer,
    else the first. What is broken, or breaks off, is read by its keys.

    Example
    -------
    >>> json_answer("Sure: {'emotion': 'sad'}"), json_answer("no, sad")
    ({'emotion': 'sad'}, None)
    >>> json_answer('{"emotion": "sad", "text": "I am so')
    {'emotion': 'sad', 'text': 'I am so'}
    """
    first = OPENING.search(text)
    part = text[first.start() :][:LONGEST] if first else ""
    if "{{" in part:  # as in the f-string of a prompt
        part = part.replace("{{", "{").replace("}}", "}")
    found: list = []
    place = end = tries = 0
    while tries < TRIES and (opening := OPENING.search(part, place)):
        value, stop = _value_at(part, opening.start())
        if value is None:
            tries, place = tries + 1, opening.end()
            continue
        # Objects right behind one another are of the same answer.
        behind = BETWEEN.match(part, end)
        is_more = isinstance(value, dict) and behind.end() == opening.start()
        if found and is_more and isinstance(found[-1][0], dict):
            found[-1].append(value)
        else:
            found.append([value])
        place = end = stop
    told = [each[0] if len(each) == 1 else each for each in found]
    answers = [each for each in told if any(_named(each))]
    return answers[-1] if answers else told[0] if told else None


def _value_at(text, start):
    """The object or list at a bracket, or None, and where it ends."""
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        end = max(text.rfind("}"), text.rfind("]")) + 1
        try:
            value = ast.literal_eval(text[start:end])
        except (
            ValueError,
            SyntaxError,
            TypeError,  # a set of objects
            RecursionError,
            MemoryError,
        ):
            value, end = _by_keys(text[start:]), len(text)
    # "[1]" is a footnote.
    is_list = isinstance(value, list) and any(
        isinstance(each, str | dict) for each in value
    )
    is_told = is_list or isinstance(value, dict) and value
    return (value, end) if is_told else (None, start)


def _by_keys(text):
    """Key -> text of an object that cannot be parsed; {} if it is none."""
    text = COMMENT.sub(" ", text.translate(STRAIGHT))
    first = ANY_KEY.match(text, 1)
    if not text.startswith("{") or not first:
        return {}
    keys = list((QUOTED_KEY if first[1] else ANY_KEY).finditer(text))
    if not first[1] and all(key_rank(key[2]) is None for key in keys):
        return {}  # words in braces
    stops = [*(key.start() for key in keys[1:]), len(text)]
    pairs: dict = {}
    for key, stop in zip(keys, stops, strict=True):
        value = text[key.end() : stop]
        ending = VALUE_END.get(value[:1], LOOSE_END)
        value = re.split(ending, value, maxsplit=1)[0]
        pairs.setdefault(key[2], []).append(value.strip(" \t\r\n,;{}[]\"'"))
    return {k: v[0] if len(v) == 1 else v for k, v in pairs.items()}


def in_json(content: dict | list, read: Callable) -> str | None:
    """The label that JSON decides; None for none or several.

    Arguments
    ---------
    content : object
        Of :func:`json_answer`.
    read : callable
        Words -> the one label that they name, or None.

    Returns
    -------
    str | None

    Example
    -------
    >>> in_json({"why": "happy words", "emotion": "sad"}, str)
    'sad'
    """
    named = list(_named(content))
    if named:
        best = min(rank for rank, _ in named)
        return _label([v for rank, v in named if rank == best], read)
    return _label(content, read)


def _named(content, depth=0):
    """(rank, value) of all keys that name an answer, however deep."""
    if depth > DEEPEST:
        return
    if isinstance(content, dict):
        content = _zipped(content)
        for key, value in content.items():
            rank = key_rank(key)
            inner = list(_named(value, depth + 1))
            told = value not in (None, "") and _number(value) is None
            if rank is not None and not inner and told:
                yield rank + 100 * depth, value
            yield from inner
    elif isinstance(content, list):
        scored = _scored(content)
        if scored:
            yield 100 * depth, scored
            return
        for value in content:
            yield from _named(value, depth + 1)


def _zipped(content):
    """An object whose lists of labels and of scores are one object."""
    lists = {key: v for key, v in content.items() if isinstance(v, list)}
    plain = {key: _plain_key(key).removesuffix("s") for key in lists}
    scores = [key for key in lists if plain[key] in SCORES]
    labels = [
        key
        for key in lists
        if plain[key] in KEYS or key_rank(key) is not None
        if all(isinstance(each, str) for each in lists[key])
    ]
    if len(scores) != 1 or len(labels) != 1:
        return content
    names, numbers = lists.pop(labels[0]), lists.pop(scores[0])
    if len(names) != len(numbers):
        return content
    rest = {k: v for k, v in content.items() if k not in (*labels, *scores)}
    return {**rest, "emotions": dict(zip(names, numbers, strict=True))}


def _scored(content):
    """Label -> score of a list of objects that give both, or {}."""
    scored = {}
    for each in content:
        pairs = each.items() if isinstance(each, dict) else ()
        labels = [v for k, v in pairs if key_rank(k) is not None]
        labels = labels or [v for k, v in pairs if _plain_key(k) in NAMES]
        scores = [_number(v) for k, v in pairs if _plain_key(k) in SCORES]
        if len(labels) != 1 or len(scores) != 1 or None in scores:
            return {}
        if not isinstance(labels[0], str):
            return {}
        scored[labels[0]] = scores[0]
    return scored


def _label(value, read, depth=0):
    if isinstance(value, str):
        return read(value)
    if depth > DEEPEST:
        return None
    if isinstance(value, dict):
        scores = _scores(value)
        shares = {key: v for key, v in scores.items() if read(str(key))}
        if len(shares) > 1 or scores and len(scores) == len(value):
            scores = shares or scores
            most = max(scores.values())
            if most is False:
                return None
            return only_one(
                {read(str(k)) for k, v in scores.items() if v == most}
            )
        value = [v for k, v in value.items() if _plain_key(k) not in ASIDE]
    if isinstance(value, list | tuple):
        labels = {_label(each, read, depth + 1) for each in value}
        return only_one(labels - {None} or {None})
    return None


def _scores(content):
    """Key -> number, or verdict, of the keys that have one."""
    scores = {key: _number(value) for key, value in content.items()}
    return {key: score for key, score in scores.items() if score is not None}


def _number(value):
    """A score, also as a text ("90 %"); True or False for a verdict."""
    if isinstance(value, int | float):
        return None if value != value else value
    text = value.strip(" %").lower() if isinstance(value, str) else ""
    if text in YES or text in NO:
        return text in YES
    try:
        return float(text)
    except ValueError:
        return None


def _plain_key(key):
    text = unicodedata.normalize("NFKC", str(key)).casefold()
    return re.sub(r"[\W_]+", "", text.translate(PLAIN))
