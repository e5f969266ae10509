#!/usr/bin/env python3
"""C2SER in one stage: both kinds of answers from the start.

> python recipes/C2SER/train_mixed.py hparams/c2ser/full.yaml \
      --overlay hparams/c2ser/sizes/small_data.yaml \
      --start_from=CONNECTOR/c2ser

For small data behind a taught connector (train_connector.py). Which kind an
utterance is asked for is the curriculum's choice. The last epoch is kept: a
valid speaker's few dozen utterances say too little to choose one by.
"""

from train_explicit import train
from train_implicit import ImplicitBrain

from speechbrain_c2ser.training.experiment import load_experiment
from speechbrain_c2ser.training.one_line import errors_in_one_line


class MixedBrain(ImplicitBrain):
    """Explicit and implicit answers side by side."""

    best = {}  # the newest checkpoint


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        train(MixedBrain, *load_experiment())
