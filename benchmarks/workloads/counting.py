"""Lengths of clips, and operations counted."""

import numpy as np
from torch.utils.flop_counter import FlopCounterMode

CLIPS = ["short", "long_tail"]


def lengths_of(clips, count, seed=0):
    """Seconds of each clip.

    Arguments
    ---------
    clips : str
        "short" or "long_tail".
    count : int
        Number of clips.
    seed : int
        Of the draw.

    Returns
    -------
    list of float
    """
    rng = np.random.default_rng(seed)
    if clips == "short":
        return rng.uniform(2.0, 8.0, count).round(2).tolist()
    drawn = np.exp(rng.normal(np.log(4.0), 1.0, count))
    return drawn.clip(0.5, 30.0).round(2).tolist()


def operations(function):
    """Operations that a call takes, and what it returns."""
    with FlopCounterMode(display=False) as counter:
        result = function()
    return counter.get_total_flops(), result
