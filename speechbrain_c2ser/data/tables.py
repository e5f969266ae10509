"""Tables of utterances from files: the one reader of all of them.

JSON, JSON lines, CSV and TSV, as people, spreadsheets and pandas write them.
How text is divided into cells is in ``delimited.py``, what columns mean in
``columns.py``. Lists of recordings are in ``lists.py``.
"""

import ast
import csv
import io
import json
import re
from pathlib import Path

from speechbrain_c2ser.audio.formats import SOUNDS
from speechbrain_c2ser.data.columns import (
    BOUNDS,
    as_id,
    as_number,
    as_seconds,
    fields_of,
    is_missing,
    plain_name,
)
from speechbrain_c2ser.data.delimited import (
    ACCEPTED,
    INDEX,
    KNOWN,
    NAMING,
    delimited_rows,
    is_delimited,
    spaced_rows,
)
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.text_files import read_text

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
GAP = re.compile(r"[\s,]*")  # between JSON objects
ROW_NUMBER = re.compile(r"0|[1-9]\d*")
SPREADSHEETS = (".xls", ".xlsx", ".ods")
ARROW = (".parquet", ".arrow", ".feather")
JSON_LINES = (".jsonl", ".ndjson")
# Keys beside the path of a recording that is an object.
AUDIO = frozenset(
    "path file source bytes array sampling_rate type channels".split()
)
# First bytes of what is no text, whatever its name.
BINARY = {
    b"PK\x03\x04": "a spreadsheet or ZIP archive: save it as CSV",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet: save it as CSV",
    b"\x1f\x8b": "compressed: unpack it (gunzip)",
    b"BZh": "compressed: unpack it (bunzip2)",
    b"\xfd7zXZ": "compressed: unpack it (unxz)",
    b"(\xb5/\xfd": "compressed: unpack it (unzstd)",
    b"PAR1": "Parquet: name it .parquet",
    b"ARROW1": "Arrow: name it .arrow",
    b"\x80\x04": "a pickle, which is never opened: save it as CSV",
    b"\x80\x05": "a pickle, which is never opened: save it as CSV",
    b"SQLite": "a database: export its table as CSV",
    b"\x93NUMPY": "a NumPy array: save it as CSV with a header",
    b"%PDF": "a PDF document: save its table as CSV",
}


def read_table(path: str | Path) -> list[dict]:
    """Rows of a JSONL, JSON, CSV or TSV file as dictionaries.

    Arguments
    ---------
    path : str | Path
        One JSON object a line (.jsonl, or .json); a list of objects, or one
        object id -> object, which gets the id as "id" (.json); or a table
        with a header (.csv, .tsv), divided by what its header is divided by:
        commas, semicolons, tabs or bars; or .parquet, .arrow or .feather. In
        any encoding of
        :func:`~speechbrain_c2ser.data.text_files.decode`. Where no column is
        an id or a file, pandas' index is the id.

    Returns
    -------
    list of dict
        Without blank lines. What says that there is no value (blank, NaN,
        null ...) is None; other cells are texts without blanks around them,
        and in JSON what they are.

    Raises
    ------
    ManifestError
        Names the file and line that cannot be read, or an empty file.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in SPREADSHEETS:
        raise ManifestError(f"{path} is a spreadsheet: save it as CSV.")
    if not path.exists():
        raise ManifestError(f"There is no file {path}.")
    try:
        if suffix in ARROW:
            return _with_ids(_arrow_rows(path))
        _check_text(path)
        text = read_text(path)
        if suffix in DELIMITERS or is_delimited(text, suffix):
            rows = delimited_rows(text, path, DELIMITERS.get(suffix, ","))
        elif suffix == ".json" or text.lstrip().startswith("["):
            rows = _json_rows(text, path)
        elif suffix in JSON_LINES or text.lstrip()[:1] in "{/":
            rows = _json_lines(text, path)
        else:
            rows = spaced_rows(text, path)
    except (OSError, UnicodeDecodeError, csv.Error, RecursionError) as error:
        raise ManifestError(f"{path} cannot be read: {error}.") from error
    if not rows:
        raise ManifestError(f"The manifest {path} is empty.")
    return _with_ids(rows)


def number_of(value: object, key: str, field: str) -> float:
    """A number, or an error that names whose it should be.

    Example
    -------
    >>> number_of("0,25", "a", "start")
    0.25
    """
    number = as_seconds(value) if field in BOUNDS else as_number(value)
    if number is None:
        raise ManifestError(
            f"Item {key!r}: the {field} {value!r} is no number."
        )
    return number


def unique_keys(pairs: list[tuple]) -> dict:
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


def _with_ids(rows):
    """Rows of cells; pandas' index is the id, where no column is.

    Numbers of rows, as pandas counts them, say nothing.
    """
    rows = [{name: _cell(v) for name, v in row.items()} for row in rows]
    index = [as_id(row.pop(INDEX, None)) for row in rows]
    if None in index or all(map(ROW_NUMBER.fullmatch, index)):
        return rows
    if NAMING & set(map(plain_name, {name for row in rows for name in row})):
        return rows
    return [{"id": key, **row} for key, row in zip(index, rows, strict=True)]


def _cell(value):
    """A value; None for a missing one, its path for a recording's column."""
    if is_missing(value):
        return None
    if isinstance(value, dict):
        for key in ("path", "file", "source"):
            if isinstance(value.get(key), str) and value.keys() <= AUDIO:
                return value[key]
        # A cut of Lhotse holds its recording, which holds its sources.
        inner = _cell(value.get("sources"))
        return inner if isinstance(inner, str) else value
    if isinstance(value, list) and len(value) == 1:
        inner = _cell(value[0])
        return inner if isinstance(inner, str) else value
    return value


def _arrow_rows(path):
    # Not at the top: it needs pyarrow.
    from speechbrain_c2ser.data.importers.arrow_tables import read_rows

    rows = list(read_rows(path))
    if not rows:
        raise ManifestError(f"The manifest {path} is empty.")
    return rows


def _check_text(path):
    with open(path, "rb") as file:
        head = file.read(8)
    for magic, what in BINARY.items():
        if head.startswith(magic):
            raise ManifestError(f"{path} is {what}.")


def _json_rows(text, path):
    try:
        content = json.loads(text, object_pairs_hook=unique_keys)
    except ManifestError as error:
        raise ManifestError(f"{path} cannot be read: {error}.") from error
    except ValueError as error:
        if "Extra data" in str(error):
            # NeMo's .json has an object a line.
            return _json_lines(text, path)
        raise ManifestError(f"{path} cannot be read: {error}.") from error
    if isinstance(content, dict):
        content = _rows_of_object(content)
    elif content and all(isinstance(each, str) for each in content):
        content = [{"wav": each} for each in content]
    elif content and all(_is_pair(each) for each in content):
        content = [{"id": key, "label": value} for key, value in content]
    if not isinstance(content, list) or not all(
        isinstance(row, dict) for row in content
    ):
        raise ManifestError(
            f"{path} is no manifest and no table: it holds no JSON objects of "
            "utterances."
        )
    return content


def _is_pair(value):
    return isinstance(value, list) and list(map(type, value)) == [str, str]


def _rows_of_object(content):
    """Rows of id -> row, of column -> row -> cell (pandas), or of one row."""
    rows = list(content.values())
    if len(rows) == 1 and isinstance(rows[0], dict) and rows[0]:
        is_named = KNOWN & set(map(plain_name, rows[0]))
        if not is_named and all(isinstance(r, dict) for r in rows[0].values()):
            return _rows_of_object(rows[0])  # below a name such as "data"
    if not rows or not all(isinstance(row, dict) for row in rows):
        return _rows_of_lists(content)
    if all(row.keys() == rows[0].keys() for row in rows) and not (
        KNOWN & set(map(plain_name, rows[0]))
    ):
        if KNOWN & set(map(plain_name, content)):
            return [
                {INDEX: key, **{c: cells[key] for c, cells in content.items()}}
                for key in rows[0]
            ]
    return [{"id": key, **row} for key, row in content.items()]


def _rows_of_lists(content):
    """Rows in a list under some name, of pandas' columns, or of one row."""
    lists = {k: v for k, v in content.items() if isinstance(v, list)}
    if {"columns", "data"} <= lists.keys() and all(
        isinstance(row, list) for row in lists["data"]
    ):
        columns = list(map(str, lists["columns"]))
        made = [dict(zip(columns, row, strict=False)) for row in lists["data"]]
        if len(lists.get("index", ())) == len(made):  # pandas' "split"
            keys = zip(lists["index"], made, strict=True)
            made = [{INDEX: key, **row} for key, row in keys]
        return made
    of_rows = [
        v for v in lists.values() if v and all(isinstance(r, dict) for r in v)
    ]
    means_something = fields_of(content)[0]
    if len(of_rows) == 1 and "wav" not in means_something:
        return of_rows[0]
    sizes = {len(cells) for cells in lists.values()}
    if means_something and len(lists) == len(content) and len(sizes) == 1:
        return [
            dict(zip(lists, cells, strict=True))
            for cells in zip(*lists.values(), strict=True)
        ]
    if means_something:
        return [content]
    if content and all(isinstance(v, str) for v in content.values()):
        heard = all(Path(v).suffix.lower() in SOUNDS for v in content.values())
        field = "wav" if heard else "label"
        return [{"id": key, field: value} for key, value in content.items()]
    return None


def _json_lines(text, path):
    rows = []
    if re.match(r"\s*\{\s*\n", text):
        return _json_values(text, path)
    # Not splitlines(): a text may hold other signs that end lines.
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        line = line.strip().removesuffix(",")
        if not line or line.startswith(("//", "#")):
            continue
        try:
            row = json.loads(line, object_pairs_hook=unique_keys)
        except ManifestError as error:
            raise ManifestError(f"Line {number} of {path}: {error}.") from error
        except ValueError as error:
            row = _python_value(line)
            if row is None:
                raise ManifestError(
                    f"Line {number} of {path} is not JSON ({line[:60]!r}): "
                    f"{ACCEPTED}."
                ) from error
        if not isinstance(row, dict):
            raise ManifestError(f"Line {number} of {path} is no JSON object.")
        rows.append(row)
    return rows


def _python_value(line):
    """What ``print`` shows of a dictionary, or None."""
    try:
        return ast.literal_eval(line)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _json_values(text, path):
    """Objects that take several lines each, one after another."""
    decoder = json.JSONDecoder(object_pairs_hook=unique_keys)
    rows, place = [], GAP.match(text).end()
    while place < len(text):
        try:
            row, place = decoder.raw_decode(text, place)
        except ValueError as error:
            raise ManifestError(
                f"{path} is not JSON after {len(rows)} objects."
            ) from error
        if not isinstance(row, dict):
            raise ManifestError(f"{path} holds {row!r}, no JSON object.")
        rows.append(row)
        place = GAP.match(text, place).end()
    return rows
