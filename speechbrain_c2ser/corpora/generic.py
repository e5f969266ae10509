"""Any folder of recordings: manifests, a JSONL (Emo-Emilia's form) or a CSV.

Looked for in the folder, in this order: ``train.json`` with ``test.json``
and perhaps ``valid.json`` (our manifests); one ``*.jsonl``; one ``*.csv``
with a header. A table may come with one ``folds*.json``: a list of objects
with "train", "test" and perhaps "valid", each a list of utterance ids.
Where nothing says how to split, speakers are kept apart if they are known.
"""

import json
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from speechbrain_c2ser.corpora.manifest import (
    SPLITS,
    ManifestError,
    audio_duration,
    check_leakage,
    check_manifest,
    check_segment,
    read_manifest,
    read_table,
    write_atomic,
    write_manifest,
)

NAMES = {
    "id": ("index", "id", "key", "ID"),
    "wav": ("wav", "path", "file", "audio"),
    "emotion": ("emotion", "emo", "label"),
    "transcript": ("transcript", "text"),
    "duration": ("duration", "length"),
    "start": ("start", "start_time"),
    "stop": ("stop", "end_time"),
    "speaker": ("speaker",),
    "gender": ("gender", "sex"),
    "language": ("language", "lang"),
}
NUMBERS = ("duration", "start", "stop")
GENDERS = {"f": "female", "m": "male", "w": "female"}
FROM_INDEX = {"ZH_": "zh", "EN_": "en"}


def prepare(
    data_folder,
    save_folder,
    fold=0,
    valid_fraction=0.15,
    test_fraction=0.25,
    seed=1,
    label_space=None,
    check_audio=True,
):
    """Turn a folder of recordings into checked manifests.

    Arguments
    ---------
    data_folder : str or Path
        See the head of this file; wav paths are relative to it.
    save_folder : str or Path
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
    rng = np.random.default_rng(seed)
    splits, how, notes = _find_splits(folder, fold, check_audio)
    for items in splits.values():
        _map_emotions(items, label_space)
    total = sum(map(len, splits.values()))
    for split, share in (("test", test_fraction), ("valid", valid_fraction)):
        if split not in splits:
            splits["train"], splits[split] = _cut(
                splits["train"], share * total, rng
            )
    for split in SPLITS:
        if not splits[split]:
            raise ManifestError(
                f"The {split} split of {folder} would be empty: give more "
                "data, or your own split."
            )
        check_manifest(splits[split], check_audio=False)
    check_leakage(splits, by=("wav",))
    _check_emotions(splits)
    notes += _speaker_notes(splits)
    return _write(splits, Path(save_folder), folder, how, notes)


def _find_splits(folder, fold, check_audio):
    """Splits as far as the folder gives them, how, and notes on it."""
    given = [s for s in SPLITS if (folder / f"{s}.json").is_file()]
    if "train" in given:
        splits = {s: read_manifest(folder / f"{s}.json") for s in given}
        for items in splits.values():
            for item in items.values():
                item["wav"] = os.path.abspath(folder / item["wav"])
            check_manifest(items, check_audio=check_audio)
        return splits, "as the folder gives it", []
    table = _one_file(folder, "*.jsonl") or _one_file(folder, "*.csv")
    if table is None:
        raise ManifestError(
            f"The data folder {folder} holds no train.json, no *.jsonl and "
            "no *.csv that would list its recordings."
        )
    items = _import_rows(table, folder, check_audio)
    folds = _one_file(folder, "folds*.json")
    if folds is not None:
        return _read_fold(folds, items, fold)
    known = all(item.get("speaker") for item in items.values())
    if known and len({item["speaker"] for item in items.values()}) > 2:
        return {"train": items}, "drawn, speaker-independent", []
    how = "random: who speaks is not known"
    if known:
        how = "random: there are fewer than three speakers"
    return {"train": items}, how, []


def _one_file(folder, pattern):
    files = sorted(folder.glob(pattern))
    if len(files) > 1:
        raise ManifestError(
            f"{folder} holds {len(files)} files {pattern} "
            f"({', '.join(file.name for file in files[:3])} ...): leave one."
        )
    return files[0] if files else None


def _import_rows(table, folder, check_audio):
    """Bring rows of any of the known field names into manifest items."""
    name, rows = table.name, read_table(table)
    items = {}
    for number, row in enumerate(tqdm(rows, name, leave=False), 1):
        row = {key: value for key, value in row.items() if value != ""}
        item = {}
        for field, names in NAMES.items():
            found = next((n for n in names if row.get(n) is not None), None)
            if found is not None:
                item[field] = row.pop(found)
        key = str(item.pop("id", number))
        if key in items:
            raise ManifestError(f"{name} holds the item {key!r} twice.")
        _clean(key, item, folder, name)
        if check_audio or "duration" not in item:
            _measure(key, item)
        items[key] = item | row
    return items


def _clean(key, item, folder, name):
    for field in ("wav", "emotion"):
        if not isinstance(item.get(field), str):
            raise ManifestError(f"Item {key!r} of {name} has no {field!r}.")
    item["wav"] = os.path.abspath(folder / item["wav"])
    for field in NUMBERS:
        if field in item:
            item[field] = _number(item[field], key, field)
    if "speaker" in item:
        item["speaker"] = str(item["speaker"])
    if "gender" in item:
        gender = str(item["gender"]).lower()
        item["gender"] = GENDERS.get(gender, gender)
    if "language" not in item:
        # Emo-Emilia says it in the index.
        language = FROM_INDEX.get(key[:3])
        if language:
            item["language"] = language


def _measure(key, item):
    """Check audio and segment, and take the duration from them."""
    length = audio_duration(item["wav"], key)
    if "start" in item or "stop" in item:
        item.setdefault("start", 0.0)
        item.setdefault("stop", length)
        check_segment(key, item, length)
        item["duration"] = round(item["stop"] - item["start"], 4)
    item.setdefault("duration", round(length, 4))


def _number(value, key, field):
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ManifestError(
            f"Item {key!r}: the {field} {value!r} is no number."
        ) from error


def _map_emotions(items, label_space):
    for key, item in items.items():
        if not isinstance(item.get("emotion"), str):
            raise ManifestError(f"Item {key!r} has no 'emotion'.")
        raw = item["emotion"]
        emotion = raw.strip().lower()
        if label_space is not None:
            emotion = label_space.map(raw)
            if emotion is None:
                raise ManifestError(
                    f"Item {key!r}: unknown emotion {raw!r} "
                    f"(known: {', '.join(label_space.names)})."
                )
        if emotion != raw:
            item["emotion_raw"] = raw
        item["emotion"] = emotion


def _read_fold(path, items, fold):
    try:
        folds = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ManifestError(f"{path} is not JSON.") from error
    if not isinstance(folds, list) or not 0 <= fold < len(folds):
        raise ManifestError(f"{path} holds no fold {fold} (they count from 0).")
    splits = {}
    for split in SPLITS:
        if split not in folds[fold]:
            continue
        keys = [str(key) for key in folds[fold][split]]
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


def _cut(items, number, rng):
    """Draw about ``number`` items, whole speakers (or files) at a time."""
    speakers = {item.get("speaker") for item in items.values()}
    # Never the same file in two splits, even of unknown speakers.
    by = "speaker" if None not in speakers and len(speakers) > 1 else "wav"
    groups = {}
    for key, item in items.items():
        groups.setdefault(item[by], []).append(key)
    taken = set()
    for name in rng.permutation(sorted(groups))[: len(groups) - 1]:
        keys = groups[name]
        # The nearest to the number; one group at least.
        if taken and len(taken) + len(keys) / 2 > number:
            break
        taken.update(keys)
    kept = {key: item for key, item in items.items() if key not in taken}
    return kept, {key: items[key] for key in items if key in taken}


def _check_emotions(splits):
    known = sorted({item["emotion"] for item in splits["train"].values()})
    for split in ("valid", "test"):
        check_manifest(splits[split], (), known, check_audio=False)


def _speaker_notes(splits):
    if any(
        item.get("speaker") is None
        for items in splits.values()
        for item in items.values()
    ):
        return ["Speakers are not known: some may be in train and in test."]
    try:
        check_leakage(splits, by=("speaker",))
    except ManifestError as error:
        return [f"Not speaker-independent. {error}"]
    return []


def _write(splits, target, folder, how, notes):
    paths = {split: target / f"{split}.json" for split in SPLITS}
    name = folder.resolve().name
    for split, path in paths.items():
        for item in splits[split].values():
            item.setdefault("dataset", name)
        write_manifest(splits[split], path)
    emotions = {i["emotion"] for s in splits.values() for i in s.values()}
    description = {
        "corpus": name,
        "synthetic": False,
        "labels": sorted(emotions),
        "split": how,
        "counts": {split: len(splits[split]) for split in SPLITS},
        "notes": notes,
    }
    text = json.dumps(description, indent=1, ensure_ascii=False)
    write_atomic(text + "\n", target / "corpus.json")
    return paths
