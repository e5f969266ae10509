"""Masked pre-training: which frames are hidden, and their decoder."""

import torch
import torch.nn.functional as F
from torch import nn

from speechbrain_c2ser.host import on_both, on_host
from speechbrain_c2ser.lobes.padding import frame_mask


def masked_counts(lengths: torch.Tensor, prob: float) -> torch.Tensor:
    """Frames of each utterance that :func:`block_mask` masks.

    Arguments
    ---------
    lengths : torch.Tensor
        Frames per utterance [B].
    prob : float
        Share of frames to mask.

    Returns
    -------
    torch.Tensor
        Integers [B].

    Example
    -------
    >>> masked_counts(torch.tensor([10, 4, 1]), 0.5)
    tensor([5, 2, 0])
    """

    def counts(lengths):
        wanted = (lengths * prob).round().clamp_min(1).long()
        return torch.minimum(wanted, lengths - 1)

    return on_both(counts, lengths)


def block_mask(
    lengths: torch.Tensor,
    time: int,
    prob: float,
    length: int,
    adjust: float = 0.0,
) -> torch.Tensor:
    """Random blocks of masked frames, the exact share for every utterance.

    Blocks are drawn with replacement and overlap; single frames are then
    added or taken away at random until round(prob x frames) are masked. At
    least one frame is masked and one is kept (an utterance of one frame
    keeps it).

    Arguments
    ---------
    lengths : torch.Tensor
        Frames per utterance [B].
    time : int
        Frames of the padded batch.
    prob : float
        Share of frames to mask.
    length : int
        Frames per block.
    adjust : float
        Added to prob for the number of blocks.

    Returns
    -------
    torch.Tensor
        Booleans [B, time], True = masked; False on padding.

    Example
    -------
    >>> block_mask(torch.tensor([10, 4]), 10, prob=0.5, length=2).sum(1)
    tensor([5, 2])
    """
    batch, device = len(lengths), lengths.device
    valid = frame_mask(lengths, time)
    wanted = masked_counts(lengths, prob)
    blocks = on_both(
        lambda n: (n * (prob + adjust) / length).round().clamp_min(1), lengths
    )
    slots = torch.arange(int(on_host(blocks).max()), device=device)
    starts = torch.rand(batch, len(slots), device=device)
    # a block may begin before the first frame, so that edges are as likely
    starts = starts * (lengths.unsqueeze(1) + length - 1) - (length - 1)
    starts = starts.floor().long().unsqueeze(-1)
    frames = starts + torch.arange(length, device=device)
    inside = (frames >= 0) & (frames < lengths.view(-1, 1, 1))
    inside &= (slots < blocks.unsqueeze(1)).unsqueeze(-1)
    # frames outside go to a spare last column
    frames = torch.where(inside, frames, time).flatten(1)
    mask = torch.zeros(batch, time + 1, dtype=torch.bool, device=device)
    mask = mask.scatter(1, frames, True)[:, :time]
    # masked before unmasked before padding, each in random order
    priority = torch.rand(batch, time, device=device) + mask.float()
    priority = priority.masked_fill(~valid, -1.0)
    rank = priority.argsort(1, descending=True).argsort(1)
    return rank < wanted.unsqueeze(1)


def masked_positions(mask: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Positions of the masked frames among all of a batch, in order.

    Python need not wait for a device, as it must to index by the mask.

    Arguments
    ---------
    mask : torch.Tensor
        Booleans [B, T], True = masked.
    counts : torch.Tensor
        Masked frames of each utterance [B].

    Returns
    -------
    torch.Tensor
        Integers [masked frames] of the B * T frames.

    Example
    -------
    >>> mask = torch.tensor([[True, False, False], [False, True, True]])
    >>> masked_positions(mask, torch.tensor([1, 2]))
    tensor([0, 4, 5])
    """
    number = int(on_host(counts).sum())
    order = mask.flatten().byte().argsort(descending=True, stable=True)
    return order[:number]


def kept_positions(
    mask: torch.Tensor, lengths: torch.Tensor, counts: torch.Tensor
) -> torch.Tensor:
    """Positions of the frames that the student sees.

    Arguments
    ---------
    mask : torch.Tensor
        Booleans [B, T], True = masked.
    lengths : torch.Tensor
        Frames per utterance [B].
    counts : torch.Tensor
        Masked frames of each [B].

    Returns
    -------
    torch.Tensor
        Ascending positions [B, K]; -1 fills the end of shorter rows.

    Example
    -------
    >>> mask = torch.tensor([[True, False, False], [False, True, False]])
    >>> kept_positions(mask, torch.tensor([3, 2]), torch.tensor([1, 1]))
    tensor([[ 1,  2],
            [ 0, -1]])
    """
    kept = frame_mask(lengths, mask.shape[1]) & ~mask
    order = kept.byte().argsort(dim=1, descending=True, stable=True)
    most = int((on_host(lengths) - on_host(counts)).max())
    slots = torch.arange(most, device=mask.device)
    some = slots < (lengths - counts).unsqueeze(1)
    return torch.where(some, order[:, :most], -1)


class ConvDecoder(nn.Module):
    """Grouped convolutions that guess masked frames from their neighbours.

    Each layer is Conv1d, LayerNorm without affine, GELU, with a residual
    where the sizes agree; padded frames are zeroed before each convolution so
    that an utterance is the same alone and in a batch.

    Arguments
    ---------
    input_size : int
        D of the encoder; also the output's.
    size : int
        Channels inside.
    depth : int
        Number of convolutions.
    kernel : int
        Frames per convolution, odd.
    groups : int
        Groups; must divide both sizes.

    Example
    -------
    >>> import torch
    >>> decoder = ConvDecoder(16, 8, depth=2, kernel=3, groups=2)
    >>> decoder(torch.randn(2, 5, 16), torch.tensor([5, 3])).shape
    torch.Size([2, 5, 16])
    """

    def __init__(
        self, input_size: int, size: int, depth: int, kernel: int, groups: int
    ):
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"decoder_kernel must be odd, got {kernel}.")
        if input_size % groups or size % groups:
            raise ValueError(
                f"decoder_groups {groups} must divide the encoder's "
                f"{input_size} and the decoder's {size} channels."
            )
        sizes = [input_size] + [size] * depth
        # nested so that the names are those of the published checkpoints
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(
                    before, size, kernel, padding=kernel // 2, groups=groups
                )
            )
            for before in sizes[:-1]
        )
        self.proj = nn.Linear(size, input_size)

    def forward(self, x, lengths):
        """Decode [B, T, D] with true lengths [B] to [B, T, D]."""
        valid = frame_mask(lengths, x.shape[1]).unsqueeze(-1)
        for block in self.blocks:
            residual = x
            x = block((x * valid).transpose(1, 2)).transpose(1, 2)
            x = F.gelu(F.layer_norm(x, x.shape[-1:]))
            if residual.shape == x.shape:
                x = x + residual
        return self.proj(x)
