"""Convolutions over time that keep everything batch-time-channel.

Weights are stored as [out, kernel, in], so that no layer transposes its input.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.lobes.exporting import is_exporting


class TimeConv(nn.Module):
    """1-d convolution over batch-time-channel tensors.

    Arguments
    ---------
    in_channels : int
        Channels of the input.
    out_channels : int
        Channels of the output.
    kernel_size : int
        Taps over time.
    stride : int
        Hop over time.
    padding : int
        Zeros put on both ends of the time axis.
    groups : int
        Groups of channels that do not mix.
    bias : bool
        Whether to add a bias.

    Example
    -------
    >>> TimeConv(4, 6, kernel_size=3, stride=2)(torch.rand(2, 11, 4)).shape
    torch.Size([2, 5, 6])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        bias: bool = True,
    ):
        super().__init__()
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.groups = groups
        fan_in = in_channels // groups * kernel_size
        bound = 1 / math.sqrt(fan_in)
        self.weight = nn.Parameter(
            torch.empty(out_channels, kernel_size, in_channels // groups)
        )
        nn.init.uniform_(self.weight, -bound, bound)
        self.bias = None
        if bias:
            self.bias = nn.Parameter(torch.empty(out_channels))
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolves.

        Arguments
        ---------
        x : torch.Tensor
            [B, T, in_channels].

        Returns
        -------
        torch.Tensor
            [B, T', out_channels].
        """
        if self._matmul_is_faster(x):
            return self._as_matmul(x)
        # A height of one turns both permuted views into channels-last
        # images: neither the input nor the weight is copied.
        y = F.conv2d(
            x.unsqueeze(1).permute(0, 3, 1, 2),
            self.weight.unsqueeze(1).permute(0, 3, 1, 2),
            self.bias,
            stride=(1, self.stride),
            padding=(0, self.padding),
            groups=self.groups,
        )
        return y.permute(0, 2, 3, 1).squeeze(1)

    def _matmul_is_faster(self, x):
        """Measured on a CPU; with gradients it would keep every window."""
        if torch.is_grad_enabled() or is_exporting():
            return False
        if x.device.type != "cpu":
            return False
        if self.groups > 1 or self.padding or self.bias is not None:
            return False
        # Of bfloat16, copying overlapping windows costs more than it gains.
        return x.dtype == torch.float32 or self.kernel_size <= self.stride

    def _as_matmul(self, x):
        """The convolution as one matmul over windows of the input."""
        seen = windows(x, self.kernel_size, self.stride)
        return F.linear(seen, self.weight.flatten(1))


def windows(x: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """What a convolution without padding sees at each place, not copied.

    Arguments
    ---------
    x : torch.Tensor
        [B, T, C].
    kernel, stride : int
        Steps of T.

    Returns
    -------
    torch.Tensor
        [B, T', kernel * C].

    Example
    -------
    >>> windows(torch.arange(5.0).view(1, 5, 1), kernel=3, stride=2)
    tensor([[[0., 1., 2.],
             [2., 3., 4.]]])
    """
    batch, size, channels = x.shape
    return x.contiguous().as_strided(
        (batch, (size - kernel) // stride + 1, kernel * channels),
        (size * channels, stride * channels, 1),
    )
