"""Recordings as windows, by seeking where that is exact, else as a stream."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from speechbrain_c2ser.audio import AudioError
from speechbrain_c2ser.audio.objects import Recording
from speechbrain_c2ser.audio.streaming import AudioStream
from speechbrain_c2ser.inference.options import check_number

SAMPLE_RATE = 16000
SHORTEST = 0.1  # seconds: less holds no syllable


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording.

    Arguments
    ---------
    recording : Recording
        What it is of.
    start, stop : float
        Seconds.
    whole : bool
        Whether it is all of the recording.
    load : callable | None
        ``() -> waveform`` where the recording is a stream, which must be
        called before the next segment is asked for.
    share : float | None
        Of the recording, what lies before ``stop``; None = by its length.
    """

    recording: Recording
    start: float
    stop: float
    whole: bool = False
    load: Callable[[], torch.Tensor] | None = None
    share: float | None = None

    def read(self, least: int = 0) -> torch.Tensor:
        """Waveform at 16 kHz, zeros behind it up to ``least`` samples.

        Arguments
        ---------
        least : int
            Samples that the model needs.

        Returns
        -------
        torch.Tensor
            [T].

        Raises
        ------
        AudioError
            When it cannot be read, or is too short to hold speech.
        """
        if self.load is not None:
            wave = self.load()
        else:
            bounds = (None, None) if self.whole else (self.start, self.stop)
            wave = self.recording.read(*bounds)
        if len(wave) < SHORTEST * SAMPLE_RATE - 1:
            raise AudioError(
                f"{self.recording.name} is {len(wave) / 16:.4g} ms long; at "
                f"least {1000 * SHORTEST:.0f} ms are needed."
            )
        missing = max(0, least - len(wave))
        return torch.nn.functional.pad(wave, (0, missing))


def check_windows(window: float, hop: float | None = None) -> None:
    """Refuse windows that cannot be.

    Arguments
    ---------
    window : float
        Seconds of a stretch.
    hop : float | None
        Seconds from one start to the next; None = ``window``.

    Raises
    ------
    ValueError
        For what is no number, too short, or leaves gaps.
    """
    check_number("window", window, SHORTEST)
    if hop is not None:
        check_number("hop", hop, 1e-3)
        if hop > window:
            raise ValueError(
                f"A window of {window} s every {hop} s cannot be used: the "
                "hop must not be longer than the window."
            )


def cut(
    recording: Recording, window: float = 30.0, hop: float | None = None
) -> list[Segment]:
    """Segments that cover a recording.

    One of up to ``window`` seconds is one segment. A longer one is cut every
    ``hop`` seconds; the last segment is as long as the others and ends with
    the recording.

    Arguments
    ---------
    recording : Recording
        What to cut.
    window : float
        Length of a segment in seconds.
    hop : float | None
        Seconds from one start to the next; None = ``window``.

    Returns
    -------
    list[Segment]

    Example
    -------
    >>> import torch
    >>> from speechbrain_c2ser.audio.objects import open_recording
    >>> recording = open_recording((torch.zeros(40000), 16000))
    >>> [(s.start, s.stop) for s in cut(recording, window=1.0)]
    [(0.0, 1.0), (1.0, 2.0), (1.5, 2.5)]
    """
    check_windows(window, hop)
    hop = window if hop is None else hop
    seconds = recording.seconds
    if seconds <= window:
        return [Segment(recording, 0.0, seconds, True)]
    count = 1 + math.ceil((seconds - window - 1e-6) / hop)
    starts = [min(number * hop, seconds - window) for number in range(count)]
    return [Segment(recording, s, s + window) for s in starts]


def short_segment(recording: Recording, window: float) -> Segment | None:
    """A recording that is no longer than a window, as one segment.

    Arguments
    ---------
    recording : Recording
        Whose length is not told without decoding; up to a window of it is
        decoded.
    window : float
        Seconds.

    Returns
    -------
    Segment | None
        None where it is longer.
    """
    with recording.stream(0.0, None) as stream:
        # A sample more: what lasts a window to the sample is short.
        if stream.reaches(window + 1.5 / stream.rate):
            return None
        return Segment(recording, 0.0, stream.end, True)


def stream_windows(
    recording: Recording, window: float, hop: float | None = None
) -> Iterator[Segment]:
    """The windows of :func:`cut`, from a recording that is decoded once.

    Arguments
    ---------
    recording : Recording
        Of any length, told or not.
    window : float
        Length of a segment in seconds.
    hop : float | None
        Seconds from one start to the next; None = ``window``.

    Yields
    ------
    Segment
        Each to be read before the next is asked for.
    """
    hop = window if hop is None else hop
    with recording.stream(0.0, None) as stream:
        number, stop = 0, 0.0
        while stream.reaches(number * hop + window):
            # The last window reaches back no further than this one.
            stream.forget(number * hop)
            start, stop = number * hop, number * hop + window
            yield _streamed(recording, stream, start, stop)
            number += 1
        if stream.end > stop + 1e-6:
            start = max(0.0, stream.end - window)
            yield _streamed(recording, stream, start, stream.end)


def stream_stretches(
    recording: Recording, stretches: Sequence[tuple[float, float]]
) -> Iterator[Segment]:
    """Stretches of a recording that is decoded once.

    Arguments
    ---------
    recording : Recording
        Of any length, told or not.
    stretches : sequence of (float, float)
        Start and stop (s), in the order of their starts.

    Yields
    ------
    Segment
        Each to be read before the next is asked for.
    """
    with recording.stream(0.0, None) as stream:
        for start, stop in stretches:
            stream.forget(start)
            stream.reaches(stop)
            yield _streamed(recording, stream, start, stop)


def _streamed(recording: Recording, stream: AudioStream, start, stop):
    return Segment(
        recording,
        start,
        stop,
        load=lambda: stream.take(start, stop),
        share=stream.consumed,
    )
