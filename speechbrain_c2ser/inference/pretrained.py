"""What the interfaces share: a model on a device, ready for use.

SpeechBrain's ``Pretrained`` in the parts that a user touches (``mods``,
``hparams``, ``device``, ``run_opts``), without its import, which costs every
command a second.
"""

from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from types import SimpleNamespace
from typing import Any

import torch

from speechbrain_c2ser.inference.freed_memory import (
    MappedFiles,
    return_freed_memory,
)
from speechbrain_c2ser.inference.int8 import to_int8
from speechbrain_c2ser.inference.packed import to_packed
from speechbrain_c2ser.lobes.lora import fold_adapters
from speechbrain_c2ser.processor import INSTRUCTIONS, is_amd, processor_has

# Type of autocast; int8 quantizes the layers themselves.
PRECISIONS = {
    "fp32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "int8": None,
}
# Recordings for which weights in fp32 are not laid out: it takes 1.3 s for each
# GB of them, and saves a tenth of the work on AMD's processors. On Intel's,
# MKL is as quick without.
FEW = 16
LAYING_OUT = Lock()  # one model at a time, and each once


class PretrainedModel(torch.nn.Module):
    """A trained model in eval mode, without gradients, on its device.

    Arguments
    ---------
    model : torch.nn.Module
        The model. It is changed for inference and cannot be trained on: LoRA
        becomes part of the weights (:func:`.lora.fold_adapters`).
    hparams : dict
        The settings of its folder.
    run_opts : dict | None
        ``device`` (None = a GPU where there is one) and ``precision``
        (``fp32``, ``bf16`` or ``fp16``: autocast), as SpeechBrain's; or
        ``int8``: linear layers quantized, on a processor.

    Example
    -------
    >>> model = PretrainedModel(torch.nn.Linear(2, 1), {"sample_rate": 16000},
    ...     {"device": "cpu"})
    >>> model.mods.model.training, model.hparams.sample_rate
    (False, 16000)
    """

    _gains_laid_out = False

    def __init__(
        self,
        model: torch.nn.Module,
        hparams: dict,
        run_opts: dict[str, Any] | None = None,
    ):
        super().__init__()
        options = run_opts or {}
        precision = options.get("precision", "fp32")
        if precision not in PRECISIONS:
            raise ValueError(
                f"precision is one of {', '.join(PRECISIONS)}, not "
                f"'{precision}'."
            )
        self.device = find_device(options.get("device"))
        check_precision(precision, self.device)
        self.dtype = PRECISIONS[precision]
        self.hparams = SimpleNamespace(**hparams)
        self.mods = torch.nn.ModuleDict({"model": model})
        self.mods.requires_grad_(False).eval().to(self.device)
        fold_adapters(self.mods, MappedFiles().let_go)
        if precision == "int8":
            to_int8(self.mods)
        elif precision == "bf16" and self.device.type == "cpu":
            to_packed(self.mods, torch.bfloat16)
        return_freed_memory()
        exact = precision == "fp32" and self.device.type == "cpu"
        self._gains_laid_out = exact and is_amd()

    def lay_out(self, recordings: int | None = None) -> None:
        """Get ready for many recordings: on a processor of AMD's, weights in
        fp32 are laid out for it (:func:`.packed.to_packed`).

        What the model says changes by less than 1e-5; a call counts for all
        that follow.

        Arguments
        ---------
        recordings : int | None
            That are to be heard: for 16 or fewer it is not worth the time.
            None = many.
        """
        if recordings is not None and recordings <= FEW:
            return
        with LAYING_OUT:
            if self._gains_laid_out:
                self._gains_laid_out = False
                to_packed(self.mods, torch.float32)
                return_freed_memory()

    @property
    def inference_ctx(self) -> AbstractContextManager:
        """Autocast in the precision asked for."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)


def check_precision(
    precision: str, device: torch.device, quick: bool = False
) -> None:
    """Refuse a precision that a device does not compute in.

    Arguments
    ---------
    precision : str
        "fp32", "bf16", "fp16" or "int8".
    device : torch.device
        Where the model is run.
    quick : bool
        Whether to refuse, too, what a processor would only imitate.

    Raises
    ------
    ValueError
        Says what to give instead.

    Example
    -------
    >>> check_precision("int8", torch.device("cuda"))
    Traceback (most recent call last):
    ValueError: int8 is for processors: give the device cpu, or take bf16.
    """
    if precision == "int8" and device.type != "cpu":
        raise ValueError(
            "int8 is for processors: give the device cpu, or take bf16."
        )
    imitated = precision in INSTRUCTIONS and not processor_has(precision)
    if quick and device.type == "cpu" and imitated:
        raise ValueError(
            f"This processor has no instructions for {precision}, which would "
            "take longer than fp32: leave the precision out."
        )


def best_device() -> str:
    """A GPU where there is one: the torchrun process's own, or Apple's.

    Example
    -------
    >>> best_device() in ("cpu", "mps") or best_device().startswith("cuda")
    True
    """
    if torch.cuda.is_available():
        return f"cuda:{torch.cuda.current_device()}"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def find_device(name: str | torch.device | None = None) -> torch.device:
    """The device that is meant, if this machine has it.

    Arguments
    ---------
    name : str | torch.device | None
        "cpu", "cuda", "cuda:1", "mps" ...; None = the best there is.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        Says what there is instead.

    Example
    -------
    >>> find_device("cpu")
    device(type='cpu')
    """
    if name is None:
        return torch.device(best_device())
    try:
        device = torch.device(str(name).lower())
    except RuntimeError:
        raise ValueError(
            f"There is no kind of device {str(name)!r}: leave it out, or give "
            "cpu, cuda or mps."
        ) from None
    has = {
        "cuda": torch.cuda.device_count,
        "mps": lambda: int(torch.backends.mps.is_available()),
    }
    count = has.get(device.type, lambda: int(_computes(device)))()
    if (device.index or 0) >= count:
        raise ValueError(
            f"This machine has no device {str(name)!r} that PyTorch can use: "
            f"leave it out for {best_device()}."
        )
    return device


def _computes(device):
    """Whether numbers come back from a device; from "meta" there are none."""
    try:
        return torch.ones(1, device=device).item() == 1
    except Exception:  # each kind that PyTorch was built without has its own
        return False
