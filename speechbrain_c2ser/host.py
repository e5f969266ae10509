"""Numbers that Python reads without waiting for a device.

A GPU works through what it was given while Python goes on; where Python reads
a value of it, both wait. Lengths and targets come from the host anyway: their
copy on a device remembers them.
"""

from collections.abc import Callable

import torch


def to_device(values: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Send numbers to a device; :func:`on_host` then need not fetch them.

    Arguments
    ---------
    values : torch.Tensor
        Of any shape, on the host (elsewhere they are only moved).
    device : torch.device | str
        Where they are needed.

    Returns
    -------
    torch.Tensor
        Not to be changed in place: the host's copy would differ.

    Example
    -------
    >>> lengths = to_device(torch.tensor([3, 2]), "cpu")
    >>> on_host(lengths).tolist()
    [3, 2]
    """
    moved = values.to(device, non_blocking=True)
    if moved is not values and values.device.type == "cpu":
        moved.on_host = values
    return moved


def on_host(values: torch.Tensor) -> torch.Tensor:
    """The same numbers where Python reads them.

    Arguments
    ---------
    values : torch.Tensor
        On any device.

    Returns
    -------
    torch.Tensor
        On the host; fetched, if :func:`to_device` has not sent them.
    """
    there = getattr(values, "on_host", None)
    return values.cpu() if there is None else there


def on_both(
    function: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor
) -> torch.Tensor:
    """A function of numbers that the host may know, known there as well.

    Arguments
    ---------
    function : callable
        Of a tensor, such as from samples to frames.
    values : torch.Tensor
        What it is called with.

    Returns
    -------
    torch.Tensor
        On the device of ``values``.

    Example
    -------
    >>> on_both(lambda samples: samples // 160, torch.tensor([320, 480]))
    tensor([2, 3])
    """
    there = getattr(values, "on_host", None)
    if there is None:
        return function(values)
    return to_device(function(there), values.device)
