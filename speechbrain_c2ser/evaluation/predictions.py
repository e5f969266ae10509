"""The one prediction format: a JSON object a line.

``id`` and ``text`` (what a model said) and / or ``label`` (what it decided;
null = it named none), optionally ``probabilities`` (label -> number); or
``heads`` (name -> what each head of a classifier records). Other keys are
kept.
"""

import json
import logging
from collections import Counter
from pathlib import Path

from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.columns import (
    FIELDS,
    PREDICTED,
    as_id,
    fields_of,
    known_names,
    plain_name,
)
from speechbrain_c2ser.data.tables import read_table
from speechbrain_c2ser.evaluation.errors import PredictionError, some
from speechbrain_c2ser.evaluation.probabilities import (
    check_probabilities,
    take_probabilities,
    without_partial,
)
from speechbrain_c2ser.evaluation.probability_forms import (
    distribution,
    gather_columns,
    gives_probabilities,
)
from speechbrain_c2ser.evaluation.references import (
    DOUBTFUL,
    columns_of_emotions,
    doubtful_truths,
    name_segments,
)
from speechbrain_c2ser.evaluation.setting_aside import repair_predictions

logger = logging.getLogger(__name__)
# What is true, kept beside a prediction so that it can be scored by itself.
TRUE = (
    "emotion",
    "language",
    "gender",
    "speaker",
    "dataset",
    "transcript",
    "emotions",
    "clues",
)


# An empty cell of these is no field at all.
NOT_EMPTY = ("probabilities", "logits", "emotion", *TRUE)


# Where a table has nothing else, this is what was predicted.
GUESSED = ("emotion", "emo")
# Down to the words of a reply.
REPLY = "body choices candidates message content parts text".split()


def prediction_of(key, item, **answer):
    """A prediction with what is true of its utterance beside it.

    Arguments
    ---------
    key : str
        Id of the utterance.
    item : dict
        Its manifest row.
    **answer : object
        text, label, probabilities and more.

    Returns
    -------
    dict

    Example
    -------
    >>> prediction_of("a", {"wav": "a.wav", "emotion": "sad"}, label="happy")
    {'id': 'a', 'emotion': 'sad', 'label': 'happy'}
    """
    return {"id": key, **{k: item[k] for k in TRUE if k in item}, **answer}


def write_predictions(rows, path):
    """Write predictions, whole or not at all.

    Arguments
    ---------
    rows : list of dict
        See the head of this file.
    path : str | Path
        The JSONL file.

    Raises
    ------
    PredictionError
        If a row could not be read back.
    """
    check_predictions(rows, path)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomic("".join(lines), path)


def read_predictions(
    path: str | Path, faults: list[str] | None = None
) -> list[dict]:
    """Read predictions.

    Arguments
    ---------
    path : str | Path
        Any table (see :mod:`speechbrain_c2ser.data.tables`) of id and text
        and / or label. Usual names of columns are understood (``PREDICTED``
        in :mod:`speechbrain_c2ser.data.columns`): beside a "prediction", a
        "label" is what is true; an "emotion" beside neither is what was
        predicted; "text" beside probabilities alone is the transcript. Where
        none is there, the only column that holds emotions is what was
        predicted. Whole numbers as ids are their digits.
    faults : list[str] | None
        Where given, what cannot be used is set aside and told here (see
        :func:`.setting_aside.repair_predictions`), instead of an error; else
        the logger tells what was guessed, or that probabilities are partial.

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
    fields = _fields(rows)
    _check_guess(rows, fields, path)
    named = []
    for row in rows:
        row = {fields.get(column, column): v for column, v in row.items()}
        row["id"] = as_id(row.get("id"))
        # None says "no label"; of the others it says nothing.
        empty = [k for k, v in row.items() if v is None and k in NOT_EMPTY]
        for field in empty:
            del row[field]
        for field in ("text", "label", "emotion"):
            if isinstance(row.get(field), str):
                row[field] = row[field].strip()
        _unnest(row)
        named.append(row)
    recordings = [c for c in fields if fields[c] == "id" and _is_wav(c)]
    if recordings and _tells_starts(rows):
        starts = [fields_of(row)[0].get("start") for row in rows]
        name_segments(named, starts)
    notes = [] if faults is None else faults
    named = gather_columns(named, notes)
    _find_transcripts(named, fields)
    _guess_label(named, fields, path, notes)
    if faults is None:
        named = [take_probabilities(row) for row in named]
        named = without_partial(named, path, notes)
        for note in notes:
            logger.warning(note)
    else:
        named = repair_predictions(named, path, faults)
    check_predictions(named, path)
    return named


def check_predictions(rows, name):
    """Refuse rows that cannot be scored.

    Arguments
    ---------
    rows : list of dict
        See the head of this file.
    name : str | Path
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
                "each the id of its utterance, in one of the columns "
                f"{known_names('id', PREDICTED)} (it has: {some(row, 20)})."
            )
        if not row.keys() & {"text", "label", "heads"}:
            check_probabilities(row, name)
            raise PredictionError(
                f"Prediction {key!r} of {name} has neither text nor label "
                f"(it has: {some(row, 20)}; looked for: "
                f"{some(PREDICTED['label'].split(), 7)} or "
                f"{some(PREDICTED['text'].split(), 4)})."
            )
        for field in ("text", "label"):
            if not isinstance(row.get(field), str | None):
                raise PredictionError(
                    f"Prediction {key!r} of {name}: its {field} "
                    f"{row[field]!r} is no text: write the label's name."
                )
        check_probabilities(row, name)
    twice = [k for k, n in Counter(row["id"] for row in rows).items() if n > 1]
    if twice:
        raise PredictionError(
            f"{name} holds {len(twice)} ids twice or more ({some(twice)}): "
            "leave one prediction of each utterance."
        )


def _fields(rows):
    """Column -> what it is, of a whole table of predictions."""
    columns = {column for row in rows for column in row}
    plain = {plain_name(column): column for column in sorted(columns)}
    fields, unmeant = {}, ()
    for field, names in PREDICTED.items():
        if field == "emotion":
            unmeant = _unmeant(rows, plain, fields)
        for name in map(plain_name, names.split()):
            if name in plain and name not in unmeant:
                fields[field] = plain[name]
                break
    label = plain.get("label")
    if label and "emotion" in fields:
        # Our own format: what was decided, and what is true.
        fields["label"] = label
    elif label and fields["label"] != label:
        fields["emotion"] = label
    plainly = fields.keys() & {"label", "text"} or "heads" in columns
    if "emotion" in fields and not plainly:
        if plain_name(fields["emotion"]) in GUESSED:
            fields["label"] = fields.pop("emotion")
    if "text" in fields and plain_name(fields.get("label", "")) == "sentiment":
        if plain_name(fields["text"]) != "text":
            del fields["label"]  # of the transcript, beside an answer
        elif "transcript" not in plain:
            fields["transcript"] = fields.pop("text")
    return {column: field for field, column in fields.items()}


def _unmeant(rows, plain, fields):
    """Names of what is true that mean something else in this table."""
    label = plain.get("label")
    if label and fields["label"] != label:
        return DOUBTFUL  # beside a prediction, the label is what is true
    decided = {label, fields.get("label")} - {None}
    # Only texts: a list or an object is in no set.
    labels = {
        row[column]
        for row in rows
        for column in decided
        if isinstance(row.get(column), str)
    }
    return set(map(plain_name, doubtful_truths(rows, labels)))


def _tells_starts(rows):
    """Whether the name of any column may mean the start of a segment."""
    return any(
        "start" in fields_of(row)[0]
        for column in {column for row in rows for column in row}
        # By itself, as two times, or beside a stop.
        for row in ({column: [0, 1]}, {"stop": 1, column: 0})
    )


def _is_wav(column):
    return plain_name(column) in map(plain_name, FIELDS["wav"].split())


def _find_transcripts(rows, fields):
    """Move texts that no system said from "text" to "transcript", in place.

    Beside probabilities and no label, the answer is the most probable label.
    """
    text = next((c for c, field in fields.items() if field == "text"), "")
    columns = {column for row in rows for column in row}
    if plain_name(text) != "text" or columns & {"label", "transcript"}:
        return
    if all(map(gives_probabilities, rows)):
        for row in rows:
            if "text" in row:
                row["transcript"] = row.pop("text")


def _guess_label(rows, fields, path, notes):
    """Take the only column that holds emotions for what was predicted."""
    understood = {"text", "label", "heads", "emotion", "labels"}
    if any(row.keys() & understood or not row["id"] for row in rows):
        return
    columns = columns_of_emotions(rows, fields.keys())
    if len(columns) != 1 or any(map(gives_probabilities, rows)):
        return
    for row in rows:
        row["label"] = row.pop(columns[0])
    notes.append(
        f"The column {columns[0]!r} of {path} is taken for the predictions: no "
        "other holds any."
    )


def _check_guess(rows, fields, path):
    """Refuse to take the only emotion that is understood for a prediction.

    Where another column holds labels too, that one may be what is true.
    """
    guessed = [c for c, f in fields.items() if f == "label"]
    if not guessed or plain_name(guessed[0]) not in GUESSED:
        return
    for column in columns_of_emotions(rows, fields.keys()):
        raise PredictionError(
            f"{path} has labels in the columns {guessed[0]!r} and "
            f"{column!r}: name the one that was predicted prediction, and "
            "what is true emotion."
        )


def _unnest(row):
    """Put what a system wraps into objects where it belongs, in place."""
    for field in ("label", "text"):
        value = row.get(field)
        # A text that holds numbers is what a system said.
        said = field == "text" and isinstance(value, str)
        if not said and (found := distribution(value)):
            row.setdefault("probabilities", found)
            del row[field]
        elif isinstance(value, dict):
            del row[field]
            row["text"] = _said(value)


def _said(value):
    """The words in a chat model's reply (OpenAI, Gemini), else JSON."""
    place = value
    while isinstance(place, dict | list) and place:
        if isinstance(place, list):
            place = place[0]
            continue
        key = next((key for key in REPLY if key in place), None)
        if key is None:
            break
        place = place[key]
    if isinstance(place, str):
        return place
    return json.dumps(value, ensure_ascii=False)
