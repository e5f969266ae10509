"""What a process on a CPU does with the memory of tensors that are gone."""

import ctypes
import sys

# of glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 2**31 - 1  # bytes; mallopt takes a C int


def keep_freed_memory() -> bool:
    """Keeps the memory of freed tensors for the next ones.

    Left alone, glibc hands large blocks back to the system, which clears
    every page anew for the next batch: a tenth of the time of a language
    model on a CPU. A program's choice, for the whole process, which then does
    not shrink after its peak: no lobe or interface makes it.

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
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(
        [mallopt(M_MMAP_THRESHOLD, LARGEST), mallopt(M_TRIM_THRESHOLD, LARGEST)]
    )
