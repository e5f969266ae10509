"""Linear layers and convolutions on a processor, their weights laid out once
as its products read them."""

import torch
from torch import nn

from speechbrain_c2ser.lobes.emotion2vec.time_conv import TimeConv, windows
from speechbrain_c2ser.processor import processor_has


class _Packed:
    """What a layer with laid-out weights is to a copy, a file, a device.

    oneDNN's blocks can be neither copied nor stored nor moved.
    """

    def __getstate__(self):
        rows = self.packed.to_dense()
        return self.__dict__ | {"_buffers": self._buffers | {"packed": rows}}

    def __setstate__(self, state):
        super().__setstate__(state)
        self.packed = _laid_out(self.packed)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}weight"] = self.weight

    def _apply(self, fn, recurse=True):
        """Whoever moves or casts the layer has an ordinary one again."""
        weight = self.weight
        del self._buffers["packed"]
        _, self.__class__ = type(self).__bases__
        self.weight = nn.Parameter(weight, requires_grad=False)
        return self._apply(fn, recurse)


class PackedLinear(_Packed, nn.Linear):
    """A linear layer whose weights lie as the processor reads them.

    In bf16, weights are rounded anew at each use under autocast, and oneDNN
    sorts them into its blocks; here both is done once. What comes out is the
    same to the bit. In fp32 oneDNN takes the place of torch's product.

    Example
    -------
    >>> from speechbrain_c2ser.inference.packed import to_packed
    >>> linear = nn.Linear(64, 32)
    >>> x = torch.randn(2, 5, 64)
    >>> with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
    ...     exact = linear(x)
    ...     ours = to_packed(nn.Sequential(linear), torch.bfloat16)(x)
    >>> torch.equal(ours, exact) or not can_pack(torch.bfloat16)
    True
    """

    @classmethod
    def take(cls, linear: nn.Linear, dtype: torch.dtype) -> None:
        """Make a layer one of these; hooks and references to it stay.

        Arguments
        ---------
        linear : nn.Linear
            Its weights are let go.
        dtype : torch.dtype
            bfloat16 or float32.
        """
        _take(linear, cls, linear.weight.detach().to(dtype))

    @property
    def weight(self) -> torch.Tensor:
        """[out, in], for what multiplies by it in its own way."""
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
            [..., out] in the weights' type, added in place of the bias.

        Returns
        -------
        torch.Tensor
            In the weights' type; of x's own where there is no autocast.
        """
        return _multiply(x, self.packed, self.bias, plus)


class PackedTimeConv(_Packed, TimeConv):
    """A convolution without padding as such a layer over its windows.

    oneDNN's own convolution takes up to twice as long as its products of
    matrices, and under autocast its weights are rounded and sorted anew for
    each stretch of audio.

    Example
    -------
    >>> from speechbrain_c2ser.inference.packed import to_packed
    >>> conv = TimeConv(64, 32, kernel_size=3, stride=2, bias=False)
    >>> x = torch.randn(2, 11, 64)
    >>> with torch.no_grad():
    ...     exact = conv(x)
    ...     y = to_packed(nn.Sequential(conv), torch.float32)(x)
    >>> torch.allclose(y, exact, atol=1e-5)
    True
    """

    @classmethod
    def take(cls, conv: TimeConv, dtype: torch.dtype) -> None:
        """Make a convolution one of these; references to it stay.

        Arguments
        ---------
        conv : TimeConv
            Without padding and groups; its weights are let go.
        dtype : torch.dtype
            bfloat16 or float32.
        """
        weight = conv.weight.detach().to(dtype)  # [out, kernel, in]
        _take(conv, cls, weight.flatten(1))

    @property
    def weight(self) -> torch.Tensor:
        """[out, kernel, in]."""
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
        seen = x.to(self.packed.dtype)
        seen = windows(seen, self.kernel_size, self.stride)
        y = _multiply(seen, self.packed, self.bias)
        return y if torch.is_autocast_enabled("cpu") else y.to(x.dtype)


def _take(layer, kind, rows):
    """Make a layer one of a kind: rows [out, in] laid out, no weights.

    In this order another thread that is computing finds one or the other.
    """
    layer.register_buffer("packed", _laid_out(rows), persistent=False)
    layer.__class__ = kind
    del layer._parameters["weight"]
    if layer.bias is not None and layer.bias.dtype != rows.dtype:
        layer.bias.data = layer.bias.detach().to(rows.dtype)


def _laid_out(rows):
    """[out, in] as oneDNN reads it."""
    return torch.ops.mkldnn._reorder_linear_weight(rows.contiguous())


def _multiply(x, packed, bias, plus=None):
    """x [..., in] times laid-out weights, in their type or, without autocast,
    in x's own; `plus` [..., out] in theirs is added in place of a bias."""
    quick = torch.is_autocast_enabled("cpu")
    dtype = packed.dtype if quick else x.dtype
    shape = *x.shape[:-1], packed.shape[0]
    flat = x.reshape(-1, x.shape[-1]).to(packed.dtype)
    if not len(flat):
        return x.new_empty(shape, dtype=dtype)
    multiply = torch.ops.mkldnn._linear_pointwise
    if plus is None:
        y = multiply(flat, packed, bias, "none", [], "")
    else:
        y = multiply.binary(flat, plus.flatten(0, -2), packed, None, "add")
    return y.to(dtype).reshape(shape)


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this processor and this PyTorch have what packing needs.

    Arguments
    ---------
    dtype : torch.dtype
        bfloat16 or float32, of the weights.

    Returns
    -------
    bool

    Example
    -------
    >>> can_pack(torch.float32) in (True, False)
    True
    """
    names = ("_reorder_linear_weight", "_linear_pointwise")
    return (
        (dtype == torch.float32 or bool(processor_has("bf16")))
        and torch.backends.mkldnn.is_available()
        and all(hasattr(torch.ops.mkldnn, name) for name in names)
    )
