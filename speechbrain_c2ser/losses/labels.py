"""Losses on distributions over labels."""

import torch

from speechbrain_c2ser.host import on_host, to_device


def soft_label_loss(
    logits: torch.Tensor,
    votes: torch.Tensor,
    weights: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Cross-entropy against labels, or distributions such as votes.

    Arguments
    ---------
    logits : torch.Tensor
        Scores [N, L].
    votes : torch.Tensor
        Vote counts or probabilities [N, L], >= 0; each row is normalized. A
        row of zeros has no label and takes no part.
    weights : torch.Tensor | None
        Of the labels [L]; None = all count alike.
    label_smoothing : float
        Share of each row that is spread over all labels.

    Returns
    -------
    torch.Tensor
        Scalar: mean over the labelled rows, weighted as
        ``torch.nn.functional.cross_entropy`` does; 0 without any.

    Raises
    ------
    ValueError
        If a vote is negative.

    Example
    -------
    >>> soft_label_loss(torch.zeros(1, 4), torch.tensor([[3.0, 1, 0, 0]]))
    tensor(1.3863)
    """
    target, log_probabilities = _labelled(logits, votes)
    if not len(target):
        return logits.sum() * 0.0
    smooth = (1 - label_smoothing) * target
    smooth = smooth + label_smoothing / target.shape[1]
    return _weighted_mean(-smooth * log_probabilities, target, weights)


def focal_loss(
    logits: torch.Tensor,
    votes: torch.Tensor,
    weights: torch.Tensor | None = None,
    gamma: float = 2.0,
) -> torch.Tensor:
    """Cross-entropy that looks away from what is easy (Lin et al. 2017).

    Arguments
    ---------
    logits : torch.Tensor
        Scores [N, L].
    votes : torch.Tensor
        As of :func:`soft_label_loss`.
    weights : torch.Tensor | None
        Of the labels [L]; None = all count alike.
    gamma : float
        Power of (1 - probability) that multiplies each term; 0 is plain
        cross-entropy.

    Returns
    -------
    torch.Tensor
        Scalar: mean over the labelled rows; 0 without any.

    Example
    -------
    >>> focal_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), gamma=1.0)
    tensor(0.3466)
    """
    target, log_probabilities = _labelled(logits, votes)
    if not len(target):
        return logits.sum() * 0.0
    hard = (1 - log_probabilities.exp()).clamp_min(0) ** gamma
    return _weighted_mean(-target * hard * log_probabilities, target, weights)


def _labelled(logits, votes):
    """Distributions and log-probabilities [n, L] of the labelled rows."""
    votes = on_host(votes).float()
    if (votes < 0).any():
        raise ValueError("Votes must be counts or probabilities >= 0.")
    total = votes.sum(-1)
    rows = (total > 0).nonzero().squeeze(1)
    target = votes[rows] / total[rows].unsqueeze(-1)
    if len(rows) < len(logits):
        logits = logits[to_device(rows, logits.device)]
    target = to_device(target, logits.device)
    return target, logits.float().log_softmax(-1)


def _weighted_mean(losses, target, weights):
    """Sum of weighted losses [n, L] over the sum of the targets' weights."""
    if weights is None:
        return losses.sum(-1).mean()
    return (losses * weights).sum() / (target * weights).sum()


def distillation_loss(student_logits, teacher_logits, temperature: float = 1.0):
    """KL(teacher || student) with a stopped gradient (Hinton et al. 2015).

    Arguments
    ---------
    student_logits : torch.Tensor
        Scores [..., L].
    teacher_logits : torch.Tensor
        Scores [..., L]; no gradient flows into them.
    temperature : float
        Softens both; the loss is scaled by its square so that gradients keep
        their size.

    Returns
    -------
    torch.Tensor
        Scalar: mean over all but the last axis.

    Example
    -------
    >>> distillation_loss(torch.zeros(2, 3), torch.ones(2, 3))
    tensor(0.)
    """
    student = (student_logits.float() / temperature).log_softmax(-1)
    teacher = (teacher_logits.detach().float() / temperature).log_softmax(-1)
    divergence = (teacher.exp() * (teacher - student)).sum(-1)
    return divergence.mean() * temperature**2
