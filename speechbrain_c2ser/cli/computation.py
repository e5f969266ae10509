"""On what, and in which precision, a command computes."""

import argparse

MOST = 1_000_000  # recordings in a batch


def add_computation(command: argparse.ArgumentParser) -> None:
    """Add ``--device`` and ``--precision``.

    Arguments
    ---------
    command : argparse.ArgumentParser
        A command that loads a model.
    """
    command.add_argument("--device", help="cpu, cuda, cuda:1 ...")
    command.add_argument(
        "--precision",
        choices=("fp32", "bf16", "int8"),
        default="fp32",
        help="of the computation; int8 on a processor only (default: fp32)",
    )


def check_computation(options: argparse.Namespace) -> None:
    """Refuse what this machine does not have, before anything is loaded.

    Arguments
    ---------
    options : argparse.Namespace
        With what :func:`add_computation` adds.

    Raises
    ------
    ValueError
        Says what to give instead.
    """
    from speechbrain_c2ser.inference.pretrained import (
        check_precision,
        find_device,
    )

    device = find_device(options.device)
    check_precision(options.precision, device, quick=True)


def run_opts_of(options: argparse.Namespace) -> dict[str, str]:
    """SpeechBrain's ``run_opts``.

    Arguments
    ---------
    options : argparse.Namespace
        With what :func:`add_computation` adds.

    Returns
    -------
    dict of str

    Example
    -------
    >>> run_opts_of(argparse.Namespace(device=None, precision="bf16"))
    {'precision': 'bf16'}
    """
    run_opts = {"precision": options.precision}
    if options.device:
        run_opts["device"] = options.device
    return run_opts
