"""Linear layers in 8 bits on a processor, quantized as they are used."""

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.inference.freed_memory import MappedFiles
from speechbrain_c2ser.inference.linear_layers import replaceable

ROWS = 512  # outputs whose weights are quantized together


class Int8Linear(nn.Linear):
    """A linear layer of 8-bit weights; inputs are quantized row by row.

    Weights have a scale for each output, inputs one for each frame or token
    (LLM.int8(), arXiv 2208.07339, without its outliers): so an utterance gets
    the same answer alone and in any batch, which one scale for a whole batch
    would not give.

    Example
    -------
    >>> linear = nn.Linear(64, 32)
    >>> x = torch.randn(2, 5, 64)
    >>> exact = linear(x)
    >>> error = to_int8(nn.Sequential(linear))(x) - exact
    >>> bool(error.norm() < 0.02 * exact.norm())
    True
    """

    @classmethod
    def take(cls, linear: nn.Linear) -> None:
        """Make a layer one of these; hooks and references to it stay.

        Arguments
        ---------
        linear : nn.Linear
            Of fp32 weights, which are let go.
        """
        weight = linear.weight.detach()
        del linear.weight
        linear.__class__ = cls
        rows = torch.empty_like(weight, dtype=torch.int8)
        scale = weight.new_empty((len(weight), 1), dtype=torch.float32)
        # A part at a time: no whole copy in fp32.
        for start in range(0, len(weight), ROWS):
            part = slice(start, start + ROWS)
            exact = weight[part].float()
            scale[part] = _scale(exact)
            rows[part] = (exact / scale[part]).round()
        linear.register_buffer("rows", rows, persistent=False)
        linear.register_buffer("scale", scale[:, 0], persistent=False)

    @property
    def weight(self) -> torch.Tensor:
        """[out, in] as fp32, for what multiplies by it in its own way."""
        return self.rows * self.scale[:, None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., in] -> [..., out].

        Arguments
        ---------
        x : torch.Tensor
            Of any floating type.

        Returns
        -------
        torch.Tensor
            Of the same type.
        """
        if x.device.type != "cpu":
            return F.linear(x, self.weight.to(x.dtype), self.bias)
        flat = x.reshape(-1, self.in_features).float()
        scale = _scale(flat)
        whole = (flat / scale).round().to(torch.int8)
        y = torch._int_mm(whole, self.rows.t()).float()
        y = y.mul_(scale).mul_(self.scale)
        if self.bias is not None:
            y += self.bias
        return y.to(x.dtype).reshape(*x.shape[:-1], self.out_features)


def to_int8(model: nn.Module) -> nn.Module:
    """Quantize the linear layers of a model, in place.

    Arguments
    ---------
    model : nn.Module
        In eval mode, on a processor; it can no longer be trained or saved.

    Returns
    -------
    nn.Module
        The same.
    """
    files = MappedFiles()
    for linear in replaceable(model):
        weight = linear.weight.detach()
        Int8Linear.take(linear)
        files.let_go(weight)
    return model


def _scale(rows):
    """[N, 1]: what makes the largest of each row 127."""
    return rows.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
