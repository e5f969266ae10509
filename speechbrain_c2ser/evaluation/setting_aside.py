"""Predictions that cannot be used as they are: set aside, named and counted.

The suites go on with what is left; a plain evaluation refuses the same
predictions with an error.
"""

from collections.abc import Callable

from speechbrain_c2ser.evaluation.errors import PredictionError, some
from speechbrain_c2ser.evaluation.probabilities import (
    all_or_none,
    check_probabilities,
    on_space,
    take_probabilities,
)
from speechbrain_c2ser.labels import LabelSpace

# Fields that probabilities are taken from.
GIVEN = ("probabilities", "logits", "labels", "scores")


def repair_predictions(
    rows: list[dict], name: str, notes: list[str]
) -> list[dict]:
    """Predictions that can be scored, of rows that perhaps cannot.

    A row without an id is left out, as is every later one of an id; a text or
    label that is no text, or neither, is no answer (unparsed); probabilities
    that are none are taken out of their row.

    Arguments
    ---------
    rows : list of dict
        Predictions.
    name : str
        What the notes call their table.
    notes : list of str
        Gets what was set aside: how many, the first ids, and the first
        reason.

    Returns
    -------
    list of dict

    Example
    -------
    >>> rows = [{"id": "a", "label": "sad"}, {"id": "a", "label": "happy"}]
    >>> notes = []
    >>> repair_predictions(rows, "x.csv", notes)
    [{'id': 'a', 'label': 'sad'}]
    >>> notes
    ['1 of 2 predictions of x.csv repeat an id and are left out (a).']
    """
    found, unnamed, twice, mute, unfit = {}, [], [], [], []
    for number, row in enumerate(rows, 1):
        key = row.get("id")
        if not isinstance(key, str) or not key:
            unnamed.append(f"row {number}")
            continue
        if key in found:
            twice.append(key)
            continue
        row = dict(row)
        try:
            row = take_probabilities(row)
            check_probabilities(row, name)
        except PredictionError as error:
            unfit.append((key, str(error)))
            row = {k: v for k, v in row.items() if k not in GIVEN}
        wrong = [
            field
            for field in ("text", "label")
            if not isinstance(row.get(field), str | None)
        ]
        for field in wrong:
            del row[field]
        if wrong or not row.keys() & {"text", "label"}:
            mute.append(key)
        if not row.keys() & {"text", "label"}:
            row["label"] = None
        found[key] = row
    kinds = (
        (unnamed, "have no id and are left out"),
        (twice, "repeat an id and are left out"),
        (mute, "have no label and no text, or one that is no text"),
        (
            [key for key, _ in unfit],
            "have probabilities that are set aside",
        ),
    )
    for keys, words in kinds:
        if keys:
            notes.append(
                f"{len(keys)} of {len(rows)} predictions of {name} {words} "
                f"({some(keys)})."
            )
    if unfit:
        notes[-1] += f" The first: {unfit[0][1]}"
    return list(found.values())


def plain_predictions(
    predictions: list[dict], references: dict, space: LabelSpace, notes: list
) -> tuple[list[dict], dict]:
    """What a plain evaluation takes of what the suites take.

    Arguments
    ---------
    predictions : list of dict
        Some perhaps of utterances that are not among the references.
    references : dict
        Id -> fields, some perhaps with an emotion outside the set.
    space : LabelSpace
        The closed set.
    notes : list of str
        Gets why all probabilities are left out, if they are.

    Returns
    -------
    predictions : list of dict
        Of the references below; probabilities of all of them, or of none.
    references : dict
        Those with an emotion of the set.
    """
    references = {
        key: row
        for key, row in references.items()
        if space.map(row["emotion"]) is not None
    }
    rows = [row for row in predictions if row["id"] in references]
    given = sum(bool(row.get("probabilities")) for row in rows)
    try:
        if 0 < given < len(references):
            raise PredictionError("Only some utterances have them.")
        on_space(all_or_none(rows), space)
    except PredictionError as error:
        notes.append(f"The plain figures leave all probabilities out: {error}")
        rows = [
            {k: v for k, v in row.items() if k != "probabilities"}
            for row in rows
        ]
    return rows, references


def apart(names: list[str], short: Callable[[str], str]) -> list[str]:
    """Short names where they tell apart, else the long ones.

    Example
    -------
    >>> apart(["a/x.csv", "b/x.csv", "y.csv"], lambda n: n.split("/")[-1])
    ['a/x.csv', 'b/x.csv', 'y.csv']
    """
    shorts = [short(name) for name in names]
    return [
        own if shorts.count(own) == 1 else name
        for own, name in zip(shorts, names, strict=True)
    ]
