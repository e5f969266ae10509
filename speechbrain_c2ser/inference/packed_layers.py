"""Linear layers and convolutions in bf16 on a processor, their weights laid
out once."""

import torch
from torch import nn

from speechbrain_c2ser.lobes.emotion2vec.time_conv import TimeConv, windows
from speechbrain_c2ser.processor import processor_has


class PackedLinear(nn.Linear):
    """A linear layer whose bf16 weights lie as the processor reads them.

    Under autocast the weights are rounded anew at each use, and oneDNN sorts
    them into its blocks; here both is done once. What comes out is the same
    to the bit.

    Example
    -------
    >>> from speechbrain_c2ser.inference.bf16 import to_packed
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

    def forward(
        self, x: torch.Tensor, plus: torch.Tensor | None = None
    ) -> torch.Tensor:
        """x [..., in] -> [..., out].

        Arguments
        ---------
        x : torch.Tensor
            Of any floating type.
        plus : torch.Tensor | None
            [..., out] in bf16, added in place of the bias.

        Returns
        -------
        torch.Tensor
            In bf16; of x's own type where there is no autocast.
        """
        return _multiply(x, self.packed, self.bias, plus)


class PackedTimeConv(TimeConv):
    """A convolution without padding as such a layer over its windows.

    oneDNN's own convolution takes up to twice as long as its products of
    matrices, and under autocast its weights are rounded and sorted anew for
    each stretch of audio.

    Example
    -------
    >>> from speechbrain_c2ser.inference.bf16 import to_packed
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


def _multiply(x, packed, bias, plus=None):
    """x [..., in] times laid-out weights, in bf16 or, without autocast, in
    x's own type; `plus` [..., out] in bf16 is added in place of a bias."""
    quick = torch.is_autocast_enabled("cpu")
    dtype = torch.bfloat16 if quick else x.dtype
    shape = *x.shape[:-1], packed.shape[0]
    flat = x.reshape(-1, x.shape[-1]).to(torch.bfloat16)
    if not len(flat):
        return x.new_empty(shape, dtype=dtype)
    multiply = torch.ops.mkldnn._linear_pointwise
    if plus is None:
        y = multiply(flat, packed, bias, "none", [], "")
    else:
        y = multiply.binary(flat, plus.flatten(0, -2), packed, None, "add")
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
