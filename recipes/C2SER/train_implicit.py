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

from train_explicit import ExplicitBrain, train

from speechbrain_c2ser.training.experiment import load_experiment
from speechbrain_c2ser.training.one_line import errors_in_one_line


class ImplicitBrain(ExplicitBrain):
    """Explicit answers give way to implicit ones along the curriculum."""

    mode = "implicit"
    best = {"max_key": "valid_ua"}  # the answer is the emotion

    def modes(self, batch, stage):
        """Explicit by the curriculum's probability, else implicit."""
        if not self.modules.training:
            return super().modes(batch, stage)
        return self.hparams.curriculum.modes(batch.id, self.progress)


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        train(ImplicitBrain, *load_experiment())
