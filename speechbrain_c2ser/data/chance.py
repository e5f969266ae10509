"""Sources of chance that a seed and names determine, in any order of calls."""

import zlib

import numpy as np


def rng_of(seed: int, *names: str) -> np.random.Generator:
    """The source of chance of one thing, such as one utterance's noise.

    Arguments
    ---------
    seed : int
        Of the whole.
    *names : str
        What it is for.

    Example
    -------
    >>> rng_of(0, "a").random() == rng_of(0, "a").random()
    True
    """
    codes = [zlib.crc32(name.encode()) for name in names]
    return np.random.default_rng([seed, *codes])
