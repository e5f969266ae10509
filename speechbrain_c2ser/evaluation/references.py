"""What is true: the utterances of a manifest, a list or a fold file."""

import json
import os
from pathlib import Path

from speechbrain_c2ser.data.corpora.emo_emilia import language_of
from speechbrain_c2ser.data.manifest import DATA_ROOT
from speechbrain_c2ser.data.tables import read_table
from speechbrain_c2ser.evaluation.predictions import PredictionError, some
from speechbrain_c2ser.labels import LabelSpace

# Name in a list or in EmoBox's JSON -> the manifest's.
NAMES = {
    "emo": "emotion",
    "text": "transcript",
    "length": "duration",
    "start_time": "start",
    "end_time": "stop",
}
ID_NAMES = ("id", "index", "ID", "key")


def read_references(paths):
    """Utterances with their true emotions.

    Arguments
    ---------
    paths : str, Path or list of them
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


def own_references(predictions, name):
    """References out of predictions that carry the true ``emotion``.

    Raises
    ------
    PredictionError
        If one does not.
    """
    without = [row["id"] for row in predictions if not row.get("emotion")]
    if without:
        raise PredictionError(
            f"{len(without)} predictions of {name} do not hold the true "
            f"emotion ({some(without)}): give a reference."
        )
    return {row["id"]: row for row in predictions}


def find_space(labels, references):
    """The closed set that a command names, or the references' own.

    Arguments
    ---------
    labels : str or None
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
    if "," in labels:
        return LabelSpace([name.strip() for name in labels.split(",")])
    return LabelSpace.from_name(labels)


def _rows(path):
    """(id, row) of each utterance."""
    if path.suffix != ".json":
        for number, row in enumerate(read_table(path), 1):
            names = [name for name in ID_NAMES if row.get(name)]
            if not names:
                raise PredictionError(
                    f"Row {number} of {path} has no id: name it by one of "
                    f"{', '.join(ID_NAMES)}."
                )
            yield str(row.pop(names[0])), row
        return
    try:
        found = json.loads(
            path.read_text(encoding="utf-8"),
            object_pairs_hook=lambda pairs: _once(pairs, path),
        )
    except (ValueError, OSError) as error:
        if isinstance(error, PredictionError):
            raise
        raise PredictionError(f"{path} cannot be read: {error}.") from error
    if not isinstance(found, dict) or not all(
        isinstance(row, dict) for row in found.values()
    ):
        raise PredictionError(
            f"{path} is no manifest: a JSON object of utterances."
        )
    yield from found.items()


def _once(pairs, path):
    """A dict of pairs; JSON itself would keep the last of equal keys."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise PredictionError(f"{path}: the id {twice!r} is there twice.")
    return found


def _item(key, row, path):
    item = {NAMES.get(name, name): value for name, value in row.items()}
    if not isinstance(item.get("emotion"), str) or not item["emotion"].strip():
        raise PredictionError(f"Item {key!r} of {path} has no emotion.")
    if isinstance(item.get("wav"), str):
        wav = item["wav"].replace(DATA_ROOT, str(path.parent))
        item["wav"] = os.path.normpath(path.parent / wav)
    language = item.get("language") or language_of(key)
    if language:
        item["language"] = language
    return item
