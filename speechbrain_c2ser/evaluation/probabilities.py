"""Label probabilities of predictions, in any form, on any label set."""

import math

from speechbrain_c2ser.data.columns import as_number
from speechbrain_c2ser.evaluation.errors import PredictionError, some
from speechbrain_c2ser.evaluation.probability_forms import (
    distribution,
    label_columns,
    label_name,
    listed_cell,
    logit_columns,
    parsed_cell,
    share_of,
    sums_to_one,
)
from speechbrain_c2ser.labels import LabelSpace


class PartialError(PredictionError):
    """Probabilities that are not those of all labels, or of which is which."""


def take_probabilities(row: dict) -> dict:
    """A prediction whose probabilities stand in ``probabilities``.

    Arguments
    ---------
    row : dict
        A prediction with ``probabilities`` (label -> number, also as JSON
        text or "sad:0.9,happy:0.1", or what :func:`distribution` unwraps),
        ``logits`` (label -> number, of which the softmax is taken), FunASR's
        ``labels`` and ``scores``, or a column a label: "prob_angry",
        "P(angry)", "angry_prob", "logit_angry" or "angry".

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
    probabilities = parsed_cell(row.pop("probabilities", None))
    names = parsed_cell(row.get("labels"))
    if isinstance(names, str) and len(listed_cell(names)) > 1:
        names = listed_cell(names)
    if isinstance(names, list):
        probabilities = listed_cell(probabilities)
    if isinstance(probabilities, list) and isinstance(names, list):
        if len(probabilities) != len(names):
            raise PredictionError(
                f"Prediction {row.get('id')!r} has {len(names)} labels and "
                f"{len(probabilities)} scores."
            )
        del row["labels"]
        probabilities = dict(zip(map(str, names), probabilities, strict=True))
    else:
        probabilities = distribution(probabilities) or probabilities
    logits = parsed_cell(row.pop("logits", None)) or logit_columns(row)
    if probabilities is None and isinstance(logits, dict):
        probabilities = _softmax(logits, row)
    if probabilities is None:
        probabilities = label_columns(row)
    if probabilities is None:
        return row
    row["probabilities"] = probabilities
    if isinstance(probabilities, dict) and probabilities:
        numbers = {k: share_of(v) for k, v in probabilities.items()}
        if None not in numbers.values():
            numbers = {label_name(k): v for k, v in numbers.items()}
            row["probabilities"] = numbers
            decided = max(numbers.values()) > 0
            if decided and not row.keys() & {"label", "text"}:
                row["label"] = max(numbers, key=numbers.get)
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
    if isinstance(probabilities, list | str | int | float):
        raise PartialError(
            f"{problem}have no labels: give label -> number, or their labels "
            "as a list in the field labels."
        )
    if isinstance(probabilities, dict) and None in probabilities.values():
        blank = [k for k, number in probabilities.items() if number is None]
        raise PredictionError(
            f"{problem.removesuffix('ies ')}y of {some(blank)} is blank or no "
            "number: give it, or leave out those of all rows."
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
    if not sums_to_one(probabilities.values()):
        raise PartialError(
            f"{problem}sum to {sum(probabilities.values()):.3f}, not to 1: "
            "give those of all labels."
        )


def without_partial(
    rows: list[dict], name: str, notes: list[str]
) -> list[dict]:
    """Predictions, without any probabilities where some are partial.

    Their labels, or most probable labels, can be scored all the same.

    Arguments
    ---------
    rows : list of dict
        Predictions.
    name : str
        What the note calls their table.
    notes : list of str
        Gets what was set aside and why.

    Returns
    -------
    list of dict

    Raises
    ------
    PredictionError
        For probabilities that are none (see :func:`check_probabilities`).

    Example
    -------
    >>> row = {"id": "a", "label": "sad", "probabilities": {"sad": 0.75}}
    >>> notes = []
    >>> without_partial([row], "t.csv", notes), len(notes)
    ([{'id': 'a', 'label': 'sad'}], 1)
    """
    partial, first = [], None
    for row in rows:
        try:
            check_probabilities(row, name)
        except PartialError as error:
            if not row.keys() & {"label", "text"}:
                raise
            partial.append(row["id"])
            first = first or error
    if not partial:
        return rows
    notes.append(
        f"{len(partial)} of {len(rows)} predictions of {name} have "
        f"probabilities that cannot be scored ({some(partial)}): those of all "
        f"are set aside, and labels or texts alone are scored. The first: "
        f"{first}"
    )
    return [
        {k: v for k, v in row.items() if k != "probabilities"} for row in rows
    ]


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


def _softmax(logits, row):
    numbers = {str(k): as_number(v) for k, v in logits.items()}
    if not numbers or None in numbers.values():
        raise PredictionError(
            f"Prediction {row.get('id')!r}: its logits are not label -> number."
        )
    most = max(numbers.values())
    powers = {k: math.exp(v - most) for k, v in numbers.items()}
    return {k: v / sum(powers.values()) for k, v in powers.items()}
