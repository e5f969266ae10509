#!/usr/bin/env python3
"""C2SER stage 2: implicit chain of thought, by self-distillation.

> python recipes/C2SER/train_implicit.py hparams/c2ser/full.yaml \
      --start_from=STAGE_1/c2ser

Where stage 1 trained the language model itself
(hparams/c2ser/sizes/tiny.yaml), it lies in the same folder: add
--llm_source=STAGE_1/c2ser/llm.

The same cross-entropy with fewer and fewer explicit answers: what the model
learned to write out, it learns to know at once (C2SER paper, section 3).
"""

from speechbrain.utils.logger import get_logger
from train_explicit import ExplicitBrain
from train_explicit import train as train_stage

from speechbrain_c2ser.training.experiment import load_experiment
from speechbrain_c2ser.training.one_line import errors_in_one_line

logger = get_logger(__name__)


class ImplicitBrain(ExplicitBrain):
    """Explicit answers give way to implicit ones along the curriculum."""

    mode = "implicit"
    best = {"max_key": "valid_ua"}  # the answer is the emotion

    def modes(self, batch, stage):
        """Explicit by the curriculum's probability, else implicit."""
        if not self.modules.training:
            return super().modes(batch, stage)
        return self.hparams.curriculum.modes(batch.id, self.progress)


def train(brain_class, hparams, run_opts):
    """Fit stage 2; says so where there is no stage 1 to start from."""
    asked = [hparams["curriculum"].probability(at) for at in (0.0, 1.0)]
    # implicit answers alone, from scratch: an ablation, and meant
    if hparams["start_from"] is None and any(asked):
        logger.warning(
            "Stage 2 starts from the untrained connector of the yaml: give "
            "the folder of stage 1 as --start_from=STAGE_1/c2ser."
        )
    return train_stage(brain_class, hparams, run_opts)


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        train(ImplicitBrain, *load_experiment())
