"""Linear classifiers and regressions in closed form, for a few hundred items.

Where recordings are few, these hear more than the same layer trained by
gradient steps, in a second and without a learning rate; how much they are
held back (shrinkage, penalty) is chosen on speakers left out of the fit.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch.nn.functional import cross_entropy

SHRINKAGES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)
PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
SHARPNESSES = tuple(2.0 ** (n / 2) for n in range(-12, 7))


def discriminant(
    x: torch.Tensor, labels: torch.Tensor, shrinkages: Sequence[float]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Linear discriminants with equal priors, one for each shrinkage.

    The covariance within the classes is drawn to a multiple of the identity.

    Arguments
    ---------
    x : torch.Tensor
        Features, [N, D].
    labels : torch.Tensor
        Classes [N], from 0; each class has an item.
    shrinkages : sequence of float
        Each in (0, 1].

    Yields
    ------
    weight : torch.Tensor
        [K, D].
    bias : torch.Tensor
        [K].

    Example
    -------
    >>> x = torch.tensor([[-1.0, 0.2], [-1.2, 0.0], [1.0, 0.1], [1.1, 0.3]])
    >>> weight, bias = next(discriminant(x, torch.tensor([0, 0, 1, 1]), [0.5]))
    >>> (x @ weight.t() + bias).argmax(1)
    tensor([0, 0, 1, 1])
    """
    members = torch.nn.functional.one_hot(labels).to(x)
    means = (members / members.sum(0)).t() @ x
    within = (x - means[labels]) / len(x) ** 0.5
    _, spread, axes = torch.linalg.svd(within, full_matrices=False)
    along = means @ axes.t()
    across = means - along @ axes
    for shrinkage in shrinkages:
        floor = shrinkage * spread.square().sum() / x.shape[1]
        # in classes of one point each nothing varies: no division by zero
        floor = floor.clamp_min(1e-12)
        variance = (1 - shrinkage) * spread.square() + floor
        weight = (along / variance) @ axes + across / floor
        yield weight, -0.5 * (weight * means).sum(1)


def ridge(
    x: torch.Tensor, values: torch.Tensor, penalties: Sequence[float]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Linear regressions, one for each penalty.

    Arguments
    ---------
    x : torch.Tensor
        Features, [N, D].
    values : torch.Tensor
        [N].
    penalties : sequence of float
        In units of the features' mean squared length.

    Yields
    ------
    weight : torch.Tensor
        [1, D].
    bias : torch.Tensor
        [1].

    Example
    -------
    >>> x = torch.tensor([[0.0], [1.0], [2.0]])
    >>> weight, bias = next(ridge(x, 3 * x[:, 0] + 1, [1e-6]))
    >>> weight.round(decimals=3), bias.round(decimals=3)
    (tensor([[3.]]), tensor([1.]))
    """
    centre, mean = x.mean(0), values.mean()
    sides, spread, axes = torch.linalg.svd(x - centre, full_matrices=False)
    along = sides.t() @ (values - mean)
    unit = x.square().sum(1).mean()
    for penalty in penalties:
        shrunk = along * spread / (spread.square() + penalty * unit)
        weight = (shrunk @ axes).unsqueeze(0)
        yield weight, mean - weight @ centre


def held_out(
    fit: Callable,
    x: torch.Tensor,
    targets: torch.Tensor,
    groups: Sequence[str],
    strengths: Sequence[float],
) -> list[torch.Tensor]:
    """Outputs for each item of fits that left its group (speaker) out.

    Arguments
    ---------
    fit : callable
        :func:`discriminant` or :func:`ridge`.
    x : torch.Tensor
        Features, [N, D].
    targets : torch.Tensor
        [N].
    groups : sequence of str
        N names, of two groups at least.
    strengths : sequence of float
        Shrinkages or penalties.

    Returns
    -------
    list of torch.Tensor
        [N, K] for each strength.

    Raises
    ------
    ValueError
        Where there is one group only, or a group alone has a class.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        raise ValueError(
            "All recordings are of one speaker: to choose on a speaker left "
            "out takes two at least."
        )
    outputs: list = [None] * len(strengths)
    for name in names:
        out = torch.tensor([group == name for group in groups])
        kept = targets[~out]
        if not targets.is_floating_point() and len(kept.unique()) < len(
            targets.unique()
        ):
            raise ValueError(
                f"One of the classes has recordings of {name!r} only: record "
                "it from another speaker too, or leave it out."
            )
        for number, (weight, bias) in enumerate(fit(x[~out], kept, strengths)):
            scores = x[out] @ weight.t() + bias
            if outputs[number] is None:
                outputs[number] = scores.new_zeros(len(x), scores.shape[1])
            outputs[number][out] = scores
    return outputs


def choose_discriminant(
    x: torch.Tensor, labels: torch.Tensor, groups: Sequence[str]
) -> tuple[torch.Tensor, torch.Tensor, dict]:
    """A discriminant whose shrinkage and sharpness left-out speakers chose.

    Arguments
    ---------
    x : torch.Tensor
        Features, [N, D].
    labels : torch.Tensor
        Classes [N], from 0.
    groups : sequence of str
        Speakers of the N items.

    Returns
    -------
    weight : torch.Tensor
        [K, D]; its scores' softmax is a calibrated probability.
    bias : torch.Tensor
        [K].
    figures : dict
        ua (of speakers left out), shrinkage, sharpness.
    """
    outputs = held_out(discriminant, x, labels, groups, SHRINKAGES)
    members = torch.nn.functional.one_hot(labels).float()
    recalls = [
        (members[o.argmax(1) == labels].sum(0) / members.sum(0)).mean()
        for o in outputs
    ]
    best = int(torch.stack(recalls).argmax())
    losses = [
        float(cross_entropy(outputs[best] * s, labels)) for s in SHARPNESSES
    ]
    sharpness = SHARPNESSES[losses.index(min(losses))]
    weight, bias = next(discriminant(x, labels, [SHRINKAGES[best]]))
    figures = {
        "ua": float(recalls[best]),
        "shrinkage": SHRINKAGES[best],
        "sharpness": sharpness,
    }
    return weight * sharpness, bias * sharpness, figures
