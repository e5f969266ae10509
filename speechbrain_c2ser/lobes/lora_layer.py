"""LoRA's layer with its passes over memory taken together.

peft's own writes and reads a frame or token some ten times for an update of
rank 8: widened to float32, dropped out, scaled at full width, added, and most
of it kept for the backward pass.
"""

import torch
from peft.tuners.lora.layer import Linear as PeftLinear
from torch.nn import functional as F

from speechbrain_c2ser.lobes.exporting import is_exporting

# Values that a draw of 16 bits has; dropout's probability is a count of them.
DRAWS = 1 << 16


class LoraLinear(PeftLinear):
    """peft's layer, computed otherwise: names, files and settings are its.

    The update is dropped out, applied, scaled at its rank, and added in one
    product. Dropout draws four of a processor's masks from one random number,
    so that a seed gives other masks than peft's; its probability is rounded
    to a 65536th.

    Example
    -------
    >>> from speechbrain_c2ser.lobes.lora import add_lora
    >>> base = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(4, 4)})
    >>> add_lora(base, targets=["q_proj"])
    >>> type(base["q_proj"]).__name__
    'LoraLinear'
    """

    @classmethod
    def take(cls, layer: torch.nn.Module) -> None:
        """Make a layer one of these, where it is peft's plain one.

        Arguments
        ---------
        layer : torch.nn.Module
            Any; a quantized base, or another kind of adapter, stays peft's.
        """
        if type(layer) is PeftLinear:
            layer.__class__ = cls

    def forward(self, x: torch.Tensor, *args, **kwargs) -> torch.Tensor:
        """x [..., in] -> [..., out].

        Arguments
        ---------
        x : torch.Tensor
            Of any floating type.
        *args, **kwargs
            What peft's layer takes; it then computes.

        Returns
        -------
        torch.Tensor
            Of the type that the base gives.
        """
        names = self.active_adapters
        if (
            args
            or kwargs
            or self.disable_adapters
            or self.merged
            or len(names) != 1
            or self.use_dora.get(names[0])
            or names[0] in getattr(self, "lora_variant", ())
            or self.lora_B[names[0]].bias is not None
            or is_exporting()
        ):
            return super().forward(x, *args, **kwargs)
        (name,) = names
        dropout = self.lora_dropout[name]
        share = getattr(dropout, "p", 0.0) if dropout.training else 0.0
        base = self.base_layer
        y = weight = None
        if _is_frozen_matrix(base, x):
            weight = base.weight  # its product is a part of the update
        else:
            y = base(x)
        return _Update.apply(
            x,
            y,
            weight,
            base.bias if y is None else None,
            self.lora_A[name].weight,
            self.lora_B[name].weight,
            self.scaling[name],
            share,
        )


def _is_frozen_matrix(base, x):
    """Whether a layer is a product with a frozen matrix of the right type."""
    kind = x.dtype
    if torch.is_autocast_enabled(x.device.type):
        kind = torch.get_autocast_dtype(x.device.type)
    return (
        type(base) is torch.nn.Linear
        and type(base.weight) is torch.nn.Parameter
        and base.weight.dtype == kind
        and not any(p.requires_grad for p in base.parameters())
        and not base._forward_hooks
        and not base._forward_pre_hooks
    )


class _Update(torch.autograd.Function):
    """y + scale * dropout(x) A^T B^T; y is given, or x W^T + b."""

    @staticmethod
    def forward(ctx, x, y, weight, bias, down, up, scale, share):
        device = x.device.type
        kind = down.dtype
        if torch.is_autocast_enabled(device):
            kind = torch.get_autocast_dtype(device)
        elif weight is not None:
            kind = weight.dtype
        with torch.autocast(device, enabled=False):
            rows = x.reshape(-1, x.shape[-1]).to(kind)  # [N, in]
            kept, kept_share = _draw(rows, share)
            ctx.scale = scale / kept_share
            inner = (_mask(rows, kept) @ down.to(kind).t()) * ctx.scale
            outer = up.to(kind).t()  # inner: [N, rank]
            if weight is not None:
                sums = F.linear(rows, weight, bias)
                sums.addmm_(inner, outer)
            elif y.dtype == kind:
                sums = torch.addmm(y.reshape(-1, y.shape[-1]), inner, outer)
            else:
                sums = y.reshape(-1, y.shape[-1]) + inner @ outer
                sums = sums.to(y.dtype)
        ctx.kind, ctx.type = kind, x.dtype
        ctx.save_for_backward(rows, kept, inner, weight, down, up)
        return sums.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx, gradient):
        rows, kept, inner, weight, down, up = ctx.saved_tensors
        wants_x, wants_y, _, _, wants_down, wants_up, _, _ = (
            ctx.needs_input_grad
        )
        into_x = into_down = into_up = None
        with torch.autocast(gradient.device.type, enabled=False):
            outer = gradient.reshape(-1, gradient.shape[-1]).to(ctx.kind)
            if wants_up:
                into_up = (outer.t() @ inner).to(up.dtype)
            if wants_x or wants_down:
                within = (outer @ up.to(ctx.kind)) * ctx.scale  # [N, rank]
            if wants_down:
                seen = _mask(rows, kept)
                into_down = (within.t() @ seen).to(down.dtype)
            if wants_x:
                into_x = _mask(within @ down.to(ctx.kind), kept)
                if weight is not None:
                    into_x += outer @ weight
                into_x = into_x.to(ctx.type)
                into_x = into_x.view(*gradient.shape[:-1], -1)
        into_y = gradient if wants_y else None
        return into_x, into_y, None, None, into_down, into_up, None, None


def _mask(rows, kept):
    """Rows with zeros where nothing is kept."""
    if kept is None:
        return rows
    if kept.dtype == rows.dtype:
        return rows * kept
    # half precision by its bits, which is quicker than a change of type
    return (rows.view(kept.dtype) * kept).view(rows.dtype)


def _draw(rows, share):
    """(ones and zeros of rows' shape or None, share of ones); the ones of
    half precision on a processor are integers."""
    dropped = round(share * DRAWS)
    if not dropped:
        return None, 1.0
    kept_share = 1 - dropped / DRAWS
    if rows.device.type != "cpu":
        return torch.empty_like(rows).bernoulli_(kept_share), kept_share
    # torch draws one number at a time: of each of 64 bits, four are made.
    count = -(-rows.numel() // 4)
    draws = torch.empty(count, dtype=torch.int64).random_(-(2**63), None)
    draws = draws.view(torch.int16)[: rows.numel()].view(rows.shape)
    kept = draws.ge_(dropped - DRAWS // 2)
    return kept if rows.itemsize == 2 else kept.to(rows.dtype), kept_share
