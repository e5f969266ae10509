#!/usr/bin/env python3
"""C2SER stage 2: implicit chain of thought, by self-distillation.

> python recipes/C2SER/train_implicit.py hparams/c2ser/tiny.yaml \
      --start_from=STAGE_1/c2ser --llm_source=STAGE_1/c2ser/llm

The same cross-entropy with fewer and fewer explicit answers: what the model
learned to write out, it learns to know at once (C2SER paper, section 3).
"""

import speechbrain as sb
from train_explicit import ExplicitBrain, train

from speechbrain_c2ser.training.experiment import load_experiment


class ImplicitBrain(ExplicitBrain):
    """Explicit answers give way to implicit ones along the curriculum."""

    mode = "implicit"
    best = {"max_key": "valid_ua"}  # the answer is the emotion

    def modes(self, batch, stage):
        """Explicit by the curriculum's probability, else implicit."""
        if not self.modules.training:
            return super().modes(batch, stage)
        return self.hparams.curriculum.modes(batch.id, self.progress)

    def compute_objectives(self, predictions, batch, stage):
        """Cross-entropy, and a distillation term where the yaml has one."""
        loss = super().compute_objectives(predictions, batch, stage)
        term = self.hparams.distillation
        if term is None or stage != sb.Stage.TRAIN:
            return loss
        explicit = self.hparams.answers(
            batch.item, ["explicit"] * len(batch.id), self.optimizer_step
        )
        vectors = self.utterance_vectors(batch)
        model = self.hparams.model
        return loss + term(model, predictions, batch, explicit, vectors)


if __name__ == "__main__":
    train(ImplicitBrain, *load_experiment())
