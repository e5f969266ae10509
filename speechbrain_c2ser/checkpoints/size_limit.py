"""Refuse blocks that are larger than the weights that are to fill them."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map_only

from speechbrain_c2ser.lobes.pretrained_files import stored_tensors

# Beside the weights: what is built and thrown away (a decoder, norms twice),
# and tables that no file holds (mel filters, windows, positions).
TIMES, MORE = 4, 16_000_000
LEAST = 4000  # what the smallest counts: it takes objects, and time


def count_weights(path: str | Path) -> int:
    """Numbers that a safetensors file holds, by its header.

    Raises
    ------
    ValueError
        For a damaged file.

    Example
    -------
    >>> from safetensors.torch import save_file
    >>> path = str(getfixture("tmpdir") / "model.safetensors")
    >>> save_file({"a": torch.zeros(2, 3)}, path)
    >>> count_weights(path)
    6
    """
    return sum(math.prod(shape) for _, shape in stored_tensors(path))


@contextmanager
def no_larger_than(weights: int | None) -> Iterator[None]:
    """What is built here has no more numbers than fit some weights.

    Every tensor is counted, parameters, buffers and what is thrown away, and
    counted before its memory is used, so that a yaml that asks for terabytes,
    or for a million layers, ends in a sentence.

    Arguments
    ---------
    weights : int | None
        Of :func:`count_weights`; None = no limit.

    Raises
    ------
    RuntimeError
        In the constructor that goes beyond.

    Example
    -------
    >>> with no_larger_than(10):
    ...     torch.nn.Linear(9000, 9000)
    Traceback (most recent call last):
    RuntimeError: it is larger than the weights beside it (81000000 numbers \
or more; they hold 10)
    """
    if weights is None:
        yield
        return
    with _Counting(weights):
        yield


class _Counting(TorchDispatchMode):
    """Sees each operation of torch before it runs."""

    def __init__(self, weights):
        super().__init__()
        self.weights, self.count = weights, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        # What gives a view, or its own input changed, takes no memory.
        takes_none = all(
            result.alias_info is not None for result in func._schema.returns
        )
        if takes_none or _is_on_meta(args, kwargs):
            return func(*args, **kwargs)
        planned = _plan(func, args, kwargs)
        self._add(planned)
        made = func(*args, **kwargs)
        if planned is None:
            self._add(made)
        return made

    def _add(self, made):
        for tensor in made if isinstance(made, list | tuple) else [made]:
            if isinstance(tensor, torch.Tensor):
                self.count += max(tensor.numel(), LEAST)
        if self.count > TIMES * self.weights + MORE:
            raise RuntimeError(
                f"it is larger than the weights beside it ({self.count} "
                f"numbers or more; they hold {self.weights})"
            )


def _is_on_meta(args, kwargs):
    return str(kwargs.get("device")) == "meta" or any(
        isinstance(value, torch.Tensor) and value.is_meta
        for value in tree_iter((args, kwargs))
    )


def _plan(func, args, kwargs):
    """What an operation will give, without memory; None: torch cannot say."""
    args, kwargs = tree_map_only(torch.Tensor, _without_memory, (args, kwargs))
    if any(argument.name == "device" for argument in func._schema.arguments):
        kwargs = {**kwargs, "device": torch.device("meta")}
    try:
        return func(*args, **kwargs)
    except Exception:  # it depends on the numbers, or is unknown there
        return None


def _without_memory(tensor):
    return torch.empty_strided(
        tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta"
    )
