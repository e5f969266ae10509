"""The one prediction format: a JSON object a line.

``id`` and ``text`` (what a model said) and / or ``label`` (what it decided;
null = it named none), optionally ``probabilities`` (label -> number). Other
keys are kept.
"""

import json
from collections import Counter
from pathlib import Path

from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.tables import read_table

# What is true, kept beside a prediction so that it can be scored by itself.
TRUE = (
    "emotion",
    "language",
    "gender",
    "speaker",
    "dataset",
    "transcript",
)


class PredictionError(ValueError):
    """Predictions or references cannot be scored; says which and why."""


def prediction_of(key, item, **said):
    """A prediction with what is true of its utterance beside it.

    Arguments
    ---------
    key : str
        Id of the utterance.
    item : dict
        Its manifest row.
    **said : object
        text, label, probabilities and more.

    Returns
    -------
    dict

    Example
    -------
    >>> prediction_of("a", {"wav": "a.wav", "emotion": "sad"}, label="happy")
    {'id': 'a', 'emotion': 'sad', 'label': 'happy'}
    """
    return {"id": key, **{k: item[k] for k in TRUE if k in item}, **said}


def write_predictions(rows, path):
    """Write predictions, whole or not at all.

    Arguments
    ---------
    rows : list of dict
        See the head of this file.
    path : str or Path
        The JSONL file.

    Raises
    ------
    PredictionError
        If a row could not be read back.
    """
    check_predictions(rows, path)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomic("".join(lines), path)


def read_predictions(path):
    """Read predictions.

    Arguments
    ---------
    path : str or Path
        JSONL, or CSV with a header of id and text and / or label; an empty
        label of a CSV file is no label.

    Returns
    -------
    list of dict

    Raises
    ------
    PredictionError
        For a row that has no id, an id that is there twice, or a row that
        neither says nor decides anything; ManifestError for an unreadable
        file.
    """
    rows = read_table(path)
    if Path(path).suffix == ".csv":
        rows = [_from_csv(row) for row in rows]
    check_predictions(rows, path)
    return rows


def check_predictions(rows, name):
    """Refuse rows that cannot be scored.

    Arguments
    ---------
    rows : list of dict
        See the head of this file.
    name : str or Path
        What the errors call them.

    Raises
    ------
    PredictionError
        Names the row.
    """
    for number, row in enumerate(rows, 1):
        key = row.get("id")
        if not isinstance(key, str) or not key:
            raise PredictionError(
                f"Prediction {number} of {name} has no id (a text): give "
                "each the id of its utterance."
            )
        if "text" not in row and "label" not in row:
            raise PredictionError(
                f"Prediction {key!r} of {name} has neither text nor label."
            )
        for field in ("text", "label"):
            if not isinstance(row.get(field), str | None):
                raise PredictionError(
                    f"Prediction {key!r} of {name}: its {field} is no text."
                )
        _check_probabilities(row, name)
    twice = [k for k, n in Counter(row["id"] for row in rows).items() if n > 1]
    if twice:
        raise PredictionError(
            f"{name} holds {len(twice)} ids twice or more ({some(twice)}): "
            "leave one prediction of each utterance."
        )


def some(names, most=5):
    """The first few of many names, for a message."""
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _check_probabilities(row, name):
    found = row.get("probabilities")
    if found is None:
        return
    numbers = isinstance(found, dict) and all(
        isinstance(p, (int, float)) and 0 <= p <= 1.001 for p in found.values()
    )
    if not numbers or abs(sum(found.values()) - 1) > 1e-2:
        raise PredictionError(
            f"Prediction {row['id']!r} of {name}: its probabilities are not "
            "label -> number from 0 to 1 that sum to 1."
        )


def _from_csv(row):
    return {
        key: value or None if key == "label" else value
        for key, value in row.items()
        if key != "probabilities"
    }
