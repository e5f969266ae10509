"""A batch's items one behind the other in one row, so that none is padded.

What a network over frames computes of padding is thrown away; of 32 random
clips of 2 to 8 s that is a third, and of 0.5 to 30 s three quarters.
"""

import torch
from torch import nn

from speechbrain_c2ser.host import on_host, to_device
from speechbrain_c2ser.lobes.exporting import is_exporting

SAVING = 0.95  # of the padded frames, at most: copying has its price, too


class Row:
    """Where the frames of a padded batch stand in one row.

    Arguments
    ---------
    lengths : torch.Tensor
        Valid frames of each item, [B].
    size : int
        Frames T of the padded batch.
    stride : int
        Frames of the row per frame that comes out of it; every item begins at
        a multiple.
    reach : int
        Frames that come out on either side of an item from which convolutions
        still see it; twice as many are between two items.

    Example
    -------
    >>> row = Row(torch.tensor([1, 3]), 3, reach=1)
    >>> x = row.enter(torch.tensor([[[1.0], [9.0], [9.0]], [[2], [3], [4]]]))
    >>> x.flatten(), row.valid.flatten().int()
    (tensor([1., 0., 0., 2., 3., 4., 0.]),
     tensor([1, 0, 0, 1, 1, 1, 0], dtype=torch.int32))
    >>> row.leave(x).squeeze(2)
    tensor([[1., 0., 0.],
            [2., 3., 4.]])
    """

    def __init__(
        self,
        lengths: torch.Tensor,
        size: int,
        stride: int = 1,
        reach: int = 0,
    ):
        there, device = on_host(lengths), lengths.device
        shorter = (there + stride - 1) // stride
        slots = shorter + 2 * reach
        starts = slots.cumsum(0) - slots
        self.length = int(slots.sum()) - reach  # before whom nobody stands
        padded_size = -(-size // stride)
        self.padded_length = len(there) * padded_size
        item = torch.arange(len(there)).repeat_interleave(slots)[: self.length]
        within = torch.arange(self.length) - starts[item]
        valid = within < shorter[item]
        # as in a padded batch, which also has what nobody sees
        there_too = within < (shorter[item] + reach).clamp(max=padded_size)
        self.absent = self.padded_length - int(there_too.sum())
        item = item.repeat_interleave(stride)
        offset = torch.arange(len(item)) - stride * starts[item]
        inside = offset < there[item]
        source = item * size + offset.clamp(max=size - 1)
        step = torch.arange(int(shorter.max()))
        home = (starts.unsqueeze(1) + step).clamp(max=self.length - 1)
        kept = step < shorter.unsqueeze(1)
        self.valid = to_device(valid.unsqueeze(1), device)  # [frames out, 1]
        self.there_too = to_device(there_too.unsqueeze(1), device)
        self._source = to_device(source, device)
        self._inside = to_device(inside.unsqueeze(1), device)
        self._home = to_device(home, device)
        self._kept = to_device(kept.unsqueeze(2), device)

    def enter(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames [B, T, C] to a row [frames, C], zero between the items."""
        return frames.flatten(0, 1)[self._source] * self._inside

    def leave(self, row: torch.Tensor) -> torch.Tensor:
        """A row [frames out, C] to frames [B, T', C], zero where padded."""
        return row[self._home] * self._kept


def batch_norm(
    norm: nn.modules.batchnorm._BatchNorm,
    x: torch.Tensor,
    row: Row,
    padding: torch.Tensor,
) -> torch.Tensor:
    """Batch norm of a row, as it is of the padded batch.

    The statistics are those of all frames, padding counted: trained in rows
    or not, a network is the same.

    Arguments
    ---------
    norm : torch.nn.BatchNorm1d | torch.nn.BatchNorm2d
        With a momentum and weights.
    x : torch.Tensor
        [1, C, frames out] or [1, C, frames out, bands].
    row : Row
        Of the frames.
    padding : torch.Tensor
        What each channel holds far behind an item's end, [C]: the bias of the
        convolution before.

    Returns
    -------
    torch.Tensor
        As ``x``.

    Example
    -------
    >>> row = Row(torch.tensor([1, 3]), 3)
    >>> norm = nn.BatchNorm1d(1)
    >>> x = row.enter(torch.rand(2, 3, 1)).T.unsqueeze(0)
    >>> batch_norm(norm, x, row, torch.zeros(1)).shape
    torch.Size([1, 1, 4])
    """
    if not norm.training:
        return norm(x)
    bands = x[0, 0, 0].numel()
    total = row.padded_length * bands
    shape = (1, -1) + (1,) * (x.dim() - 2)
    dims = (0, *range(2, x.dim()))
    counted = row.there_too.view(1, 1, -1, *shape[3:])
    # autocast's half has too few digits for sums over a batch
    wide = x.to(norm.weight.dtype)
    mean = (wide * counted).sum(dims) + row.absent * bands * padding
    mean = mean / total
    centred = wide - mean.view(shape)
    squares = (centred.square() * counted).sum(dims)
    variance = squares + row.absent * bands * (padding - mean).square()
    variance = variance / total
    with torch.no_grad():
        norm.num_batches_tracked += 1
        norm.running_mean.lerp_(mean, norm.momentum)
        unbiased = variance * (total / max(total - 1, 1))
        norm.running_var.lerp_(unbiased, norm.momentum)
    scale = norm.weight * (variance + norm.eps).rsqrt()
    normed = centred * scale.view(shape) + norm.bias.view(shape)
    return normed.to(x.dtype)


def row_of(
    lengths: torch.Tensor, size: int, stride: int = 1, reach: int = 0
) -> Row | None:
    """A row, where it is shorter than the padded items together.

    Arguments
    ---------
    lengths, size, stride, reach
        As of :class:`Row`.

    Returns
    -------
    Row | None
        None, too, while a model is exported: no length is known then.

    Example
    -------
    >>> row_of(torch.tensor([3, 3]), 3) is None
    True
    """
    if is_exporting():
        return None
    row = Row(lengths, size, stride, reach)
    return row if row.length <= SAVING * row.padded_length else None
