"""Memory that a model no longer needs: pages of files, allocators' holes."""

import ctypes
import mmap
import sys
from pathlib import Path

import torch

MADV_PAGEOUT = 21  # of Linux 5.4; what is still needed is read again
MAPS = Path("/proc/self/maps")


class MappedFiles:
    """The files of weights that a process reads as its memory.

    A safetensors file is mapped: its tensors are the file's own pages, which
    count as the process's memory from the first look to its end. Where a
    tensor gives way to another form of itself, both would.

    Example
    -------
    >>> MappedFiles().let_go(torch.ones(5000))  # is in no file
    False
    """

    def __init__(self):
        try:
            lines = MAPS.read_text(errors="replace").splitlines()
        except OSError:
            lines = []  # another system than Linux
        self._ranges = [
            tuple(int(end, 16) for end in line.split(" ", 1)[0].split("-"))
            for line in lines
            if line.endswith(".safetensors")
        ]

    def let_go(self, tensor: torch.Tensor) -> bool:
        """Give the pages of a tensor back, if they are a file's.

        Arguments
        ---------
        tensor : torch.Tensor
            Still what it was: a further look reads the file again.

        Returns
        -------
        bool
            Whether they were given back.
        """
        start = tensor.data_ptr()
        stop = start + tensor.numel() * tensor.element_size()
        if not any(a <= start and stop <= b for a, b in self._ranges):
            return False
        # Whole pages; those at the ends hold the neighbours too.
        start = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        stop = stop // mmap.PAGESIZE * mmap.PAGESIZE
        advise = getattr(ctypes.CDLL(None), "madvise", None)
        return (
            advise is not None
            and start < stop
            and 0
            == advise(
                ctypes.c_void_p(start),
                ctypes.c_size_t(stop - start),
                MADV_PAGEOUT,
            )
        )


def return_freed_memory() -> bool:
    """Give memory that is free now back to the system, holes included.

    What a model's weights were before they were moved, packed or quantized
    would stay with the process.

    Returns
    -------
    bool
        Whether any was; False where the C library cannot (not glibc).

    Example
    -------
    >>> return_freed_memory() in (True, False)
    True
    """
    if not sys.platform.startswith("linux"):
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(0))
