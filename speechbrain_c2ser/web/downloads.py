"""Results of many recordings as files to take away."""

import json
import os
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

from speechbrain_c2ser.data.cells import csv_line
from speechbrain_c2ser.timelines.documents import csv_rows, document_of


def write_downloads(records: list[dict], folder: str | Path) -> list:
    """CSV (a row for each segment), JSON and TextGrids of results.

    Arguments
    ---------
    records : list of dict
        As of ``result_schema``, of one model.
    folder : str | Path
        A new folder of the files is made in it.

    Returns
    -------
    list of (str | None)
        Paths of the three; None where there is nothing to write, or where
        the library of TextGrids is not installed.
    """
    if not records:
        return [None, None, None]
    place = Path(tempfile.mkdtemp(prefix="results-", dir=folder))
    rows = [row for record in records for row in csv_rows(record)]
    table = place / "emotions.csv"
    # With a mark, so that spreadsheets read Chinese names.
    with open(table, "w", encoding="utf-8-sig", newline="") as file:
        for cells in (rows[0], *(row.values() for row in rows)):
            file.write(f"{csv_line(cells)}\r\n")
    listed = place / "emotions.json"
    listed.write_text(
        json.dumps(records, ensure_ascii=False, indent=1, allow_nan=False),
        encoding="utf-8",
    )
    return [str(table), str(listed), _textgrids(records, place)]


def _textgrids(records, place):
    """One TextGrid, or a ZIP of many; None without its library."""
    if find_spec("praatio") is None:
        return None
    names: set[str] = set()
    documents = {}
    for record in records:
        stem = os.path.splitext(record["path"])[0]
        name, count = f"{stem}.TextGrid", 1
        while name.lower() in names:
            count += 1
            name = f"{stem}.{count}.TextGrid"
        names.add(name.lower())
        documents[name] = document_of(record, "textgrid")
    if len(documents) == 1:
        ((name, text),) = documents.items()
        path = place / name
        path.write_text(text, encoding="utf-8")
        return str(path)
    path = place / "textgrids.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in documents.items():
            archive.writestr(name, text)
    return str(path)
