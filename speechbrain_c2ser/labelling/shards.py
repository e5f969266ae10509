"""A shard through the stages, and its result: one file, whole or not there."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from speechbrain_c2ser.data.arrow_writing import (
    arrow,
    as_columns,
    manifest_schema,
)
from speechbrain_c2ser.data.atomic import written_beside
from speechbrain_c2ser.data.data_root import DATA_ROOT
from speechbrain_c2ser.data.importers.arrow_tables import save_audio
from speechbrain_c2ser.labelling.items import FAILED, LABELLED, Item
from speechbrain_c2ser.labelling.sources import Shard, read_shard
from speechbrain_c2ser.labelling.stages import Stage
from speechbrain_c2ser.versions import versions_of

CHUNK = 128  # items whose waveforms are in memory
# So many items of a chunk, all failed by one model: it is the machine.
SUSPICIOUS = 16
RESULTS = "shards"
# What an answer depends on.
PACKAGES = ("speechbrain_c2ser", "speechbrain", "torch", "transformers")
AUDIO = "audio"


class ShardLabeller:
    """Labels shards, one after another; loads its models for the first.

    Arguments
    ---------
    stages : sequence of Stage
        In their order.
    folder : str | Path
        Gets ``shards/NAME.parquet``.
    versions : dict | None
        Package -> version that must be here too; None takes any.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        folder: str | Path,
        versions: dict | None = None,
    ):
        self.stages, self.folder = list(stages), Path(folder)
        self.versions = versions
        self._is_open = False

    def __call__(self, shard: Shard) -> dict[str, int]:
        """Label a shard and write its result.

        Arguments
        ---------
        shard : Shard
            Of :func:`~speechbrain_c2ser.labelling.sources.plan_shards`.

        Returns
        -------
        dict
            Outcome -> items.

        Raises
        ------
        RuntimeError
            If a model fails on all of many items, so that it is not theirs;
            nothing of the shard is written then.
        OSError
            If the result cannot be written.
        """
        self._open()
        state, rows = shard.state(), []
        items = read_shard(shard)
        while chunk := list(islice(items, CHUNK)):
            run_stages(chunk, self.stages)
            for item in chunk:
                self._keep_audio(item, shard)
                rows.append(_record(item))
        rows = write_result(rows, result_of(self.folder, shard), state)
        return dict(Counter(row["outcome"] for row in rows))

    def _open(self):
        if not self._is_open:
            check_versions(self.versions)
            for stage in self.stages:
                stage.open()
            self._is_open = True

    def _keep_audio(self, item, shard):
        """What is only in a table's cell gets a file, where it is wanted."""
        if item.outcome == LABELLED and "wav" not in item.row:
            folder = self.folder / AUDIO / shard.name
            with told_when_full(folder):
                path = save_audio(item.audio, folder, item.id)
            # as of the manifest's own folder: it may be moved
            below = path.relative_to(self.folder).as_posix()
            item.row["wav"] = f"{DATA_ROOT}/{below}"

    def __getstate__(self):
        return {**self.__dict__, "_is_open": False}


def run_stages(items: Sequence[Item], stages: Sequence[Stage]) -> None:
    """Let items go through stages, in place, as far as each one goes.

    Arguments
    ---------
    items : sequence of Item
        Those that have an outcome stay as they are.
    stages : sequence of Stage
        In their order.

    Raises
    ------
    RuntimeError
        If a model fails on all of many items.
    """
    for stage in stages:
        waiting = [item for item in items if not item.outcome]
        if waiting:
            _attempt(stage, waiting)
            failed = [item for item in waiting if item.outcome == FAILED]
            if stage.asks_model and len(failed) == len(waiting) >= SUSPICIOUS:
                raise RuntimeError(
                    f"{type(stage).__name__} failed on all of {len(failed)} "
                    f"items, the first by: {failed[0].reason} This is not the "
                    "items' fault: mend it and start again."
                )
    for item in items:
        item.wave = None
        if not item.outcome:
            if "weak" in item.row:
                item.outcome = LABELLED
            else:
                item.leave_out("no stage gave a label")


def _attempt(stage, items):
    """A stage on many items; where that fails, on each alone."""
    try:
        stage(items)
    except Exception as error:
        if len(items) == 1:
            items[0].fail(error)
            return
        for item in items:
            if not item.outcome:
                _attempt(stage, [item])


def _record(item):
    row = {**item.row}
    weak = row.get("weak")
    if item.outcome != LABELLED:
        row.pop("weak", None)
    return {
        **as_columns(item.id, row),
        "outcome": item.outcome,
        "reason": item.reason or None,
        "answers": json.dumps(item.answers) if item.answers else None,
        "score": None if weak is None else weak.get("score"),
    }


def result_schema() -> Any:
    """Columns of a shard's result.

    Returns
    -------
    pyarrow.Schema
        A manifest's, then outcome, reason, answers (JSON) and score.
    """
    pyarrow = arrow()
    schema = manifest_schema()
    for name in ("outcome", "reason", "answers"):
        schema = schema.append(pyarrow.field(name, pyarrow.string()))
    return schema.append(pyarrow.field("score", pyarrow.float64()))


def result_of(folder: Path, shard: Shard) -> Path:
    """Path of a shard's result.

    Example
    -------
    >>> result_of(Path("out"), Shard("en-0", "tar", "en-0.tar")).as_posix()
    'out/shards/en-0.parquet'
    """
    return Path(folder) / RESULTS / f"{shard.name}.parquet"


def write_result(rows: Iterable[dict], path: Path, state: str) -> list[dict]:
    """Write a shard's result, whole or not at all.

    Arguments
    ---------
    rows : iterable of dict
        Of :func:`result_schema`.
    path : Path
        The Parquet file.
    state : str
        What told its source from itself.

    Returns
    -------
    list of dict
        The rows as they are written: what cannot be has failed.

    Raises
    ------
    OSError
        If there is no room; nothing is left behind.
    """
    pyarrow = arrow()
    schema = result_schema().with_metadata({"source_state": state})
    rows = [_writable(row) for row in rows]
    table = pyarrow.Table.from_pylist(rows, schema=schema)
    with told_when_full(path), written_beside(path) as part:
        pyarrow.parquet.write_table(table, part)
    return rows


def _writable(row):
    """The row, or a failed one where it holds half a character."""
    try:
        for value in row.values():
            if isinstance(value, str):
                value.encode()
    except UnicodeEncodeError as error:
        key = row["id"].encode("utf-8", "replace").decode()
        reason = f"its text cannot be written: {error}"
        return {"id": key, "outcome": FAILED, "reason": reason}
    return row


@contextmanager
def told_when_full(path: Path) -> Iterator[None]:
    """Say what could not be written, and what to do.

    Arguments
    ---------
    path : Path
        What is being written.

    Raises
    ------
    OSError
        If there is no room.
    """
    try:
        yield
    except OSError as error:
        raise OSError(
            f"{path} cannot be written ({error}): nothing of it is kept; make "
            "room and start again."
        ) from error


def is_done(folder: Path, shard: Shard) -> bool:
    """Whether a shard has its result.

    Arguments
    ---------
    folder : Path
        Of the run.
    shard : Shard
        Of its source.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        If its source has changed since, or the result cannot be read.
    """
    path = result_of(folder, shard)
    if not path.is_file():
        return False
    pyarrow = arrow()
    try:
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}): remove it, and its shard is "
            "labelled anew."
        ) from error
    if metadata.get(b"source_state") != shard.state().encode():
        raise ValueError(
            f"{shard.path} has changed since it was labelled: remove {path}, "
            "and it is labelled anew."
        )
    return True


def read_results(paths: Iterable[Path]) -> Iterator[tuple[Path, Any]]:
    """Results of shards as tables, one in memory at a time.

    Arguments
    ---------
    paths : iterable of Path
        Of :func:`result_of`.

    Yields
    ------
    tuple
        (path, pyarrow.Table)
    """
    pyarrow = arrow()
    for path in paths:
        yield path, pyarrow.parquet.read_table(path, partitioning=None)


def check_versions(wanted: dict | None) -> None:
    """Refuse packages of other versions than the run began with.

    Arguments
    ---------
    wanted : dict | None
        Package -> version; None takes any.

    Raises
    ------
    RuntimeError
        Names them, and the machine.
    """
    here = versions_of(PACKAGES) if wanted else {}
    other = [
        f"{name} {here.get(name)} (the run has {version})"
        for name, version in (wanted or {}).items()
        if here.get(name) != version
    ]
    if other:
        raise RuntimeError(
            f"{os.uname().nodename} has {', '.join(other)}: labels of one run "
            "come from one set of versions."
        )
