"""Label probabilities of predictions, in any form, on any label set."""

import json
import math
import re

from speechbrain_c2ser.data.columns import as_number, plain_name
from speechbrain_c2ser.evaluation.errors import PredictionError, some
from speechbrain_c2ser.labels import LabelSpace
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

PAIRS = ([str, float], [str, int])


def take_probabilities(row: dict) -> dict:
    """A prediction whose probabilities stand in ``probabilities``.

    Arguments
    ---------
    row : dict
        A prediction with ``probabilities`` (label -> number, also as JSON
        text or "sad:0.9,happy:0.1", or a list of {label, score} or [label,
        score]), ``logits``
        (label -> number, of which the softmax is taken), FunASR's ``labels``
        and ``scores``, or a column a label: "prob_angry", "P(angry)",
        "angry_prob", "logit_angry" or "angry".

    Returns
    -------
    dict
        The row, with label -> number in ``probabilities`` if it gives any.
        Where it has neither label nor text, the most probable label is its
        label.

    Example
    -------
    >>> take_probabilities({"id": "a", "labels": ["hap", "sad"],
    ...                     "probabilities": [0.75, 0.25]})
    {'id': 'a', 'probabilities': {'hap': 0.75, 'sad': 0.25}, 'label': 'hap'}
    """
    row = dict(row)
    probabilities = _from_json(row.pop("probabilities", None))
    names = _from_json(row.get("labels"))
    if isinstance(probabilities, list) and isinstance(names, list):
        if len(probabilities) != len(names):
            raise PredictionError(
                f"Prediction {row.get('id')!r} has {len(names)} labels and "
                f"{len(probabilities)} scores."
            )
        del row["labels"]
        probabilities = dict(zip(map(str, names), probabilities, strict=True))
    elif isinstance(probabilities, list) and all(
        isinstance(each, list) and list(map(type, each)) in PAIRS
        for each in probabilities
    ):
        probabilities = dict(probabilities)
    elif isinstance(probabilities, list) and all(
        isinstance(each, dict) and {"label", "score"} <= each.keys()
        for each in probabilities
    ):
        probabilities = {
            str(each["label"]): each["score"] for each in probabilities
        }
    logits = _from_json(row.pop("logits", None)) or _logit_columns(row)
    if probabilities is None and isinstance(logits, dict):
        probabilities = _softmax(logits, row)
    if probabilities is None:
        probabilities = _columns(row)
    if probabilities is None:
        return row
    row["probabilities"] = probabilities
    if isinstance(probabilities, dict) and probabilities:
        numbers = {k: _share(v) for k, v in probabilities.items()}
        if None not in numbers.values():
            row["probabilities"] = {k.strip(): v for k, v in numbers.items()}
            if "label" not in row and "text" not in row:
                row["label"] = max(numbers, key=numbers.get).strip()
    return row


def check_probabilities(row: dict, name: str) -> None:
    """Refuse probabilities that are none; says what they look like.

    Arguments
    ---------
    row : dict
        A prediction.
    name : str
        What the error calls its table.

    Raises
    ------
    PredictionError
        If they are no numbers from 0 to 1 that sum to 1 (but for rounding).
    """
    probabilities = row.get("probabilities")
    if probabilities is None:
        return
    problem = f"Prediction {row['id']!r} of {name}: its probabilities "
    if isinstance(probabilities, list | int | float):
        raise PredictionError(
            f"{problem}have no labels: give label -> number, or their labels "
            "as a list in the field labels."
        )
    if not isinstance(probabilities, dict) or not all(
        as_number(p) is not None and not isinstance(p, str)
        for p in probabilities.values()
    ):
        raise PredictionError(
            f"{problem}are not label -> number from 0 to 1 that sum to 1."
        )
    if not all(0 <= p <= 1.001 for p in probabilities.values()):
        raise PredictionError(
            f"{problem}are not from 0 to 1: if they are logits, name the field "
            "logits; if they are per cent, divide them by 100."
        )
    # Each may be rounded to two digits.
    if abs(sum(probabilities.values()) - 1) > max(
        0.01, 0.005 * len(probabilities)
    ):
        raise PredictionError(
            f"{problem}sum to {sum(probabilities.values()):.3f}, not to 1: "
            "give those of all labels."
        )


def all_or_none(rows: list[dict]) -> list[dict]:
    """The rows, without any probabilities where only some of them give them.

    Example
    -------
    >>> all_or_none([{"id": "a", "probabilities": {"sad": 1.0}}, {"id": "b"}])
    [{'id': 'a'}, {'id': 'b'}]
    """
    if all(row.get("probabilities") for row in rows):
        return rows
    return [
        {k: v for k, v in row.items() if k != "probabilities"} for row in rows
    ]


def within(probabilities: dict, space: LabelSpace) -> dict:
    """A system's probabilities of its own labels, as those of a closed set.

    Labels that mean one of the set are summed, the others left out; what is
    left is made to sum to 1.

    Arguments
    ---------
    probabilities : dict
        Label of the system -> probability.
    space : LabelSpace
        The closed set.

    Returns
    -------
    dict
        Label of the set -> probability.

    Raises
    ------
    PredictionError
        If no label of the system means one of the set.

    Example
    -------
    >>> from speechbrain_c2ser.labels import LabelSpace
    >>> own = {"hap": 0.25, "exc": 0.125, "neu": 0.125, "other": 0.5}
    >>> within(own, LabelSpace(["happy", "neutral"]))
    {'happy': 0.75, 'neutral': 0.25}
    """
    return _placed(probabilities, _meanings(probabilities, space), space)


def on_space(rows: list[dict], space: LabelSpace) -> tuple[list | None, float]:
    """Probabilities of all predictions on one closed set.

    Arguments
    ---------
    rows : list of dict
        Predictions.
    space : LabelSpace
        The closed set.

    Returns
    -------
    probabilities : list[dict] | None
        Label of the set -> number, in the rows' order; None if no row gives
        any.
    left_out : float
        Share of the probability, on average, that was of labels which mean
        none of the set; 0 where the labels are those of the set.

    Raises
    ------
    PredictionError
        If only some rows give probabilities, they are of other labels than
        those of the other rows, or none of them means one of the set.
    """
    with_them = [row for row in rows if row.get("probabilities")]
    if not with_them:
        return None, 0.0
    if len(with_them) < len(rows):
        without = [row["id"] for row in rows if not row.get("probabilities")]
        raise PredictionError(
            f"{len(without)} of {len(rows)} predictions give no probabilities "
            f"({some(without)}): give them for all or none."
        )
    first, fitted, left_out = set(rows[0]["probabilities"]), [], 0.0
    meant = _meanings(first, space)
    for row in rows:
        probabilities = row["probabilities"]
        if set(probabilities) != first:
            raise PredictionError(
                f"Prediction {row['id']!r} has probabilities of "
                f"{', '.join(sorted(probabilities))}, not of the labels "
                f"{', '.join(sorted(first))} as the first: give all rows "
                "those of the same labels."
            )
        fitted.append(_placed(probabilities, meant, space))
        outside = sum(p for k, p in probabilities.items() if meant[k] is None)
        left_out += outside / (sum(probabilities.values()) or 1)
    return fitted, left_out / len(rows)


def _meanings(labels, space):
    """Label of a system -> the one of the set that it means, or None."""
    meant = {label: space.map(label) for label in labels}
    if not any(meant.values()):
        raise PredictionError(
            f"None of the system's labels {', '.join(sorted(labels))} means "
            f"one of {', '.join(space.names)}."
        )
    return meant


def _placed(probabilities, meant, space):
    totals = dict.fromkeys(space.names, 0.0)
    for label, name in meant.items():
        if name is not None:
            totals[name] += probabilities[label]
    whole = sum(totals.values())
    if whole == 0:
        return {name: 1 / len(totals) for name in totals}
    return {name: value / whole for name, value in totals.items()}


def _from_json(value):
    """What a cell of a table holds, where it is JSON."""
    if isinstance(value, str) and value[:1] in "{[":
        try:
            return json.loads(value.replace("'", '"'))
        except ValueError:
            return value
    if isinstance(value, str):
        parts = [SHARES.fullmatch(part) for part in re.split("[,;|]", value)]
        if all(parts):
            return {part[1]: part[2] for part in parts if part}
    return value


def _share(value):
    """A probability, also as a text of per cent: "70%"."""
    text = value.strip() if isinstance(value, str) else ""
    if text.endswith(("%", "％")):
        number = as_number(text[:-1])
        return None if number is None else number / 100
    return as_number(value)


def _softmax(logits, row):
    numbers = {str(k): as_number(v) for k, v in logits.items()}
    if not numbers or None in numbers.values():
        raise PredictionError(
            f"Prediction {row.get('id')!r}: its logits are not label -> number."
        )
    most = max(numbers.values())
    powers = {k: math.exp(v - most) for k, v in numbers.items()}
    return {k: v / sum(powers.values()) for k, v in powers.items()}


def _logit_columns(row):
    """Logits of which each label has a column, taken out of the row."""
    matches = {column: LOGIT.fullmatch(str(column)) for column in row}
    columns = {column: match[1] for column, match in matches.items() if match}
    if len(columns) < 2:
        return None
    return {label: row.pop(column) for column, label in columns.items()}


def _columns(row):
    """Probabilities of which each label has a column, or None."""
    values, used = {}, []
    for column, value in row.items():
        prefixed = PREFIXED.fullmatch(str(column))
        suffixed = SUFFIXED.fullmatch(str(column))
        if suffixed and concept_of(suffixed[1]):
            prefixed = suffixed
        label = prefixed[1] if prefixed else str(column)
        number = _share(value)
        named = prefixed or concept_of(label)
        if named and number is not None and plain_name(label):
            values[label] = number
            used.append(column)
    # One such column is a score of something; several are a distribution.
    if len(values) < 2:
        return None
    for column in used:
        del row[column]
    return values
