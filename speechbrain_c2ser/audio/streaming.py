"""A recording decoded once from start to end, stretch by stretch."""

import math
from contextlib import ExitStack

import numpy as np
import torch

from speechbrain_c2ser.audio.decoding import decode
from speechbrain_c2ser.audio.errors import AudioError
from speechbrain_c2ser.audio.mixing import Mixer
from speechbrain_c2ser.audio.resampling import Resampler
from speechbrain_c2ser.audio.waveform import (
    check_channel,
    check_rate,
    check_samples,
    tell_cancelled,
)

TOLERANCE = 0.01  # seconds that a manifest's rounding may be past the end


class AudioStream:
    """Stretches of a recording in the order of time, at bounded memory.

    What lies between the last :meth:`forget` and the furthest :meth:`reaches`
    is held, as it was decoded.

    Arguments
    ---------
    path : str | Path | BinaryIO
        As in :func:`~speechbrain_c2ser.audio.reading.read_audio`.
    start, stop : float | None
        The part that is streamed (s); times count from its start.
    channel : int | None
        The channel to take, from 0; None = the mean of all, or the loudest
        where they cancel each other in a stretch.
    name : str | None
        What the errors call it; None = by its path.
    sample_rate : int
        Rate of the stretches (Hz).

    Example
    -------
    >>> import io
    >>> import soundfile
    >>> file = io.BytesIO()
    >>> soundfile.write(file, np.zeros(20000), 8000, format="WAV")
    >>> with AudioStream(file, name="a.wav") as stream:
    ...     while stream.reaches(1.0):
    ...         wave = stream.take(0.0, 1.0)
    ...         break
    ...     stream.reaches(9.0), stream.end, len(wave)
    (False, 2.5, 16000)
    """

    def __init__(
        self,
        path,
        start: float = 0.0,
        stop: float | None = None,
        channel: int | None = None,
        name: str | None = None,
        sample_rate: int = 16000,
    ):
        self._path, self._name = path, name or f"The audio file {path}"
        self._start, self._stop = start, stop
        self._channel, self._target = channel, sample_rate
        self._told, self._ended = False, False

    def __enter__(self):
        self._stack = ExitStack()
        try:
            self._decoder = self._stack.enter_context(
                decode(self._path, self._name)
            )
            decoder, name = self._decoder, self._name
            check_rate(decoder.rate, name)
            check_channel(self._channel, decoder.channels, name)
            rate = self.rate = decoder.rate
            self._origin = round(self._start * rate)
            self._last = math.inf
            if self._stop is not None:
                self._last = round(self._stop * rate)
            self._held = np.empty((0, decoder.channels), np.float32)
            self._first = self._position = self._origin
            self._blocks = decoder.blocks(self._origin)
            self._stack.callback(self._blocks.close)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_):
        self._stack.close()

    @property
    def end(self) -> float | None:
        """Seconds of what is streamed, once its end was reached."""
        if not self._ended:
            return None
        return (self._position - self._origin) / self.rate

    @property
    def consumed(self) -> float | None:
        """Share of the file that was read; None where that is not known."""
        return self._decoder.consumed and self._decoder.consumed()

    def reaches(self, moment: float) -> bool:
        """Whether the recording lasts that long; decodes up to there.

        Arguments
        ---------
        moment : float
            Seconds.

        Returns
        -------
        bool

        Raises
        ------
        AudioError
            When it cannot be decoded, holds NaN, or ends before its part.
        """
        wanted = self._origin + round(moment * self.rate)
        parts = [self._held]
        try:
            while self._position < wanted and not self._ended:
                block = next(self._blocks, None)
                if block is not None:
                    block = block[: int(min(len(block), self._room()))]
                    check_samples(block, self._name)
                    parts.append(block)
                    self._position += len(block)
                if block is None or not self._room():
                    self._ended = True
        finally:
            self._held = np.concatenate(parts)
        if self._ended:
            self._check_end()
        return self._position >= wanted

    def take(self, start: float, stop: float) -> torch.Tensor:
        """A stretch that was reached and is not forgotten.

        Arguments
        ---------
        start, stop : float
            Seconds.

        Returns
        -------
        torch.Tensor
            [T], mono, float32.
        """
        first = self._origin + round(start * self.rate) - self._first
        last = self._origin + round(stop * self.rate) - self._first
        samples = self._held[max(0, first) : last]
        mixer = Mixer(samples.shape[1], self._channel)
        mono = mixer(samples)
        if mixer.cancels():
            mono = samples[:, mixer.loudest()]
            if not self._told:
                tell_cancelled(self._name, mixer)
                self._told = True
        resampler = Resampler(self.rate, self._target)
        wave = np.concatenate([resampler(mono), resampler.rest()])
        return torch.from_numpy(np.ascontiguousarray(wave, np.float32))

    def forget(self, before: float) -> None:
        """Let go of what lies before a moment.

        Arguments
        ---------
        before : float
            Seconds.
        """
        first = self._origin + round(before * self.rate)
        first = min(max(first, self._first), self._position)
        self._held = self._held[first - self._first :].copy()
        self._first = first

    def _room(self):
        return self._last - self._position

    def _check_end(self):
        """Refuse a part that the recording does not have."""
        empty = self._position == self._origin
        missing = self._last - self._position
        if missing == math.inf:
            missing = 0
        if empty and not self._origin:
            raise AudioError(
                f"{self._name} is empty: it holds no samples; record it again."
            )
        if empty or missing > TOLERANCE * self.rate:
            until = "its end"
            if self._stop is not None:
                until = f"{self._stop:.3f} s"
            lasts = "" if empty else f"lasts {self._position / self.rate:.3f} s"
            raise AudioError(
                f"{self._name} {lasts + ' and ' if lasts else ''}has no "
                f"segment from {self._start:.3f} to {until}."
            )
