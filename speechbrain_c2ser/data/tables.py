"""Tables of rows from files: JSON, JSON lines, CSV, TSV."""

import csv
import json
from pathlib import Path

from speechbrain_c2ser.data.manifest import ManifestError


def read_table(path):
    """Rows of a JSONL, JSON, CSV or TSV file as dictionaries.

    Arguments
    ---------
    path : str or Path
        One JSON object a line (.jsonl); a list of objects, or one object id
        -> object, which gets the id as "id" (.json); or a table with a
        header (.csv, .tsv).

    Returns
    -------
    list of dict

    Raises
    ------
    ManifestError
        Names the file and line that cannot be read, or an empty file.
    """
    path = Path(path)
    rows = []
    delimiter = {".csv": ",", ".tsv": "\t"}.get(path.suffix.lower())
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            if delimiter:
                reader = csv.DictReader(file, delimiter=delimiter)
                rows = [dict(row) for row in reader]
            elif path.suffix.lower() == ".json":
                rows = _json_rows(file.read(), path)
            else:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        rows.append(_json_row(line, path, number))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path} cannot be read: {error}.") from error
    if not rows:
        raise ManifestError(f"The manifest {path} is empty.")
    return rows


def unique_keys(pairs):
    """``object_pairs_hook`` of ``json.loads`` that refuses a key twice.

    Arguments
    ---------
    pairs : list of tuple
        (key, value) of one JSON object.

    Returns
    -------
    dict
    """
    items = dict(pairs)
    if len(items) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ManifestError(f"the item {twice!r} is there twice")
    return items


def _json_rows(text, path):
    try:
        content = json.loads(text, object_pairs_hook=unique_keys)
    except ValueError as error:
        raise ManifestError(f"{path} cannot be read: {error}.") from error
    if isinstance(content, dict):
        content = [
            {"id": key, **row} if isinstance(row, dict) else None
            for key, row in content.items()
        ]
    if not isinstance(content, list) or not all(
        isinstance(row, dict) for row in content
    ):
        raise ManifestError(f"{path} holds no JSON objects of utterances.")
    return content


def _json_row(line, path, number):
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ManifestError(f"Line {number} of {path} is not JSON.") from error
    if not isinstance(row, dict):
        raise ManifestError(f"Line {number} of {path} is no JSON object.")
    return row
