"""What a process on a CPU keeps: memory of tensors that are gone, kernels."""

import ctypes
import os
import sys

# of glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 2**31 - 1  # bytes; mallopt takes a C int
# oneDNN makes a kernel for each shape of each product and keeps the last
# 1,024: fewer than an epoch in bf16 has, or 32 recordings of unlike length.
KERNELS = 8192


def keep_freed_memory() -> bool:
    """Keeps the memory of freed tensors for the next ones, and more kernels.

    Left alone, glibc hands large blocks back to the system, which clears
    every page anew for the next batch: a tenth of the time of a language
    model on a CPU. A program's choice, for the whole process, which then does
    not shrink after its peak: no lobe or interface makes it. oneDNN, which
    would make a kernel again that it let go (1 ms), is told before its first
    product; ONEDNN_PRIMITIVE_CACHE_CAPACITY of the environment stays.

    Returns
    -------
    bool
        False where the C library has no such setting (not glibc), or for
        another system than Linux; nothing is changed then.

    Example
    -------
    >>> keep_freed_memory() in (True, False)
    True
    """
    prefixes = ("ONEDNN", "DNNL")
    name = "PRIMITIVE_CACHE_CAPACITY"
    if not any(f"{prefix}_{name}" in os.environ for prefix in prefixes):
        os.environ[f"ONEDNN_{name}"] = str(KERNELS)
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(
        [mallopt(M_MMAP_THRESHOLD, LARGEST), mallopt(M_TRIM_THRESHOLD, LARGEST)]
    )
