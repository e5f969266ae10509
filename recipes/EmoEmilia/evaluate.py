#!/usr/bin/env python3
"""Evaluate a C2SER folder on Emo-Emilia as it is published.

> python recipes/EmoEmilia/evaluate.py hparams/emo_emilia/evaluate.yaml \
      --data_folder=FOLDER --c2ser_folder=FOLDER --output_folder=OUT

Prepares the manifest from the list, then does what recipes/C2SER/evaluate.py
does.
"""

from speechbrain_c2ser.data.corpora import emo_emilia
from speechbrain_c2ser.evaluation.answering import evaluate_c2ser
from speechbrain_c2ser.inference.c2ser import C2SER
from speechbrain_c2ser.training.experiment import (
    load_experiment,
    precision_of,
)
from speechbrain_c2ser.training.one_line import errors_in_one_line


def main():
    """Prepare, load the model, then predict, score, write."""
    hparams, run_opts = load_experiment()
    manifests = emo_emilia.prepare(
        hparams["data_folder"], hparams["output_folder"], hparams["list_file"]
    )
    c2ser = C2SER.from_hparams(
        hparams["c2ser_folder"],
        run_opts={
            "device": run_opts["device"],
            "precision": precision_of(hparams, run_opts),
        },
    )
    evaluate_c2ser(c2ser, manifests["test"], hparams)


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
