"""Losses on numbers: masked prediction, concordance, hidden states."""

import torch
import torch.nn.functional as F


def data2vec_loss(
    predictions: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Squared error to the teacher, summed over dims, times 1/sqrt(D).

    Only the rows to be counted are passed in (masked frames of all
    utterances, or one row per utterance), so padding can never enter.

    Arguments
    ---------
    predictions : torch.Tensor
        Rows [N, D] of the student.
    targets : torch.Tensor
        Rows [N, D] of the teacher; no gradient flows into them.

    Returns
    -------
    torch.Tensor
        Scalar: mean over the N rows.

    Raises
    ------
    ValueError
        If the shapes differ or there is no row at all.

    Example
    -------
    >>> data2vec_loss(torch.zeros(3, 4), torch.ones(3, 4))
    tensor(2.)
    """
    if predictions.shape != targets.shape:
        raise ValueError(
            f"Predictions {tuple(predictions.shape)} and targets "
            f"{tuple(targets.shape)} must have the same shape."
        )
    if len(predictions) == 0:
        raise ValueError("No frame is masked: raise mask_prob.")
    error = (predictions.float() - targets.detach().float()).square()
    return error.sum(-1).mean() * predictions.shape[-1] ** -0.5


def concordance_loss(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """1 - concordance correlation coefficient (Lin 1989), for dimensions.

    Arguments
    ---------
    predictions : torch.Tensor
        Values [N] or [N, K], K = dimensions such as valence and arousal.
    targets : torch.Tensor
        Same shape.
    mask : torch.Tensor | None
        Booleans [N]; False = no target, the item takes no part.

    Returns
    -------
    torch.Tensor
        Scalar: mean over the K dimensions of 1 - CCC, in [0, 2]. Fewer than
        two items carry no correlation: a zero with zero gradient.

    Example
    -------
    >>> concordance_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]))
    tensor(0.)
    """
    if mask is not None:
        predictions, targets = predictions[mask], targets[mask]
    if len(predictions) < 2:
        return predictions.sum() * 0.0
    x, y = predictions.float(), targets.float()
    x_mean, y_mean = x.mean(0), y.mean(0)
    covariance = ((x - x_mean) * (y - y_mean)).mean(0)
    spread = (
        x.var(0, unbiased=False)
        + y.var(0, unbiased=False)
        + (x_mean - y_mean).square()
    )
    # two constants that agree: nothing to learn, not 0/0
    ccc = 2 * covariance / spread.clamp_min(1e-8)
    return torch.where(spread > 0, 1 - ccc, torch.zeros_like(ccc)).mean()


def rank_loss(values: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Logistic loss over pairs: who has more, not how much (RankNet, 2005).

    For ordinal labels, such as ranks of a best-worst scaling.

    Arguments
    ---------
    values : torch.Tensor
        Predicted numbers [N].
    targets : torch.Tensor
        True ones [N]; only their order counts.

    Returns
    -------
    torch.Tensor
        Scalar: mean over the pairs whose targets differ; a zero with zero
        gradient where there is none.

    Example
    -------
    >>> rank_loss(torch.zeros(3), torch.tensor([0.0, 1.0, 1.0]))
    tensor(0.6931)
    """
    more = targets.unsqueeze(1) > targets.unsqueeze(0)  # [N, N]
    if not more.any():
        return values.sum() * 0.0
    ahead = values.unsqueeze(1) - values.unsqueeze(0)
    return F.softplus(-ahead[more]).mean()


def hidden_state_loss(
    student: torch.Tensor, teacher: torch.Tensor
) -> torch.Tensor:
    """Mean squared distance of layer-normalized hidden states.

    Normalized, because the size of a hidden state differs from layer to layer
    and says nothing about its content.

    Arguments
    ---------
    student : torch.Tensor
        States [..., D].
    teacher : torch.Tensor
        States [..., D]; no gradient flows into them.

    Returns
    -------
    torch.Tensor
        Scalar: mean over all axes.

    Example
    -------
    >>> state = torch.tensor([[1.0, -1.0]])
    >>> hidden_state_loss(state, -state)
    tensor(4.0000)
    """
    size = student.shape[-1:]
    student = F.layer_norm(student.float(), size)
    teacher = F.layer_norm(teacher.detach().float(), size)
    return F.mse_loss(student, teacher)
