"""Frames of an opened recording, up to its end and past its damages."""

import logging
from collections.abc import Callable, Iterator

import numpy as np

from speechbrain_c2ser.audio.errors import AudioError

logger = logging.getLogger(__name__)
BLOCK = 1 << 16  # frames
SMALL_BLOCK = 1 << 8  # frames, to come as near to a damage as possible
MOST_DAMAGES = 100  # more in one file: it is used up to there
LOST = 0.1  # seconds that cannot come from an encoder's last frame
SKIP = 1 << 12  # frames that a damage costs at least
TRIES = 20  # whole headers of damaged frames that may follow each other
UNKNOWN = "Format not recognised"
# What libsndfile means by words that mislead.
MEANINGS = {
    "File does not exist or is not": "no frame of it is whole",
    "SF_INFO struct incomplete": "its header is damaged",
    # What is of no format is taken for a resource fork of a Macintosh.
    "bad map offset": UNKNOWN,
    "bad data offset": UNKNOWN,
    "bad data length": UNKNOWN,
    "bad resource fork": UNKNOWN,
}


class Decoder:
    """A recording, opened.

    Arguments
    ---------
    rate : int
        Sample rate (Hz).
    channels : int
        Number of channels.
    frames : int | None
        What the header tells; None where it tells nothing that could be.
    seekable : bool
        Whether :meth:`blocks` may start at a later place without decoding
        what is before it.
    read : callable
        ``(first, block) -> iterator over float32 [n, channels]``.
    name : str
        What messages call it.
    consumed : callable | None
        ``() -> share of the file's bytes that was read``, from 0 to 1.
    places : callable | None
        ``() -> frames that can be gone to``, in ascending order; None where
        that is only known by trying.
    """

    def __init__(
        self,
        rate: int,
        channels: int,
        frames: int | None,
        seekable: bool,
        read: Callable,
        name: str,
        consumed: Callable[[], float] | None = None,
        places: Callable[[], list[int]] | None = None,
    ):
        self.rate, self.channels, self.frames = rate, channels, frames
        self.seekable = seekable and frames is not None
        self._read, self._name = read, name
        self.consumed, self._places = consumed, places

    def reaches_its_end(self) -> bool:
        """Whether the last frame that the header tells of is there.

        Returns
        -------
        bool
            False also where that cannot be told without decoding all.
        """
        if not self.frames or not self.seekable:
            return False
        try:
            return len(next(self._read(self.frames - 1, 1), ())) == 1
        except (RuntimeError, OSError):
            return False

    def blocks(self, first: int = 0) -> Iterator[np.ndarray]:
        """Frames from a place to the end of what can be decoded.

        Where the recording is damaged, what is before the damage counts, and
        a warning tells.

        Arguments
        ---------
        first : int
            Frames to leave out at the start.

        Yields
        ------
        numpy.ndarray
            float32 [n, channels].

        Raises
        ------
        AudioError
            When nothing can be decoded.
        """
        done, problem = first if self.seekable else 0, None
        for _ in range(MOST_DAMAGES):
            done, problem = yield from self._until_damage(done, first)
            if problem is None:
                self._tell_lost(done)
                return
            behind = self._behind_damage(done)
            if behind is None:
                break
            logger.warning(
                "%s is damaged from %.3f to %.3f s: that is taken for silence.",
                self._name,
                done / self.rate,
                behind / self.rate,
            )
            for place in range(max(done, first), behind, BLOCK):
                shape = (min(BLOCK, behind - place), self.channels)
                yield np.zeros(shape, np.float32)
            done = behind
        if done <= first:
            raise AudioError(
                f"{self._name} cannot be read: it is damaged "
                f"({reason(problem)}); record or copy it again."
            )
        logger.warning(
            "%s is damaged after %.3f s: what is before that is used.",
            self._name,
            done / self.rate,
        )

    def _tell_lost(self, done):
        """Warn where less was decoded than is there: of Ogg, pages."""
        if self.seekable and done + LOST * self.rate < self.frames:
            logger.warning(
                "%s is damaged: of %.3f s %.3f could be decoded; what follows "
                "the damage comes too early.",
                self._name,
                self.frames / self.rate,
                done / self.rate,
            )

    def _until_damage(self, start, first):
        """Blocks from a frame on; returns (next frame, error or None)."""
        done = start
        try:
            for block in self._read(done, BLOCK):
                done += len(block)
                yield block[max(0, len(block) - max(0, done - first)) :]
            return done, None
        except (RuntimeError, OSError) as error:
            problem = error
        # Again from the last whole block, in small steps.
        try:
            for block in self._read(start, SMALL_BLOCK, done - start):
                done += len(block)
                yield block[max(0, len(block) - max(0, done - first)) :]
        except (RuntimeError, OSError) as error:
            problem = error
        return done, problem

    def _behind_damage(self, place):
        """The next frame that can be gone to; None where there is none."""
        for later in self._later(place) if self.seekable else ():
            try:
                if len(next(self._read(later, 1), ())):
                    return later
            except (RuntimeError, OSError):
                continue
        return None

    def _later(self, place):
        """Frames after one from which decoding may go on."""
        if self._places is not None:
            places = [p for p in self._places() if place < p < self.frames]
            yield from places[:TRIES]
            return
        step = SKIP
        while place + step < self.frames:
            place, step = place + step, 2 * step
            yield place


def reason(error: Exception | str) -> str:
    """libsndfile's words without the name that they begin with.

    Example
    -------
    >>> reason(RuntimeError("SF_INFO struct incomplete."))
    'its header is damaged'
    """
    message = getattr(error, "error_string", None) or str(error)
    for words, meaning in MEANINGS.items():
        if words in message:
            return meaning
    return " ".join(message.split()).strip(" .")
