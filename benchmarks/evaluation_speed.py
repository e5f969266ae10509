#!/usr/bin/env python3
"""Seconds and memory of all suites that ask no model again.

> python benchmarks/evaluation_speed.py [PREDICTIONS]

Random predictions of seven emotions, 200 speakers, two corpora, votes, and a
second system and a validation set of the same size.
"""

import resource
import sys
import time

import numpy as np

from speechbrain_c2ser.evaluation.suites.cases import build_cases
from speechbrain_c2ser.evaluation.suites.running import (
    NAMES,
    Evidence,
    run_suites,
)
from speechbrain_c2ser.labels import LabelSpace

SPACE = LabelSpace.from_name("emo_emilia")


def draw(count, seed):
    """References and predictions."""
    rng = np.random.default_rng(seed)
    names = SPACE.names
    items, rows = {}, []
    for i in range(count):
        shares = rng.dirichlet(np.full(len(names), 0.5))
        votes = rng.multinomial(5, shares)
        items[f"u{i}"] = {
            "emotion": names[votes.argmax()],
            "speaker": f"s{i % 200}",
            "gender": ["female", "male"][i % 2],
            "language": ["en", "zh"][i // 2 % 2],
            "dataset": ["one", "two"][i % 200 // 100],
            "age": 20 + i % 50,
            "prosody": {"f0": 80.0 + i % 200},
            "votes": dict(zip(names, votes.tolist(), strict=True)),
        }
        probabilities = rng.dirichlet(np.ones(len(names))) + shares
        probabilities = dict(
            zip(
                names,
                (probabilities / probabilities.sum()).tolist(),
                strict=True,
            )
        )
        rows.append(
            {
                "id": f"u{i}",
                "label": max(probabilities, key=probabilities.get),
                "probabilities": probabilities,
            }
        )
    return items, rows


def main():
    """Draw, run, print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    items, rows = draw(count, 0)
    started = time.perf_counter()
    cases = build_cases(rows, items, SPACE)
    held = build_cases(*draw(count, 1)[::-1], SPACE)
    other = build_cases(draw(count, 2)[1], items, SPACE)
    again = {name: other for name in ("noise_0", "silence", "shuffled")}
    evidence = Evidence(cases, held, {"other": other}, again)
    print(f"reading labels: {time.perf_counter() - started:.1f} s")
    for name in NAMES:
        before = time.perf_counter()
        run_suites([name], evidence)
        print(f"{name}: {time.perf_counter() - before:.1f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{count} predictions: {time.perf_counter() - started:.1f} s, "
        f"peak {peak:.2f} GiB"
    )


if __name__ == "__main__":
    main()
