"""Losses, each a function or a module of its own."""

from speechbrain_c2ser.losses.contrast import (
    PairLoss,
    gather_rows,
    gather_targets,
    supervised_contrast,
)
from speechbrain_c2ser.losses.embeddings import (
    anchor_loss,
    info_nce,
    margin_loss,
    rank_contrast_loss,
)
from speechbrain_c2ser.losses.labels import (
    distillation_loss,
    focal_loss,
    soft_label_loss,
)
from speechbrain_c2ser.losses.regression import (
    concordance_loss,
    data2vec_loss,
    hidden_state_loss,
    rank_loss,
)

__all__ = [
    "PairLoss",
    "anchor_loss",
    "concordance_loss",
    "data2vec_loss",
    "distillation_loss",
    "focal_loss",
    "gather_rows",
    "gather_targets",
    "hidden_state_loss",
    "info_nce",
    "margin_loss",
    "rank_contrast_loss",
    "rank_loss",
    "soft_label_loss",
    "supervised_contrast",
]
