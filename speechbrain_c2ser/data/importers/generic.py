"""Any folder of recordings: our manifests, or tables in CSV, JSON or JSONL.

Looked for in the folder, in this order: ``train.json`` with ``test.json`` and
perhaps ``valid.json`` (our manifests); a table a split (``train.csv``,
``dev.csv``, ``test.csv``; or .tsv, .jsonl; in any case); one ``*.jsonl`` (Emo-
Emilia's form), ``*.csv``, ``*.tsv`` or ``*.json``. A table that is not divided
may come with one ``folds*.json``: a list of objects with "train", "test" and
perhaps "valid", each a list of utterance ids, or have a column "split" (or
"partition", "subset", "set") that says it of every row. Where nothing says how
to split, speakers are kept apart if they are known. A folder of Hugging Face
``datasets`` is read by ``datasets_folder.py``.
"""

import os
import unicodedata
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

from speechbrain_c2ser.data.columns import as_id, plain_name
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.copies import drop_copies
from speechbrain_c2ser.data.importers.file_names import rows_of_names
from speechbrain_c2ser.data.importers.fold_files import (
    SPLIT_NAMES,
    SPLIT_OF,
    read_folds,
)
from speechbrain_c2ser.data.importers.rows import import_notes, import_rows
from speechbrain_c2ser.data.importers.writing import write_corpus
from speechbrain_c2ser.data.manifest import (
    SPLITS,
    check_manifest,
    read_manifest,
)
from speechbrain_c2ser.data.splits import by_field, complete
from speechbrain_c2ser.data.tables import read_table
from speechbrain_c2ser.labels.emotion_words import refuse_several, same_meaning

SPLIT_COLUMNS = ("split", "partition", "subset", "set")
TABLES = (".jsonl", ".csv", ".tsv")
AS_GIVEN = "as the folder gives it"


def prepare(
    data_folder,
    save_folder,
    fold=0,
    valid_fraction=0.15,
    test_fraction=0.25,
    seed=1,
    label_space=None,
    check_audio=True,
    vad_scale=None,
    columns=None,
    labels=None,
    pattern=None,
    keep_disagreed=False,
):
    """Turn a folder of recordings into checked manifests.

    Arguments
    ---------
    data_folder : str | Path
        See the head of this file; wav paths are relative to it.
    save_folder : str | Path
        Gets train.json, valid.json, test.json and corpus.json (what the
        report says of the corpus), or nothing after an error.
    fold : int
        Which of the folds, from 0.
    valid_fraction, test_fraction : float
        Of the utterances, where the folder itself gives no such split.
    seed : int
        Of splits that are drawn.
    label_space : LabelSpace
        Maps and limits the emotions; None takes what the data holds.
    check_audio : bool
        Open the header of every file, also where the duration is given.
    vad_scale : list of float
        Lowest and highest valence, arousal and dominance that a rater could
        give, such as [1, 7]; needed where tables have such columns that are
        not from 0 to 1.
    columns : dict
        Field: column, where names of columns are not understood; field: list
        of columns for a dict of numbers, such as ``{emotion: Main,
        intensities: [Awe, Fear]}``.
    labels : dict
        The corpus's own label: ours, or null for what is left out; other
        labels stay.
    pattern : str
        Regular expression of the file names (of the paths, where it holds a
        "/") with named groups: emotion, and perhaps speaker, gender ... Then
        no table is looked for.
    keep_disagreed : bool
        Take rows without emotion for their votes or dimensions, where the
        votes have no majority.

    Returns
    -------
    dict
        Split -> path of its manifest.

    Raises
    ------
    ManifestError
        If the folder is missing, or anything in it cannot be used: one
        sentence that names the item.
    """
    folder = Path(data_folder)
    if not folder.is_dir():
        raise ManifestError(
            f"The data folder {folder} is missing or no folder."
        )
    labels = _by_text(labels)
    options = {
        "check_audio": check_audio,
        "vad_scale": vad_scale,
        "columns": columns,
        "keep_disagreed": keep_disagreed,
        "labels": labels,
    }
    if pattern is not None:
        splits, how, notes = _from_names(folder, pattern, options)
    else:
        splits, how, notes = _find_splits(folder, fold, options)
    check_labels(labels, splits)
    for items in splits.values():
        notes += map_emotions(items, label_space, labels)
    notes += drop_copies(splits)
    shares = {"test": test_fraction, "valid": valid_fraction}
    splits = complete(splits, shares, seed)
    name = folder.resolve().name
    return write_corpus([splits], save_folder, name, how, notes)


def _from_names(folder, pattern, options):
    """One part out of the names of the files."""
    rows, notes = rows_of_names(folder, pattern)
    items = import_rows(rows, str(folder), folder, **options)
    splits, _ = _by_column(items)
    if splits:
        return splits, AS_GIVEN, notes
    return {"train": items}, _how_drawn(items), notes


def _find_splits(folder, fold, options):
    """Splits as far as the folder gives them, how, and notes on it."""
    given = [s for s in SPLITS if (folder / f"{s}.json").is_file()]
    if "train" in given:
        splits = {s: read_manifest(folder / f"{s}.json") for s in given}
        for items in splits.values():
            for item in items.values():
                item["wav"] = os.path.abspath(folder / item["wav"])
            need = [] if options["keep_disagreed"] else ["emotion"]
            check_manifest(items, need, check_audio=options["check_audio"])
        return splits, AS_GIVEN, []
    for suffix in TABLES:
        tables = _split_tables(folder, suffix)
        if "train" in tables:
            splits, notes = {}, []
            for split, table in tables.items():
                rows = read_table(table)
                # Rows without ids are numbered, in each table from 1.
                prefix = f"{split}-" if len(tables) > 1 else ""
                splits[split] = import_rows(
                    rows, table.name, folder, prefix=prefix, **options
                )
                notes += import_notes(
                    rows,
                    table.name,
                    options["columns"] or {},
                    len(splits[split]),
                )
            return splits, AS_GIVEN, notes
    table = _one_table(folder)
    rows = read_table(table)
    items = import_rows(rows, table.name, folder, **options)
    folds = _one_file(folder, "folds*.json")
    splits, column = _by_column(items) if folds is None else ({}, None)
    notes = import_notes(
        rows, table.name, options["columns"] or {}, len(items), column
    )
    if folds is not None:
        splits, how, left = _read_fold(folds, items, fold)
        return splits, how, notes + left
    if splits:
        return splits, AS_GIVEN, notes
    return {"train": items}, _how_drawn(items), notes


def _by_column(items):
    """Splits by a column that names training rows, and the column; or none."""
    columns = sorted({
        column
        for item in items.values()
        for column in item
        if plain_name(column) in SPLIT_COLUMNS
    })  # fmt: skip
    for column in columns:
        spelt = {
            key: str(item.get(column, "")).strip().lower()
            for key, item in items.items()
        }
        if not set(SPLIT_NAMES["train"]) & set(spelt.values()):
            continue
        unknown = sorted(set(spelt.values()) - SPLIT_OF.keys())
        if unknown:
            first = next(key for key in spelt if spelt[key] == unknown[0])
            raise ManifestError(
                f"The column {column!r} holds {', '.join(map(repr, unknown))} "
                f"(first at the item {first!r}) beside a training set: make it "
                "train, valid or test, or take the rows (or the column) out."
            )
        for key, item in items.items():
            item[column] = SPLIT_OF[spelt[key]]
        return by_field(items, column), column
    return {}, None


def _how_drawn(items):
    known = all(item.get("speaker") for item in items.values())
    if known and len({item["speaker"] for item in items.values()}) > 2:
        return "drawn, speaker-independent"
    if known:
        return "random: there are fewer than three speakers"
    return "random: who speaks is not known"


def _one_file(folder, pattern):
    files = [
        file
        for file in sorted(folder.iterdir())
        if fnmatch(file.name.lower(), pattern)
        if not file.name.startswith((".", "~"))  # macOS's, an open editor's
        if pattern.startswith("folds") or not file.name.startswith("folds")
    ]
    if len(files) > 1:
        raise ManifestError(
            f"{folder} holds {len(files)} files {pattern} "
            f"({', '.join(file.name for file in files[:3])} ...): leave one."
        )
    return files[0] if files else None


def _split_tables(folder, suffix):
    files = {f.name.lower(): f for f in sorted(folder.iterdir()) if f.is_file()}
    return {
        split: files[f"{name}{suffix}"]
        for split, names in SPLIT_NAMES.items()
        for name in names
        if f"{name}{suffix}" in files
    }


def _one_table(folder):
    for pattern in (*(f"*{suffix}" for suffix in TABLES), "*.json"):
        table = _one_file(folder, pattern)
        if table is not None:
            return table
    raise ManifestError(
        f"The data folder {folder} holds no train.json and no *.jsonl, "
        "*.csv, *.tsv or *.json that would list its recordings: write one, "
        "or give a pattern, where names of files or folders tell the emotion."
    )


def _by_text(labels):
    """Labels as rows have them: a class by number is its digits."""
    if labels is None:
        return {}
    if not isinstance(labels, dict):
        raise ManifestError(
            f"labels are {labels!r}: give them as {{theirs: ours, ...}}."
        )
    for raw, ours in labels.items():
        if ours is not None and not isinstance(ours, str):
            raise ManifestError(
                f"labels call {raw!r} {ours!r}, which is no name: give a word."
            )
    return {k if isinstance(k, str) else as_id(k): v for k, v in labels.items()}


def check_labels(labels, splits):
    """Refuse a map of labels that no row has.

    Arguments
    ---------
    labels : dict | None
        Raw label -> ours.
    splits : dict
        Split -> items.

    Raises
    ------
    ManifestError
        Names the label, and those that there are.
    """
    there = {
        item.get("emotion")
        for items in splits.values()
        for item in items.values()
    } - {None}
    for label in labels or {}:
        if label not in there:
            raise ManifestError(
                f"labels names {label!r}, which no row has (there are: "
                f"{', '.join(sorted(map(str, there)))})."
            )


def map_emotions(items, label_space, labels=None):
    """Name emotions in one way, in place; ``emotion_raw`` keeps the raw label.

    Rows without emotion stay as they are: what may have none was told before.

    Arguments
    ---------
    items : dict
        Utterance id -> fields.
    label_space : LabelSpace | None
        What to map to; None takes them in lower case.
    labels : dict | None
        Raw label -> ours, or None for what is left out; it comes first.

    Returns
    -------
    list of str
        What was left out.

    Raises
    ------
    ManifestError
        If an item has an emotion that means none of the set, or several.
    """
    labels, left_out = labels or {}, Counter()
    given = Counter(str(item.get("emotion")) for item in items.values())
    try:
        refuse_several(
            {raw: n for raw, n in given.items() if raw not in labels}
        )
    except ValueError as error:
        raise ManifestError(str(error)) from error
    for key, item in list(items.items()):
        if item.get("emotion") is None:
            continue
        raw = item["emotion"]
        if not isinstance(raw, str):
            raise ManifestError(f"Item {key!r}: {raw!r} is no emotion.")
        meant = labels.get(raw, raw)
        if meant is None:
            left_out[raw] += 1
            del items[key]
            continue
        emotion = unicodedata.normalize("NFKC", meant).strip().lower()
        if label_space is not None:
            emotion = label_space.map(meant)
            if emotion is None:
                raise ManifestError(
                    f"Item {key!r}: unknown emotion {raw!r} "
                    f"(known: {', '.join(label_space.names)})."
                )
        if emotion != raw:
            item["emotion_raw"] = raw
        item["emotion"] = emotion
    notes = [
        f"{number} utterances that are {raw} are left out."
        for raw, number in left_out.items()
    ]
    if label_space is None:
        emotions = {item.get("emotion") or "" for item in items.values()}
        notes += [
            f"{same} Join them by label_space or labels."
            for same in same_meaning(emotions)
        ]
    return notes


def _read_fold(path, items, fold):
    folds = read_folds(path, items)
    if not 0 <= fold < len(folds):
        raise ManifestError(f"{path} holds no fold {fold} (they count from 0).")
    splits = {}
    for split in SPLITS:
        if not folds[fold].get(split):
            continue
        keys = folds[fold][split]
        missing = [key for key in keys if key not in items]
        if missing:
            raise ManifestError(
                f"{path} names the item {missing[0]!r}, which is not listed."
            )
        splits[split] = {key: items[key] for key in keys}
    if "train" not in splits:
        raise ManifestError(f"Fold {fold} of {path} has no 'train'.")
    left = len(items) - sum(map(len, splits.values()))
    notes = [f"{left} utterances are in no split of the fold."] if left else []
    return splits, f"fold {fold} of {path.name}", notes
