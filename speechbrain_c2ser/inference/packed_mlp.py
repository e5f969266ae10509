"""MLPs of transformers in bf16 on a processor, some of their hidden channels
at a time."""

from collections.abc import Sequence

import torch
from torch import nn

from speechbrain_c2ser.inference.packed_layers import PackedLinear

# Hidden channels at a time: oneDNN's products are the quickest at about this
# width, and what comes out of them stays in the cache.
CHANNELS = 1024


class PackedMLP(nn.Module):
    """A transformer's MLP, gated or not, some hidden channels at a time.

    Arguments
    ---------
    activation : nn.Module
        Behind the first layer.
    ups : sequence of nn.Linear
        To the hidden layer; what the second gives (LLaMA's ``up_proj``)
        multiplies what has passed the activation.
    down : nn.Linear
        Back from it.

    Example
    -------
    >>> from speechbrain_c2ser.inference.packed_layers import can_pack
    >>> mlp = nn.Sequential(nn.Linear(64, 96), nn.GELU(), nn.Linear(96, 64))
    >>> packed = mlp
    >>> if can_pack(torch.bfloat16):
    ...     packed = PackedMLP(mlp[1], [mlp[0]], mlp[2])
    >>> x = torch.randn(2, 5, 64)
    >>> with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
    ...     torch.allclose(packed(x), mlp(x), atol=0.01, rtol=0.01)
    True
    """

    def __init__(
        self, activation: nn.Module, ups: Sequence[nn.Linear], down: nn.Linear
    ):
        super().__init__()
        self.activation = activation
        self.parts = nn.ModuleList()
        for start in range(0, down.in_features, CHANNELS):
            part = slice(start, start + CHANNELS)
            layers = [
                _linear(
                    up.weight[part], None if up.bias is None else up.bias[part]
                )
                for up in ups
            ]
            bias = down.bias if start == 0 else None
            layers.append(_linear(down.weight[:, part], bias))
            self.parts.append(nn.ModuleList(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., in] -> [..., out]; as :meth:`PackedLinear.forward`.

        Arguments
        ---------
        x : torch.Tensor
            Of any floating type.

        Returns
        -------
        torch.Tensor
        """
        half, y = x.to(torch.bfloat16), None
        for first, *gates, down in self.parts:
            hidden = self.activation(first(half))
            for gate in gates:
                hidden = hidden * gate(half)
            y = down(hidden, y)
        return y if torch.is_autocast_enabled("cpu") else y.to(x.dtype)


def _linear(weight, bias):
    """A layer of these, laid out."""
    linear = nn.Linear(*reversed(weight.shape), bias=False, device="meta")
    linear.weight = nn.Parameter(weight.detach(), requires_grad=False)
    if bias is not None:
        linear.bias = nn.Parameter(bias.detach(), requires_grad=False)
    PackedLinear.take(linear, torch.bfloat16)
    return linear


def layers_of_mlp(
    module: nn.Module,
) -> tuple[nn.Module, list[nn.Linear], nn.Linear] | None:
    """What an MLP of more hidden channels than go at a time is made of.

    Arguments
    ---------
    module : nn.Module
        In eval mode.

    Returns
    -------
    tuple | None
        Arguments of :class:`PackedMLP`; None where it is something else, or
        does more than its layers' names say.

    Example
    -------
    >>> large = nn.Sequential(nn.Linear(8, 2048), nn.GELU(), nn.Linear(2048, 8))
    >>> layers_of_mlp(large)[0], layers_of_mlp(large[0])
    (GELU(approximate='none'), None)
    """
    if type(module) is nn.Sequential:
        layers = [each for each in module if type(each) is not nn.Dropout]
        if [type(each) for each in layers] != [nn.Linear, nn.GELU, nn.Linear]:
            return None
        up, activation, down = layers
        ups = [up]
    else:
        names = ("gate_proj", "up_proj", "down_proj")
        layers = [getattr(module, name, None) for name in names]
        activation = getattr(module, "act_fn", None)
        if any(type(each) is not nn.Linear for each in layers):
            return None
        *ups, down = layers
        if not _is_gated(module, activation, ups, down):
            return None
    return (activation, ups, down) if down.in_features > CHANNELS else None


@torch.no_grad()
def _is_gated(module, activation, ups, down):
    """Whether nothing else is in a module than its names say, tried."""
    if not isinstance(activation, nn.Module):
        return False
    gate, up = ups
    x = torch.linspace(-1, 1, gate.in_features, dtype=gate.weight.dtype)[None]
    try:
        given = module(x)
    except (TypeError, RuntimeError):  # it asks for more
        return False
    return torch.equal(given, down(activation(gate(x)) * up(x)))
