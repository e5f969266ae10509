"""Names of splits, and files of folds: a JSON list of split -> ids."""

import json
from collections.abc import Collection
from pathlib import Path

from speechbrain_c2ser.data.columns import as_id
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.text_files import read_text

# Spellings of the splits in names of files, columns and folds.
SPLIT_NAMES = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "dev", "devel", "development", "val"),
    "test": ("test", "evaluation", "eval"),
}
SPLIT_OF = {n: split for split, names in SPLIT_NAMES.items() for n in names}


def read_folds(path: str | Path, known: Collection[str]) -> list[dict]:
    """Folds of a JSON file, by our names of the splits.

    Arguments
    ---------
    path : str | Path
        A list of objects with "train", "test" and perhaps "valid" ("dev" ...),
        each a list of ids.
    known : collection of str
        Ids of the corpus; a number stands for the id of its digits.

    Returns
    -------
    list of dict
        Split -> ids, whether the corpus has them or not; what else a fold
        has is kept.

    Raises
    ------
    ManifestError
        If it is no list of objects, or a split is there twice or no
        list of ids.

    Example
    -------
    >>> path = getfixture("tmpdir") / "folds.json"
    >>> _ = path.write('[{"train": [1], "dev": ["b"], "name": "x"}]')
    >>> read_folds(path, ["1", "b"])
    [{'train': ['1'], 'valid': ['b'], 'name': 'x'}]
    """
    try:
        folds = json.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path} is no fold file: {error}.") from error
    if not isinstance(folds, list) or not folds:
        raise ManifestError(f"{path} holds no list of folds.")
    made = []
    for number, fold in enumerate(folds, 1):
        where = f"Fold {number} of {path}"
        if not isinstance(fold, dict):
            raise ManifestError(f"{where} is no JSON object.")
        named: dict = {}
        for name, value in fold.items():
            split = SPLIT_OF.get(name.strip().lower(), name)
            if split in named:
                raise ManifestError(f"{where} has two parts {split!r}.")
            named[split] = value
            if split in SPLIT_NAMES and value is not None:
                if not isinstance(value, list):
                    raise ManifestError(
                        f"{where}: its {split} part is no list of ids."
                    )
                for key in value:
                    if not isinstance(key, str | int | float):
                        raise ManifestError(
                            f"{where}: {str(key)[:60]} in its {split} part is "
                            "no id: give a text or a number."
                        )
                named[split] = [
                    key if key in known else as_id(key) or key for key in value
                ]
        made.append(named)
    return made
