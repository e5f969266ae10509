"""ALiBi: attention that fades with the distance between two frames (Press
et al., 2022), as the data2vec 2.0 family uses it: symmetric, with a scale."""

import math
from collections.abc import Callable

import torch
from torch.nn import functional as F

from speechbrain_c2ser.lobes.attention import spare_keys


def alibi_slopes(num_heads: int) -> list[float]:
    """ALiBi's slopes (Press et al., 2022): a geometric series for a power of
    two; other counts take every second slope of the next power.

    Arguments
    ---------
    num_heads : int
        Attention heads.

    Returns
    -------
    list of float
        One slope per head.

    Example
    -------
    >>> alibi_slopes(4)
    [0.25, 0.0625, 0.015625, 0.00390625]
    >>> len(alibi_slopes(6))
    6
    """
    power = 2 ** math.floor(math.log2(num_heads))
    slopes = [2 ** (-8 * (i + 1) / power) for i in range(power)]
    if power < num_heads:
        slopes += alibi_slopes(2 * power)[0::2][: num_heads - power]
    return slopes


def attention_bias(
    places: torch.Tensor,
    valid: torch.Tensor | None,
    num_tokens: int = 0,
    slopes: list[float] | None = None,
    scales: torch.Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> Callable:
    """Prepares the bias of the attention scores: ALiBi, and minus infinity
    towards padding.

    Arguments
    ---------
    places : torch.Tensor
        Frame positions, [1 or B, T]; kept frames need not be neighbours.
    valid : torch.Tensor | None
        [B, T, 1] bool, True on real frames; None when all are.
    num_tokens : int
        Tokens in front of the frames, to and from which ALiBi is zero.
    slopes : list[float] | None
        ALiBi's slope of each head; None: no ALiBi.
    scales : torch.Tensor | None
        Factors of the slopes, clamped at 0, [1 or blocks, 1 or the heads that
        have a slope other than zero]. Needed with `slopes`.
    dtype : torch.dtype
        Of the scores. The bias is computed in float32.

    Returns
    -------
    callable
        Block number → bias, broadcastable to [B, heads, N, N] with N =
        tokens + T, or None. One tensor serves all blocks, unless each has
        its own scale. Wider by keys that are hidden, where attention is
        quicker so.

    Example
    -------
    >>> bias = attention_bias(
    ...     torch.tensor([[0, 2]]), None, 1, [0.5], torch.ones(1, 1)
    ... )
    >>> bias(0)[0, 0]
    tensor([[-0., -0., -0.],
            [-0., -0., -1.],
            [-0., -1., -0.]])
    """
    hidden = None
    if valid is not None:
        hidden = F.pad(~valid.squeeze(-1), (num_tokens, 0))[:, None, None]
    if slopes is None:
        if hidden is None:
            return lambda block: None
        mask = torch.zeros(hidden.shape, device=places.device)
        mask = mask.masked_fill(hidden, float("-inf")).to(dtype)
        mask = _in_tiles(mask)
        return lambda block: mask
    # Symmetric, between frames only: zero from and to the tokens.
    distance = (places.unsqueeze(2) - places.unsqueeze(1)).abs()
    distance = F.pad(
        distance.float(), (num_tokens, 0, num_tokens, 0)
    ).unsqueeze(1)
    slopes = torch.tensor(slopes, device=places.device)
    scales = scales.float().clamp_min(0)
    if scales.shape[1] > 1:
        # Heads without bias have a slope of zero: any scale will do.
        scales = F.pad(scales, (0, len(slopes) - scales.shape[1]))

    def bias(block):
        factor = -(slopes * scales[block if len(scales) > 1 else 0])
        scores = distance * factor[:, None, None]
        if hidden is not None:
            scores = scores.masked_fill(hidden, float("-inf"))
        return _in_tiles(scores.to(dtype))

    if len(scales) > 1:
        return bias
    shared = bias(0)
    return lambda block: shared


def _in_tiles(scores):
    """Scores [..., N, N], as wide as attention is quick with."""
    spare = spare_keys(scores.shape[-1], scores.dtype, scores.device)
    return F.pad(scores, (0, spare), value=float("-inf")) if spare else scores
