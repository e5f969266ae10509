"""Text that is divided into cells: CSV, TSV, Markdown, blanks, Kaldi's."""

import csv
import io
import re
from pathlib import Path

from speechbrain_c2ser.audio.formats import SOUNDS
from speechbrain_c2ser.data.cells import OURS, from_cell
from speechbrain_c2ser.data.columns import FIELDS, PREDICTED, bare, plain_name
from speechbrain_c2ser.data.errors import ManifestError

EXCEL_TEXT = re.compile(r'="(.*)"')  # that keeps the zeros of ="007"
RULE = re.compile(r"[:\s]*-{2,}[:\s]*")  # below the header in Markdown
FAIRSEQ = re.compile(r"[^\t]+\t\d+")  # a path, its number of samples
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(?=\s|$)|(\S+)')  # a word of R's
INDEX = "__index_level_0__"  # pyarrow's name of what pandas leaves nameless
NAMELESS = ("", "Unnamed: 0")
NEVER_WRITTEN = "\t|"  # delimiters that texts do not hold
ACCEPTED = "give CSV with a header, JSON lines or JSON"
KNOWN = frozenset(
    plain_name(name)
    for fields in (FIELDS, PREDICTED)
    for names in fields.values()
    for name in names.split()
)
# Columns that say which utterance a row is of.
NAMING = frozenset(
    map(plain_name, f"{PREDICTED['id']} {FIELDS['wav']}".split())
)
# A text field of a table may be long: an answer that loops.
csv.field_size_limit(10**9)


def is_delimited(text: str, suffix: str) -> bool:
    """Whether a file of another suffix is divided as a table is.

    Arguments
    ---------
    text : str
        Of the file.
    suffix : str
        Of its name, in lower case.

    Returns
    -------
    bool
        Not for ``ID TAB LABEL`` a line, as Kaldi has it, without a header.

    Example
    -------
    >>> is_delimited("id;label\\na;sad", ".txt"), is_delimited("a sad", ".txt")
    (True, False)
    """
    lines = [line for line in text.splitlines() if line.strip()] or [""]
    if suffix in (".json", ".jsonl", ".ndjson") or (
        lines[0].strip()[:1] in "{["
    ):
        return False
    if _is_tabbed(lines) and not KNOWN & _plain(lines[0].split("\t")):
        return False
    return any(sign in lines[0] for sign in ",;\t|")


def _is_tabbed(lines):
    return all(line.count("\t") == 1 for line in lines)


def _plain(names):
    return set(map(plain_name, names))


def delimited_rows(text: str, path: Path, usual: str) -> list[dict]:
    """Rows of a table with a header.

    Arguments
    ---------
    text : str
        Of the file.
    path : Path
        What the errors call it.
    usual : str
        What divides it, where its header does not tell.

    Returns
    -------
    list of dict
        Column -> text; a first column that has no name is ``INDEX``.

    Raises
    ------
    ManifestError
        Names the line that has too many cells, or the row where a quotation
        mark is not closed.

    Example
    -------
    >>> delimited_rows("id;label\\na;sad", Path("a.csv"), ",")
    [{'id': 'a', 'label': 'sad'}]
    """
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
    lines = io.StringIO(text, newline="").readlines()
    table = _table(lines, path, delimiter, quotechar=quote, escapechar=escape)
    if not table:
        return []
    (_, _, header), *body = table
    # R names the columns, but not that of its row names.
    is_of_r = (
        all(lines[start].startswith(quote) for start, _, _ in table)
        and all(len(cells) == len(header) + 1 for _, _, cells in body)
        and any(cells[-1] for _, _, cells in body)
    )
    header = [""] * is_of_r + header
    # Another's table has a mark only where it belongs to the text.
    is_ours = set(header) >= OURS
    if is_ours:
        header = list(map(from_cell, header))
    _check_header(header, path)
    if header[0] in NAMELESS:
        header[0] = INDEX
    rows = []
    for _, number, cells in body:
        if any(cells[len(header) :]):
            raise ManifestError(
                f"Line {number} of {path} has {len(cells)} cells, "
                f"its header {len(header)}: put texts that hold the "
                "delimiter in double quotes, and name each column."
            )
        if is_ours:
            cells = list(map(from_cell, cells))
        cells += [""] * (len(header) - len(cells))
        row = dict(zip(header, cells, strict=False))
        # pandas writes its row numbers under no name.
        rows.append({k: v for k, v in row.items() if k not in NAMELESS})
    return rows


def _table(lines, path, delimiter, **quotes):
    """Rows of cells, of which no quotation mark swallows further rows."""
    dialect = {"delimiter": delimiter, **quotes}
    table = list(_read(lines, **dialect))
    width = len(table[0][2]) if table else 0
    swallows, spans = None, None
    for start, stop, cells in table:
        own = [line for line in lines[start:stop] if line.strip()]
        spans = cells if len(own) > 1 else None
        if (
            spans
            and any(delimiter in cell for cell in cells)
            and all(line.count(delimiter) == width - 1 for line in own)
            and (delimiter in NEVER_WRITTEN or not _is_closed(own, dialect))
        ):
            swallows = swallows or cells
    if delimiter in NEVER_WRITTEN and swallows:
        # A mark is a mark there: Common Voice quotes nothing.
        plain = _read(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
        table = list(plain)
        if all(len(cells) <= width for _, _, cells in table):
            return table
    elif (
        not swallows and spans and "".join(lines).count(quotes["quotechar"]) % 2
    ):
        swallows = spans
    elif not swallows:
        return table
    raise ManifestError(
        f"A quotation mark of {path} is never closed, in or before the row "
        f"{swallows[0][:60]!r}: close it."
    )


def _read(lines, **dialect):
    """(first line, line behind the last, cells) of each row with a value."""
    reader, start = csv.reader(lines, **dialect), 0
    for cells in reader:
        cells = [_text_of(bare(cell)) for cell in cells]
        if any(cells) and not all(RULE.fullmatch(c) for c in cells if c):
            yield start, reader.line_num, cells
        start = reader.line_num


def _text_of(cell):
    found = EXCEL_TEXT.fullmatch(cell)
    return found[1] if found else cell


def _is_closed(lines, dialect):
    """Whether quotation marks stand around whole cells of a row alone."""
    mark, end = dialect["quotechar"], re.escape(dialect["delimiter"])
    # A blank behind a closing mark is none of a text.
    lines = [re.sub(rf"{mark} +(?={end}|\s*$)", mark, line) for line in lines]
    try:
        return bool(list(csv.reader(lines, strict=True, **dialect)))
    except csv.Error:
        return False


def spaced_rows(text: str, path: Path) -> list[dict]:
    """Columns with blanks between, or ``ID LABEL`` a line as Kaldi has it.

    Arguments
    ---------
    text : str
        Of the file.
    path : Path
        What the errors call it.

    Returns
    -------
    list of dict
        As of :func:`delimited_rows`.

    Raises
    ------
    ManifestError
        If it is neither.

    Example
    -------
    >>> spaced_rows("a sad\\nb angry", Path("utt2emo"))
    [{'id': 'a', 'label': 'sad'}, {'id': 'b', 'label': 'angry'}]
    """
    whole = [line for line in text.splitlines() if line.strip()]
    lines = [line.strip() for line in whole]
    divider = "\t" if _is_tabbed(lines) else None
    pairs = [line.split(divider, maxsplit=1) for line in lines]
    table = _printed_rows(whole, path)
    odd = next(
        (p for p in pairs[table is not None :]
         if len(p) < 2 or p[0][0] in "-<[#"), None)  # fmt: skip
    if odd is not None or not lines:
        raise ManifestError(
            f"{path} is no table: a line is {' '.join(odd or [''])[:60]!r}; "
            f"{ACCEPTED}."
        )
    if table is not None:
        return table
    header = lines[0].split()
    if all(plain_name(name) in KNOWN for name in header):
        _check_header(header, path)
        cells = [line.split(maxsplit=len(header) - 1) for line in lines[1:]]
        return [dict(zip(header, each, strict=False)) for each in cells]
    is_text = any(len(value.split()) > 1 for _, value in pairs)
    field = "text" if is_text else "label"
    return [{"id": key.strip(), field: value.strip()} for key, value in pairs]


def _printed_rows(lines, path):
    """Rows as R writes, and as R and pandas show them; None for no table."""
    quoted = all(line.startswith('"') for line in lines)
    header, *body = [_words(line, quoted) for line in lines] or [[]]
    sizes, names = {len(words) for words in body}, _plain(header)
    # Row names have no name: what is printed leaves blanks instead.
    indented = any(line[:1].isspace() for line in lines[:1]) and not any(
        line[:1].isspace() for line in lines[1:]
    )
    is_shifted = sizes == {len(header) + 1} and (
        quoted or indented and bool(names & KNOWN)
    )
    is_named = (
        sizes == {len(header)}
        and (
            quoted
            and bool(names & KNOWN)
            or plain_name(header[0]) in NAMING
            # An utterance of Kaldi's may be called "file".
            and (len(header) > 2 or _plain(header[1:]) <= KNOWN)
        )
    )
    if not (is_shifted or is_named):
        return None
    _check_header(header, path)
    header = [INDEX] * is_shifted + header
    return [dict(zip(header, words, strict=True)) for words in body]


def _words(line, quoted):
    if not quoted:
        return line.split()
    return [a.replace('\\"', '"') or b for a, b in QUOTED.findall(line)]


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
    return max((usual, ",", ";", "\t", "|", "，"), key=outside.count)


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
