"""Which frames the student of a masked pre-training sees."""

import torch

from speechbrain_c2ser.lobes.lengths import frame_mask


def block_mask(lengths, time, prob, length, adjust=0.0):
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
    wanted = (lengths * prob).round().clamp_min(1)
    wanted = torch.minimum(wanted, lengths - 1)
    blocks = (lengths * (prob + adjust) / length).round().clamp_min(1)
    slots = torch.arange(int(blocks.max()), device=device)
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


def kept_positions(mask, lengths):
    """Positions of the frames that the student sees.

    Arguments
    ---------
    mask : torch.Tensor
        Booleans [B, T], True = masked.
    lengths : torch.Tensor
        Frames per utterance [B].

    Returns
    -------
    torch.Tensor
        Ascending positions [B, K]; -1 fills the end of shorter rows.

    Example
    -------
    >>> mask = torch.tensor([[True, False, False], [False, True, False]])
    >>> kept_positions(mask, torch.tensor([3, 2]))
    tensor([[ 1,  2],
            [ 0, -1]])
    """
    kept = frame_mask(lengths, mask.shape[1]) & ~mask
    counts = kept.sum(1, keepdim=True)
    order = kept.byte().argsort(dim=1, descending=True, stable=True)
    order = order[:, : int(counts.max())]
    slots = torch.arange(order.shape[1], device=mask.device)
    return torch.where(slots < counts, order, -1)
