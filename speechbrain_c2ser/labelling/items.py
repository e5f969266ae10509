"""What is known of one recording while it is labelled."""

from dataclasses import dataclass, field
from typing import Any

import torch

LABELLED, LEFT_OUT, FAILED = "labelled", "left out", "failed"


@dataclass
class Item:
    """A recording on its way through the stages.

    Arguments
    ---------
    id : str
        Its name.
    row : dict
        Its fields, as of a manifest; ``wav`` names the recording, also inside
        a tar.
    audio : object
        What :func:`~speechbrain_c2ser.audio.load_audio` takes.
    wave : torch.Tensor | None
        [T] at 16 kHz, once it is decoded.
    answers : dict
        Model -> what it says.
    outcome : str
        "labelled", "left out" or "failed"; empty while it is on its way.
    reason : str
        Why it is left out or failed.
    """

    id: str
    row: dict = field(default_factory=dict)
    audio: Any = None
    wave: torch.Tensor | None = None
    answers: dict = field(default_factory=dict)
    outcome: str = ""
    reason: str = ""

    def fail(self, reason: object) -> None:
        """It cannot be used; says why in one line."""
        self.outcome, self.reason = FAILED, " ".join(str(reason).split())

    def leave_out(self, reason: str) -> None:
        """It is not wanted, or gets no label; says why."""
        self.outcome, self.reason = LEFT_OUT, reason
