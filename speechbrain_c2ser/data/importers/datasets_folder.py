"""A folder of Hugging Face ``datasets``, in any of its three forms.

Layouts: Parquet, ``data/train-00000-of-00001.parquet``; what ``save_to_disk``
writes,
``train/data-00000-of-00001.arrow``; and ``train/metadata.jsonl`` or .csv with a
column file_name beside the audio. Splits are told by these names; what is
missing is drawn as in ``generic.py``, whose column names are understood. Audio
inside a table is written to files.
"""

import re
from pathlib import Path

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.arrow_tables import read_rows, save_audio
from speechbrain_c2ser.data.importers.generic import (
    SPLIT_NAMES,
    check_labels,
    map_emotions,
)
from speechbrain_c2ser.data.importers.rows import import_notes, import_rows
from speechbrain_c2ser.data.importers.writing import write_corpus
from speechbrain_c2ser.data.splits import complete
from speechbrain_c2ser.data.tables import read_table

LAYOUT = (
    "data/train-00000-of-00001.parquet, train/data-00000-of-00001.arrow or "
    "train/metadata.jsonl"
)
PATTERNS = (
    "**/*.parquet",
    "**/*.arrow",
    "**/metadata.jsonl",
    "**/metadata.csv",
)
AUDIO = ("audio", "wav", "speech", "file", "path")


def prepare(
    data_folder,
    save_folder,
    valid_fraction=0.15,
    test_fraction=0.25,
    seed=1,
    label_space=None,
    vad_scale=None,
    columns=None,
    labels=None,
    keep_disagreed=False,
):
    """Turn a folder of ``datasets`` into checked manifests.

    Arguments
    ---------
    data_folder : str | Path
        See the head of this file.
    save_folder : str | Path
        Gets audio/<split>/..., train.json, valid.json, test.json and
        corpus.json.
    valid_fraction, test_fraction : float
        Of the utterances, where the folder itself gives no such split.
    seed : int
        Of splits that are drawn.
    label_space : LabelSpace
        Maps and limits the emotions; None takes what the data holds.
    vad_scale : list of float
        As in ``generic.py``.
    columns : dict
        As in ``generic.py``.
    labels : dict
        As in ``generic.py``.
    keep_disagreed : bool
        As in ``generic.py``.

    Returns
    -------
    dict
        Split -> path of its manifest.

    Raises
    ------
    ManifestError
        If the folder holds no such files, or anything in them cannot be used.
    """
    folder = Path(data_folder)
    splits, notes = {}, []
    for path in _tables(folder):
        split = _split_of(path.relative_to(folder))
        rows = list(_rows(path, split, Path(save_folder)))
        items = import_rows(
            rows,
            path.name,
            path.parent,
            vad_scale=vad_scale,
            columns=columns,
            keep_disagreed=keep_disagreed,
        )
        notes += import_notes(rows, path.name, columns or {}, len(items))
        part = splits.setdefault(split, {})
        for key, item in items.items():
            unique = key if key not in part else f"{path.stem}-{key}"
            part[unique] = item
    how = "as the folder gives it"
    check_labels(labels, splits)
    for items in splits.values():
        notes += map_emotions(items, label_space, labels)
    if "train" not in splits:
        raise ManifestError(
            f"{folder} has no training table (it has: {', '.join(splits)})."
        )
    shares = {"test": test_fraction, "valid": valid_fraction}
    if not splits.keys() >= shares.keys():
        how = "drawn, as far as the folder does not give it"
    splits = complete(splits, shares, seed)
    name = folder.resolve().name
    return write_corpus([splits], save_folder, name, how, notes)


def _tables(folder):
    for pattern in PATTERNS:
        tables = [
            path
            for path in sorted(folder.glob(pattern))
            if not path.name.startswith("cache-")
        ]
        if tables:
            return tables
    raise ManifestError(
        f"Looked for {', '.join(PATTERNS)} in {folder} and found none; "
        f"expected layout: {LAYOUT}."
    )


def _split_of(path):
    """The split that a path below the folder names; train if none."""
    words = re.split(r"[^a-z]+", str(path.with_suffix("")).lower())
    for split, names in SPLIT_NAMES.items():
        if any(name in words for name in names):
            return split
    return "train"


def _rows(path, split, save_folder):
    """Rows with a path in "wav", ids that are told by their split."""
    tables = path.suffix in (".parquet", ".arrow")
    rows = read_rows(path) if tables else read_table(path)
    for number, row in enumerate(rows, 1):
        row = dict(row)
        if "file_name" in row:
            row["wav"] = row.pop("file_name")
        row.setdefault("id", f"{split}-{row.pop('file_id', number)}")
        column = next((c for c in AUDIO if isinstance(row.get(c), dict)), None)
        if column is not None:
            target = save_folder / "audio" / split
            audio = row.pop(column)
            row["wav"] = str(
                save_audio(audio, target, f"{path.stem}-{row['id']}").absolute()
            )
        yield row
