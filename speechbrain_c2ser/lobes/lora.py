"""LoRA: low-rank updates beside frozen projections (Hu et al., 2021)."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from speechbrain_c2ser.lobes.quick_dropout import QuickDropout

# C2SER's choice: all projections of a layer but ``up_proj``.
LORA_TARGETS = (
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "down_proj",
)


def add_lora(
    model: nn.Module,
    rank: int = 8,
    alpha: int = 32,
    dropout: float = 0.1,
    targets: Sequence[str] = LORA_TARGETS,
) -> None:
    """Put trainable LoRA beside the projections of a frozen base.

    Arguments
    ---------
    model : nn.Module
        The base, frozen; changed in place.
    rank : int
        Of the update.
    alpha : int
        The update is scaled by alpha / rank.
    dropout : float
        Before the update.
    targets : Sequence[str]
        Last names of the linear layers that get one.

    Raises
    ------
    ValueError
        When no layer has such a name.

    Example
    -------
    >>> import torch
    >>> base = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(4, 4)})
    >>> add_lora(base.requires_grad_(False), rank=2, targets=["q_proj"])
    >>> [name for name, p in base.named_parameters() if p.requires_grad]
    ['q_proj.lora_A.default.weight', 'q_proj.lora_B.default.weight']
    """
    # Here, so that a model without LoRA does not wait for the library.
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=list(targets),
    )
    inject_adapter_in_model(config, model)
    for module in model.modules():
        if hasattr(module, "lora_dropout") and dropout:
            module.lora_dropout["default"] = QuickDropout(dropout)
    # Small updates would be lost in a base's half precision.
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def train_adapters(model: nn.Module, mode: bool) -> None:
    """Set the mode of LoRA's dropout alone: its frozen base stays in eval.

    Arguments
    ---------
    model : nn.Module
        With LoRA in it.
    mode : bool
        True for training.

    Example
    -------
    >>> import torch
    >>> base = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(4, 4)})
    >>> add_lora(base.requires_grad_(False), targets=["q_proj"])
    >>> train_adapters(base.eval(), True)
    >>> base["q_proj"].training, base["q_proj"].lora_dropout.training
    (False, True)
    """
    for module in model.modules():
        if hasattr(module, "lora_dropout"):
            module.lora_dropout.train(mode)


def leave_types_to_autocast(model: nn.Module, leave: bool) -> None:
    """Whether LoRA reads its inputs as they are, or copies in float32.

    Autocast multiplies in its own type whatever it is given: peft's copies of
    each input, and of its gradient, are then for nothing. peft before 0.15
    makes them whatever is said.

    Arguments
    ---------
    model : nn.Module
        With LoRA in it, or without.
    leave : bool
        True where it runs under autocast alone.

    Example
    -------
    >>> import torch
    >>> base = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(4, 4)})
    >>> add_lora(base.requires_grad_(False).bfloat16(), targets=["q_proj"])
    >>> leave_types_to_autocast(base, True)
    >>> with torch.autocast("cpu", torch.bfloat16):
    ...     base["q_proj"](torch.ones(1, 4, dtype=torch.bfloat16)).dtype
    torch.bfloat16
    """
    for module in model.modules():
        if hasattr(module, "lora_dropout"):
            module.cast_input_dtype_enabled = not leave  # peft's own switch


def fold_adapters(
    model: nn.Module, let_go: Callable[[torch.Tensor], object] | None = None
) -> None:
    """Add LoRA's updates to the weights that they stand beside, for good.

    Beside them, an update costs a decoding step a quarter of its time. The
    sums are rounded to a base's half precision, which is as near to float32
    as products beside it are. A quantized base keeps its LoRA.

    Arguments
    ---------
    model : nn.Module
        With LoRA in it, or without; changed in place.
    let_go : callable | None
        Told of each weight that gave way to a sum: its memory may be a
        file's, which is not written to.

    Example
    -------
    >>> base = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(4, 4)})
    >>> add_lora(base.requires_grad_(False), targets=["q_proj"])
    >>> fold_adapters(base)
    >>> base
    ModuleDict(
      (q_proj): Linear(in_features=4, out_features=4, bias=True)
    )
    """
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            base = getattr(layer, "base_layer", None)
            if hasattr(layer, "lora_A") and type(base) is nn.Linear:
                weight = base.weight.detach()
                base.weight.data = weight.clone()
                layer.merge()
                setattr(parent, name, base)
                if let_go is not None:
                    let_go(weight)
