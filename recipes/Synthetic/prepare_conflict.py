#!/usr/bin/env python3
"""Make the corpus of conflicts: what is said against how it is said.

> python recipes/Synthetic/prepare_conflict.py results/conflict

Writes train.json and valid.json, whose words agree with the voice in a share
of the utterances, and conflict.json, for `c2ser evaluate --conflict`.
"""

import argparse
import sys
from pathlib import Path

from speechbrain_c2ser.chain_of_thought.espeak import EspeakError
from speechbrain_c2ser.data.synthetic.conflict import prepare


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
    except (ValueError, OSError, EspeakError) as error:
        sys.exit(f"prepare_conflict.py: {error}")
    for part, path in paths.items():
        print(f"{part}: {path}")


if __name__ == "__main__":
    main()
