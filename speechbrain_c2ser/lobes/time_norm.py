"""Statistics over an utterance's own frames, whatever its batch pads."""


def time_mean(x, valid):
    """Mean over the valid frames.

    Arguments
    ---------
    x : torch.Tensor
        [B, T, D].
    valid : torch.Tensor
        Booleans [B, T, 1].

    Returns
    -------
    torch.Tensor
        [B, D].

    Example
    -------
    >>> import torch
    >>> x = torch.tensor([[[1.0], [3.0], [99.0]]])
    >>> time_mean(x, torch.tensor([[[True], [True], [False]]]))
    tensor([[2.]])
    """
    return (x * valid).sum(1) / valid.sum(1)


def instance_norm(x, valid, eps=1e-5):
    """Zero mean, unit variance over each utterance's valid frames.

    Arguments
    ---------
    x : torch.Tensor
        [B, T, D].
    valid : torch.Tensor
        Booleans [B, T, 1].
    eps : float
        Added to the variance.

    Returns
    -------
    torch.Tensor
        [B, T, D], zero on padding.

    Example
    -------
    >>> import torch
    >>> x = torch.tensor([[[1.0], [3.0], [99.0]]])
    >>> valid = torch.tensor([[[True], [True], [False]]])
    >>> instance_norm(x, valid, eps=0.0).flatten()
    tensor([-1.,  1.,  0.])
    """
    centred = x - time_mean(x, valid).unsqueeze(1)
    variance = time_mean(centred.square(), valid).unsqueeze(1)
    return centred * (variance + eps).rsqrt() * valid
