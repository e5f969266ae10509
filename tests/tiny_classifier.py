"""A classifier of random weights that is not trained, and yet decides."""

import torch

from speechbrain_c2ser.lobes import (
    CategoryHead,
    EmotionClassifier,
    LogMel,
    MaskedMean,
    MultiHead,
)


def uneven_classifier(labels):
    """One whose answers differ from recording to recording."""
    torch.manual_seed(3)
    head = CategoryHead(8, labels)
    weight = torch.randn(len(labels), 8) * 3
    head.linear.weight.data = weight - weight.mean(1, keepdim=True)
    return EmotionClassifier(
        LogMel(n_mels=8), MultiHead({"emotion": head}), MaskedMean(8)
    )
