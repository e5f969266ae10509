"""A padded batch in parts of similar length, for processors."""

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F

from speechbrain_c2ser.lobes.exporting import is_exporting

# Of a part, where a lobe has no reason for another. Less leaves many parts of
# few items: each reads all weights again, and oneDNN makes kernels for its
# shape.
MAX_PADDING = 0.1


def parts_pay(x: torch.Tensor) -> bool:
    """Whether an encoder that trains nothing had better work in parts.

    Arguments
    ---------
    x : torch.Tensor
        Its input.

    Returns
    -------
    bool
        On a processor, where padding costs what audio does.

    Example
    -------
    >>> with torch.no_grad():
    ...     parts_pay(torch.ones(2, 3))
    True
    """
    processor = x.device.type == "cpu"
    return processor and not torch.is_grad_enabled() and not is_exporting()


def similar_lengths(
    lengths: torch.Tensor, max_padding: float
) -> list[torch.Tensor]:
    """Splits a batch into parts of similar length.

    Arguments
    ---------
    lengths : torch.Tensor
        Lengths, [B].
    max_padding : float
        Share of a part that may be padding.

    Returns
    -------
    list of torch.Tensor
        Indices of each part, longest items first.

    Example
    -------
    >>> similar_lengths(torch.tensor([50, 100, 98]), max_padding=0.1)
    [tensor([1, 2]), tensor([0])]
    """
    order = lengths.argsort(descending=True, stable=True)
    parts, part, total = [], [], 0
    for index, length in zip(
        order.tolist(), lengths[order].tolist(), strict=True
    ):
        if part:
            size = int(lengths[part[0]]) * (len(part) + 1)
            if size - total - length > max_padding * size:
                parts.append(torch.tensor(part))
                part, total = [], 0
        part.append(index)
        total += length
    return [*parts, torch.tensor(part)]


def pad_and_join(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Concatenates batches of several lengths, zeros at the ends.

    Arguments
    ---------
    tensors : sequence of torch.Tensor
        Each [b, T, C], with b and T of its own.

    Returns
    -------
    torch.Tensor
        [sum of b, largest T, C].

    Example
    -------
    >>> pad_and_join([torch.ones(1, 2, 1), torch.ones(2, 3, 1)]).shape
    torch.Size([3, 3, 1])
    """
    size = max(tensor.shape[1] for tensor in tensors)
    return torch.cat([F.pad(t, (0, 0, 0, size - t.shape[1])) for t in tensors])


def in_similar_parts(
    function: Callable,
    x: torch.Tensor,
    lengths: torch.Tensor,
    max_padding: float = MAX_PADDING,
) -> tuple:
    """Runs a batch in parts of similar length, and puts it together again.

    Arguments
    ---------
    function : callable
        (x, lengths) → three results of the batch: [b, T, C]; [b, ...]; and a
        list of [b, T', C], or None.
    x : torch.Tensor
        [B, T, ...].
    lengths : torch.Tensor
        Valid frames (or samples) of each item, [B].
    max_padding : float
        Share of a part that may be padding.

    Returns
    -------
    tuple
        The function's three results for the whole batch.

    Example
    -------
    >>> double = lambda x, lengths: (2 * x, lengths, None)
    >>> x, lengths = torch.ones(2, 3, 1), torch.tensor([1, 3])
    >>> in_similar_parts(double, x, lengths, 0.1)[0].flatten()
    tensor([2., 0., 0., 2., 2., 2.])
    """
    parts = similar_lengths(lengths, max_padding)
    if len(parts) == 1:
        return function(x, lengths)
    results = [
        function(x[part, : lengths[part].max()], lengths[part])
        for part in parts
    ]
    order = torch.cat(parts).argsort()
    frames, vectors, layers = zip(*results, strict=True)
    if layers[0] is not None:
        layers = [
            pad_and_join(layer)[order] for layer in zip(*layers, strict=True)
        ]
    else:
        layers = None
    return pad_and_join(frames)[order], torch.cat(vectors)[order], layers
