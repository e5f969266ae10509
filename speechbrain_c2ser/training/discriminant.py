"""A linear head fitted in closed form: linear discriminant analysis.

On hundreds of recordings this beats gradient descent: what varies within an
emotion (voices, sentences) is measured and divided out.
"""

from collections.abc import Sequence

import torch
from torch import nn

from speechbrain_c2ser.training.closed_form import discriminant

TEMPERATURES = torch.logspace(-1, 2, 301, dtype=torch.float64)


class LinearDiscriminant:
    """Fits a linear layer whose softmax gives calibrated probabilities.

    Classes are normal distributions with one covariance and equal priors. Of
    the standardized vectors' covariance within classes W a share is replaced
    by a multiple of the identity, (1 - s) W + s tr(W) / C I. Which share, and
    the temperature of the logits, are those that give training items the
    likeliest labels while their group is held out. Means, deviations and
    temperature end up in the layer's weights.

    Arguments
    ---------
    shrinkages : list[float]
        Shares to choose from, each in (0, 1].
    num_parts : int
        At most so many times a part of the groups is held out.

    Raises
    ------
    ValueError
        For a share outside (0, 1], or fewer than two parts.

    Example
    -------
    >>> vectors = torch.eye(2).repeat(8, 1) + 0.1 * torch.randn(16, 2)
    >>> layer, targets = nn.Linear(2, 2), torch.tensor([0, 1]).repeat(8)
    >>> groups = [i // 4 for i in range(16)]
    >>> LinearDiscriminant([0.5]).fit(layer, vectors, targets, groups)[
    ...     "shrinkage"
    ... ]
    0.5
    >>> bool((layer(vectors).argmax(1) == targets).all())
    True
    """

    def __init__(
        self, shrinkages: Sequence[float] = (0.5,), num_parts: int = 10
    ):
        wrong = [s for s in shrinkages if not 0 < s <= 1]
        if wrong or not shrinkages:
            raise ValueError(
                f"shrinkages are {list(shrinkages)}: give shares above 0, "
                "and at most 1."
            )
        if num_parts < 2:
            raise ValueError(f"num_parts is {num_parts}: give 2 or more.")
        self.shrinkages = [float(s) for s in shrinkages]
        self.num_parts = num_parts

    def fit(
        self,
        layer: nn.Linear,
        vectors: torch.Tensor,
        targets: torch.Tensor,
        groups: Sequence,
    ) -> dict:
        """Write the weights of a linear layer.

        Arguments
        ---------
        layer : torch.nn.Linear
            C to the number of classes.
        vectors : torch.Tensor
            [N, C].
        targets : torch.Tensor
            Class indices [N]; every class occurs.
        groups : sequence
            What is held out together [N]: speakers, or the copies of an
            utterance.

        Returns
        -------
        dict
            shrinkage, temperature, and the accuracy (UA, WA) on the training
            items held out.

        Raises
        ------
        ValueError
            Where only one group is left, so that none can be held out.
        """
        vectors, classes = vectors.double(), layer.out_features
        parts = _deal(groups, self.num_parts)
        kept, logits = [], {s: [] for s in self.shrinkages}
        for part in range(max(parts) + 1):
            held = torch.tensor([p == part for p in parts])
            # a class of one group cannot be held out
            if len(targets[~held].unique()) < classes:
                continue
            fits = _fits(vectors[~held], targets[~held], self.shrinkages)
            for share, (weight, bias) in fits.items():
                logits[share].append(vectors[held] @ weight.T + bias)
            kept.append(targets[held])
        if not kept:
            raise ValueError(
                "No group of the training set can be held out, since each has "
                "a class of its own: give more speakers, or no speakers."
            )
        kept = torch.cat(kept)
        best = min(
            (*_temperature(torch.cat(rows), kept), share)
            for share, rows in logits.items()
        )
        _, temperature, share = best
        weight, bias = _fits(vectors, targets, [share])[share]
        with torch.no_grad():
            layer.weight.copy_(weight / temperature)
            layer.bias.copy_(bias / temperature)
        right = torch.cat(logits[share]).argmax(1) == kept
        recalls = [right[kept == c].double().mean() for c in kept.unique()]
        return {
            "shrinkage": share,
            "temperature": temperature,
            "held_out_ua": float(torch.stack(recalls).mean()),
            "held_out_wa": float(right.double().mean()),
        }


def _deal(groups, num_parts):
    """Each item's part: the largest groups first, each to the smallest part."""
    sizes = {group: 0 for group in groups}
    for group in groups:
        sizes[group] += 1
    filled = [0] * min(num_parts, len(sizes))
    if len(filled) < 2:
        raise ValueError(
            "There is only one group to train on, so none can be held out: "
            "give more speakers, or no speakers."
        )
    part = {}
    for group in sorted(sizes, key=lambda g: (-sizes[g], str(g))):
        part[group] = filled.index(min(filled))
        filled[part[group]] += sizes[group]
    return [part[group] for group in groups]


def _fits(vectors, targets, shrinkages):
    """Share → weight [classes, C] and bias [classes], for raw vectors."""
    center, scale = vectors.mean(0), vectors.std(0, correction=0) + 1e-6
    x = (vectors - center) / scale
    solved = discriminant(x, targets, shrinkages)
    fits = {}
    for share, (scaled, bias) in zip(shrinkages, solved, strict=True):
        weight = scaled / scale
        fits[share] = weight, bias - weight @ center
    return fits


def _temperature(logits, targets):
    """(Loss, temperature) where the true labels are likeliest."""
    losses = [
        float(nn.functional.cross_entropy(logits / t, targets))
        for t in TEMPERATURES
    ]
    best = min(range(len(losses)), key=losses.__getitem__)
    return losses[best], float(TEMPERATURES[best])
