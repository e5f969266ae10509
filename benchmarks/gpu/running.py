"""A part of the report: its cases, its time, what went wrong with each."""

import copy
import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch


class Skipped(Exception):
    """A case cannot be run here; the message says why."""


class Run:
    """Where and for how long a part runs; each case is written at once.

    Arguments
    ---------
    device : str
        Such as "cuda" or "cpu".
    dry : bool
        Tiny sizes.
    seconds : float
        For all cases; none begins later.
    folder : Path
        For whatever is written; is there.
    rows : Path
        JSON lines, a line for each case.
    """

    def __init__(
        self, device: str, dry: bool, seconds: float, folder: Path, rows: Path
    ):
        self.device, self.dry = device, dry
        self.kind = torch.device(device).type
        self.folder, self.rows = folder, rows
        self._seconds, self._start = seconds, time.monotonic()

    def left(self) -> float:
        """Seconds of the part's time that are left."""
        return self._seconds - (time.monotonic() - self._start)

    def case(self, name: str, function: Callable, *arguments) -> None:
        """Run a case: its error is its own, and told.

        Arguments
        ---------
        name : str
            In the report.
        function : callable
            Gives the case's figures; ``ok`` among them says whether they are
            as they should be.
        *arguments
            Of the function.
        """
        row, started = {"case": name}, time.monotonic()
        try:
            if self.left() <= 0:
                raise Skipped("no time was left")
            row |= function(*arguments)
        except Skipped as reason:
            row["skipped"] = str(reason)
        except Exception as error:
            lines = traceback.format_exc().strip().splitlines()
            row |= {"ok": False, "error": str(error)[:500]}
            row["where"] = " ".join(" ".join(lines[-3:-1]).split())[:300]
        row["seconds"] = round(time.monotonic() - started, 3)
        with self.rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def wait(self) -> None:
        """Until the device has done what it was asked."""
        if self.kind == "cuda":
            torch.cuda.synchronize()


def with_compiled_layers(encoder: torch.nn.Module, backend: str):
    """A copy of an encoder whose layers are compiled, each by itself.

    What is around them reads lengths on the host, which no graph holds; and
    layers that are alike are compiled once.

    Arguments
    ---------
    encoder : torch.nn.Module
        Stays as it is.
    backend : str
        Of ``torch.compile``.

    Returns
    -------
    torch.nn.Module
    """
    encoder = copy.deepcopy(encoder)
    for module in encoder.modules():
        if isinstance(module, torch.nn.ModuleList):
            for layer in module:
                layer.compile(backend=backend)
    return encoder
