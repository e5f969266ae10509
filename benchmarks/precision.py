#!/usr/bin/env python3
"""What fp32, bf16 and int8 cost and change: seconds, UA, labels.

> python benchmarks/precision.py --model results/demo/c2ser \
      --manifest results/demo/corpus/test.json --json FILE

The model of each precision is loaded once; then they take turns, so that what
else the machine does falls on all alike, and the median of the rounds counts.
UA and labels are of all recordings, seconds of the first ``--timed``.
"""

import argparse
import json
import statistics
import time

from speechbrain_c2ser.data.manifest import read_manifest
from speechbrain_c2ser.inference.opening import open_classifier
from speechbrain_c2ser.training.memory import keep_freed_memory


def main():
    """Measure and print a row for each precision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--data_root", help="in place of the manifest's own")
    parser.add_argument(
        "--precisions", nargs="+", default=["fp32", "bf16", "int8"]
    )
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--timed", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    keep_freed_memory()
    rows = read_manifest(options.manifest, data_root=options.data_root)
    rows = [row for row in rows.values() if row.get("emotion")]
    models = {
        precision: open_classifier(
            options.model,
            run_opts={"device": "cpu", "precision": precision},
        )
        for precision in options.precisions
    }
    seconds = measure(models, rows[: options.timed], options)
    heard = {
        precision: model.classify_files(
            rows, options.batch_size, progress=False
        )
        for precision, model in models.items()
    }
    first = options.precisions[0]
    table = {
        precision: {
            "utterances_per_second": len(rows[: options.timed])
            / statistics.median(seconds[precision]),
            "seconds": seconds[precision],
            **figures(results, heard[first], rows),
        }
        for precision, results in heard.items()
    }
    print(f"{len(rows)} recordings")
    base = table[first]["utterances_per_second"]
    for precision, row in table.items():
        print(
            f"{precision}: {row['utterances_per_second']:.2f} utt/s "
            f"({row['utterances_per_second'] / base:.2f} x), UA "
            f"{row['ua']:.4f}, {row['changed']} labels changed, probabilities "
            f"by {row['mean_change']:.4f} on average, {row['most']:.4f} at most"
        )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(table, file, indent=1)


def measure(models, rows, options):
    """Precision -> seconds of each round; the first is not counted."""
    seconds = {precision: [] for precision in models}
    for number in range(options.rounds + 1):
        for precision, model in models.items():
            start = time.perf_counter()
            model.classify_files(rows, options.batch_size, progress=False)
            if number:
                seconds[precision].append(time.perf_counter() - start)
    return seconds


def figures(results, exact, rows):
    """UA, and what differs from the first precision's answers."""
    recalls, changes, changed = {}, [], 0
    for result, reference, row in zip(results, exact, rows, strict=True):
        label = result.result.label
        recalls.setdefault(row["emotion"], []).append(label == row["emotion"])
        changed += label != reference.result.label
        one, two = (r.result.probabilities for r in (result, reference))
        changes.append((one.float() - two.float()).abs().max().item())
    return {
        "ua": statistics.mean(map(statistics.mean, recalls.values())),
        "changed": changed,
        "mean_change": statistics.mean(changes),
        "most": max(changes),
    }


if __name__ == "__main__":
    main()
