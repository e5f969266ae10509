#!/usr/bin/env python3
"""Real-time factors of classifiers: seconds of work for a second of audio.

> python benchmarks/real_time_factor.py test.json FOLDER [FOLDER ...]

Each recording is read and asked alone, on one thread, the folders in turns, so
that other work on the machine slows them alike. Prints a line of JSON for each:
parameters, the factor by processor time and by the clock (median of the
repeats), and the share of recordings on which it says what the last folder
says, such as a student what its teacher says.
"""

import argparse
import json
import statistics
import time

import torch

from speechbrain_c2ser.data.dataset import read_item
from speechbrain_c2ser.data.manifest import read_manifest
from speechbrain_c2ser.inference import EmotionClassifier


def ask(classifier, rows):
    """(processor seconds, seconds by the clock, labels) of all rows."""
    started, clock, labels = time.process_time(), time.perf_counter(), []
    for row in rows:
        _, _, _, (label,) = classifier.classify_batch(read_item(row)[None])
        labels.append(label)
    return (
        time.process_time() - started,
        time.perf_counter() - clock,
        labels,
    )


def main(argv=None):
    """Ask all folders in turns."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("manifest")
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    rows = list(read_manifest(options.manifest).values())
    audio = sum(row["duration"] for row in rows)
    classifiers = [
        EmotionClassifier.from_hparams(folder, run_opts={"device": "cpu"})
        for folder in options.folders
    ]
    for classifier in classifiers:
        ask(classifier, rows[:2])
    rounds = [
        [ask(classifier, rows) for classifier in classifiers]
        for _ in range(options.repeats)
    ]
    last = rounds[0][-1][2]
    for place, folder in enumerate(options.folders):
        model = classifiers[place].mods.model
        own = [each[place] for each in rounds]
        alike = [a == b for a, b in zip(own[0][2], last, strict=True)]
        figures = {
            "folder": folder,
            "parameters": sum(p.numel() for p in model.parameters()),
            "real_time_factor": statistics.median(o[0] for o in own) / audio,
            "by_the_clock": statistics.median(o[1] for o in own) / audio,
            "agrees_with_last": sum(alike) / len(alike),
            "n": len(rows),
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
