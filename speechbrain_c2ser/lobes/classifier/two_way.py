"""Dilated convolutions over the past and over the future."""

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.padding import frame_mask


@remember_arguments
class TwoWayDilated(nn.Module):
    """Causal dilated blocks in both directions, mixed over all reaches.

    TIM-Net (Ye et al. 2023): each block gates what goes into it by two
    convolutions over the past, with twice the dilation of the block before;
    a second chain of blocks runs from the end. The sums of both chains after
    every block, which reach ever further, are mixed under learned weights.
    Batch normalization counts valid frames alone.

    Arguments
    ---------
    input_size : int
        Channels of the encoder's frames.
    output_size : int
        Channels of the blocks.
    num_blocks : int
        In each direction; the last one's dilation is 2 ** (num_blocks - 1).
    kernel_size : int
        Of the convolutions.
    dropout : float
        Of whole channels, behind each convolution.

    Example
    -------
    >>> network = TwoWayDilated(4, 8, num_blocks=3)
    >>> frames, lengths = network(torch.rand(2, 9, 4), torch.tensor([9, 3]))
    >>> frames.shape, lengths
    (torch.Size([2, 9, 8]), tensor([9, 3]))
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        num_blocks: int = 6,
        kernel_size: int = 2,
        dropout: float = 0.1,
    ):
        super().__init__()
        if num_blocks < 1:
            raise ValueError(f"{num_blocks} blocks: give 1 or more.")
        self.output_size = output_size
        self.inputs = nn.ModuleList(
            nn.Linear(input_size, output_size) for _ in range(2)
        )
        self.chains = nn.ModuleList(
            nn.ModuleList(
                _Gate(output_size, kernel_size, 2**number, dropout)
                for number in range(num_blocks)
            )
            for _ in range(2)
        )
        self.weights = nn.Parameter(torch.ones(num_blocks) / num_blocks)

    def forward(
        self, frames: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames [B, T, input_size] to [B, T, output_size], and lengths."""
        valid = frame_mask(lengths, frames.shape[1])
        forth = self.inputs[0](frames)
        back = self.inputs[1](_turned(frames, lengths))
        mixed = torch.zeros_like(forth)
        for number, weight in enumerate(self.weights):
            forth = self.chains[0][number](forth, valid)
            back = self.chains[1][number](back, valid)
            mixed = mixed + weight * (forth + _turned(back, lengths))
        return mixed * valid.unsqueeze(-1), lengths


class _Gate(nn.Module):
    """Frames times the sigmoid of two convolutions over their past."""

    def __init__(self, size, kernel_size, dilation, dropout):
        super().__init__()
        self.past = (kernel_size - 1) * dilation
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size, size, kernel_size, dilation=dilation)
            for _ in range(2)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(size) for _ in range(2))
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, frames, valid):
        x = frames
        for convolution, norm in zip(
            self.convolutions, self.norms, strict=True
        ):
            x = F.pad(x.transpose(1, 2), (self.past, 0))
            x = convolution(x).transpose(1, 2)
            normed = torch.zeros_like(x)
            normed[valid] = norm(x[valid])
            x = self.dropout(F.relu(normed).transpose(1, 2)).transpose(1, 2)
        return frames * x.sigmoid()


def _turned(frames, lengths):
    """Each item's valid frames from its end to its start; padding stays."""
    places = torch.arange(frames.shape[1], device=frames.device)
    turned = lengths.unsqueeze(1) - 1 - places
    turned = torch.where(turned < 0, places, turned)
    return frames.gather(1, turned.unsqueeze(-1).expand_as(frames))
