"""Manifests as Arrow: a million rows that no process reads whole.

The file is mapped into memory, so further processes share its pages, and a row
is made when it is asked for.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechbrain_c2ser.data.atomic import written_beside
from speechbrain_c2ser.data.manifest import DATA_ROOT, ManifestError

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


def as_row(columns: dict, root: str) -> dict:
    """Back from :func:`as_columns`, ``{data_root}`` filled in.

    Arguments
    ---------
    columns : dict
        Column -> value.
    root : str
        Folder that ``{data_root}`` stands for.

    Returns
    -------
    dict
        The row, without its id.

    Example
    -------
    >>> as_row({"id": "a", "wav": "{data_root}/a.wav", "stop": None}, "r")
    {'wav': 'r/a.wav'}
    """
    row = {
        name: columns[name]
        for name in (*TEXTS[1:], *NUMBERS)
        if columns.get(name) is not None
    }
    if columns.get(MORE):
        row |= json.loads(columns[MORE])
    if "wav" in row:
        row["wav"] = row["wav"].replace(DATA_ROOT, root)
    return row


class ArrowManifest(Mapping):
    """Rows of an Arrow manifest, each read when it is asked for.

    Arguments
    ---------
    path : str | Path
        A file of :func:`write_arrow_manifest`.
    data_root : str | Path | None
        What ``{data_root}`` stands for; None = the manifest's folder.

    Raises
    ------
    ManifestError
        If the file is missing, no Arrow manifest, cut or empty, or holds an id
        twice.

    Example
    -------
    >>> path = getfixture("tmpdir") / "train.arrow"
    >>> write_arrow_manifest([("a", {"wav": "a.wav", "duration": 1.0})], path)
    1
    >>> ArrowManifest(path)["a"]
    {'wav': 'a.wav', 'duration': 1.0}
    """

    def __init__(self, path: str | Path, data_root: str | Path | None = None):
        self.path = str(path)
        self.root = os.path.abspath(data_root or Path(path).parent)
        self._open()
        if not len(self._table):
            raise ManifestError(f"The manifest {path} is empty.")
        self._check_ids()

    def _open(self):
        pyarrow = arrow()
        try:
            self._map = pyarrow.memory_map(self.path)
            self._table = pyarrow.ipc.open_file(self._map).read_all()
        except FileNotFoundError as error:
            raise ManifestError(f"There is no manifest {self.path}.") from error
        except (pyarrow.ArrowException, OSError) as error:
            raise ManifestError(
                f"The manifest {self.path} cannot be read: {error}."
            ) from error
        names = set(self._table.column_names)
        if not {"id", "wav", "duration", MORE} <= names:
            raise ManifestError(
                f"{self.path} is no manifest (its columns: "
                f"{', '.join(sorted(names))})."
            )

    def _check_ids(self):
        """Sort the ids' hashes: 12 bytes a row tell where each one is."""
        import numpy
        import pyarrow.compute as compute

        ids = self._table["id"]
        self._hashes = numpy.empty(len(ids), numpy.uint64)
        place = 0
        for chunk in ids.chunks:
            values = [hash_of(key) for key in chunk.to_pylist()]
            self._hashes[place : place + len(values)] = values
            place += len(values)
        order = numpy.argsort(self._hashes, kind="stable")
        self._order = order.astype(numpy.uint32)
        self._hashes = self._hashes[order]
        if (self._hashes[1:] == self._hashes[:-1]).any():
            counts = compute.value_counts(ids)
            for pair in counts.filter(
                compute.greater(counts.field("counts"), 1)
            ).to_pylist()[:1]:
                raise ManifestError(
                    f"The manifest {self.path} holds the item "
                    f"{pair['values']!r} twice."
                )

    def __getstate__(self):
        # A worker that is spawned maps the file itself.
        return {
            name: value
            for name, value in self.__dict__.items()
            if name not in ("_table", "_map")
        }

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._open()

    def __len__(self):
        return len(self._table)

    def __iter__(self) -> Iterator[str]:
        for batch in self._table.select(["id"]).to_batches():
            yield from batch.column(0).to_pylist()

    def __getitem__(self, key: str) -> dict:
        import numpy

        place = int(numpy.searchsorted(self._hashes, hash_of(key)))
        while place < len(self) and self._hashes[place] == hash_of(key):
            (columns,) = self._table.slice(
                int(self._order[place]), 1
            ).to_pylist()
            if columns["id"] == key:
                return as_row(columns, self.root)
            place += 1
        raise KeyError(key)

    def items(self):
        """(id, row), batch by batch."""
        for batch in self._table.to_batches(max_chunksize=BATCH):
            for columns in batch.to_pylist():
                yield columns["id"], as_row(columns, self.root)

    def column(self, name: str) -> "pyarrow.ChunkedArray":
        """A column of all rows, without making the rows.

        Arguments
        ---------
        name : str
            Of :func:`manifest_schema`.

        Returns
        -------
        pyarrow.ChunkedArray
        """
        return self._table[name]


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
    prefix = os.path.abspath(Path(path).parent) + os.sep

    def batches():
        rows = []
        for key, row in pairs:
            wav = str(row["wav"])
            if wav.startswith(prefix):
                wav = f"{DATA_ROOT}/{Path(wav[len(prefix) :]).as_posix()}"
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


def hash_of(key: str) -> int:
    """64 bits of an id, the same in every process.

    Example
    -------
    >>> hash_of("a") == hash_of("a") != hash_of("b")
    True
    """
    import hashlib

    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


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
