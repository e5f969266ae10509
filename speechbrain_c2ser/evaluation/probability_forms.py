"""How systems write label probabilities: in one cell, or a column a label."""

import ast
import json
import re
from collections.abc import Collection
from functools import lru_cache

from speechbrain_c2ser.data.columns import (
    PREDICTED,
    as_number,
    is_missing,
    plain_name,
)
from speechbrain_c2ser.evaluation.errors import some
from speechbrain_c2ser.labels.emotion_words import concept_of

# Columns of one label each: "prob_sad", "P(sad)", "scores.sad", "sad_prob".
SHARE = (
    "probabilities|probability|probs|prob|posteriors|posterior|scores|score|p"
)
PREFIXED = re.compile(rf"(?:{SHARE})\s*[_.:(\[-]\s*(.+?)[)\]]?", re.IGNORECASE)
SUFFIXED = re.compile(rf"(.+?)\s*[_.:(\[ -]\s*(?:{SHARE})[)\]]?", re.IGNORECASE)
LOGIT = re.compile(r"logits?\s*[_.:(\[]\s*(.+?)[)\]]?", re.IGNORECASE)
# "happy:0.9,sad:0.1" in one cell.
SHARES = re.compile(r"\s*([^:=]+?)\s*[:=]\s*([\d.eE+-]+\s*[%％]?)\s*")

# What stands between the words of a column's name, and of a label.
WORD = re.compile(r"[^\s_.:()\[\]-]+")
BETWEEN = re.compile(r"[/|_:()（）／]")
# Words around labels that are those of what is true, not of a system.
TRUE_WORDS = frozenset(
    [*PREDICTED["emotion"].split(), "vote", "votes", "rater", "raters"]
    + ["annotator", "annotators", "annotations", "human", "humans", "rating"]
)
NEUTRAL = frozenset(("y", "emotion", "emo"))  # of both: "y_proba_sad"
SHARE_WORD = re.compile(rf"{SHARE}|probas?|softmax|logits?")
# Words of a system's figures, which may be marks of 0 and 1, too.
SYSTEM_WORD = re.compile(
    r"conf|confs|confidences?|preds?|predicted|predictions?|emotions|[%％]"
)
# What is told beside logits, by no class's name.
STATISTIC = re.compile(
    r"(arg)?(max|min)(imum)?|mean|avg|average|std|var|scale|sum|total|"
    r"top\d*|norm|entropy|margin|bias|temperature"
)
# A number as NumPy and PyTorch print it: "np.float32(0.7)".
PRINTED = re.compile(r"[A-Za-z_][\w.]*\(\s*([-+\d.eE]+)\s*(?:,[^()]*)?\)")
SCORED = {"label", "score"}
PAIRS = ([str, float], [str, int])


@lru_cache(maxsize=4096)  # the same few names, for every row of a table
def means_emotion(name: str) -> str | None:
    """The one emotion that a name means, perhaps in several languages.

    Example
    -------
    >>> [means_emotion(n) for n in ("生气/angry", "angry(生气)", "sad_prob")]
    ['angry', 'angry', None]
    """
    if concept := concept_of(name):
        return concept
    parts = [part for part in BETWEEN.split(name) if part.strip()]
    meant = {concept_of(part) for part in parts}
    return meant.pop() if len(meant) == 1 else None


def label_name(name: str) -> str:
    """A label's name as label sets understand it.

    Example
    -------
    >>> label_name("生气_angry"), label_name(" happy_joy ")
    ('生气/angry', 'happy_joy')
    """
    name = name.strip()
    # Two words of one language may be the name of a class.
    if not name.isascii() and means_emotion(name) and not concept_of(name):
        return "/".join(part for part in BETWEEN.split(name) if part.strip())
    return name


def gather_columns(
    rows: list[dict], notes: list[str] | None = None
) -> list[dict]:
    """The rows of a table, a distribution of columns in ``probabilities``.

    Each of its labels has a column, and around the labels stands a word of a
    system's figures ("proba_angry", "angry (%)"), none of what is true: in
    each row they sum to 1 or to 100; or a word "logit" makes them ``logits``.

    Arguments
    ---------
    rows : list of dict
        Of one table.
    notes : list of str | None
        Gets which columns were taken, where no word says that they are shares.

    Returns
    -------
    list of dict
        As they are, where there is no such distribution, or several.

    Example
    -------
    >>> gather_columns([{"id": "a", "conf_sad": 70, "conf_happy": 30}])
    [{'id': 'a', 'probabilities': {'sad': 0.7, 'happy': 0.3}}]
    """
    columns = dict.fromkeys(str(column) for row in rows for column in row)
    if {"probabilities", "logits"} & columns.keys():
        return rows
    groups: dict[tuple, dict] = {}
    for column in columns:
        around, label = _around(column)
        if label is not None:
            groups.setdefault(around, {})[column] = label
    found = []
    for around, labels in groups.items():
        words = set(re.findall(r"[^\W_]+|[%％]", " ".join(around)))
        share = any(map(SHARE_WORD.fullmatch, words))
        if not _is_systems(words, share) or len(labels) < 2:
            continue
        every = _all_between(rows, columns, *around)
        if words & {"logit", "logits"}:
            found.append((share, "logits", _without_statistics(every), 1))
        elif whole := _whole(rows, every, share):
            found.append((share, "probabilities", every, whole))
        elif whole := _whole(rows, labels, share):
            found.append((share, "probabilities", labels, whole))
    named = [each for each in found if each[0]] or found
    if len(named) != 1:
        return rows
    share, field, labels, whole = named[0]
    if notes is not None and not share:
        notes.append(
            f"The columns {some(labels)} are taken for the system's "
            "probabilities: rename them, if they are not."
        )
    gathered = []
    for row in rows:
        cells = {label: row.get(column) for column, label in labels.items()}
        row = {k: v for k, v in row.items() if k not in labels}
        if not all(map(is_missing, cells.values())):
            if field == "probabilities":
                numbers = {k: share_of(v) for k, v in cells.items()}
                cells = {
                    k: None if number is None else number / whole
                    for k, number in numbers.items()
                }
            row[field] = cells
        gathered.append(row)
    return gathered


def gives_probabilities(row: dict) -> bool:
    """Whether a prediction gives probabilities, in any of their forms.

    Example
    -------
    >>> gives_probabilities({"id": "a", "sad": 0.5, "happy": 0.5})
    True
    """
    named = not row.keys().isdisjoint(("probabilities", "logits"))
    return named or bool(logit_columns(dict(row)) or label_columns(dict(row)))


def distribution(value: object) -> dict | None:
    """Label -> number, of what a system wraps them in; else None.

    Arguments
    ---------
    value : object
        Label -> number of labels that mean emotions, ``labels`` and
        ``scores``, a list of {label, score} or [label, score]; perhaps in
        objects or lists of one, or as JSON or Python text.

    Returns
    -------
    dict | None

    Example
    -------
    >>> distribution({"result": {"labels": ["hap"], "scores": [1]}})
    {'hap': 1}
    >>> distribution([["sad", 0.75], ["happy", 0.25]])
    {'sad': 0.75, 'happy': 0.25}
    """
    value = parsed_cell(value)
    if isinstance(value, dict) and value:
        names, scores = value.get("labels"), value.get("scores")
        if isinstance(names, list) and isinstance(scores, list):
            if len(names) != len(scores):
                return value  # which is refused, by its item's name
            return dict(zip(map(str, names), scores, strict=True))
        if all(
            means_emotion(str(label)) and share_of(number) is not None
            for label, number in value.items()
        ):
            return value
        # Not in texts: those are what a system says.
        parts = [v for v in value.values() if not isinstance(v, str)]
        inner = [found for found in map(distribution, parts) if found]
        return inner[0] if len(inner) == 1 else None
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(each, dict) and SCORED <= each.keys() for each in value):
        return {str(each["label"]): each["score"] for each in value}
    if all(
        isinstance(each, list) and [*map(type, each)] in PAIRS for each in value
    ):
        return dict(value)
    return distribution(value[0]) if len(value) == 1 else None


def parsed_cell(value: object) -> object:
    """What a cell of a table holds, where it is JSON or a Python literal.

    Example
    -------
    >>> parsed_cell("{'sad': np.float32(0.5)}"), parsed_cell("sad:1")
    ({'sad': 0.5}, {'sad': '1'})
    """
    if isinstance(value, str) and value[:1] in ("{", "["):
        value = PRINTED.sub(r"\1", value)
        for read in (json.loads, ast.literal_eval, _single_quoted):
            try:
                return read(value)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
        return value
    if isinstance(value, str):
        parts = [SHARES.fullmatch(part) for part in re.split("[,;|]", value)]
        if all(parts):
            return {part[1]: part[2] for part in parts if part}
    return value


def _single_quoted(text):
    return json.loads(text.replace("'", '"'))


def listed_cell(text: object) -> object:
    """What a cell divides by ";", "|", commas or, without any, blanks.

    Example
    -------
    >>> listed_cell("sad; happy"), listed_cell("[0.25 0.75]"), listed_cell([1])
    (['sad', 'happy'], ['0.25', '0.75'], [1])
    """
    if not isinstance(text, str):
        return text
    text = text.strip("[]() ")
    sign = next((sign for sign in ";|," if sign in text), None)
    return [part.strip(" '\"") for part in text.split(sign)]


def sums_to_one(numbers: Collection[float]) -> bool:
    """Whether probabilities sum to 1; each may be rounded to two digits.

    Example
    -------
    >>> sums_to_one([0.33, 0.33, 0.33]), sums_to_one([0.7, 0.1])
    (True, False)
    """
    return abs(sum(numbers) - 1) <= max(0.01, 0.005 * len(numbers))


def _is_systems(words, share):
    """Whether the words around labels are those of a system's figures."""
    plain = {word.rstrip("0123456789") for word in words}
    if plain & (TRUE_WORDS - NEUTRAL if share else TRUE_WORDS):
        return False
    return share or any(map(SYSTEM_WORD.fullmatch, words))


def _without_statistics(columns):
    """Column -> label, without what is told of all logits together."""
    return {
        column: label
        for column, label in columns.items()
        if not any(
            STATISTIC.fullmatch(word) or word in TRUE_WORDS
            for word in re.findall(r"[^\W_]+", label.lower())
        )
    }


def _whole(rows, columns, marks):
    """1 or 100, which the cells of each row sum to; else None.

    Also None where all are 0 or 1, as true labels are, without ``marks``.
    """
    distributions = []
    for row in rows:
        cells = [row.get(column) for column in columns]
        if any(map(is_missing, cells)):
            continue  # refused later, by its id
        numbers = list(map(share_of, cells))
        if None in numbers or min(numbers) < 0:
            return None
        distributions.append(numbers)
    if not marks and {n for each in distributions for n in each} <= {0, 1}:
        return None
    for whole in (1, 100) if distributions else ():
        if all(
            sums_to_one([n / whole for n in each]) for each in distributions
        ):
            return whole
    return None


def _around(column):
    """What stands before and behind the emotion of a column's name."""
    words = list(WORD.finditer(column))
    for first, start in enumerate(words):
        for end in reversed(words[first:]):
            label = column[start.start() : end.end()]
            if means_emotion(label):
                before, behind = column[: start.start()], column[end.end() :]
                return (before.lower(), behind.lower()), label
    return (), None


def _all_between(rows, columns, before, behind):
    """Columns of numbers with these around them -> what is between."""
    between = {
        column: column[len(before) : len(column) - len(behind)]
        for column in columns
        if column.lower().startswith(before)
        and column.lower().endswith(behind)
        and len(column) > len(before) + len(behind)
    }
    return {
        column: label
        for column, label in between.items()
        if all(
            is_missing(row.get(column)) or share_of(row[column]) is not None
            for row in rows
        )
    }


def share_of(value: object) -> float | None:
    """A probability, also as a text of per cent.

    Example
    -------
    >>> share_of("70%"), share_of(0.5), share_of("sad")
    (0.7, 0.5, None)
    """
    text = value.strip() if isinstance(value, str) else ""
    if text.endswith(("%", "％")):
        number = as_number(text[:-1])
        return None if number is None else number / 100
    return as_number(value)


def logit_columns(row: dict) -> dict | None:
    """Logits of which each label has a column, taken out of the row.

    Example
    -------
    >>> logit_columns({"logit_sad": 2.0, "logit_happy": 1.0})
    {'sad': 2.0, 'happy': 1.0}
    """
    matches = {column: LOGIT.fullmatch(str(column)) for column in row}
    columns = {column: match[1] for column, match in matches.items() if match}
    if len(columns) < 2:
        return None
    return {label: row.pop(column) for column, label in columns.items()}


def label_columns(row: dict) -> dict | None:
    """Probabilities of which each label has a column, taken out of the row.

    Example
    -------
    >>> label_columns({"P(sad)": 0.25, "P(happy)": "75%"})
    {'sad': 0.25, 'happy': 0.75}
    """
    values, used = {}, []
    for column, value in row.items():
        prefixed = PREFIXED.fullmatch(str(column))
        suffixed = SUFFIXED.fullmatch(str(column))
        if suffixed and means_emotion(suffixed[1]):
            prefixed = suffixed
        label = prefixed[1] if prefixed else str(column)
        number = share_of(value)
        known = number is not None or is_missing(value)
        named = prefixed or means_emotion(label)
        if named and known and plain_name(label):
            values[label] = number
            used.append(column)
    # One such column is a score of something; several are a distribution.
    given = {k: number for k, number in values.items() if number is not None}
    if len(given) < 2:
        return None
    if sums_to_one(given.values()):
        values = given
    for column in used:
        del row[column]
    return values
