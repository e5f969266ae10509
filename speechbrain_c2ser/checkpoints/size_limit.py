"""Refuse blocks that are larger than the weights that are to fill them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from torch.nn.modules.module import register_module_parameter_registration_hook

from speechbrain_c2ser.lobes.pretrained_files import told_if_damaged

# Beside the weights: what is built and thrown away (a decoder, norms twice).
TIMES, MORE = 4, 1_000_000


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
    with told_if_damaged(path), safe_open(path, framework="pt") as file:
        shapes = [file.get_slice(key).get_shape() for key in file.keys()]
    return sum(torch.Size(shape).numel() for shape in shapes)


@contextmanager
def no_larger_than(weights: int | None) -> Iterator[None]:
    """Modules built here have no more parameters than fit some weights.

    A parameter is counted before its memory is used, so that a yaml that asks
    for terabytes, or for a million layers, ends in a sentence.

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
    ...     torch.nn.Linear(3000, 3000)
    Traceback (most recent call last):
    RuntimeError: it is larger than the weights beside it (9000000 parameters \
or more; they hold 10)
    """
    if weights is None:
        yield
        return
    count = 0

    def counted(module, name, parameter):
        nonlocal count
        if parameter is not None and not parameter.is_meta:
            count += parameter.numel()
        if count > TIMES * weights + MORE:
            raise RuntimeError(
                f"it is larger than the weights beside it ({count} parameters "
                f"or more; they hold {weights})"
            )

    handle = register_module_parameter_registration_hook(counted)
    try:
        yield
    finally:
        handle.remove()
