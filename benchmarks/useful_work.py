#!/usr/bin/env python3
"""How much of the work is useful, and how near to the machine it is done.

    python benchmarks/useful_work.py --sizes tiny base --json FILE
    python benchmarks/useful_work.py --sizes tiny --against FILE

Two ratios of every workload, which hold on any machine:

useful / done
    Operations (torch.utils.flop_counter) without padding and with nothing
    computed twice, over those that were done. What a clip needs is half of
    what a batch of it and its copy takes: such a batch has no padding, and
    shares what the clips of a batch share. Taken off are what a question
    costs that each item reads again, and what the scoring of a written
    answer reads again; for these two, a position counts as every other.
done / machine
    Operations per second of the processor's time, over those of plain matrix
    products just before and after; the median of the repeats.

And of a training how often Python waits for values within a step, where the
device would have to end what it was given (counted, on any machine).

Random weights, noise. `short` has clips of 2 to 8 s, `long_tail` of 0.5 to
30 s, most of them short. ``--against`` ends with an error where a ratio is
lower than the stored one: by more than 0.01 (useful) or a fifth (machine);
and where Python waits more often.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from speechbrain_c2ser.training.memory import keep_freed_memory

sys.path += [str(Path(__file__).resolve().parent)]

import c2ser_speed  # noqa: E402
import c2ser_training  # noqa: E402
from workloads.counting import CLIPS, lengths_of  # noqa: E402
from workloads.inference import Inference  # noqa: E402
from workloads.training import Training  # noqa: E402

INFERENCE = ["features", "classify", "describe"]
TRAINING = ["stage_0", "stage_1", "stage_2", "classifier"]
SIZES = ["tiny", "base"]
MATRICES = 1024, 768, 3072  # rows, inputs and outputs of the plain products
# Clips of a corpus, where 32 are a batch or two of the recipe's size.
COUNTS = {"stage_0": 256}
USEFUL_LESS, MACHINE_LESS = 0.01, 0.2  # of the stored ratio
READS_MORE = 0.5  # a step


def machine_rate(seconds=0.3):
    """Operations per second of this process's time in plain products."""
    rows, inputs, outputs = MATRICES
    left, right = torch.randn(rows, inputs), torch.randn(inputs, outputs)
    left @ right
    done, started = 0, time.process_time()
    while time.process_time() - started < seconds:
        left @ right
        done += 2 * rows * inputs * outputs
    return done / (time.process_time() - started)


def measure(workload, clips=None, repeats=5):
    """Both ratios of a workload, and the process's figures.

    Arguments
    ---------
    workload : Inference | Training
        What is done with the clips.
    clips : list of Path | None
        Of inference.
    repeats : int
        Timed runs, each between two of plain products; 0: none.

    Returns
    -------
    dict
    """
    done = workload.done(clips)  # warms up
    shares, processor, wall = [], [], []
    for _ in range(repeats):
        before = machine_rate()
        started, clock = time.process_time(), time.perf_counter()
        workload(clips)
        processor.append(time.process_time() - started)
        wall.append(time.perf_counter() - clock)
        rate = (before + machine_rate()) / 2
        shares.append(done / processor[-1] / rate)
    figures = {"done": done, "useful": workload.useful(clips)}
    figures["useful_share"] = figures["useful"] / done
    if isinstance(workload, Training):
        figures["host_reads"] = workload.host_reads()
    if repeats:
        figures["machine_share"] = statistics.median(shares)
        figures["machine_shares"] = [round(each, 4) for each in shares]
        figures["processor_seconds"] = statistics.median(processor)
        figures["wall_seconds"] = statistics.median(wall)
    return figures


def regressions(figures, stored):
    """A sentence for each figure that is worse than the stored one.

    Arguments
    ---------
    figures : dict
        Workload -> what :func:`measure` gave.
    stored : dict
        The same of an earlier run.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        Where both have no workload in common.
    """
    common = [name for name in figures if name in stored]
    if not common:
        raise ValueError(
            "No workload was measured that is stored: give the same --sizes, "
            "--workloads and --clips."
        )
    worse = []
    for name in common:
        for ratio, least in (
            ("useful_share", lambda old: old - USEFUL_LESS),
            ("machine_share", lambda old: old * (1 - MACHINE_LESS)),
        ):
            now, before = figures[name].get(ratio), stored[name].get(ratio)
            if None not in (now, before) and now < least(before):
                worse.append(f"{name}: {ratio} {now:.3f}, was {before:.3f}")
        now, before = (x[name].get("host_reads") for x in (figures, stored))
        if None not in (now, before) and now > before + READS_MORE:
            worse.append(f"{name}: host_reads {now:.1f}, was {before:.1f}")
    return worse


def workloads(size, options, folder):
    """(name, workload, its clips) one after the other."""
    for name in options.workloads:
        count = options.count or COUNTS.get(name, 32)
        for clips in options.clips:
            seconds = lengths_of(clips, count)
            key = f"{size}/{name}/{clips}/{count}"
            place = folder / key.replace("/", "_")
            if name in INFERENCE:
                place.mkdir()
                rows = c2ser_training.write_corpus(place, seconds)
                c2ser = c2ser_speed.build(size, "cpu", "float32")
                paths = [row["wav"] for row in rows.values()]
                yield key, Inference(name, c2ser), paths
            else:
                yield key, Training(name, size, place).open(seconds), None


def main():
    """Measure, report, compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument(
        "--workloads", nargs="+", choices=INFERENCE + TRAINING,
        default=INFERENCE + TRAINING,
    )  # fmt: skip
    parser.add_argument("--clips", nargs="+", choices=CLIPS, default=CLIPS)
    parser.add_argument(
        "--count", type=int,
        help=f"clips; by default {COUNTS}, of all else 32",
    )  # fmt: skip
    parser.add_argument(
        "--repeats", type=int, default=5, help="timed runs; 0: count only"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="added to, if there")
    parser.add_argument("--against", metavar="FILE", help="of an earlier run")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            for key, workload, clips in workloads(size, options, Path(folder)):
                figures[key] = measure(workload, clips, options.repeats)
                share = figures[key].get("machine_share", float("nan"))
                print(
                    f"{key}: useful {figures[key]['useful_share']:.3f}, "
                    f"of the machine {share:.3f}",
                    flush=True,
                )
                if options.json:
                    store(figures, options.json)
    if options.against:
        stored = json.loads(Path(options.against).read_text())["workloads"]
        if worse := regressions(figures, stored):
            sys.exit("\n".join(["Worse than before:", *worse]))
        print("No figure is worse than before.")


def store(figures, path):
    """Write figures over those that a file has of the same workloads."""
    path = Path(path)
    old = json.loads(path.read_text())["workloads"] if path.exists() else {}
    report = {
        "workloads": old | figures,
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        },
    }
    path.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
