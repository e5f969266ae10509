#!/usr/bin/env python3
"""Make the corpus of conflicts: what is said against how it is said.

> python recipes/Synthetic/prepare_conflict.py results/conflict

Writes train.json and valid.json, whose words agree with the voice in a share
of the utterances, and conflict.json, for `c2ser evaluate --conflict`.
"""

import argparse
from pathlib import Path

from speechbrain_c2ser.chain_of_thought.espeak import EspeakError
from speechbrain_c2ser.data.synthetic.conflict import prepare
from speechbrain_c2ser.training.one_line import errors_in_one_line


def main(argv=None):
    """Make it, or complete it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--agreement", type=float, default=0.7)
    parser.add_argument(
        "--train-voices", type=int, default=40, help="0: conflict.json alone"
    )
    options = parser.parse_args(argv)
    valid = 6 if options.train_voices else 1
    try:
        paths = prepare(
            options.output,
            options.seed,
            options.agreement,
            options.train_voices,
            valid,
        )
    except EspeakError as error:
        raise ValueError(str(error)) from error
    for part, path in paths.items():
        print(f"{part}: {path}")


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
