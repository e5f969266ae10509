"""Linear layers and convolutions in bf16 on a processor, their weights laid
out once."""

import torch
from torch import nn

from speechbrain_c2ser.inference.freed_memory import MappedFiles
from speechbrain_c2ser.inference.linear_layers import replaceable
from speechbrain_c2ser.lobes.emotion2vec.time_conv import TimeConv, windows
from speechbrain_c2ser.processor import processor_has


class PackedLinear(nn.Linear):
    """A linear layer whose bf16 weights lie as the processor reads them.

    Under autocast the weights are rounded anew at each use, and oneDNN sorts
    them into its blocks; here both is done once. What comes out is the same
    to the bit.

    Example
    -------
    >>> linear = nn.Linear(64, 32)
    >>> x = torch.randn(2, 5, 64)
    >>> with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
    ...     exact = linear(x)
    ...     same = torch.equal(to_packed(nn.Sequential(linear))(x), exact)
    >>> same or not can_pack()
    True
    """

    @classmethod
    def take(cls, linear: nn.Linear) -> None:
        """Make a layer one of these; hooks and references to it stay.

        Arguments
        ---------
        linear : nn.Linear
            Its weights are let go.
        """
        _take(linear, cls, linear.weight.detach().to(torch.bfloat16))

    @property
    def weight(self) -> torch.Tensor:
        """[out, in] in bf16, for what multiplies by it in its own way."""
        return self.packed.to_dense()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., in] -> [..., out].

        Arguments
        ---------
        x : torch.Tensor
            Of any floating type.

        Returns
        -------
        torch.Tensor
            In bf16; of x's own type where there is no autocast.
        """
        return _multiply(x, self.packed, self.bias)


class PackedTimeConv(TimeConv):
    """A convolution without padding as such a layer over its windows.

    oneDNN's own convolution takes up to twice as long as its products of
    matrices, and under autocast its weights are rounded and sorted anew for
    each stretch of audio.

    Example
    -------
    >>> conv = TimeConv(64, 32, kernel_size=3, stride=2, bias=False)
    >>> x = torch.randn(2, 11, 64)
    >>> with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
    ...     exact = conv(x)
    ...     y = to_packed(nn.Sequential(conv))(x)
    >>> torch.allclose(y, exact, atol=0.01, rtol=0.01)
    True
    """

    @classmethod
    def take(cls, conv: TimeConv) -> None:
        """Make a convolution one of these; references to it stay.

        Arguments
        ---------
        conv : TimeConv
            Without padding and groups; its weights are let go.
        """
        weight = conv.weight.detach().to(torch.bfloat16)  # [out, kernel, in]
        _take(conv, cls, weight.flatten(1))

    @property
    def weight(self) -> torch.Tensor:
        """[out, kernel, in] in bf16."""
        rows = self.packed.to_dense()
        return rows.view(len(rows), self.kernel_size, -1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [B, T, in] -> [B, T', out]; as :meth:`PackedLinear.forward`.

        Arguments
        ---------
        x : torch.Tensor
            Of any floating type.

        Returns
        -------
        torch.Tensor
        """
        seen = windows(x.to(torch.bfloat16), self.kernel_size, self.stride)
        y = _multiply(seen, self.packed, self.bias)
        return y if torch.is_autocast_enabled("cpu") else y.to(x.dtype)


def _take(layer, kind, rows):
    """Make a layer one of a kind: [out, in] in bf16 laid out, no weights."""
    bias = layer.bias
    del layer.weight, layer.bias
    layer.__class__ = kind
    packed = torch.ops.mkldnn._reorder_linear_weight(rows.contiguous())
    if bias is not None:
        bias = bias.detach().to(torch.bfloat16)
    layer.register_buffer("packed", packed, persistent=False)
    layer.register_buffer("bias", bias, persistent=False)


def _multiply(x, packed, bias):
    """x [..., in] times laid-out weights, in bf16 or, without autocast, in
    x's own type."""
    quick = torch.is_autocast_enabled("cpu")
    dtype = torch.bfloat16 if quick else x.dtype
    shape = *x.shape[:-1], packed.shape[0]
    flat = x.reshape(-1, x.shape[-1]).to(torch.bfloat16)
    if not len(flat):
        return x.new_empty(shape, dtype=dtype)
    y = torch.ops.mkldnn._linear_pointwise(flat, packed, bias, "none", [], "")
    return y.to(dtype).reshape(shape)


def can_pack() -> bool:
    """Whether this processor and this PyTorch have what packing needs.

    Example
    -------
    >>> can_pack() in (True, False)
    True
    """
    names = ("_reorder_linear_weight", "_linear_pointwise")
    return (
        bool(processor_has("bf16"))
        and torch.backends.mkldnn.is_available()
        and all(hasattr(torch.ops.mkldnn, name) for name in names)
    )


def to_packed(model: nn.Module) -> nn.Module:
    """Lay out the weights of a model's linear layers, and of convolutions in
    time that are like them, in place; round those of other convolutions and
    of torch's own transformer layers.

    Arguments
    ---------
    model : nn.Module
        In eval mode, on a processor, to be run under autocast; it can no
        longer be trained or saved. Modules name in ``in_fp32`` the parts
        that they run without autocast, which stay as they are.

    Returns
    -------
    nn.Module
        The same; untouched where :func:`can_pack` says no.
    """
    if can_pack():
        files = MappedFiles()
        for linear in replaceable(model, fp32=False):
            weight = linear.weight.detach()
            PackedLinear.take(linear)
            files.let_go(weight)
        for conv in replaceable(model, fp32=False, kind=TimeConv):
            if conv.groups == 1 and not conv.padding:
                PackedTimeConv.take(conv)
        for kind in (TimeConv, nn.Conv1d, nn.TransformerEncoderLayer):
            for layer in replaceable(model, fp32=False, kind=kind):
                _round(layer, files)
    return model


def _round(layer, files):
    """Do once what autocast does at each use of a layer's weights."""
    for name, weight in layer.named_parameters():
        if "norm" not in name:
            rounded = weight.detach().to(torch.bfloat16)
            files.let_go(weight.detach())
            weight.data = rounded
