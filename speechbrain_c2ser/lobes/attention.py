"""Attention in half precision on a processor, quick at any length.

The fused kernel multiplies keys in tiles of 16. At a length that is no
multiple of it, torch 2.13 takes up to twice the time; some keys more, which
nothing attends to, cost less.
"""

import torch
from torch.nn import functional as F

from speechbrain_c2ser.lobes.exporting import is_exporting

TILE = 16


def compute_dtype(x: torch.Tensor) -> torch.dtype:
    """What attention computes in: autocast's choice, or the tensor's own.

    Arguments
    ---------
    x : torch.Tensor
        Queries, or what they are made of.

    Returns
    -------
    torch.dtype

    Example
    -------
    >>> with torch.autocast("cpu", torch.bfloat16):
    ...     compute_dtype(torch.ones(1))
    torch.bfloat16
    """
    if torch.is_autocast_enabled(x.device.type):
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype


def spare_keys(keys: int, dtype: torch.dtype, device: torch.device) -> int:
    """How many keys had better be added.

    Arguments
    ---------
    keys : int
        That there are.
    dtype : torch.dtype
        What attention computes in.
    device : torch.device
        Where.

    Returns
    -------
    int
        0 where the kernels do not mind: on another device, in float32, or
        where gradients are wanted.

    Example
    -------
    >>> with torch.no_grad():
    ...     spare_keys(309, torch.bfloat16, torch.device("cpu"))
    11
    """
    half = dtype.itemsize == 2 and device.type == "cpu"
    if not half or torch.is_grad_enabled() or is_exporting():
        return 0
    return -keys % TILE


def attend(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    bias: torch.Tensor | None = None,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Scaled-dot-product attention; keys are added up to the bias's width.

    Arguments
    ---------
    queries : torch.Tensor
        [B, heads, Q, C].
    keys, values : torch.Tensor
        [B, heads, K, C].
    bias : torch.Tensor | None
        Added to the scores, broadcastable to [B, heads, Q, K or more]; minus
        infinity from K on.
    dropout : float
        On the attention's weights.

    Returns
    -------
    torch.Tensor
        [B, heads, Q, C].

    Example
    -------
    >>> q, k, v = torch.randn(3, 2, 4, 5, 8)
    >>> wide = F.pad(torch.zeros(5, 5), (0, 3), value=float("-inf"))
    >>> torch.allclose(attend(q, k, v, wide), attend(q, k, v), atol=1e-6)
    True
    """
    spare = 0 if bias is None else bias.shape[-1] - keys.shape[2]
    if spare > 0:
        keys = F.pad(keys, (0, 0, 0, spare))
        values = F.pad(values, (0, 0, 0, spare))
    return F.scaled_dot_product_attention(
        queries, keys, values, attn_mask=bias, dropout_p=dropout
    )
