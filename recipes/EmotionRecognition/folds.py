"""Folds of a corpus: read, checked, and written as manifests."""

from pathlib import Path

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.fold_files import read_folds
from speechbrain_c2ser.data.manifest import (
    check_leakage,
    read_manifest,
    write_manifest,
)
from speechbrain_c2ser.data.splits import folds_by, random_split

PARTS = ("train", "valid", "test")
NOTES = ("test_speakers", "valid_speakers", "name")


def folds_of_file(path, items, seed=1):
    """Folds of a JSON file: a list of {"train", "valid", "test"} of ids.

    A fold without valid part gets a fifth of its training part, drawn per
    emotion.

    Raises
    ------
    ManifestError
        For keys that are not known, ids that are not listed, or a part that
        is missing or empty.
    """
    made = []
    for number, fold in enumerate(read_folds(path, items), 1):
        where = f"Fold {number} of {path}"
        unknown = sorted(set(fold) - {*PARTS, *NOTES})
        if unknown:
            raise ManifestError(
                f"{where} has the key {unknown[0]!r}, which is not known: "
                f"give {', '.join(PARTS)}."
            )
        for part in ("train", "test"):
            if not fold.get(part):
                raise ManifestError(f"{where} has no {part} part.")
        splits = {}
        for part in PARTS:
            listed = fold.get(part) or ()
            lost = [key for key in listed if key not in items]
            if lost:
                raise ManifestError(
                    f"{where}: {lost[0]!r} of its {part} part is not listed "
                    f"in the corpus ({len(lost)} such)."
                )
            splits[part] = {key: items[key] for key in listed}
        if not splits["valid"]:
            splits["train"], splits["valid"] = random_split(
                splits["train"], 0.2, seed
            )
        made.append(splits)
    return made


def folds_of_folder(folder):
    """Folds as ``corpora`` write them: fold_k/{train,valid,test}.json."""
    folders = sorted(
        Path(folder).glob("fold_*"), key=lambda p: (len(p.name), p.name)
    )
    if not folders:
        raise ManifestError(
            f"There is no fold_1/train.json and so on in {folder}: prepare "
            "the corpus first."
        )
    return [
        {part: read_manifest(path / f"{part}.json") for part in PARTS}
        for path in folders
    ]


def make_folds(items, options):
    """The folds that the command line asks for, checked.

    Arguments
    ---------
    items : dict | None
        Utterance id → fields.
    options : argparse.Namespace
        by, folds, number, merge_valid.

    Returns
    -------
    list of dict
        Split → items, a fold each.

    Raises
    ------
    ManifestError
        For a class that is missing in a training part, or utterances (or
        speakers, where folds are by speaker) in two parts of a fold.
    """
    if options.folds is None:
        folds = folds_by(items, options.by, options.number)
    elif Path(options.folds).is_dir():
        folds = folds_of_folder(options.folds)
    else:
        folds = folds_of_file(options.folds, items)
    by = ["id", "wav"] + ["speaker"] * (options.by == "speaker")
    emotions = {
        row["emotion"]
        for fold in folds
        for p in PARTS
        for row in fold[p].values()
        if row.get("emotion")  # those without a majority have votes
    }
    for number, fold in enumerate(folds, 1):
        try:
            check_leakage(fold, by if options.folds is None else by[:2])
        except ManifestError as error:
            raise ManifestError(f"Fold {number}: {error}") from error
        here = {row.get("emotion") for row in fold["train"].values()}
        if not here >= emotions:
            raise ManifestError(
                f"Fold {number} has no utterance that is "
                f"{', '.join(sorted(emotions - here))} to train on: draw the "
                "folds anew or leave the class out."
            )
        if options.merge_valid:
            fold["train"] = {**fold["train"], **fold.pop("valid")}
    return folds


def write_folds(folds, folder):
    """Write fold_k/{train,valid,test}.json; folds that are there must agree.

    Raises
    ------
    ManifestError
        If the folder holds other folds.
    """
    for number, fold in enumerate(folds, 1):
        for part, items in fold.items():
            path = Path(folder) / f"fold_{number}" / f"{part}.json"
            if not path.is_file():
                write_manifest(items, path)
            elif read_manifest(path) != items:
                raise ManifestError(
                    f"{path} is of an earlier run with other folds: choose "
                    "another output folder."
                )
