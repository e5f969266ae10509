#!/usr/bin/env python3
"""Pictures of what C2SER costs: time by audio length and batch size, memory.

    python benchmarks/cost_curves.py FOLDER --json FILE

`classify_files` at base size (random weights): seconds of the processor's time
per second of audio for clips of one length each, and for batches of so many
clips of 5 s; the process's largest memory, each batch size in a process of
its own, beside that of the weights.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path += [str(Path(__file__).resolve().parent)]

LENGTHS = [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]  # seconds
BATCHES = [1, 2, 4, 8, 16, 40, 80]
BATCH_SECONDS = 5.0  # of each clip, where batch sizes are compared
PRECISIONS = {"fp32": "float32", "bf16": "bfloat16"}


def measure(precision, size, lengths, batch_size, count):
    """Seconds of clips of each length, and the process's memory, here."""
    import c2ser_speed
    import c2ser_training
    import torch

    from speechbrain_c2ser.training.memory import keep_freed_memory

    torch.set_num_threads(1)
    keep_freed_memory()
    c2ser = c2ser_speed.build(size, "cpu", PRECISIONS[precision])
    figures = {"weights_mib": peak_mib(), "seconds_per_second": {}}
    for length in lengths:
        with tempfile.TemporaryDirectory() as folder:
            clips = [length] * count
            rows = c2ser_training.write_corpus(Path(folder), clips)
            paths = [row["wav"] for row in rows.values()]
            c2ser.classify_files(paths[:1], 1, progress=False)  # warms up
            started = time.process_time()
            results = c2ser.classify_files(paths, batch_size, progress=False)
            seconds = time.process_time() - started
        errors = [each.error for each in results if each.error is not None]
        if errors:
            raise RuntimeError(errors[0])
        figures["seconds_per_second"][str(length)] = seconds / sum(clips)
    figures["peak_mib"] = peak_mib()
    return figures


def peak_mib():
    """Largest memory of this process until now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def elsewhere(*arguments):
    """:func:`measure` in a process of its own."""
    command = [sys.executable, __file__, "--measure", json.dumps(arguments)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(output.splitlines()[-1])


def curves(options):
    """All figures: precision -> those of lengths and of batches."""
    report = {}
    for precision in options.precisions:
        lengths = elsewhere(precision, options.size, options.lengths, 4, 4)
        batches = {}
        for batch in options.batches:
            clips = [BATCH_SECONDS]
            figures = elsewhere(precision, options.size, clips, batch, batch)
            (seconds,) = figures["seconds_per_second"].values()
            batches[str(batch)] = {**figures, "seconds_per_second": seconds}
            print(f"{precision}, {batch} at a time: {figures}", flush=True)
        report[precision] = {"lengths": lengths, "batches": batches}
    return report


def draw(report, folder):
    """Three small pictures of a report.

    Arguments
    ---------
    report : dict
        Of :func:`curves`.
    folder : Path
        Receives ``time_by_length.png``, ``time_by_batch.png`` and
        ``memory_by_batch.png``.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    batches = {name: each["batches"] for name, each in report.items()}
    pictures = {
        "time_by_length": (
            {
                name: each["lengths"]["seconds_per_second"]
                for name, each in report.items()
            },
            "seconds of a clip", "processor s per s of audio",
        ),
        "time_by_batch": (
            {
                name: {b: row["seconds_per_second"] for b, row in each.items()}
                for name, each in batches.items()
            },
            "clips of 5 s at a time", "processor s per s of audio",
        ),
        "memory_by_batch": (
            {
                name: {b: row["peak_mib"] / 1024 for b, row in each.items()}
                for name, each in batches.items()
            },
            "clips of 5 s at a time", "largest memory, GiB",
        ),
    }  # fmt: skip
    for name, (lines, across, up) in pictures.items():
        figure, axes = pyplot.subplots(figsize=(4.5, 3), dpi=100)
        for precision, points in lines.items():
            places = [float(place) for place in points]
            axes.plot(places, list(points.values()), "o-", label=precision)
        axes.set_xscale("log", base=2)
        axes.set_xticks(places, [f"{place:g}" for place in places])
        axes.set_ylim(bottom=0)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.grid(alpha=0.3)
        axes.legend()
        figure.tight_layout()
        figure.savefig(folder / f"{name}.png")
        pyplot.close(figure)


def main():
    """Measure, store, draw."""
    if sys.argv[1:2] == ["--measure"]:
        return print(json.dumps(measure(*json.loads(sys.argv[2]))))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="receives the pictures")
    parser.add_argument("--size", choices=("tiny", "base"), default="base")
    parser.add_argument(
        "--precisions", nargs="+", choices=PRECISIONS, default=["bf16"]
    )
    parser.add_argument("--lengths", type=float, nargs="+", default=LENGTHS)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    report = curves(options)
    if options.json:
        text = json.dumps(report, indent=1) + "\n"
        Path(options.json).write_text(text, encoding="utf-8")
    draw(report, options.folder)
    return None


if __name__ == "__main__":
    main()
