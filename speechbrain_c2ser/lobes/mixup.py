"""Mixup (Zhang et al. 2018) of an encoder's features and their labels."""

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments


@remember_arguments
class Mixup(nn.Module):
    """Every item mixed with another one of its batch, and its label too.

    For models whose only heads are category heads. Of two items that differ
    in length the shorter one is followed by its padding.

    Arguments
    ---------
    alpha : float
        Of the Beta distribution of the shares; the larger share stays the
        item's own.

    Example
    -------
    >>> from speechbrain_c2ser.lobes.speech_features import SpeechFeatures
    >>> features = SpeechFeatures(torch.rand(2, 5, 4), torch.tensor([5, 3]))
    >>> labels = {"emotion": torch.tensor([0, 1])}
    >>> mixed, targets = Mixup(0.3)(features, labels, {"emotion": 3})
    >>> mixed.lengths.min() >= 3, targets["emotion"].sum(1)
    (tensor(True), tensor([1., 1.]))
    """

    def __init__(self, alpha=0.3):
        super().__init__()
        self.alpha = alpha

    def forward(self, features, targets, sizes):
        """Mixes features and targets.

        Arguments
        ---------
        features : SpeechFeatures
            Of a batch.
        targets : dict
            Head → label indices [B], -1 where missing.
        sizes : dict
            Head → number of its labels.

        Returns
        -------
        features : SpeechFeatures
        targets : dict
            Head → distributions [B, labels], zero where a label is missing.
        """
        device = features.lengths.device
        order = torch.randperm(len(features.lengths), device=device)
        share = torch.distributions.Beta(self.alpha, self.alpha)
        share = share.sample(order.shape).to(device)
        share = torch.maximum(share, 1 - share)

        def mixed(x):
            part = share.view(-1, *[1] * (x.dim() - 1))
            return part * x + (1 - part) * x[order]

        lengths = torch.maximum(features.lengths, features.lengths[order])
        layers = features.layers and [mixed(x) for x in features.layers]
        tokens = None if features.tokens is None else mixed(features.tokens)
        targets = {
            name: mixed(_distributions(labels.to(device), sizes[name]))
            for name, labels in targets.items()
        }
        frames = mixed(features.frames)
        return type(features)(frames, lengths, tokens, layers), targets


def _distributions(labels, size):
    known = (labels >= 0).unsqueeze(1)
    return F.one_hot(labels.clamp_min(0), size).float() * known
