"""Reference labels: the utterances of a manifest, a list or a fold file."""

import logging
import os
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from speechbrain_c2ser.data.columns import (
    FIELDS,
    PREDICTED,
    as_id,
    as_seconds,
    fields_of,
    is_missing,
    known_names,
    plain_name,
)
from speechbrain_c2ser.data.corpora.emo_emilia import language_of
from speechbrain_c2ser.data.data_root import from_data_root
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.tables import read_table
from speechbrain_c2ser.evaluation.errors import PredictionError, some
from speechbrain_c2ser.evaluation.probability_forms import means_emotion
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.labels.given import read_space

logger = logging.getLogger(__name__)
# What is true, also by the names that tables of predictions give it.
NAMES = {**FIELDS, "emotion": f"{FIELDS['emotion']} {PREDICTED['emotion']}"}
OTHER_IDS = {"id": PREDICTED["id"]}
# Of these names of what is true, each may be that of something else.
DOUBTFUL = frozenset(("y", "annotation", "expected"))


def read_references(paths):
    """Utterances with their true emotions.

    Arguments
    ---------
    paths : str | Path | list of them
        Manifests (JSON, ours or EmoBox's), lists (JSONL, such as
        Emo-Emilia's as it is published) or tables (CSV with a header).

    Returns
    -------
    dict
        Id -> fields, ``wav`` as a path from here. Of an index that begins
        with ``ZH_`` or ``EN_`` the language is taken, where none is given.

    Raises
    ------
    PredictionError
        For a file that cannot be read, an utterance that has no emotion, or
        an id that is there twice.
    """
    if isinstance(paths, (str, Path)):
        paths = [paths]
    items = {}
    for path in map(Path, paths):
        if not path.is_file():
            raise PredictionError(f"There is no reference file {path}.")
        for key, row in _rows(path):
            if key in items:
                raise PredictionError(f"{path}: the id {key!r} is there twice.")
            items[key] = _item(key, row, path)
    return items


def columns_of_emotions(
    rows: Sequence[dict], known: Collection[str]
) -> list[str]:
    """Columns of which every cell means an emotion, by name.

    Arguments
    ---------
    rows : sequence of dict
        Of one table.
    known : collection of str
        Columns that are understood and not asked for.

    Returns
    -------
    list of str

    Example
    -------
    >>> columns_of_emotions([{"id": "a", "mood": "sad", "n": 3}], {"id"})
    ['mood']
    """
    columns = {column for row in rows for column in row} - set(known)
    cells = {c: [row.get(c) for row in rows] for c in columns}
    return sorted(
        column
        for column in columns
        if all(isinstance(c, str) and means_emotion(c) for c in cells[column])
    )


def doubtful_truths(
    rows: Sequence[dict], labels: Collection[object] = ()
) -> tuple[str, ...]:
    """Columns by doubtful names of what is true, which do not hold it.

    Arguments
    ---------
    rows : sequence of dict
        Of one table.
    labels : collection
        What is a label, beside words for emotions.

    Returns
    -------
    tuple of str

    Example
    -------
    >>> doubtful_truths([{"id": "a", "y": "sad", "Annotation": "checked"}])
    ('Annotation',)
    """
    columns = dict.fromkeys(str(column) for row in rows for column in row)
    columns = [c for c in columns if plain_name(c) in DOUBTFUL]
    cells = {c: [row.get(c) for row in rows] for c in columns}
    return tuple(
        column
        for column in columns
        if not all(
            is_missing(cell)
            or cell in labels
            or (isinstance(cell, str) and means_emotion(cell))
            for cell in cells[column]
        )
    )


def name_segments(rows: list[dict], starts: Sequence[object]) -> None:
    """Give segments that go by their recording's name ids of their own.

    Arguments
    ---------
    rows : list of dict
        With the recording as their ``id``; those of segments, in place, get
        it as ``wav``, ``start`` (s), and both in their id.
    starts : sequence of object
        Of each row; None where it is of a whole recording.

    Example
    -------
    >>> rows = [{"id": "a.wav"}, {"id": "a.wav"}]
    >>> name_segments(rows, [0, 1.5])
    >>> [row["id"] for row in rows]
    ['a.wav_0.0', 'a.wav_1.5']
    """
    often = Counter(row["id"] for row in rows)
    for row, start in zip(rows, map(as_seconds, starts), strict=True):
        recording = row["id"]
        if recording and start is not None:
            row |= {"wav": recording, "start": start}
            # The whole of a recording may be said to start at 0.
            if often[recording] > 1 or start > 0:
                row["id"] = f"{recording}_{start}"


def own_references(predictions, name, notes=None):
    """References out of predictions that carry the true ``emotion``.

    Arguments
    ---------
    predictions : list of dict
        With ``emotion``, a text.
    name : str | Path
        What the error calls them.
    notes : list[str] | None
        Where given, those without one are left out and told here, instead
        of an error, as long as some are left.

    Returns
    -------
    dict
        Id -> row.

    Raises
    ------
    PredictionError
        If one does not carry it.
    """
    known = {
        row["id"]: row
        for row in predictions
        if isinstance(row.get("emotion"), str) and row["emotion"]
    }
    without = [row["id"] for row in predictions if row["id"] not in known]
    if without:
        told = (
            f"{len(without)} predictions of {name} do not hold the true "
            f"emotion ({some(without)})"
        )
        if notes is None or not known:
            raise PredictionError(f"{told}: give a reference.")
        notes.append(f"{told} and are left out.")
    return known


def find_space(labels, references):
    """The closed set that a command names, or the references' own.

    Arguments
    ---------
    labels : str | None
        Name of a set, or labels with commas between.
    references : dict
        Id -> fields.

    Returns
    -------
    LabelSpace

    Raises
    ------
    ValueError
        For an unknown name.

    Example
    -------
    >>> find_space("sad, happy", {}).names
    ['sad', 'happy']
    """
    if not labels:
        return LabelSpace.from_items(references)
    return read_space(labels)


def _rows(path):
    """(id, fields) of each utterance."""
    try:
        rows = read_table(path)
    except ManifestError as error:
        raise PredictionError(str(error)) from error
    doubtful = doubtful_truths(rows)
    named = [fields_of(row, NAMES, doubtful) for row in rows]
    guessed = None
    if not any("emotion" in fields for fields, _ in named):
        columns = columns_of_emotions([rest for _, rest in named], ())
        if len(columns) == 1:
            (guessed,) = columns
            logger.warning(
                "The column %r of %s is taken for the true emotions: no other "
                "holds any.", guessed, path,
            )  # fmt: skip
    taken = set()
    for number, (row, (fields, rest)) in enumerate(
        zip(rows, named, strict=True), 1
    ):
        if guessed:
            fields["emotion"] = rest.pop(guessed)
        # A list of recordings without ids: a recording is its own id, and
        # its segments are named as read_list does.
        given = fields.pop("id", None)
        key = as_id(fields.get("wav") if given is None else given)
        if key is None:
            key = as_id(fields_of(rest, OTHER_IDS)[0].get("id"))
        if given is None and key in taken and "start" in fields:
            key = f"{key}_{fields['start']}"
        taken.add(key)
        if key is None:
            raise PredictionError(
                f"Row {number} of {path} has no id (it has: {some(row, 20)}): "
                f"name it by one of {known_names('id', PREDICTED)}."
            )
        yield key, {**rest, **fields}


def _item(key, item, path):
    if not isinstance(item.get("emotion"), str) or not item["emotion"].strip():
        raise PredictionError(
            f"Item {key!r} of {path} has no emotion (it has: "
            f"{some(item, 20)}; looked for: {known_names('emotion')})."
        )
    item["emotion"] = item["emotion"].strip()
    if isinstance(item.get("wav"), str):
        wav = from_data_root(item["wav"], path.parent)
        if "/" not in wav:  # as Windows divides folders
            wav = wav.replace("\\", "/")
        item["wav"] = os.path.normpath(path.parent / wav)
    language = item.get("language") or language_of(key)
    if language:
        item["language"] = language
    return item
