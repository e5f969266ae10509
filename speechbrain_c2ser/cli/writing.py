"""Results as text, JSON, JSON lines, CSV, RTTM, or a document of each."""

import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from speechbrain_c2ser.cli.channels import as_row, groups_of
from speechbrain_c2ser.cli.terminal import is_utf8, one_line, tell, to_json
from speechbrain_c2ser.data.atomic import is_device, part_of, shortened
from speechbrain_c2ser.data.cells import csv_line
from speechbrain_c2ser.timelines.documents import (
    DOCUMENTS,
    check_format,
    csv_rows,
    document_of,
    rttm_lines,
    rttm_name,
)

FULL = ": free some space, or write elsewhere"
MANY = 10  # recordings whose failures are worth a count


@contextmanager
def opened_output(path: str | None) -> Iterator:
    """Standard output, or a file that is there when all is written.

    Arguments
    ---------
    path : str | None
        The file; None = standard output.

    Yields
    ------
    text file
    """
    if path is None:
        yield sys.stdout
        return
    options = {"encoding": "utf-8", "errors": "backslashreplace"}
    if is_device(path):  # /dev/stdout, a named pipe
        with open(path, "w", newline="", **options) as file:
            yield file
        return
    part = part_of(path, f".{os.getpid()}.part")
    with open(part, "w", newline="", **options) as file:
        try:
            yield file
        finally:
            # What was done before an interruption is kept.
            file.close()
            os.replace(part, path)


def check_output(
    form: str, output: str | None, recordings: list, resume: bool = False
) -> None:
    """Refuse a format or place that cannot be, before anything is loaded.

    Arguments
    ---------
    form : str
        Of the results.
    output : str | None
        File or folder; None = standard output.
    recordings : list
        Of :func:`~speechbrain_c2ser.cli.inputs.find_recordings`.
    resume : bool
        Whether documents that are there are those of a run that goes on.

    Raises
    ------
    ValueError
        Says what to give instead.
    """
    check_format(form)
    if output is not None and not output.strip():
        raise ValueError("-o is empty: give -o PATH, or leave it out.")
    count = len(groups_of(recordings))
    if form in DOCUMENTS and count > 1:
        if output is None:
            raise ValueError(
                f"A document in {form} is of one recording, and these are "
                f"{count}: give -o FOLDER."
            )
        if os.path.isfile(output):
            raise ValueError(
                f"{output} is a file, and {count} recordings in {form} need a "
                "folder: give -o FOLDER."
            )
    if form in DOCUMENTS and _in_folder(output, count) and not resume:
        # Beside recordings lie transcripts, of the same names.
        homes = {_home(str(as_row(each)["wav"])) for each in recordings}
        for name in document_paths(recordings, form):
            path = os.path.join(output, name)
            if os.path.lexists(path) and _home(path) in homes:
                raise ValueError(
                    f"{path} exists and would be overwritten: give another -o."
                )
    if output is not None and form not in DOCUMENTS and os.path.isdir(output):
        raise ValueError(
            f"{output} is a folder, and {form} is one file: give -o FILE."
        )
    folder = os.path.dirname(output or "")
    if folder and form not in DOCUMENTS and not os.path.isdir(folder):
        raise ValueError(f"There is no folder {folder} for {output}.")


def write_results(
    rows: Iterable,
    recordings: list,
    options,
    as_record: Callable,
    as_text: Callable,
    by_segment: bool = False,
) -> int:
    """Write each result as it comes; errors go to standard error.

    Arguments
    ---------
    rows : iterable of FileResult
        In the order of the recordings.
    recordings : list
        Of :func:`~speechbrain_c2ser.cli.inputs.find_recordings`.
    options : argparse.Namespace
        With ``format`` and ``output``.
    as_record : callable
        ``(row, recording) -> dict``, as of ``result_schema``.
    as_text : callable
        ``record -> str``, its lines.
    by_segment : bool
        Whether CSV has a row for each segment, else for each recording.

    Returns
    -------
    int
        1 when a recording failed, else 0.
    """
    failed = done = 0
    documents = options.format in DOCUMENTS
    if documents:
        writer = _Documents(options.format, options.output, recordings)
    else:
        writer = _Joined(options.format, options.output, as_text, by_segment)
    with writer as write:
        for number, row in enumerate(rows):
            error, record = row.error, None
            if error is None:
                record = as_record(row, recordings[number])
            try:
                write(record, number)
            except BrokenPipeError:
                raise
            except OSError as problem:
                if not documents:
                    raise
                error = f"{row.path}: its document: {problem}"
                if problem.errno == errno.ENOSPC:
                    error += FULL
            if error is None:
                done += 1
            else:
                failed += 1
                tell(error)
    total = len(recordings)
    if failed and total >= MANY:
        tell(f"{done} of {total} done, {failed} failed")
    return int(failed > 0)


def _home(path):
    return os.path.realpath(os.path.dirname(path))


def _in_folder(output, count):
    """Whether documents are files in a folder, not one file."""
    return output is not None and (
        count > 1 or os.path.isdir(output) or output.endswith(os.sep)
    )


def document_paths(recordings: list, form: str) -> list[str]:
    """Names of the documents of many recordings, each once.

    Neighbours that are channels of one recording share a document.

    Arguments
    ---------
    recordings : list
        Paths, or rows of lists.
    form : str
        Of the documents.

    Returns
    -------
    list of str
        Relative to the folder that was asked for.

    Example
    -------
    >>> document_paths(["a/x.wav", "b/x.wav", "y.wav"], "vtt")
    ['x.vtt', 'x.2.vtt', 'y.vtt']
    """
    names: list[str] = []
    taken: set[str] = set()
    for group in groups_of(recordings):
        recording = recordings[group[0]]
        row = as_row(recording)
        stem = str(row.get("id") or Path(row["wav"]).stem)
        # An id may be a path, and leads nowhere.
        stem = stem.replace("\\", "_").replace("/", "_").lstrip(".") or "_"
        if len(group) == 1 and row.get("channel") is not None:
            stem = f"{stem}.ch{row['channel'] + 1}"
        names += len(group) * [_untaken(stem, DOCUMENTS[form][0], taken)]
    return names


def _untaken(stem, suffix, taken):
    """The name, numbered where another has it already."""
    stem = shortened(stem, f".999{suffix}")
    name, count = f"{stem}{suffix}", 1
    # Some disks take A and a for one.
    while name.casefold() in taken:
        count += 1
        name = f"{stem}.{count}{suffix}"
    taken.add(name.casefold())
    return name


class _Documents:
    """A document of each recording, in a folder where there are many.

    The results of its channels are held until the last of them is there.
    """

    def __init__(self, form, output, recordings):
        self._form, self._output = form, output
        self._names = document_paths(recordings, form)
        groups = groups_of(recordings)
        self._last = {group[-1] for group in groups}
        self._held: list[dict] = []
        self._number = 0
        self._folder = _in_folder(output, len(groups))

    def __enter__(self):
        if self._folder:
            os.makedirs(self._output, exist_ok=True)
        return self._write

    def __exit__(self, *_):
        self._save()  # of an interruption

    def _write(self, record, number):
        self._number = number
        if record is not None:
            self._held.append(record)
        if number in self._last:
            self._save()

    def _save(self):
        records, self._held = self._held, []
        if not records:
            return
        path = self._output
        if self._folder:
            path = os.path.join(path, self._names[self._number])
        with opened_output(path) as file:
            print(document_of(records, self._form), file=file, end="")


class _Joined:
    """All recordings in one file."""

    def __init__(self, form, output, as_text, by_segment):
        self._form, self._as_text, self._first = form, as_text, True
        self._rows = csv_rows if by_segment else _one_row
        # RTTM: recordings by their id or path, and the names given to them.
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()
        self._opened = opened_output(output)

    def __enter__(self):
        self._file = self._opened.__enter__()
        return self._write

    def __exit__(self, *error):
        try:
            if self._form == "json" and error[0] is not BrokenPipeError:
                self._line("[]" if self._first else "]")
        finally:
            self._opened.__exit__(*error)

    def _write(self, record, number):
        if record is None:
            return
        if self._form == "text":
            self._line(self._as_text(record))
        elif self._form == "jsonl":
            self._line(self._json(record))
        elif self._form == "json":
            comma = "[\n" if self._first else ",\n"
            self._line(comma + self._json(record))
        elif self._form == "rttm":
            for line in rttm_lines(record, self._name(record)):
                self._line(line)
        else:
            for row in self._rows(record):
                self._cells(row)
        self._first = False

    def _json(self, record):
        return to_json(record, ascii_only=not is_utf8(self._file))

    def _name(self, record):
        """One for all sides of a recording, and no other recording's."""
        key = record.get("id") or os.path.abspath(record["path"])
        if key not in self._names:
            name = _untaken(rttm_name(record), "", self._taken)
            self._names[key] = name
        return self._names[key]

    def _line(self, text):
        print(text, file=self._file, flush=True)

    def _cells(self, row):
        if not hasattr(self, "_columns"):
            self._columns = list(row)
            self._row(self._columns)
        self._row([row.get(name) for name in self._columns])

    def _row(self, cells):
        if self._file.isatty():
            # A file keeps every character, so that paths are found again.
            cells = [one_line(c) if isinstance(c, str) else c for c in cells]
        self._line(csv_line(cells))


def in_words(record: dict) -> str:
    """What a classifier's head records of a file, in a few words.

    Arguments
    ---------
    record : dict
        Of one of our heads; another one is shown as JSON.

    Returns
    -------
    str

    Example
    -------
    >>> in_words({"values": {"valence": 0.25, "arousal": 0.5}})
    'valence 0.250, arousal 0.500'
    >>> in_words({"segments": [[0.0, 1.5, "sad"]]})
    '0.0-1.5 s sad'
    """
    if "probabilities" in record:
        label = record["label"]
        return f"{label} {record['probabilities'][label]:.3f}"
    if "values" in record:
        return ", ".join(f"{k} {v:.3f}" for k, v in record["values"].items())
    if "each" in record:
        shares = record["each"]
        words = [f"{k} {shares[k]:.3f}" for k in record["labels"]]
        return ", ".join(words) or "none"
    if "segments" in record:
        return ", ".join(
            f"{start:.1f}-{end:.1f} s {label}"
            for start, end, label in record["segments"]
        )
    if "tracks" in record:
        return ", ".join(
            f"{name} {min(numbers):.3f} to {max(numbers):.3f}"
            for name, numbers in record["tracks"].items()
        )
    return to_json(record)


def _of_heads(heads):
    """Cells of heads' records: plain numbers have a column each."""
    for name, record in heads.items():
        if "probabilities" in record:
            yield name, record["label"]
        elif "values" in record or "each" in record:
            numbers = record.get("values") or record["each"]
            for label, number in numbers.items():
                yield f"{name}_{label}", round(number, 6)
        else:
            yield name, to_json(record)


def _one_row(record):
    """Cells of a record: a column for each label's probability."""
    row = {}
    for name, value in record.items():
        if name == "probabilities":
            shares = value or {}
            row |= {f"p_{label}": round(p, 6) for label, p in shares.items()}
        elif name == "heads":
            row |= dict(_of_heads(value))
        elif name == "style":
            row[name] = to_json(value) if value else None
        elif name not in ("schema", "labels", "windows", "segments"):
            row[name] = value
    yield row
