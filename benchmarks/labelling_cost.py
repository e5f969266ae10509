#!/usr/bin/env python3
"""What labelling costs: items per second, the engine's share, driver's memory.

    python benchmarks/labelling_cost.py speed TARS --model FOLDER --workers 1 2
    python benchmarks/labelling_cost.py memory --rows 1000 10000 100000
    python benchmarks/labelling_cost.py units TARS --model FOLDER --style

``speed``: the same stages over the same tars in a plain loop (which reads, and
keeps nothing), by the engine in this process, and by Ray with so many workers;
in turns, ``--rounds`` times, the median. Starting Ray and loading models does
not count. ``memory``: a table of so many rows in Parquet, labelled by a stage
that computes nothing, in a fresh process each; the driver's largest resident
memory. ``units``: processor time of reading a tar, decoding, the model,
measuring style and writing, for an hour of audio each, by one core.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from speechbrain_c2ser.labelling.ray_engine import on_ray
from speechbrain_c2ser.labelling.run import label_shards
from speechbrain_c2ser.labelling.shards import (
    CHUNK,
    ShardLabeller,
    result_of,
    run_stages,
)
from speechbrain_c2ser.labelling.sources import plan_shards, read_shard
from speechbrain_c2ser.labelling.stages import (
    Agreement,
    Decode,
    Limits,
    SpeechEmotion,
    Stage,
)

LABELS = ["angry", "sad"]


class Nothing(Stage):
    """Says the same of every item, and computes nothing."""

    def __init__(self):
        self.constructor_arguments = {}

    def __call__(self, items):
        """Answer."""
        for item in items:
            item.row["duration"] = 1.0
            item.answers["m"] = {"labels": {"sad": 0.7, "angry": 0.3}}


def stages_of(model):
    """Decode, limit, one model, label."""
    hearing = SpeechEmotion(model, device="cpu")
    return [
        Decode(),
        Limits(shortest=0.5),
        hearing,
        Agreement(hearing.labels),
    ]


def plain_loop(shards, stages):
    """Items through the stages, nothing else; seconds and items."""
    start, count = time.perf_counter(), 0
    for shard in shards:
        items = read_shard(shard)
        while chunk := list(islice(items, CHUNK)):
            run_stages(chunk, stages)
            count += len(chunk)
    return time.perf_counter() - start, count


def by_engine(shards, stages, folder):
    """The engine of this process, with its results and manifest."""
    start = time.perf_counter()
    counts = label_shards(shards, stages, folder)
    return time.perf_counter() - start, counts["items"]


def by_ray(shards, stages, folder, workers):
    """Ray that is warm: seconds from the first shard's result to the last's."""
    times = []

    def timed(todo, labeller):
        for counts in on_ray(workers)(todo, labeller):
            times.append((time.perf_counter(), sum(counts.values())))
            yield counts

    label_shards(shards, stages, folder, timed)
    # The first results of all workers hold their start, too.
    first = times[workers - 1][0]
    return times[-1][0] - first, sum(n for _, n in times[workers:])


def speed(options):
    """Items per second of each way, and the engine's own part of an item."""
    import ray

    shards = plan_shards(options.source)
    if len(shards) < 5 * max(options.workers):
        sys.exit(f"{len(shards)} shards are too few for so many workers.")
    stages = stages_of(options.model)
    for stage in stages:
        stage.open()
    ray.init(
        num_cpus=max(options.workers) + 1,
        include_dashboard=False,
        object_store_memory=100 << 20,
        log_to_driver=False,
        logging_level="ERROR",
    )
    seconds: dict[str, list] = {}
    with tempfile.TemporaryDirectory() as place:
        for turn in range(options.rounds):
            ways = {
                "plain loop": lambda: plain_loop(shards, stages),
                "engine": lambda t=turn: by_engine(
                    shards, stages, Path(place) / f"own{t}"
                ),
            }
            for workers in options.workers:
                ways[f"Ray, {workers}"] = lambda n=workers, t=turn: by_ray(
                    shards, stages, Path(place) / f"ray{n}_{t}", n
                )
            for name, way in ways.items():
                spent, items = way()
                seconds.setdefault(name, []).append(spent / items)
    ray.shutdown()
    return {
        name: {
            "items per second": round(1 / statistics.median(values), 1),
            "ms per item": round(1000 * statistics.median(values), 3),
        }
        for name, values in seconds.items()
    }


def memory(options):
    """MiB of a driver, by rows and by engine, each in its own process."""
    figures: dict[str, dict] = {}
    for workers in (0, 2):
        for rows in options.rows:
            words = [sys.executable, __file__, "one", str(rows), str(workers)]
            done = subprocess.run(
                words, stdout=subprocess.PIPE, text=True, check=True
            )
            name = f"Ray, {workers}" if workers else "this process"
            told = json.loads(done.stdout.splitlines()[-1])
            figures.setdefault(name, {})[rows] = told
    return figures


def one(options):
    """A run of so many rows in this process."""
    import pyarrow
    from pyarrow import parquet

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        schema = pyarrow.schema([("id", "string"), ("wav", "string")])
        with parquet.ParquetWriter(folder / "pool.parquet", schema) as file:
            for first in range(0, options.rows, 1000):
                ids = [f"u{n}" for n in range(first, first + 1000)]
                wavs = [f"{key}.wav" for key in ids]
                file.write(pyarrow.table([ids, wavs], schema=schema))
        shards = plan_shards(folder / "pool.parquet")
        stages = [Nothing(), Agreement(LABELS)]
        engine = on_ray(options.workers) if options.workers else None
        start = time.perf_counter()
        counts = label_shards(shards, stages, folder / "out", engine)
        spent = time.perf_counter() - start
        assert counts["labelled"] == options.rows
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds, _ = plain_loop(shards, stages)
    return {
        "MiB": round(peak),
        "ms per item": round(1000 * spent / options.rows, 3),
        "of these in a plain loop": round(1000 * seconds / options.rows, 3),
    }


def units(options):
    """Processor seconds of each step, for an hour of audio."""
    from speechbrain_c2ser.chain_of_thought.prosody import measure

    shards = plan_shards(options.source)[: options.shards]
    stages = stages_of(options.model)
    for stage in stages:
        stage.open()
    spent = dict.fromkeys(("read", "decode", "model", "style", "write"), 0.0)
    hours, items, size = 0.0, 0, 0

    def clock(name, work):
        start = time.process_time()
        result = work()
        spent[name] += time.process_time() - start
        return result

    with tempfile.TemporaryDirectory() as place:
        labeller = ShardLabeller(stages, place)
        for shard in shards:
            chunk = clock("read", lambda s=shard: list(read_shard(s)))
            chunk = [item for item in chunk if not item.outcome]
            clock("decode", lambda c=chunk: stages[0](c))
            chunk = [item for item in chunk if not item.outcome]
            clock("model", lambda c=chunk: stages[2](c))
            for item in chunk:
                if options.style:
                    clock("style", lambda i=item: measure(i.wave.numpy()))
                hours += item.row["duration"] / 3600
            items += len(chunk)
            size += Path(shard.path).stat().st_size
        # The whole way with and without writing: the difference is writing.
        folder = Path(place)
        start = time.process_time()
        for shard in shards:
            labeller(shard)
        whole = time.process_time() - start
        start = time.process_time()
        plain_loop(shards, stages)
        spent["write"] = whole - (time.process_time() - start)
        results = sum(result_of(folder, s).stat().st_size for s in shards)
        shutil.rmtree(folder / "shards")
    return {
        "hours of audio": round(hours, 3),
        "seconds of an item": round(3600 * hours / items, 2),
        "processor seconds for an hour": {
            name: round(value / hours, 2) for name, value in spent.items()
        },
        "MB read for an hour": round(size / hours / 1e6, 1),
        "MB written for an hour": round(results / hours / 1e6, 3),
    }


def main():
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    for work in (speed, memory, units, one):
        command = commands.add_parser(work.__name__)
        command.set_defaults(work=work)
        if work in (speed, units):
            command.add_argument("source")
            command.add_argument("--model", required=True)
        if work is speed:
            command.add_argument("--workers", type=int, nargs="+", default=[1])
            command.add_argument("--rounds", type=int, default=3)
        elif work is memory:
            command.add_argument("--rows", type=int, nargs="+", required=True)
        elif work is units:
            command.add_argument("--shards", type=int, default=2)
            command.add_argument("--style", action="store_true")
        else:
            command.add_argument("rows", type=int)
            command.add_argument("workers", type=int)
    options = parser.parse_args()
    # Ray puts its workers 15 below: on a busy machine they hardly run.
    os.environ.setdefault("RAY_worker_niceness", "0")
    print(json.dumps(options.work(options)))


if __name__ == "__main__":
    main()
