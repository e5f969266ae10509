#!/usr/bin/env python3
"""C2SER stage 2: implicit chain of thought, by self-distillation.

> python recipes/C2SER/train_implicit.py hparams/c2ser/tiny.yaml \
      --overlay hparams/c2ser/implicit_tiny.yaml --start_from=FOLDER_OF_STAGE_1

The same cross-entropy with fewer and fewer explicit answers: what the model
learned to write out, it learns to know at once (C2SER paper, section 3).
"""

from train_explicit import ExplicitBrain, train

from speechbrain_c2ser.experiment import load_experiment


class ImplicitBrain(ExplicitBrain):
    """Explicit answers give way to implicit ones along the curriculum."""

    mode = "implicit"

    def modes(self, batch, stage):
        """Explicit by the curriculum's probability, else implicit."""
        if not self.modules.training:
            return super().modes(batch, stage)
        return self.hparams.curriculum.modes(batch.id, self.progress)


if __name__ == "__main__":
    train(ImplicitBrain, *load_experiment())
