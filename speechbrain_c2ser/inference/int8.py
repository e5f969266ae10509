"""Linear layers in 8 bits on a processor, quantized as they are used."""

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.inference.freed_memory import MappedFiles
from speechbrain_c2ser.inference.linear_layers import replaceable
from speechbrain_c2ser.lobes.attention import compute_dtype
from speechbrain_c2ser.processor import processor_has

ROWS = 512  # outputs whose weights are quantized together
INPUTS = 128  # quantized together: they stay in the cache


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
        if can_lay_out():
            rows = torch.ops.onednn.qlinear_prepack(rows, None)
        linear.register_buffer("rows", rows, persistent=False)
        linear.register_buffer("scale", scale[:, 0], persistent=False)

    @property
    def weight(self) -> torch.Tensor:
        """[out, in] as fp32, for what multiplies by it in its own way."""
        rows = self.rows
        if rows.layout is torch._mkldnn:
            rows = rows.to_dense().t()
        return rows * self.scale[:, None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., in] -> [..., out].

        Arguments
        ---------
        x : torch.Tensor
            Of any floating type.

        Returns
        -------
        torch.Tensor
            Of the same type; of autocast's where there is one.
        """
        if x.device.type != "cpu":
            return F.linear(x, self.weight.to(x.dtype), self.bias)
        dtype, shape = compute_dtype(x), (*x.shape[:-1], self.out_features)
        flat = x.reshape(-1, self.in_features)
        parts = [_quantize(part) for part in flat.split(INPUTS)]
        whole, scale = map(torch.cat, zip(*parts, strict=True))
        y = _multiply(whole, self.rows, self.scale, dtype)
        y = y.mul_(scale.to(dtype))
        if self.bias is not None:
            y += self.bias
        return y.reshape(shape)


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


def can_lay_out() -> bool:
    """Whether this PyTorch multiplies 8-bit weights as oneDNN lays them out.

    Without instructions for it oneDNN's sums of pairs could overflow.

    Example
    -------
    >>> can_lay_out() in (True, False)
    True
    """
    names = ("qlinear_prepack", "qlinear_pointwise")
    return (
        bool(processor_has("int8"))
        and torch.backends.mkldnn.is_available()
        and all(hasattr(torch.ops.onednn, name) for name in names)
    )


def _multiply(whole, rows, scale, dtype):
    """[N, in] times [out, in] in whole numbers, times [out] -> [N, out]."""
    if rows.layout is not torch._mkldnn:
        return (torch._int_mm(whole, rows.t()) * scale).to(dtype)
    zeros = torch.zeros(len(scale), dtype=torch.int32)
    return torch.ops.onednn.qlinear_pointwise(
        whole, 1.0, 0, rows, scale, zeros, None, 1.0, 0, dtype, "none", [], ""
    )


def _quantize(x):
    """[N, in] in whole numbers, and the scale [N, 1] of each row."""
    exact = x.float()
    scale = _scale(exact)
    return (exact / scale).round_().to(torch.int8), scale


def _scale(rows):
    """[N, 1]: what makes the largest of each row 127."""
    return rows.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
