"""Tables of utterances from files: the one reader of all of them.

JSON, JSON lines, CSV and TSV, as people, spreadsheets and pandas write them.
Lists of recordings are in ``lists.py``. What columns mean is in ``columns.py``.
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
    FIELDS,
    PREDICTED,
    as_number,
    as_seconds,
    bare,
    fields_of,
    is_missing,
    plain_name,
)
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.text_files import read_text

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
GAP = re.compile(r"[\s,]*")  # between JSON objects
SPREADSHEETS = (".xls", ".xlsx", ".ods")
ARROW = (".parquet", ".arrow")
JSON_LINES = (".jsonl", ".ndjson")
EXCEL_TEXT = re.compile(r'="(.*)"')  # that keeps the zeros of ="007"
RULE = re.compile(r"[:\s]*-{2,}[:\s]*")  # below the header in Markdown
FAIRSEQ = re.compile(r"[^\t]+\t\d+")  # a path, its number of samples
ACCEPTED = "give CSV with a header, JSON lines or JSON"
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
KNOWN = frozenset(
    plain_name(name)
    for fields in (FIELDS, PREDICTED)
    for names in fields.values()
    for name in names.split()
)
# A text field of a table may be long: an answer that loops.
csv.field_size_limit(10**9)


def read_table(path: str | Path) -> list[dict]:
    """Rows of a JSONL, JSON, CSV or TSV file as dictionaries.

    Arguments
    ---------
    path : str | Path
        One JSON object a line (.jsonl, or .json); a list of objects, or one
        object id -> object, which gets the id as "id" (.json); or a table
        with a header (.csv, .tsv), divided by what its header is divided by:
        commas, semicolons, tabs or bars; or .parquet or .arrow. In any
        encoding of
        :func:`~speechbrain_c2ser.data.text_files.decode`.

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
            rows = _arrow_rows(path)
            return [{name: _cell(v) for name, v in row.items()} for row in rows]
        _check_text(path)
        text = read_text(path)
        if suffix in DELIMITERS or _is_table(text, suffix):
            rows = _csv_rows(text, path, DELIMITERS.get(suffix, ","))
        elif suffix == ".json" or text.lstrip().startswith("["):
            rows = _json_rows(text, path)
        elif suffix in JSON_LINES or text.lstrip()[:1] in "{/":
            rows = _json_lines(text, path)
        else:
            rows = _spaced_rows(text, path)
    except (OSError, UnicodeDecodeError, csv.Error, RecursionError) as error:
        raise ManifestError(f"{path} cannot be read: {error}.") from error
    if not rows:
        raise ManifestError(f"The manifest {path} is empty.")
    return [{name: _cell(v) for name, v in row.items()} for row in rows]


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


def _is_table(text, suffix):
    """Whether a file of another suffix is divided as a table is."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    if suffix in (".json", ".jsonl", ".ndjson") or first.strip()[:1] in "{[":
        return False
    return any(sign in first for sign in ",;\t|")


def _csv_rows(text, path, usual):
    text, delimiter = _without_preamble(text.rstrip("\x1a\0"), usual)
    # A manifest of fairseq: below the folder that its first line names.
    folder, *lines = [line.strip() for line in text.splitlines()] or [""]
    lines = [line for line in lines if line]
    if "\t" not in folder and lines and all(map(FAIRSEQ.fullmatch, lines)):
        return [{"wav": f"{folder}/{line.split(chr(9))[0]}"} for line in lines]
    try:
        return _divided_rows(text, path, delimiter, None)
    except ManifestError:
        if '\\"' not in text:
            raise
        # Spark writes a quotation mark in a text as \".
        return _divided_rows(text, path, delimiter, "\\")


def _divided_rows(text, path, delimiter, escape):
    single = '"' not in text and re.search(r"(?m)^'[^'\n]*'\s*[,;\t|]", text)
    quote = "'" if single else '"'
    lines = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quotechar=quote,
        escapechar=escape,
    )
    header, rows = None, []
    for cells in lines:
        cells = [EXCEL_TEXT.sub(r"\1", bare(cell)) for cell in cells]
        if not any(cells) or all(RULE.fullmatch(c) for c in cells if c):
            continue
        if header is None:
            header = cells
            _check_header(header, path)
            continue
        if any(cells[len(header) :]):
            raise ManifestError(
                f"Line {lines.line_num} of {path} has {len(cells)} cells, "
                f"its header {len(header)}: put texts that hold the "
                "delimiter in double quotes."
            )
        cells += [""] * (len(header) - len(cells))
        row = dict(zip(header, cells, strict=False))
        # pandas writes its row numbers under no name.
        rows.append({k: v for k, v in row.items() if k and k != "Unnamed: 0"})
    if rows and text.count(quote) % 2 and "\n" in list(row.values())[-1]:
        raise ManifestError(
            f"A quotation mark of {path} is never closed, in or before the row "
            f"{next(iter(row.values()))!r}: close it."
        )
    return rows


def _spaced_rows(text, path):
    """Columns with blanks between, or ``ID LABEL`` a line as Kaldi has it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    pairs = [line.split(maxsplit=1) for line in lines]
    odd = next((p for p in pairs if len(p) < 2 or p[0][0] in "-<[#"), None)
    if odd is not None or not lines:
        raise ManifestError(
            f"{path} is no table: a line is {' '.join(odd or [''])[:60]!r}; "
            f"{ACCEPTED}."
        )
    header = lines[0].split()
    if all(plain_name(name) in KNOWN for name in header):
        _check_header(header, path)
        cells = [line.split(maxsplit=len(header) - 1) for line in lines[1:]]
        return [dict(zip(header, each, strict=False)) for each in cells]
    field = "text" if any(len(line.split()) > 2 for line in lines) else "label"
    return [{"id": key, field: value} for key, value in pairs]


def _without_preamble(text, usual):
    """A table without Excel's ``sep=;`` and comments, and what divides it."""
    while True:
        line, end, rest = text.lstrip("\r\n").partition("\n")
        excel = re.fullmatch(r"sep=(.)\s*", line, re.IGNORECASE)
        if excel:
            return rest, excel[1]
        comment = line.startswith("#") and not set(line) & set(",;\t|")
        if not (comment and end):
            return text, _delimiter(text, usual)
        text = rest


def _delimiter(text, usual):
    """What divides the header; a sign within quotes does not."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    outside = "".join(header.split('"')[::2])
    return max((usual, ",", ";", "\t", "|"), key=outside.count)


def _check_header(header, path):
    names = [name for name in header if name]
    heard = [n for n in names if Path(n).suffix.lower() in SOUNDS]
    if heard:
        raise ManifestError(
            f"{path} has no header: its first line holds the recording "
            f"{heard[0]!r}; write the columns' names above it."
        )
    for name in names:
        if names.count(name) > 1:
            raise ManifestError(f"{path} has two columns {name!r}.")


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
                {column: cells[number] for column, cells in content.items()}
                for number in rows[0]
            ]
    return [{"id": key, **row} for key, row in content.items()]


def _rows_of_lists(content):
    """Rows in a list under some name, of pandas' columns, or of one row."""
    lists = {k: v for k, v in content.items() if isinstance(v, list)}
    if {"columns", "data"} <= lists.keys() and all(
        isinstance(row, list) for row in lists["data"]
    ):
        columns = list(map(str, lists["columns"]))
        return [dict(zip(columns, row, strict=False)) for row in lists["data"]]
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
    for number, line in enumerate(io.StringIO(text), 1):
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
