"""Many recordings of any length through a model; one answer for each.

What goes wrong with a recording, whatever it is, becomes its own answer and
never costs the others.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from speechbrain_c2ser.audio import AudioError, is_silent
from speechbrain_c2ser.audio.objects import (
    Recording,
    as_list,
    name_of,
    open_recording,
)
from speechbrain_c2ser.inference.options import check_number
from speechbrain_c2ser.inference.results import FileResult

SAMPLE_RATE = 16000
SHORTEST = 0.1  # seconds: less holds no syllable
POOL = 16  # batches whose recordings are sorted by length together


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
    """

    recording: Recording
    start: float
    stop: float
    whole: bool

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
        bounds = (None, None) if self.whole else (self.start, self.stop)
        wave = self.recording.read(*bounds)
        if len(wave) < SHORTEST * SAMPLE_RATE - 1:
            raise AudioError(
                f"{self.recording.name} is {len(wave) / 16:.4g} ms long; at "
                f"least {1000 * SHORTEST:.0f} ms are needed."
            )
        missing = max(0, least - len(wave))
        return torch.nn.functional.pad(wave, (0, missing))


def for_each_recording(
    audios: Iterable,
    function: Callable,
    join: Callable,
    batch_size: int = 8,
    window: float = 30.0,
    hop: float | None = None,
    least: int = 0,
    progress: bool = False,
    skip_silence: bool = True,
) -> Iterator[FileResult]:
    """Apply a model to recordings, their stretches batched by length.

    Arguments
    ---------
    audios : iterable
        Anything that
        :func:`~speechbrain_c2ser.audio.objects.open_recording` takes; one
        alone is a list of one.
    function : callable
        ``(wavs [B, T], wav_lens [B]) -> list of B answers``.
    join : callable
        ``[(start, stop, answer | None where silent), ...] -> result`` of a
        recording's stretches, in seconds; not called when all are silent.
    batch_size : int
        Stretches that are run together.
    window : float
        Longer recordings are cut into stretches of so many seconds.
    hop : float | None
        Seconds from one start to the next; None = ``window``.
    least : int
        Samples that the model needs; shorter stretches get zeros.
    progress : bool
        Whether to show a progress bar.
    skip_silence : bool
        Whether silent stretches are left out.

    Returns
    -------
    iterator of FileResult
        One for each recording, in the order given.

    Raises
    ------
    ValueError
        For options that cannot be, before anything is read.
    """
    check_number("batch_size", batch_size, 1, whole=True)
    check_windows(window, hop)
    audios = as_list(audios)
    return _results(
        audios, function, join, batch_size, window, hop, least, progress,
        skip_silence,
    )  # fmt: skip


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
    return [Segment(recording, s, s + window, False) for s in starts]


def value_of(result: FileResult) -> object:
    """The result of a recording, or its error raised.

    Arguments
    ---------
    result : FileResult
        Of :func:`for_each_recording`.

    Returns
    -------
    object

    Raises
    ------
    AudioError
        What went wrong with the recording.
    """
    if result.error is None:
        return result.result
    raise AudioError(result.error) from result.exception


def least_samples(model: torch.nn.Module) -> int:
    """Samples that a model needs for its first frame.

    Arguments
    ---------
    model : torch.nn.Module
        Of any lobes; those that need more than one sample say so by
        ``receptive_field``.

    Returns
    -------
    int

    Example
    -------
    >>> least_samples(torch.nn.Linear(1, 1))
    0
    """
    return max(
        (getattr(module, "receptive_field", 0) for module in model.modules()),
        default=0,
    )


def _results(
    audios, function, join, batch_size, window, hop, least, progress, skip
):
    bar = tqdm(total=len(audios), disable=not progress, unit="file")
    with bar:
        for first in range(0, len(audios), POOL * batch_size):
            pool = audios[first : first + POOL * batch_size]
            names = [name_of(a, first + n) for n, a in enumerate(pool)]
            segments, errors = _cut_all(pool, names, window, hop)
            answers = _answers(
                segments, function, batch_size, least, skip, errors
            )
            for number, name in enumerate(names):
                yield _joined(
                    name, errors.get(number), answers.get(number), join
                )
                bar.update()


def _cut_all(pool, names, window, hop):
    """[(number of its recording, segment)], number -> error."""
    segments, errors = [], {}
    for number, (audio, name) in enumerate(zip(pool, names, strict=True)):
        try:
            recording = open_recording(audio, name)
            segments += [(number, s) for s in cut(recording, window, hop)]
        except Exception as error:
            errors[number] = error
    return segments, errors


def _answers(segments, function, batch_size, least, skip_silence, errors):
    """Number -> {start: (stop, answer)}; what fails is put into errors."""
    answers = {number: {} for number, _ in segments}
    # A stable sort: windows of one recording stay in their order.
    segments = sorted(segments, key=lambda s: s[1].start - s[1].stop)
    for first in range(0, len(segments), batch_size):
        batch, wavs = [], []
        for number, segment in segments[first : first + batch_size]:
            if number in errors:
                continue
            try:
                wav = segment.read(least)
            except Exception as error:
                errors[number] = error
                continue
            if skip_silence and is_silent(wav):
                answers[number][segment.start] = (segment.stop, None)
                continue
            batch.append((number, segment))
            wavs.append(wav)
        for (number, segment), answer in zip(
            batch, _attempt(function, wavs), strict=True
        ):
            if isinstance(answer, Exception):
                errors.setdefault(number, answer)
            else:
                answers[number][segment.start] = (segment.stop, answer)
    return answers


def _attempt(function, wavs):
    """Answers; if the batch fails, each item has its own try."""
    if not wavs:
        return []
    try:
        lengths = torch.tensor([len(wav) for wav in wavs])
        padded = pad_sequence(wavs, batch_first=True)
        return function(padded, lengths / padded.shape[1])
    except Exception as error:
        if len(wavs) == 1:
            return [error]
        return [_attempt(function, [wav])[0] for wav in wavs]


def _joined(name, error, answers, join):
    if error is None:
        parts = [
            (start, stop, answer)
            for start, (stop, answer) in sorted(answers.items())
        ]
        try:
            if all(answer is None for _, _, answer in parts):
                raise AudioError(
                    f"{name} holds only silence: there is nothing to hear."
                )
            return FileResult(name, join(parts))
        except Exception as problem:
            error = problem
    return FileResult(name, error=_sentence(name, error), exception=error)


def _sentence(name, error):
    """One line that names the recording, whatever went wrong."""
    said = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, (ValueError, OSError, RuntimeError)):
        said = f"{type(error).__name__}: {said}"
    return said if name in said else f"{name}: {said}"
