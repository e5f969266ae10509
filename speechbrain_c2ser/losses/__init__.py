"""Losses, each a function or a module of its own."""

from speechbrain_c2ser.losses.contrast import PairLoss, gather_rows
from speechbrain_c2ser.losses.labels import distillation_loss, soft_label_loss
from speechbrain_c2ser.losses.regression import (
    concordance_loss,
    data2vec_loss,
    hidden_state_loss,
)

__all__ = [
    "PairLoss",
    "concordance_loss",
    "data2vec_loss",
    "distillation_loss",
    "gather_rows",
    "hidden_state_loss",
    "soft_label_loss",
]
