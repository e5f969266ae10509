"""Manifests are written as Arrow: a column for what all rows have."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechbrain_c2ser.data.atomic import written_beside
from speechbrain_c2ser.data.data_root import below_data_root
from speechbrain_c2ser.data.errors import ManifestError

if TYPE_CHECKING:
    import pyarrow

TEXTS = (
    *("id", "wav", "emotion", "language", "speaker", "gender"),
    *("transcript", "dataset"),
)
NUMBERS = ("duration", "start", "stop")
MORE = "more"  # every other field, as JSON
BATCH = 1000  # rows


def manifest_schema() -> "pyarrow.Schema":
    """Columns of an Arrow manifest.

    Returns
    -------
    pyarrow.Schema
        Texts, numbers, and ``more``: a JSON object of all other fields.
    """
    pyarrow = arrow()
    return pyarrow.schema(
        [(name, pyarrow.string()) for name in TEXTS]
        + [(name, pyarrow.float64()) for name in NUMBERS]
        + [(MORE, pyarrow.string())]
    )


def as_columns(key: str, row: Mapping) -> dict:
    """A manifest row as the columns of :func:`manifest_schema`.

    Arguments
    ---------
    key : str
        Its id.
    row : Mapping
        Its fields.

    Returns
    -------
    dict

    Example
    -------
    >>> as_columns("a", {"wav": "a.wav", "duration": 1, "votes": [1]})["more"]
    '{"votes": [1]}'
    """
    columns: dict[str, Any] = {"id": key}
    rest = {}
    for name, value in row.items():
        if name in TEXTS and isinstance(value, str) and name != "id":
            columns[name] = value
        elif name in NUMBERS and type(value) in (int, float):
            columns[name] = float(value)
        elif name != "id" and value is not None:
            rest[name] = value
    if rest:
        columns[MORE] = json.dumps(rest, ensure_ascii=False)
    return columns


def write_arrow_manifest(
    items: Mapping | Iterable[tuple], path: str | Path
) -> int:
    """Write a manifest as Arrow, whole or not at all, a batch at a time.

    Arguments
    ---------
    items : Mapping | iterable of (str, dict)
        Id -> row.
    path : str | Path
        The .arrow file; wavs below its folder are written relative to it.

    Returns
    -------
    int
        Rows.
    """
    pyarrow = arrow()
    pairs = items.items() if isinstance(items, Mapping) else items
    folder = Path(path).parent

    def batches():
        rows = []
        for key, row in pairs:
            wav = below_data_root(row["wav"], folder)
            rows.append(as_columns(key, {**row, "wav": wav}))
            if len(rows) == BATCH:
                yield rows
                rows = []
        if rows:
            yield rows

    schema = manifest_schema()
    return write_batches(
        (
            pyarrow.RecordBatch.from_pylist(rows, schema=schema)
            for rows in batches()
        ),
        schema,
        path,
    )


def write_batches(batches: Iterable, schema: Any, path: str | Path) -> int:
    """Write batches as an Arrow file, whole or not at all.

    Arguments
    ---------
    batches : iterable of pyarrow.RecordBatch
        Their rows.
    schema : pyarrow.Schema
        Their columns.
    path : str | Path
        Replaced if it exists.

    Returns
    -------
    int
        Rows.
    """
    pyarrow = arrow()
    count = 0
    with written_beside(path) as part:
        with pyarrow.OSFile(str(part), "wb") as sink:
            with pyarrow.ipc.new_file(sink, schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)
                    count += batch.num_rows
    return count


def arrow() -> Any:
    """The module pyarrow, or an error that says how to get it.

    Returns
    -------
    module

    Raises
    ------
    ManifestError
        Where it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise ManifestError(
            "Parquet and Arrow files need pyarrow: pip install "
            "'speechbrain_c2ser[datasets]'."
        ) from error
    return pyarrow
