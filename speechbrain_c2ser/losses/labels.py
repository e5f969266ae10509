"""Losses on distributions over labels."""


def soft_label_loss(logits, votes):
    """Cross-entropy against a distribution of annotators' votes.

    Arguments
    ---------
    logits : torch.Tensor
        Scores [N, L].
    votes : torch.Tensor
        Vote counts or probabilities [N, L], >= 0; each row is normalized. A
        row of zeros has no label and takes no part.

    Returns
    -------
    torch.Tensor
        Scalar: mean over the labelled rows.

    Raises
    ------
    ValueError
        If a vote is negative.

    Example
    -------
    >>> import torch
    >>> soft_label_loss(torch.zeros(1, 4), torch.tensor([[3.0, 1, 0, 0]]))
    tensor(1.3863)
    """
    votes = votes.float()
    if (votes < 0).any():
        raise ValueError("Votes must be counts or probabilities >= 0.")
    total = votes.sum(-1)
    labelled = total > 0
    if not labelled.any():
        return logits.sum() * 0.0
    target = votes[labelled] / total[labelled].unsqueeze(-1)
    return -(target * logits[labelled].float().log_softmax(-1)).sum(-1).mean()


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
    >>> import torch
    >>> distillation_loss(torch.zeros(2, 3), torch.ones(2, 3))
    tensor(0.)
    """
    student = (student_logits.float() / temperature).log_softmax(-1)
    teacher = (teacher_logits.detach().float() / temperature).log_softmax(-1)
    divergence = (teacher.exp() * (teacher - student)).sum(-1)
    return divergence.mean() * temperature**2
