#!/usr/bin/env python3
"""openSMILE's machines and our network from scratch: one table.

    python benchmarks/leave_one_speaker_out.py corpus.jsonl RESULTS

Every speaker is tested by models of all the others. Settings are fixed:
recipes/EmotionRecognition/README.md says how ours were chosen. The rows are
recipe scripts; what is done stays done when it is started again. RESULTS
gets ``table.md`` and each row's predictions. openSMILE comes with
``pip install 'speechbrain_c2ser[baselines]'``.
"""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.evaluation.metrics import (
    bootstrap_interval,
    classification_metrics,
)
from speechbrain_c2ser.evaluation.predictions import read_predictions

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "recipes" / "Synthetic"))

from steps import Step, StepFailed, run_steps  # noqa: E402

SVM = "recipes/Baselines/opensmile_svm.py"
NETWORK = [
    "recipes/EmotionRecognition/cross_validate.py",
    "hparams/emotion_recognition/functionals.yaml",
]


def rows_of(corpus, results, seeds):
    """Row → its step; each leaves predictions.jsonl in its folder."""

    def machine(features):
        folder = results / features
        target = folder / "predictions.jsonl"
        options = [f"--features={features}", "--leave-one-speaker-out"]
        return Step(features, folder, [SVM, corpus, target, *options])

    folder = results / "network"
    options = ["--by=speaker", "--merge_valid", "--seeds", *seeds]
    return {
        "openSMILE eGeMAPS + SVM": machine("egemaps"),
        "openSMILE ComParE + SVM": machine("compare"),
        f"from scratch, {len(seeds)} seeds averaged": Step(
            "network", folder, [*NETWORK, corpus, folder, *options]
        ),
    }


def line(name, rows):
    """One line of the table."""
    true, said = ([row[k] for row in rows] for k in ("emotion", "label"))
    labels = sorted(set(true))
    found = classification_metrics(true, said, labels)
    low, high = bootstrap_interval(true, said, labels)
    return (
        f"| {name} | {found['ua']:.3f} [{low:.3f}, {high:.3f}] | "
        f"{found['wa']:.3f} | {found['macro_f1']:.3f} |"
    )


def main():
    """Run what is not done yet, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("corpus", type=Path, help="manifest or list")
    parser.add_argument("results", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    if find_spec("opensmile") is None:
        sys.exit(
            "leave_one_speaker_out: openSMILE is not installed; get it with "
            "pip install 'speechbrain_c2ser[baselines]'."
        )
    results = options.results.resolve()
    lines = ["| | UA | WA | macro F1 |", "| --- | --- | --- | --- |"]
    rows = rows_of(options.corpus.resolve(), results, options.seeds)
    try:
        for name, step in rows.items():
            run_steps([step])
            predictions = read_predictions(step.folder / "predictions.jsonl")
            lines.append(line(name, predictions))
    except StepFailed as error:
        sys.exit(f"leave_one_speaker_out: {error} failed; see above.")
    write_atomic("\n".join(lines) + "\n", results / "table.md")
    print("\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
