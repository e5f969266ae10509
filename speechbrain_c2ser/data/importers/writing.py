"""Checked manifests of a corpus and its description, whole or not at all.

One division gives train.json, valid.json and test.json; folds give
fold_1/train.json ... and so on. corpus.json says what the corpus is, how it was
divided, what was left out and how many of each emotion each manifest holds.
"""

import json
from collections import Counter
from pathlib import Path

from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import (
    SPLITS,
    check_leakage,
    check_manifest,
    write_manifest,
)

DESCRIPTION = "corpus.json"


def write_corpus(
    folds, save_folder, name, how, notes=(), skipped=None, strict=False
):
    """Check divisions of a corpus and write them.

    Arguments
    ---------
    folds : list of dict
        Split -> items, one dictionary a fold. A corpus that is only for
        testing has the one split "test".
    save_folder : str | Path
        Gets the manifests and corpus.json. Manifests that an earlier
        corpus.json there lists and this one does not are removed.
    name : str
        Of the corpus; ``dataset`` of items that have none.
    how : str
        A few words on the division.
    notes : sequence of str
        What a user has to know.
    skipped : dict
        Reason -> number of what was left out.
    strict : bool
        Whether an emotion of the training set that valid or test lack is an
        error; else it is noted.

    Returns
    -------
    dict
        "train" or "fold_1/train" ... -> path of the manifest.

    Raises
    ------
    ManifestError
        If a split is empty, shares ids or files with another, or has an
        emotion that the training set lacks; nothing is written then.
    """
    target, notes, written = Path(save_folder), list(notes), {}
    for number, splits in enumerate(folds, 1):
        prefix = f"fold_{number}/" if len(folds) > 1 else ""
        for split in SPLITS:
            if split not in splits:
                continue
            if not splits[split]:
                raise ManifestError(
                    f"The {split} split of {name} would be empty: give more "
                    "data, or your own split."
                )
            for item in splits[split].values():
                item.setdefault("dataset", name)
            check_manifest(splits[split], (), check_audio=False)
            _check_labelled(splits[split])
            written[f"{prefix}{split}"] = splits[split]
        check_leakage(splits, by=("id", "wav"))
        notes += _check_emotions(splits, prefix, strict)
        if number == 1:
            notes += _speaker_notes(splits)
    paths = {key: target / f"{key}.json" for key in written}
    _remove_stale(target, paths)
    for key, items in written.items():
        write_manifest(items, paths[key])
    classes = {key: _emotions(items) for key, items in written.items()}
    divided = {
        key: len(items) - sum(classes[key].values())
        for key, items in written.items()
    }
    description = {
        "corpus": name,
        "synthetic": False,
        "labels": sorted({e for each in classes.values() for e in each}),
        "split": how,
        "counts": {key: len(items) for key, items in written.items()},
        "classes": classes,
        **({"no_majority": divided} if any(divided.values()) else {}),
        "skipped": dict(skipped or {}),
        "notes": list(dict.fromkeys(notes)),
    }
    text = json.dumps(description, indent=1, ensure_ascii=False)
    write_atomic(text + "\n", target / DESCRIPTION)
    return paths


def count_table(description):
    """Utterances per manifest and emotion, as a text table.

    Arguments
    ---------
    description : dict
        What corpus.json holds.

    Returns
    -------
    str

    Example
    -------
    >>> print(count_table({"labels": ["sad"], "classes": {"test": {"sad": 2}}}))
          sad  all
    test    2    2
    """
    labels, divided = description["labels"], description.get("no_majority", {})
    rows = [["", *labels, *["no majority"] * bool(divided), "all"]]
    for key, counts in description["classes"].items():
        numbers = [counts.get(label, 0) for label in labels]
        numbers += [divided[key]] if divided else []
        total = sum(counts.values()) + divided.get(key, 0)
        rows.append([key, *map(str, numbers), str(total)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            [row[0].ljust(widths[0])]
            + [
                cell.rjust(width)
                for cell, width in zip(row[1:], widths[1:], strict=True)
            ]
        )
        for row in rows
    )
    return "\n".join(lines)


def _emotions(items):
    named = (i["emotion"] for i in items.values() if i.get("emotion"))
    return dict(sorted(Counter(named).items()))


def _check_labelled(items):
    """Refuse rows that say nothing: no emotion, votes or dimensions."""
    for key, item in items.items():
        if not any(item.get(field) for field in ("emotion", "votes", "vad")):
            raise ManifestError(f"Item {key!r} has no 'emotion'.")


def _check_emotions(splits, prefix, strict):
    if "train" not in splits:
        return []
    known = list(_emotions(splits["train"]))
    notes = []
    for split in ("valid", "test"):
        if split not in splits:
            continue
        _check_learnable(splits[split], known, f"{prefix}{split}")
        present = _emotions(splits[split])
        missing = [emotion for emotion in known if emotion not in present]
        if missing:
            message = (
                f"{prefix}{split} has no {', '.join(missing)}, which the "
                "training set has"
            )
            if strict:
                raise ManifestError(
                    f"{message}: drop the class or allow missing classes."
                )
            notes.append(f"{message}.")
    return notes


def _check_learnable(items, known, split):
    """Refuse a class that fell into another split as a whole."""
    lost = [
        item
        for item in items.values()
        if item.get("emotion") and item["emotion"] not in known
    ]
    if not lost:
        return
    emotion = lost[0]["emotion"]
    same = [item for item in lost if item["emotion"] == emotion]
    speakers = sorted({str(item.get("speaker")) for item in same} - {"None"})
    by = f", of speaker {', '.join(speakers)}," if speakers else ""
    raise ManifestError(
        f"All utterances that are {emotion!r} ({len(same)}{by} in {split}) "
        "fell into another split than the training set, so nothing could "
        "learn it: draw with another seed, give a split of your own, or "
        "leave the emotion out."
    )


def _speaker_notes(splits):
    if len(splits) == 1:
        return []
    if any(
        item.get("speaker") is None
        for items in splits.values()
        for item in items.values()
    ):
        return [
            "Speakers are not known of all: some may be in train and in test."
        ]
    try:
        check_leakage(splits, by=("speaker",))
    except ManifestError as error:
        return [f"Not speaker-independent. {error}"]
    return []


def _remove_stale(target, paths):
    """Manifests of an earlier division would be taken for this one's."""
    try:
        earlier = json.loads((target / DESCRIPTION).read_text(encoding="utf-8"))
        names = list(earlier["counts"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    for name in names:
        path = target / f"{name}.json"
        if name not in paths and path.is_file():
            path.unlink()
            if path.parent != target and not any(path.parent.iterdir()):
                path.parent.rmdir()
