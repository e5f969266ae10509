#!/usr/bin/env python3
"""Evaluate a C2SER folder on a manifest of unseen speakers.

> python recipes/C2SER/evaluate.py hparams/c2ser/evaluate.yaml \
      --c2ser_folder=FOLDER --test_manifest=test.json --mode=implicit

Uses the public interface, as a user would. Writes the predictions (JSONL, for
`c2ser evaluate` and `c2ser compare` too), one JSON file of metrics and
predictions, and a report with tables and pictures.
"""

from speechbrain_c2ser.evaluation.answering import evaluate_c2ser
from speechbrain_c2ser.inference.c2ser import C2SER
from speechbrain_c2ser.training.experiment import load_experiment, precision_of
from speechbrain_c2ser.training.one_line import errors_in_one_line


def main():
    """Load the model, then predict, score, write."""
    hparams, run_opts = load_experiment()
    c2ser = C2SER.from_hparams(
        hparams["c2ser_folder"],
        run_opts={
            "device": run_opts["device"],
            "precision": precision_of(hparams, run_opts),
        },
    )
    evaluate_c2ser(c2ser, hparams["test_manifest"], hparams)


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
