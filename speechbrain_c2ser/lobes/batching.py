"""What makes an item independent of the batch that it is in, and cheap."""

import torch
from torch.nn import functional as F


def normalise(wavs, samples):
    """Layer-norms each waveform over its own samples.

    Arguments
    ---------
    wavs : torch.Tensor
        [B, samples].
    samples : torch.Tensor
        Valid samples of each item, [B].

    Returns
    -------
    torch.Tensor
        [B, samples], float32, zeros after the valid samples.

    Example
    -------
    >>> normalise(torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([2]))
    tensor([[-1.0000,  1.0000,  0.0000]])
    """
    normalised = torch.zeros_like(wavs, dtype=torch.float32)
    for i, count in enumerate(samples.tolist()):
        wav = wavs[i, :count].float()
        normalised[i, :count] = F.layer_norm(wav, wav.shape)
    return normalised


def similar_lengths(lengths, max_padding):
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


def pad_and_join(tensors):
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
