"""Results as text, JSON, JSON lines or CSV."""

import csv
import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from speechbrain_c2ser.cli.terminal import one_line, to_json

FORMATS = ("text", "json", "jsonl", "csv")
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
    part = f"{path}.part"
    options = {"encoding": "utf-8", "errors": "backslashreplace"}
    with open(part, "w", newline="", **options) as file:
        try:
            yield file
        finally:
            # What was done before an interruption is kept.
            file.close()
            os.replace(part, path)


def write_results(
    rows: Iterable, recordings: list, model: str, options, as_text, as_record
) -> int:
    """Write each result as it comes; errors go to standard error.

    Arguments
    ---------
    rows : iterable of FileResult
        In the order of the recordings.
    recordings : list
        Of :func:`~speechbrain_c2ser.cli.inputs.find_recordings`.
    model : str
        Name of the model, for the records.
    options : argparse.Namespace
        With ``format`` and ``output``.
    as_text : callable
        ``row -> str``, its lines.
    as_record : callable
        ``row -> dict`` of what JSON and CSV say about it.

    Returns
    -------
    int
        1 when a recording failed, else 0.
    """
    failed = done = 0
    with opened_output(options.output) as file:
        write = _Writer(options.format, file)
        try:
            for row, recording in zip(rows, recordings, strict=True):
                if row.error is not None:
                    failed += 1
                    print(f"c2ser: {one_line(row.error)}", file=sys.stderr)
                    continue
                done += 1
                if options.format == "text":
                    write.line(as_text(row))
                else:
                    write.record(_head(row, recording, model) | as_record(row))
        finally:
            write.end()
    total = len(recordings)
    if failed and total >= MANY:
        print(
            f"c2ser: {done} of {total} done, {failed} failed", file=sys.stderr
        )
    return int(failed > 0)


def _head(row, recording, model):
    """What every record begins with."""
    head = {
        "version": version("speechbrain_c2ser"),
        "model": model,
        "path": row.path,
    }
    if isinstance(recording, dict):
        head["id"] = recording["id"]
        head["start"] = recording.get("start")
        head["end"] = recording.get("stop")
    return head


class _Writer:
    def __init__(self, form, file):
        self._form, self._file, self._first = form, file, True

    def line(self, text):
        print(text, file=self._file, flush=True)

    def record(self, record):
        if self._form == "jsonl":
            self.line(to_json(record))
        elif self._form == "json":
            self.line(("[\n" if self._first else ",\n") + to_json(record))
        else:
            record = _flat(record)
            if self._first:
                self._columns = list(record)
                self._cells(self._columns)
            self._cells(record.get(name) for name in self._columns)
        self._first = False

    def end(self):
        if self._form == "json":
            self.line("[]" if self._first else "]")

    def _cells(self, cells):
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(cells)
        self.line(text.getvalue())


def _flat(record):
    """Cells of a record: a column for each label's probability."""
    flat = {}
    for name, value in record.items():
        if name == "probabilities":
            flat |= {f"p_{label}": round(p, 6) for label, p in value.items()}
        elif name == "style":
            flat[name] = to_json(value) if value else None
        elif name != "windows":
            flat[name] = value
    return flat
