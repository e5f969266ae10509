"""Lengths of clips; operations counted, and how often Python reads a tensor."""

import sys
from collections import Counter

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
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


READS = ("item", "tolist", "cpu", "numpy", "nonzero", "unique")
READS += tuple(f"__{name}__" for name in ("bool", "int", "float", "index"))


class HostReads(TorchFunctionMode):
    """Counts how often Python waits for values that a GPU would have.

    Counted on a processor too, where nothing waits: there a tensor lies on the
    host if it was made without a device, was fetched, or comes of such tensors
    alone. What is sent to a device, weights and batches lie there.

    Arguments
    ---------
    within : str | None
        Function in which it counts; None: everywhere.
    """

    def __init__(self, within=None):
        super().__init__()
        self.within = within
        self.places = Counter()  # (file, function) -> times

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Pass a call on; count it if it reads, note where its result lies."""
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        given = list(filter(_is_tensor, tree_leaves((args, kwargs))))
        host = all(getattr(x, "lies_on_host", False) for x in given)
        host &= bool(given) or kwargs.get("device") is None
        masked = name == "__getitem__" and _has_mask(args[1])
        if given and not host and (name in READS or masked):
            frame = sys._getframe(1)
            if self.within is None or _is_within(frame, self.within):
                self.places[_place(frame)] += 1
        results = func(*args, **kwargs)
        if name in ("cpu", "to"):
            # here it may be the tensor that was given; on a GPU it is another
            results = torch.ops.aten.alias(results)
            dtype = name == "to" and isinstance(args[-1], torch.dtype)
            host = host if dtype else name == "cpu"
        for x in filter(_is_tensor, tree_leaves(results)):
            x.lies_on_host = host
        return results


def _is_tensor(value):
    return isinstance(value, torch.Tensor)


def _has_mask(index):
    parts = index if isinstance(index, tuple) else (index,)
    return any(_is_tensor(x) and x.dtype == torch.bool for x in parts)


def _is_within(frame, function):
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    return frame is not None


def _place(frame):
    """File and function that called torch."""
    while "torch" in frame.f_code.co_filename.split("/"):
        frame = frame.f_back
    file = "/".join(frame.f_code.co_filename.split("/")[-2:])
    return file, frame.f_code.co_name


def host_reads(function, within=None):
    """Counter of (file, function) in which a call waits for values."""
    with HostReads(within) as reads:
        function()
    return reads.places
