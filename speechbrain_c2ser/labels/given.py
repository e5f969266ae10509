"""A set of labels as people give it: a name, words, JSON, classes by number."""

import json
import re
from numbers import Integral

from speechbrain_c2ser.labels.emotion_words import SPACES
from speechbrain_c2ser.labels.space import LabelSpace

BETWEEN = re.compile("[,;|，、；]")
BRACKETED = re.compile(r"[\[({]([^\[\](){}]*)[\])}]")


def read_space(given: str | int) -> LabelSpace:
    """The set that a text or a size names.

    Arguments
    ---------
    given : str | int
        The name of a known set, its size, labels with commas (or other such
        signs) between them, or a JSON list of labels or ``id2label``.

    Returns
    -------
    LabelSpace

    Raises
    ------
    ValueError
        For a name that is not known; lists the known ones. For labels that
        stand in no list.

    Example
    -------
    >>> read_space("happy, sad").names, read_space('["happy", "sad"]').names
    (['happy', 'sad'], ['happy', 'sad'])
    >>> len(read_space(" Emo-Emilia ")), len(read_space("4"))
    (7, 4)
    """
    text = str(given).strip()
    if text.startswith(("[", "{")):
        try:
            names = json.loads(text.replace("'", '"'))
        except ValueError:  # words without quotes, a set of Python
            names = None
        if isinstance(names, dict):
            names = numbered_names(names)
            if names is None:
                raise ValueError(
                    f"{text} is no list of labels: give the labels alone, "
                    "with commas between (happy, sad)."
                )
        if names:
            return LabelSpace([str(name).strip() for name in names])
    listed = BRACKETED.fullmatch(text)
    text = (listed[1] if listed else text).rstrip(" ,;|，、；")
    if listed or BETWEEN.search(text):
        parts = [part.strip().strip("\"'") for part in BETWEEN.split(text)]
        return LabelSpace(parts)
    name = text.lower().replace("-", "_").replace(" ", "_")
    if name in SPACES:
        return LabelSpace.from_name(name)
    if re.search(r"[\s/]", text):
        raise ValueError(
            f"There is no label space {text!r} (known: {', '.join(SPACES)}); "
            "labels have commas between them (happy, sad)."
        )
    return LabelSpace.from_name(int(text) if text.isdecimal() else text)


def numbered_names(labels: dict) -> list[str] | None:
    """Names in the order of their numbers, or None where none have any.

    Arguments
    ---------
    labels : dict
        transformers' ``id2label`` or ``label2id``.

    Returns
    -------
    list[str] | None

    Example
    -------
    >>> numbered_names({"1": "sad", "0": "happy"}), numbered_names({"a": 0})
    (['happy', 'sad'], ['a'])
    """
    if labels and all(str(key).isdecimal() for key in labels):
        pairs = [(int(key), name) for key, name in labels.items()]
    elif labels and all(map(_is_number, labels.values())):
        pairs = [(number, name) for name, number in labels.items()]
    else:
        return None
    pairs.sort(key=lambda pair: pair[0])
    names = [name for _, name in pairs]
    counted = [number for number, _ in pairs] == list(range(len(pairs)))
    named = all(isinstance(name, str) for name in names)
    return names if counted and named else None


def _is_number(value):
    return isinstance(value, Integral) and not isinstance(value, bool)
