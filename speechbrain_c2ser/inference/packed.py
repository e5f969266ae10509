"""A model on a processor, its weights laid out or rounded once."""

import torch
from torch import nn

from speechbrain_c2ser.inference.freed_memory import MappedFiles
from speechbrain_c2ser.inference.linear_layers import places, replaceable
from speechbrain_c2ser.inference.packed_layers import (
    PackedLinear,
    PackedTimeConv,
    can_pack,
)
from speechbrain_c2ser.inference.packed_mlp import PackedMLP, layers_of_mlp
from speechbrain_c2ser.lobes.emotion2vec.time_conv import TimeConv


def to_packed(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Lay out the weights of a model's linear layers, and of convolutions in
    time that are like them, in place; in bf16, round those of other
    convolutions and of torch's own transformer layers.

    Arguments
    ---------
    model : nn.Module
        In eval mode, on a processor; it can no longer be trained or saved.
        To be run under autocast in bf16, of which modules except the parts
        that they name in ``in_fp32``.
    dtype : torch.dtype
        bfloat16 or float32.

    Returns
    -------
    nn.Module
        The same; untouched where :func:`can_pack` says no.
    """
    if not can_pack(dtype):
        return model
    files, exact = MappedFiles(), dtype == torch.float32
    if not exact:
        for parent, name, child in places(model, fp32=False):
            layers = layers_of_mlp(child)
            if layers is not None:
                setattr(parent, name, PackedMLP(*layers))
                for linear in (*layers[1], layers[2]):
                    files.let_go(linear.weight)
    for linear in replaceable(model, fp32=exact):
        weight = linear.weight.detach()
        PackedLinear.take(linear, dtype)
        files.let_go(weight)
    for conv in replaceable(model, fp32=exact, kind=TimeConv):
        if conv.groups == 1 and not conv.padding:
            PackedTimeConv.take(conv, dtype)
    if not exact:
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
