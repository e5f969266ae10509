"""An emotion that an answer gives in JSON, under any usual key.

Of several values the best named counts; of scores the highest. Values that
are what was said, or why, are never the answer.
"""

import ast
import json
import re
import unicodedata
from collections.abc import Callable

from speechbrain_c2ser.labels.lexicon import PLAIN

# Names of what an answer decides, in JSON and before a colon; best first.
KEYS = (
    "finalemotion predictedemotion primaryemotion mainemotion dominantemotion "
    "detectedemotion recognizedemotion recognisedemotion identifiedemotion "
    "inferredemotion overallemotion speakeremotion speakersemotion emotion emo "
    "emotionlabel emotionalstate emotionaltone emotioncategory emotionclass "
    "emotiontype primary dominant main emotions finalanswer answer label "
    "predictedlabel prediction predicted class category result conclusion "
    "verdict choice option mood tone "
    "feeling sentiment output response 情绪 情感 情绪标签 情感标签 情绪类别 "
    "情感类别 情绪状态 标签 答案 结果 结论 预测 语气 心情 "
    "gefühl stimmung antwort"
).split()
# Values of these are what was said, or why, and never the answer.
ASIDE = (
    "text transcript transcription content words utterance reason reasoning "
    "explanation rationale thought thoughts analysis evidence style 内容 理由 "
    "原因 解释 文本"
).split()
# Beside a label in a list of several.
SCORES = (
    "score probability prob confidence likelihood p weight percentage percent "
    "share 置信度 概率 得分"
).split()
YES = ("yes", "true", "y", "ja", "是")
NO = ("no", "false", "n", "nein", "否")
NEXT_OBJECT = re.compile(r"[\s,;]*(?=\{)")
# Characters of an answer that are looked at for JSON.
LONGEST = 20000


def key_rank(key: object) -> int | None:
    """Place of a key among those that name an answer, or None.

    Example
    -------
    >>> key_rank("Emotion") > key_rank("Predicted emotion"), key_rank("why")
    (True, None)
    """
    plain = _plain_key(key)
    return KEYS.index(plain) if plain in KEYS else None


def only_one(labels: set) -> str | None:
    """The one label of a set; None of several: never a guess.

    Example
    -------
    >>> only_one({"sad"}), only_one({"sad", "happy"})
    ('sad', None)
    """
    return labels.pop() if len(labels) == 1 else None


def first_json(text: str) -> dict | list | None:
    """The first JSON (or Python) object or list of a text, or None.

    Example
    -------
    >>> first_json("Sure: {'emotion': 'sad'}"), first_json("no, sad")
    ({'emotion': 'sad'}, None)
    """
    start = min((i for i in map(text.find, "{[") if i >= 0), default=-1)
    if start < 0:
        return None
    part = text[start : start + LONGEST]
    try:
        value, end = json.JSONDecoder().raw_decode(part)
        if isinstance(value, dict):
            value = [value, *_behind(part, end)]
            value = value if len(value) > 1 else value[0]
    except (ValueError, RecursionError):
        end = max(part.rfind("}"), part.rfind("]"))
        try:
            value = ast.literal_eval(part[: end + 1])
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    # "[1]" is a footnote.
    is_list = isinstance(value, list) and any(
        isinstance(each, str | dict) for each in value
    )
    return value if is_list or isinstance(value, dict) and value else None


def _behind(text, place):
    """Further objects right behind one: they are of the same answer."""
    while more := NEXT_OBJECT.match(text, place):
        try:
            value, place = json.JSONDecoder().raw_decode(text, more.end())
        except (ValueError, RecursionError):
            return
        yield value


def in_json(content: dict | list, read: Callable) -> str | None:
    """The label that JSON decides; None for none or several.

    Arguments
    ---------
    content : object
        Of :func:`first_json`.
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
    if isinstance(content, dict):
        values = [v for k, v in content.items() if _plain_key(k) not in ASIDE]
        scores = _scores(content)
        shares = {key: v for key, v in scores.items() if read(str(key))}
        if len(shares) > 1 or len(scores) == len(content):
            return _label(shares or scores, read)
        return _label(values, read)
    return _label(content, read)


def _named(content, depth=0):
    """(rank, value) of all keys that name an answer, however deep."""
    if depth > 20:
        return
    if isinstance(content, dict):
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


def _scored(content):
    """Label -> score of a list of objects that give both, or {}."""
    scored = {}
    for each in content:
        pairs = each.items() if isinstance(each, dict) else ()
        labels = [v for k, v in pairs if key_rank(k) is not None]
        scores = [_number(v) for k, v in pairs if _plain_key(k) in SCORES]
        if len(labels) != 1 or len(scores) != 1 or None in scores:
            return {}
        scored[str(labels[0])] = scores[0]
    return scored


def _label(value, read):
    if isinstance(value, str):
        return read(value)
    if isinstance(value, dict):
        scores = _scores(value)
        if not scores:
            return only_one({_label(v, read) for v in value.values()} or {None})
        most = max(scores.values())
        if most is False:
            return None
        best = {read(str(k)) for k, v in scores.items() if v == most}
        return only_one(best)
    if isinstance(value, list | tuple):
        labels = {_label(each, read) for each in value}
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
