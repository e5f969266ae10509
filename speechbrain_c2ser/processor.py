"""What this machine has: instructions of its processor, and memory."""

import os
import platform
from functools import cache
from pathlib import Path

import torch

# torch's names of the instructions that make a number's type quick.
INSTRUCTIONS = {
    "bf16": ("amx_bf16", "avx512_bf16", "sve_bf16", "bf16"),
    "fp16": ("amx_fp16", "avx512_fp16", "fp16_arith"),
    "int8": ("amx_int8", "avx512_vnni", "avx_vnni", "i8mm"),
}


def processor_has(number: str) -> list[str]:
    """Instructions of this processor for a type of numbers.

    Without any, PyTorch imitates the type, which takes longer than fp32.

    Arguments
    ---------
    number : str
        "bf16", "fp16" or "int8".

    Returns
    -------
    list of str
        Their names; [] where there are none, or an older PyTorch cannot tell.

    Example
    -------
    >>> set(processor_has("bf16")) <= set(INSTRUCTIONS["bf16"])
    True
    """
    there = getattr(torch.cpu, "get_capabilities", dict)()
    return [name for name in INSTRUCTIONS[number] if there.get(name)]


@cache
def is_amd() -> bool:
    """Whether AMD made this processor: there Intel's MKL, which multiplies for
    PyTorch in fp32, is not at its best.

    Returns
    -------
    bool
        False where neither the system nor Python tells.

    Example
    -------
    >>> is_amd() in (True, False)
    True
    """
    try:
        told = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:  # another system than Linux
        told = platform.processor()
    return "AuthenticAMD" in told


def memory_of_machine() -> int | None:
    """Bytes of this machine's memory; None where the system does not say.

    Example
    -------
    >>> memory = memory_of_machine()
    >>> memory is None or memory > 2**20
    True
    """
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
