"""A run of labelling: shards that are missing, then one manifest of all.

Killed anywhere and started again, it goes on with the shards that have no
result; an item is labelled once, however often a run was begun.
"""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy

from speechbrain_c2ser.data.arrow_manifest import as_row, hash_of
from speechbrain_c2ser.data.arrow_writing import (
    arrow,
    manifest_schema,
    write_batches,
)
from speechbrain_c2ser.data.atomic import write_atomic, written_beside
from speechbrain_c2ser.data.manifest import write_manifest
from speechbrain_c2ser.data.weak import top_label
from speechbrain_c2ser.inference.journal import changed_settings
from speechbrain_c2ser.labelling.items import FAILED, LABELLED, LEFT_OUT
from speechbrain_c2ser.labelling.shards import (
    AUDIO,
    PACKAGES,
    RESULTS,
    ShardLabeller,
    is_done,
    read_results,
    result_of,
    told_when_full,
)
from speechbrain_c2ser.labelling.sources import Shard
from speechbrain_c2ser.labelling.stages import Stage
from speechbrain_c2ser.versions import versions_of

RUN = "run.json"
PLAN = "plan.json"  # names of the shards
LOCK = ".lock"
MANIFEST = "labelled.arrow"
FAILURES = "failures.jsonl"
Engine = Callable[[list[Shard], ShardLabeller], Iterable[dict]]


def label_shards(
    shards: Sequence[Shard],
    stages: Sequence[Stage],
    folder: str | Path,
    engine: Engine | None = None,
    about: dict | None = None,
) -> dict:
    """Label a source; go on where a run before has stopped.

    Arguments
    ---------
    shards : sequence of Shard
        Of :func:`~speechbrain_c2ser.labelling.sources.plan_shards`.
    stages : sequence of Stage
        In their order; the last gives the label.
    folder : str | Path
        Gets ``run.json``, ``shards/`` (a Parquet file each, with every
        item), ``labelled.arrow`` (a manifest) and ``failures.jsonl``.
    engine : callable | None
        ``(shards, labeller) -> counts of each``; None is
        :func:`one_after_another`.
    about : dict | None
        What else run.json shall tell.

    Returns
    -------
    dict
        ``items``, ``labelled``, ``left out``, ``failed``; ``reasons``
        (outcome -> reason -> items); ``labels`` (label -> items).

    Raises
    ------
    ValueError
        If the folder holds a run of other stages, models or versions,
        another run is at work in it, or a shard of its source has gone.
    OSError
        If there is no room on the disk. What is done stays.
    """
    arrow()  # or the first result could not be written
    folder = Path(folder)
    names = [stage.name for stage in stages if stage.asks_model]
    if len(set(names)) < len(names):
        raise ValueError(
            f"Two models are called alike ({', '.join(names)}): give one of "
            "them a name."
        )
    shards = sorted(shards, key=_by_name)
    here = versions_of(PACKAGES)
    settings = {"stages": [s.describe() for s in stages], **here}
    with alone_in(folder):
        _begin(folder, settings, about)
        _keep_plan(folder, [shard.name for shard in shards])
        todo = [shard for shard in shards if not is_done(folder, shard)]
        labeller = ShardLabeller(stages, folder, here)
        for _ in (engine or one_after_another)(todo, labeller):
            pass
        with told_when_full(folder / MANIFEST):
            counts = _finish(folder, [result_of(folder, s) for s in shards])
            _note(folder, {"counts": counts})
        for part in (folder / RESULTS).glob("*.part"):
            part.unlink(missing_ok=True)  # of runs that were killed
    return counts


def one_after_another(
    shards: list[Shard], labeller: ShardLabeller, progress: bool | None = None
) -> Iterable[dict]:
    """The engine without another one: this process.

    Arguments
    ---------
    shards : list of Shard
        Those that are missing.
    labeller : ShardLabeller
        Labels each.
    progress : bool | None
        Whether to show a bar; None shows it on a terminal.

    Yields
    ------
    dict
        Outcome -> items, of each shard.
    """
    from tqdm import tqdm

    disable = None if progress is None else not progress
    for shard in tqdm(shards, "shards", disable=disable):
        yield labeller(shard)


def _begin(folder, settings, about):
    settings = json.loads(json.dumps(settings))
    path = folder / RUN
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))["settings"]
        changes = changed_settings(_by_stage(before), _by_stage(settings))
        if changes:
            raise ValueError(
                f"{folder} holds a run with other settings "
                f"({'; '.join(changes)}): give those, or another folder."
            )
        return
    if (folder / RESULTS).exists():
        raise ValueError(
            f"{folder} holds results of an unknown run: give another folder."
        )
    text = json.dumps({"settings": settings, **(about or {})}, indent=1)
    write_atomic(text + "\n", path)


def _by_stage(settings):
    """Settings one by one, so that the one that differs is told."""
    flat = {k: v for k, v in settings.items() if k != "stages"}
    for number, stage in enumerate(settings["stages"], 1):
        for name, value in stage.items():
            own = "" if name == "stage" else f" {name}"
            flat[f"stage {number}{own}"] = value
    return flat


def _keep_plan(folder, names):
    """Remember the shards; refuse where one is not in the source any more."""
    path = folder / PLAN
    before: list = []
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
    gone = sorted(set(before) - set(names))
    if gone:
        raise ValueError(
            f"{len(gone)} of {len(before)} shards of {folder} are not in the "
            f"source any more, such as {gone[0]} (or --rows is another): "
            "bring them back, or label what is left into another folder."
        )
    if names != before:
        write_atomic(json.dumps(names, indent=0) + "\n", path)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder while a run is at work in it.

    Arguments
    ---------
    folder : Path
        Made if it is not there.

    Raises
    ------
    ValueError
        If another run holds it.

    Example
    -------
    >>> with alone_in(Path(getfixture("tmpdir"))):
    ...     pass
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "w", encoding="utf-8") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"Another run is at work in {folder}: wait for its end, or "
                "give another one."
            ) from None
        except (ImportError, OSError):
            pass  # a system or disk without locks
        yield


def _note(folder, fields):
    path = folder / RUN
    content = json.loads(path.read_text(encoding="utf-8"))
    write_atomic(json.dumps({**content, **fields}, indent=1) + "\n", path)


def _finish(folder, paths):
    """One manifest and one table of failures; items counted."""
    repeated = _repeated(paths)
    outcomes: Counter = Counter()
    reasons: dict[str, Counter] = {LEFT_OUT: Counter(), FAILED: Counter()}
    labels: Counter = Counter()
    first: dict[str, str] = {}

    def batches(file):
        for path, table in read_results(paths):
            rows, kept = table.to_pylist(), []
            for number, row in enumerate(rows):
                outcome, reason = row["outcome"], row["reason"]
                if outcome != FAILED and hash_of(row["id"]) in repeated:
                    other = first.setdefault(row["id"], path.stem)
                    if other != path.stem:
                        outcome = FAILED
                        reason = (
                            f"the key {row['id']!r} is in shard {other} too"
                        )
                outcomes[outcome] += 1
                if outcome == LABELLED:
                    kept.append(number)
                    labels[_label_of(row)] += 1
                else:
                    reasons[outcome][_kind_of(reason, row["id"])] += 1
                if outcome == FAILED:
                    told = {"id": row["id"], "shard": path.stem}
                    told |= {"wav": row["wav"], "reason": reason}
                    line = json.dumps(told, ensure_ascii=False)
                    file.write(line + "\n")
            names = manifest_schema().names
            places = numpy.array(kept, numpy.int64)
            yield from table.take(places).select(names).to_batches()

    with written_beside(folder / FAILURES) as failures:
        with open(failures, "w", encoding="utf-8") as file:
            write_batches(batches(file), manifest_schema(), folder / MANIFEST)
    return {
        "items": sum(outcomes.values()),
        **{name: outcomes[name] for name in (LABELLED, LEFT_OUT, FAILED)},
        "labels": dict(sorted(labels.items())),
        "reasons": {k: dict(v.most_common()) for k, v in reasons.items()},
    }


def _label_of(row):
    label = top_label(json.loads(row["more"])["weak"])
    return label or "dimensions"


def _kind_of(reason, key):
    """A reason without what is the item's own, to be counted."""
    text = (reason or "").replace(repr(key), "…").replace(key, "…")
    text = re.sub(r"\S*/\S*", "…", text)
    return re.sub(r"\d+(\.\d+)?(?= s\b| members| bytes)", "…", text)[:90]


def _repeated(paths) -> set[int]:
    """Hashes of ids that are in several shards: 8 bytes an item are held."""
    pyarrow, parts = arrow(), []
    for path in paths:
        table = pyarrow.parquet.read_table(
            path, columns=["id", "outcome"], partitioning=None
        )
        ids = {
            row["id"] for row in table.to_pylist() if row["outcome"] != FAILED
        }
        parts.append(numpy.array([hash_of(key) for key in ids], numpy.uint64))
    if not parts:
        return set()
    values, counts = numpy.unique(numpy.concatenate(parts), return_counts=True)
    return set(values[counts > 1].tolist())


def as_json_manifest(
    shards: Sequence[Shard], folder: str | Path, path: str | Path
) -> Path | None:
    """A finished run as one JSON manifest, in its place; its folder goes.

    Arguments
    ---------
    shards : sequence of Shard
        Of the run.
    folder : str | Path
        Of the run.
    path : str | Path
        Gets every item that names a recording, in the source's order, those
        that are labelled with ``weak``.

    Returns
    -------
    Path | None
        Table of failures beside it; None where nothing failed.
    """
    folder, path = Path(folder), Path(path)
    rows: dict[str, dict] = {}
    paths = [result_of(folder, s) for s in sorted(shards, key=_by_name)]
    for _, table in read_results(paths):
        for columns in table.to_pylist():
            key, row = columns["id"], as_row(columns, str(folder))
            is_first = "weak" in row and "weak" not in rows.get(key, {})
            if "wav" in row and (key not in rows or is_first):
                rows[key] = row
    # What was in a table's cells lies in the folder, which is to go.
    cells, beside = folder / AUDIO, path.with_name(f"{path.stem}_{AUDIO}")
    if cells.is_dir():
        shutil.copytree(
            cells, beside, copy_function=os.replace, dirs_exist_ok=True
        )
    for row in rows.values():
        if row["wav"].startswith(f"{cells}{os.sep}"):
            row["wav"] = str(beside / os.path.relpath(row["wav"], cells))
    failures = None
    if (folder / FAILURES).stat().st_size:
        failures = path.with_suffix(".failures.jsonl")
        with written_beside(failures) as part:
            shutil.copy(folder / FAILURES, part)
    write_manifest(rows, path)
    shutil.rmtree(folder)
    return failures


def summary_of(
    counts: dict, manifest: str | Path, failures: str | Path | None
) -> str:
    """A run's counts in a few lines.

    Arguments
    ---------
    counts : dict
        Of :func:`label_shards`.
    manifest : str | Path
        Where the labels are.
    failures : str | Path | None
        Where the failures are.

    Returns
    -------
    str
    """
    lines = [
        f"{counts[LABELLED]} of {counts['items']} items labelled: {manifest}",
        "  " + ", ".join(f"{k} {v}" for k, v in counts["labels"].items()),
    ]
    for outcome in (LEFT_OUT, FAILED):
        lines.append(f"{counts[outcome]} {outcome}")
        lines += [f"  {v}: {k}" for k, v in counts["reasons"][outcome].items()]
    if counts[FAILED]:
        lines.append(f"Failures, one by one: {failures}")
    return "\n".join(lines)


def _by_name(shard):
    return shard.name
