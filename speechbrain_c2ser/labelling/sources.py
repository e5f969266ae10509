"""What is to be labelled, in shards: the units of work and of going on.

A shard is one tar, one row group of a Parquet file, or so many rows of a
manifest, table or folder.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from speechbrain_c2ser.audio.file_names import (
    counts_in_words,
    recordings_among,
)
from speechbrain_c2ser.data.arrow_writing import arrow
from speechbrain_c2ser.data.columns import as_id, fields_of
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.arrow_tables import read_rows
from speechbrain_c2ser.data.lists import read_list
from speechbrain_c2ser.labelling.items import Item
from speechbrain_c2ser.labelling.tars import (
    object_of,
    read_tar,
    row_of,
    whole_clip,
)

logger = logging.getLogger(__name__)
COMPRESSED = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst")
TABLES = (".json", ".jsonl", ".csv", ".tsv", ".scp")


@dataclass(frozen=True)
class Shard:
    """A part of a source.

    Arguments
    ---------
    name : str
        Of its result's file; the same in every run.
    kind : str
        "tar", "parquet", "table" or "files".
    path : str
        The file, or the folder of the files.
    first, last : int
        Its rows, or its row group.
    files : tuple of str
        Of a folder.
    """

    name: str
    kind: str
    path: str
    first: int = 0
    last: int = 0
    files: tuple = ()

    def state(self) -> str:
        """What tells the file from itself when it has changed.

        Returns
        -------
        str
        """
        if self.kind == "files":
            return "\n".join(self.files)
        about = os.stat(self.path)
        rows = f" {self.first}-{self.last}" if self.kind == "table" else ""
        return f"{about.st_size} {about.st_mtime_ns}{rows}"


def plan_shards(source: str | Path, rows: int = 1000) -> list[Shard]:
    """The shards of a source, sorted by name.

    Arguments
    ---------
    source : str | Path
        A tar, a Parquet file, a manifest, a table; or a folder: of tars, or
        else of Parquet files, or else of recordings, at any depth.
    rows : int
        Of a shard, where the source itself is not divided.

    Returns
    -------
    list of Shard

    Raises
    ------
    ManifestError
        If there is nothing, or something that cannot be read so.
    """
    path = Path(os.path.abspath(source))
    shards = _shards_of(path, source, rows)
    # now, not when its turn has come
    for place in dict.fromkeys(shard.path for shard in shards):
        if not os.access(place, os.R_OK):
            raise ManifestError(f"{place} may not be read: change its rights.")
    return shards


def _shards_of(path, source, rows):
    if path.is_dir():
        return _of_folder(path, rows)
    if not path.is_file():
        raise ManifestError(f"There is no {source} to be labelled.")
    suffix = path.suffix.lower()
    if path.name.lower().endswith(COMPRESSED):
        raise ManifestError(
            f"{source} is compressed, so that no recording in it can be named "
            "by its place: unpack it to a .tar."
        )
    if suffix == ".tar":
        return [Shard(path.stem, "tar", str(path))]
    if suffix == ".parquet":
        return _of_parquet(path, path.parent)
    if suffix in TABLES:
        count = len(_rows_of_table(str(path), _changed(path)))
        return [
            Shard(
                f"{path.stem}-{first // rows:05}", "table", str(path), first,
                min(first + rows, count),
            )
            for first in range(0, count, rows)
        ]  # fmt: skip
    raise ManifestError(
        f"{source} is no tar, Parquet file, manifest, table or folder."
    )


def _of_folder(folder, rows):
    tars, tables, audio, compressed = [], [], [], []
    others = Counter()

    def refuse(error):
        raise ManifestError(
            f"The folder {error.filename} cannot be read: {error.strerror}."
        ) from error

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        rest = []
        for name in sorted(names):
            place = os.path.join(root, name)
            if name.lower().endswith(".tar"):
                tars.append(place)
            elif name.lower().endswith(".parquet"):
                tables.append(place)
            elif name.lower().endswith(COMPRESSED):
                compressed.append(place)
            else:
                rest.append(name)
        found, left = recordings_among(rest)
        place = os.path.relpath(root, folder)
        audio += [os.path.normpath(os.path.join(place, n)) for n in found]
        others += left
    if compressed:
        raise ManifestError(
            f"{folder} holds {len(compressed)} compressed tars, such as "
            f"{compressed[0]}, in which no recording can be named by its "
            "place: unpack them to .tar."
        )
    if bool(tars) + bool(tables) + bool(audio) > 1:
        raise ManifestError(
            f"{folder} holds {len(tars)} tars, {len(tables)} Parquet files and "
            f"{len(audio)} recordings: give a folder of one kind."
        )
    if others and (tars or tables or audio):
        logger.warning(
            "The folder %s also holds files that are not labelled (%s).",
            folder, counts_in_words(others),
        )  # fmt: skip
    if tars:
        return [Shard(_name(folder, p), "tar", p) for p in tars]
    if tables:
        return [s for p in tables for s in _of_parquet(Path(p), folder, True)]
    if not audio:
        raise ManifestError(
            f"{folder} holds no tar, Parquet file or recording"
            f"{f' ({counts_in_words(others)})' if others else ''}."
        )
    return [
        Shard(
            f"files-{first // rows:05}", "files", str(folder),
            files=tuple(audio[first : first + rows]),
        )
        for first in range(0, len(audio), rows)
    ]  # fmt: skip


def _of_parquet(path, folder, has_others=False):
    pyarrow = arrow()
    try:
        groups = pyarrow.parquet.ParquetFile(path).num_row_groups
    except (pyarrow.ArrowException, OSError) as error:
        if not has_others:
            raise ManifestError(f"{path} cannot be read: {error}.") from error
        groups = 1  # it fails when it is read, and the others do not
    name = _name(folder, path)
    return [
        Shard(f"{name}-{k:05}", "parquet", str(path), k) for k in range(groups)
    ]


def _name(folder, path):
    """Of a shard: the path below the folder in one word."""
    relative = Path(os.path.relpath(path, folder)).with_suffix("")
    return "__".join(relative.parts)


def read_shard(shard: Shard) -> Iterator[Item]:
    """The items of a shard, in order; what is broken has failed.

    Arguments
    ---------
    shard : Shard
        Of :func:`plan_shards`.

    Yields
    ------
    Item
        An id that is there twice has failed from the second time on.
    """
    readers = {
        "tar": lambda: read_tar(shard.path),
        "parquet": lambda: _read_parquet(shard),
        "table": lambda: _read_table(shard),
        "files": lambda: _read_files(shard),
    }
    seen = set()
    for item in readers[shard.kind]():
        if item.id in seen and not item.outcome:
            item.fail(f"the key {item.id!r} is there twice")
        seen.add(item.id)
        yield item


def _read_parquet(shard):
    path, number = Path(shard.path), 0
    partitions = _partitions(path)
    try:
        for columns in read_rows(path, shard.first):
            yield _item_of(
                {**partitions, **columns}, path, f"{shard.name}-{number}"
            )
            number += 1
    except ManifestError as error:
        # as many as are told: the counts are to add up
        for lost in range(number, max(_rows_in(shard), number + 1)):
            item = Item(f"{shard.name}-{lost}")
            item.fail(error)
            yield item


def _item_of(columns, path, name):
    """The item of a row; its audio is a cell, or a file that a cell names."""
    structs = [v for v in columns.values() if isinstance(v, dict)]
    cells = [v for v in structs if isinstance(v.get("bytes"), bytes)]
    bare = [v for v in columns.values() if isinstance(v, bytes)]
    if len(bare) == 1:
        cells.append({"bytes": bare[0], "path": None})
    plain = {
        key: value.get("path") if isinstance(value, dict) else value
        for key, value in columns.items()
        if not isinstance(value, bytes)
    }
    fields, _ = fields_of(plain)
    item = Item(as_id(fields.get("id")) or name, row_of(plain))
    wav = fields.get("wav")
    if cells:
        item.row = whole_clip(item.row)
        audio = cells[0]
        item.audio = {"bytes": audio["bytes"], "path": audio.get("path")}
    elif isinstance(wav, str):
        item.row["wav"] = str(path.parent / wav)
        item.audio = _stretch_of(item.row)
    else:
        item.fail(
            "its row holds no audio and names none (it has the columns "
            f"{', '.join(columns)})"
        )
    return item


def _partitions(path):
    """What the folders of a partitioned table tell: "language=en"."""
    told = {}
    for folder in path.parents:
        column, equals, value = folder.name.partition("=")
        if not equals:
            break
        if value != "__HIVE_DEFAULT_PARTITION__":
            told[column] = unquote(value)
    return told


def _rows_in(shard):
    pyarrow = arrow()
    try:
        about = pyarrow.parquet.read_metadata(shard.path)
        return about.row_group(shard.first).num_rows
    except (pyarrow.ArrowException, OSError):
        return 1


def _read_table(shard):
    rows = _rows_of_table(shard.path, _changed(shard.path))
    for key, fields in rows[shard.first : shard.last]:
        row = {**fields}
        yield Item(key, row, _stretch_of(row))


def _stretch_of(row):
    """What is heard of a row that names a file: all of it, or a part."""
    bounds = ("start", "stop", "channel")
    if any(row.get(name) is not None for name in bounds):
        return {**row}
    return row["wav"]


def _read_files(shard):
    folder = Path(shard.path)
    for name in shard.files:
        path = folder / name
        item = Item(Path(name).with_suffix("").as_posix())
        item.row["wav"] = item.audio = str(path)
        beside = path.with_suffix(".json")
        if beside.is_file():
            try:
                told = row_of(object_of(beside.read_bytes()))
                item.row = whole_clip(told) | item.row
            except ValueError as error:
                item.fail(f"{beside} {error}")
            except OSError as error:
                item.fail(f"{beside} cannot be read: {error.strerror}")
        yield item


def _changed(path):
    return os.stat(path).st_mtime_ns


@lru_cache(maxsize=1)
def _rows_of_table(path, changed):
    """[(id, row)] of a manifest or table, read once a process."""
    return list(read_list(path).items())
