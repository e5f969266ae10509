"""Recordings of any length as segments, run in batches of like length."""

from dataclasses import dataclass

import soundfile
import torch
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from speechbrain_c2ser.audio import AudioError, read_audio
from speechbrain_c2ser.inference.results import Classification, Window

SHORTEST = 0.1  # seconds: less holds no syllable
SILENCE = 1e-4  # peak (-80 dB of full scale) under which nothing is heard


@dataclass(frozen=True)
class Segment:
    """A stretch of a file.

    Arguments
    ---------
    path : str
        The audio file.
    start : float
        Seconds.
    stop : float
        Seconds.
    whole : bool
        Whether it is the whole file.
    """

    path: str
    start: float
    stop: float
    whole: bool

    @property
    def duration(self):
        """Seconds."""
        return self.stop - self.start

    def read(self):
        """Waveform [T] at 16 kHz.

        Returns
        -------
        torch.Tensor

        Raises
        ------
        AudioError
            When the file cannot be used.
        """
        if self.whole:
            wav = read_audio(self.path)
        else:
            wav = read_audio(self.path, start=self.start, stop=self.stop)
        if len(wav) < SHORTEST * 16000:
            raise AudioError(
                f"{self.path} is {len(wav) / 16000:.3f} s long; at least "
                f"{SHORTEST} s are needed."
            )
        return wav


def cut(path, window=30.0, hop=None):
    """Segments that cover a file.

    A file of up to ``window`` seconds is one segment. A longer one is cut
    every ``hop`` seconds; the last segment is as long as the others and ends
    with the file.

    Arguments
    ---------
    path : str | Path
        The audio file.
    window : float
        Length of a segment in seconds.
    hop : float | None
        Seconds from one start to the next; None = ``window``.

    Returns
    -------
    list[Segment]

    Raises
    ------
    AudioError
        When the file cannot be read.
    ValueError
        For a window or hop that is too short.
    """
    hop = window if hop is None else hop
    if window < SHORTEST or not 0 < hop <= window:
        raise ValueError(
            f"A window of {window} s every {hop} s cannot be used: the window "
            f"must be {SHORTEST} s or longer, the hop positive and no longer "
            "than the window."
        )
    try:
        duration = soundfile.info(str(path)).duration
    except (soundfile.SoundFileError, OSError, TypeError):
        duration = len(read_audio(path)) / 16000  # or its clear error
    if duration <= window:
        return [Segment(str(path), 0.0, duration, True)]
    starts = [0.0]
    while starts[-1] + window < duration - 1e-6:
        starts.append(min(starts[-1] + hop, duration - window))
    return [Segment(str(path), s, s + window, False) for s in starts]


def run(segments, function, batch_size=8, progress=False, skip_silence=True):
    """Apply a model to segments, batched by length.

    Arguments
    ---------
    segments : list[Segment]
        What to read.
    function : callable
        ``(wavs [B, T], wav_lens [B]) -> list of B results``.
    batch_size : int
        Segments per batch.
    progress : bool
        Whether to show a progress bar.
    skip_silence : bool
        Whether silent segments are left out.

    Yields
    ------
    tuple
        (index of the segment, result | None where left out | the exception
        that its reading or running raised), in order of processing.
    """
    order = sorted(range(len(segments)), key=lambda i: -segments[i].duration)
    bar = tqdm(total=len(segments), disable=not progress, unit="segment")
    with bar:
        for first in range(0, len(order), batch_size):
            indices, wavs = [], []
            for index in order[first : first + batch_size]:
                try:
                    wav = segments[index].read()
                except (AudioError, OSError, MemoryError) as error:
                    yield index, error
                    continue
                if skip_silence and wav.abs().max() < SILENCE:
                    yield index, None
                    continue
                indices.append(index)
                wavs.append(wav)
            yield from zip(indices, _attempt(function, wavs), strict=True)
            bar.update(len(order[first : first + batch_size]))


def summarise(path, rows, names):
    """A whole recording's classification from its windows'.

    Arguments
    ---------
    path : str | Path
        The recording.
    rows : list of (Segment, torch.Tensor | None)
        Each window's probabilities [L]; None where it is silent.
    names : list of str
        The L labels.

    Returns
    -------
    Classification | AudioError
        The mean over what is not silent; an error where all is.
    """
    windows = tuple(
        Window(
            segment.start,
            segment.stop,
            row,
            None if row is None else names[row.argmax()],
        )
        for segment, row in rows
    )
    heard = [row for _, row in rows if row is not None]
    if not heard:
        return silent(path)
    mean = torch.stack(heard).mean(0)
    score, index = mean.max(-1)
    result = Classification(mean, score, index, names[index])
    result.windows = windows
    return result


def silent(path):
    """The error of a recording in which there is nothing to hear."""
    return AudioError(f"{path} holds only silence: there is nothing to hear.")


def _attempt(function, wavs):
    """Results; if the batch fails, each item has its own try."""
    if not wavs:
        return []
    try:
        lengths = torch.tensor([len(wav) for wav in wavs])
        padded = pad_sequence(wavs, batch_first=True)
        return function(padded, lengths / padded.shape[1])
    except (ValueError, RuntimeError) as error:
        if len(wavs) == 1:
            return [error]
        return [_attempt(function, [wav])[0] for wav in wavs]


def check_batch(wavs, wav_lens):
    """Relative lengths of a batch of waveforms, after looking at it.

    Arguments
    ---------
    wavs : torch.Tensor
        [B, T] waveforms at 16 kHz; [T] is taken as one.
    wav_lens : torch.Tensor | None
        [B] relative lengths; None = all full.

    Returns
    -------
    tuple
        (wavs [B, T] in float32, wav_lens [B]).

    Raises
    ------
    ValueError
        For a wrong shape, or values that are no numbers.
    """
    wavs = torch.as_tensor(wavs, dtype=torch.float32)
    if wavs.dim() == 1:
        wavs = wavs[None]
    if wavs.dim() != 2 or wavs.shape[1] == 0:
        raise ValueError(
            f"Waveforms must be [batch, time], not {list(wavs.shape)}; mix "
            "channels down first."
        )
    if wav_lens is None:
        wav_lens = torch.ones(len(wavs))
    wav_lens = torch.as_tensor(wav_lens, dtype=torch.float32)
    if wav_lens.shape != wavs.shape[:1]:
        raise ValueError(
            f"{len(wavs)} waveforms came with {wav_lens.numel()} lengths; "
            "give one relative length for each."
        )
    broken = (~torch.isfinite(wavs)).any(1).nonzero()[:, 0].tolist()
    if broken:
        raise ValueError(
            f"Waveforms {broken} hold NaN or infinite samples; repair them."
        )
    return wavs, wav_lens
