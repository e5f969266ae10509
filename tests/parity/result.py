"""One line of the parity table."""

from typing import NamedTuple

import torch


class Result(NamedTuple):
    """How one output of one case compares.

    Arguments
    ---------
    case : str
        Name of the case.
    output : str
        Name of the output.
    difference : float
        Largest absolute difference.
    tolerance : str
        What is allowed, for the reader.
    passed : bool
        Whether it is within the tolerance.
    """

    case: str
    output: str
    difference: float
    tolerance: str
    passed: bool


def close(case, output, ours, reference, atol=1e-4, rtol=1e-4):
    """Compares a tensor with its reference: exactly where the reference is
    bool or integer, else as `torch.allclose` does.

    Arguments
    ---------
    case : str
        Name of the case.
    output : str
        Name of the output.
    ours : torch.Tensor
        What we computed.
    reference : torch.Tensor
        Golden numbers.
    atol : float
        Absolute tolerance.
    rtol : float
        Relative tolerance.

    Returns
    -------
    Result
        Failed, with an infinite difference, when the shapes differ.
    """
    exact = not reference.is_floating_point()
    tolerance = "exact" if exact else f"{atol:g} + {rtol:g} |x|"
    if ours.shape != reference.shape:
        shapes = f"shape {tuple(ours.shape)}, not {tuple(reference.shape)}"
        return Result(case, output, float("inf"), shapes, False)
    if exact:
        passed = torch.equal(ours.to(reference.dtype), reference)
        difference = (ours.double() - reference.double()).abs()
    else:
        ours = ours.float()
        passed = torch.allclose(ours, reference, atol=atol, rtol=rtol)
        # -inf in both is no difference, though their subtraction is NaN.
        same = ours == reference
        difference = (ours - reference).abs().masked_fill(same, 0.0)
    largest = float(difference.max()) if difference.numel() else 0.0
    return Result(case, output, largest, tolerance, passed)
