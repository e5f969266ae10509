"""Linear layers in bf16 on a processor, their weights laid out once."""

import torch
from torch import nn

from speechbrain_c2ser.inference.linear_layers import replaceable
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
        weight = linear.weight.detach().to(torch.bfloat16).contiguous()
        bias = linear.bias
        del linear.weight, linear.bias
        linear.__class__ = cls
        packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        if bias is not None:
            bias = bias.detach().to(torch.bfloat16)
        linear.register_buffer("packed", packed, persistent=False)
        linear.register_buffer("bias", bias, persistent=False)

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
        quick = torch.is_autocast_enabled("cpu")
        dtype = torch.bfloat16 if quick else x.dtype
        flat = x.reshape(-1, self.in_features).to(torch.bfloat16)
        if not len(flat):
            return x.new_empty((*x.shape[:-1], self.out_features), dtype=dtype)
        y = torch.ops.mkldnn._linear_pointwise(
            flat, self.packed, self.bias, "none", [], ""
        )
        return y.to(dtype).reshape(*x.shape[:-1], self.out_features)


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
    """Lay out the weights of a model's linear layers, in place.

    Arguments
    ---------
    model : nn.Module
        In eval mode, on a processor; it can no longer be trained or saved.
        Modules name in ``in_fp32`` the parts that they run without autocast,
        which stay as they are.

    Returns
    -------
    nn.Module
        The same; untouched where :func:`can_pack` says no.
    """
    if can_pack():
        for linear in replaceable(model, fp32=False):
            PackedLinear.take(linear)
    return model
