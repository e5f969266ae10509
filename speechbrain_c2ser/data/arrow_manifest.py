"""Manifests as Arrow: a million rows that no process reads whole.

The file is mapped into memory, so further processes share its pages, and a row
is made when it is asked for.
"""

import json
import os
from collections.abc import (
    Collection,
    ItemsView,
    Iterator,
    Mapping,
    Sequence,
    ValuesView,
)
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

from speechbrain_c2ser.data.arrow_writing import (
    BATCH,
    MORE,
    NUMBERS,
    TEXTS,
    arrow,
)
from speechbrain_c2ser.data.data_root import DATA_ROOT
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.weak import EMOTION, WEAK, WeakCounts, with_weak

if TYPE_CHECKING:
    import pyarrow


def as_row(columns: dict, root: str) -> dict:
    """A row of its columns, ``{data_root}`` filled in.

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


class RowByRow(Mapping):
    """A mapping whose pairs are made one after another, none kept."""

    def pairs(self) -> Iterator[tuple[str, dict]]:
        """(key, value), in their order."""
        raise NotImplementedError

    def items(self):
        """The pairs, as often as they are asked for."""
        return _Items(self)

    def values(self):
        """Their values."""
        return _Values(self)


class _Items(ItemsView):
    def __iter__(self):
        return self._mapping.pairs()


class _Values(ValuesView):
    def __iter__(self):
        return (value for _, value in self._mapping.pairs())


class ArrowManifest(RowByRow):
    """Rows of an Arrow manifest, each read when it is asked for.

    Arguments
    ---------
    path : str | Path
        A file of
        :func:`~speechbrain_c2ser.data.arrow_writing.write_arrow_manifest`,
        or a folder of such shards, which are one manifest in the order of
        their names.
    data_root : str | Path | None
        What ``{data_root}`` stands for; None = the files' folder.
    fields : sequence of str | None
        What a row holds beside its id and recording (wav, duration, start,
        stop); nothing else is read. None is everything.
    label : str
        Field that is a row's emotion: "weak" puts the most probable weak
        label in its place, as :func:`~.weak.with_weak` does.

    Raises
    ------
    ManifestError
        If a file is missing, no Arrow manifest, cut or empty, or an id is
        there twice.

    Example
    -------
    >>> from speechbrain_c2ser.data.arrow_writing import write_arrow_manifest
    >>> path = getfixture("tmpdir") / "train.arrow"
    >>> row = {"wav": "a.wav", "duration": 1.0, "emotion": "sad"}
    >>> write_arrow_manifest([("a", row), ("b", row)], path)
    2
    >>> ArrowManifest(path)["a"]
    {'wav': 'a.wav', 'emotion': 'sad', 'duration': 1.0}
    >>> ArrowManifest(path, fields=()).row(1)
    {'id': 'b', 'wav': 'a.wav', 'duration': 1.0}
    >>> list(ArrowManifest(path).without(["a"]))
    ['b']
    """

    def __init__(
        self,
        path: str | Path,
        data_root: str | Path | None = None,
        fields: Sequence[str] | None = None,
        label: str = EMOTION,
    ):
        self.path = str(path)
        self.label = label
        folder = path if os.path.isdir(path) else Path(path).parent
        self.root = os.path.abspath(data_root or folder)
        self._fields = None if fields is None else tuple(fields)
        self._places = None  # of the rows that are left, ascending
        self._open()
        if not len(self):
            raise ManifestError(f"The manifest {path} is empty.")
        self._check_ids()

    def _open(self):
        pyarrow = arrow()
        names = [self.path]
        if os.path.isdir(self.path):
            names = sorted(map(str, Path(self.path).glob("*.arrow")))
            if not names:
                raise ManifestError(f"The folder {self.path} has no .arrow.")
        tables = []
        for name in names:
            try:
                table = pyarrow.ipc.open_file(pyarrow.memory_map(name))
                tables.append(table.read_all())
            except FileNotFoundError as error:
                raise ManifestError(f"There is no manifest {name}.") from error
            except (pyarrow.ArrowException, OSError) as error:
                raise ManifestError(
                    f"The manifest {name} cannot be read: {error}."
                ) from error
            columns = set(tables[-1].column_names)
            if not {"id", "wav", "duration", MORE} <= columns:
                raise ManifestError(
                    f"{name} is no manifest (its columns: "
                    f"{', '.join(sorted(columns))})."
                )
            tables[-1] = tables[-1].select(self._columns(columns))
        try:
            self._table = pyarrow.concat_tables(tables)
        except pyarrow.ArrowException as error:
            raise ManifestError(
                f"The shards of {self.path} differ in their columns: {error}."
            ) from error
        self._index: tuple | None = None
        self._weak: tuple | None = None

    def _columns(self, there):
        """Names of the columns that are read."""
        order = (*TEXTS, *NUMBERS, MORE)
        wanted = set(order)
        if self._fields is not None:
            wanted = {"id", "wav", *NUMBERS, *self._fields}
            if wanted - set(order) or self.label == WEAK:
                wanted.add(MORE)
        return [name for name in order if name in wanted & there]

    def _find(self):
        """The ids' hashes in order, and the place of each: 12 bytes a row."""
        if self._index is None:
            import numpy

            hashes = numpy.empty(len(self), numpy.uint64)
            place = 0
            for chunk in self.column("id").chunks:
                values = [hash_of(key) for key in chunk.to_pylist()]
                hashes[place : place + len(values)] = values
                place += len(values)
            order = numpy.argsort(hashes, kind="stable").astype(numpy.uint32)
            self._index = hashes[order], order
        return self._index

    def _check_ids(self):
        import pyarrow.compute as compute

        hashes, _ = self._find()
        if (hashes[1:] == hashes[:-1]).any():
            counts = compute.value_counts(self.column("id"))
            for pair in counts.filter(
                compute.greater(counts.field("counts"), 1)
            ).to_pylist()[:1]:
                raise ManifestError(
                    f"The manifest {self.path} holds the item "
                    f"{pair['values']!r} twice."
                )

    def __getstate__(self):
        # A worker that is spawned maps the files itself.
        without = ("_table", "_index", "_weak")
        return {k: v for k, v in self.__dict__.items() if k not in without}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._open()

    def __len__(self):
        rows = self._table if self._places is None else self._places
        return len(rows)

    def __iter__(self) -> Iterator[str]:
        for batch in self._batches(["id"]):
            yield from batch.column(0).to_pylist()

    def __getitem__(self, key: str) -> dict:
        import numpy

        hashes, order = self._find()
        place = int(numpy.searchsorted(hashes, hash_of(key)))
        while place < len(self) and hashes[place] == hash_of(key):
            row = self.row(int(order[place]))
            if row.pop("id") == key:
                return row
            place += 1
        raise KeyError(key)

    def row(self, place: int) -> dict:
        """The row at a place, with its id.

        Arguments
        ---------
        place : int
            From 0.

        Returns
        -------
        dict
        """
        if self._places is not None:
            place = int(self._places[place])
        (columns,) = self._table.slice(place, 1).to_pylist()
        return {"id": columns["id"], **self._row(columns)}

    def _row(self, columns):
        row = as_row(columns, self.root)
        return with_weak(row) if self.label == WEAK else row

    def pairs(self):
        """(id, row), batch by batch."""
        for batch in self._batches():
            for columns in batch.to_pylist():
                yield columns["id"], self._row(columns)

    def _batches(self, names=None):
        """The rows that are left, some thousand at a time."""
        import numpy

        table = self._table if names is None else self._table.select(names)
        start = 0
        for batch in table.to_batches(max_chunksize=BATCH):
            stop = start + len(batch)
            if self._places is not None:
                first, last = numpy.searchsorted(self._places, (start, stop))
                batch = batch.take(
                    arrow().array(self._places[first:last] - start)
                )
            yield batch
            start = stop

    def column(self, name: str) -> "pyarrow.ChunkedArray":
        """A column of all rows, without making the rows.

        Arguments
        ---------
        name : str
            Of :func:`~speechbrain_c2ser.data.arrow_writing.manifest_schema`;
            one that the file does not have is empty.

        Returns
        -------
        pyarrow.ChunkedArray
        """
        if name == EMOTION and self.label == WEAK:
            column = self.weak_labels()[0]
        elif name not in self._table.column_names:
            pyarrow = arrow()
            return pyarrow.chunked_array(
                [pyarrow.nulls(len(self), pyarrow.string())]
            )
        else:
            column = self._table[name]
        return column if self._places is None else column.take(self._places)

    def weak_labels(self) -> tuple["pyarrow.ChunkedArray", WeakCounts]:
        """The weak label of each row of the files, read once.

        Returns
        -------
        labels : pyarrow.ChunkedArray
            The most probable one, or null.
        counts : WeakCounts
            How many there are, and of which models.
        """
        if self._weak is None:
            pyarrow, counts, parts = arrow(), WeakCounts(), []
            names = [
                n for n in (MORE, EMOTION) if n in self._table.schema.names
            ]
            for batch in self._table.select(names).to_batches(BATCH):
                labels = [
                    counts.add(
                        json.loads(row[MORE] or "{}").get(WEAK) or {},
                        row.get(EMOTION) is not None,
                    )
                    for row in batch.to_pylist()
                ]
                parts.append(pyarrow.array(labels, pyarrow.string()))
            labels = pyarrow.chunked_array(parts, pyarrow.string())
            self._weak = labels, counts
        return self._weak

    def only(self, fields: Sequence[str]) -> "ArrowManifest":
        """The same rows with fewer fields.

        Arguments
        ---------
        fields : sequence of str
            As of the class.

        Returns
        -------
        ArrowManifest
        """
        fewer = copy(self)
        fewer._fields = tuple(fields)
        names = fewer._columns(set(self._table.column_names))
        fewer._table = self._table.select(names)
        return fewer

    def mentions(self, field: str) -> bool:
        """Whether a row may have a field that is no column.

        Arguments
        ---------
        field : str
            Its name; one that stands within another field counts, too.

        Returns
        -------
        bool
        """
        import pyarrow.compute as compute

        if MORE not in self._table.column_names:
            return False
        there = compute.match_substring(self.column(MORE), f'"{field}"')
        return bool(compute.any(there).as_py())

    def without(self, keys: Collection[str]) -> "ArrowManifest":
        """The manifest without some rows.

        Arguments
        ---------
        keys : collection of str
            Their ids.

        Returns
        -------
        ArrowManifest
            Of the same files.
        """
        import numpy
        import pyarrow.compute as compute

        values = arrow().array(list(keys), arrow().string())
        out = compute.is_in(self.column("id"), value_set=values)
        left = numpy.flatnonzero(~out.to_numpy()).astype(numpy.int64)
        rest = copy(self)
        rest._places = left if self._places is None else self._places[left]
        rest._index = None
        return rest


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
