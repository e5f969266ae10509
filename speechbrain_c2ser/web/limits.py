"""What a server takes from a stranger, and what it says to the rest."""

from dataclasses import dataclass

MEGABYTE = 2**20


class TooMuch(ValueError):
    """An upload is over a limit."""


class Busy(RuntimeError):
    """Too many wait already."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one server.

    Arguments
    ---------
    size : int
        Bytes of a recording's file.
    seconds : float
        Length of a recording.
    files : int
        Recordings at once.
    waiting : int
        Requests that may wait for their turn.
    stored : int
        Bytes that all uploads may hold on disk together.
    kept : float
        Seconds until an upload is removed.
    """

    size: int = 50 * MEGABYTE
    seconds: float = 600.0
    files: int = 50
    waiting: int = 32
    stored: int = 2048 * MEGABYTE
    kept: float = 900.0

    def __post_init__(self):
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"The limit {name} must be over 0.")
