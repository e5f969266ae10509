"""Random numbers that depend on the position in a run alone."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_from(*position) -> int:
    """Seed Python's, numpy's and torch's generators from a position.

    Arguments
    ---------
    *position : int or str
        Anything that names a place in the training; the same place always
        draws the same.

    Returns
    -------
    int
        The seed, in [0, 2**32).

    Example
    -------
    >>> _ = seed_from(1, "TRAIN", 7)
    >>> first = torch.rand(3)
    >>> _ = seed_from(1, "TRAIN", 7)
    >>> bool((torch.rand(3) == first).all())
    True
    """
    digest = hashlib.sha256("/".join(map(str, position)).encode()).digest()
    seed = int.from_bytes(digest[:4], "little")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return seed


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Python's, numpy's and torch's generators end as they began.

    Example
    -------
    >>> _ = seed_from(1)
    >>> with kept_random_state():
    ...     first = torch.rand(3)
    >>> bool((torch.rand(3) == first).all())
    True
    """
    pythons, numpys = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(pythons)
        np.random.set_state(numpys)
