"""Audio files, whole or in part, as mono float32 at one rate."""

import math

import numpy as np
import torch

from speechbrain_c2ser.audio.decoding import decode
from speechbrain_c2ser.audio.errors import AudioError
from speechbrain_c2ser.audio.mixing import Mixer
from speechbrain_c2ser.audio.resampling import Resampler
from speechbrain_c2ser.audio.streaming import TOLERANCE
from speechbrain_c2ser.audio.waveform import (
    check_channel,
    check_rate,
    check_samples,
    tell_cancelled,
)


def read_audio(
    path,
    start: float | None = None,
    stop: float | None = None,
    sample_rate: int = 16000,
    channel: int | None = None,
    name: str | None = None,
) -> torch.Tensor:
    """Read an audio file, or a segment of it, in blocks to its end.

    Arguments
    ---------
    path : str | Path | BinaryIO
        Any format that libsndfile reads (wav, flac, ogg, mp3 ...), or ffmpeg
        where it is installed (m4a, webm, amr ...); told by its content. Or
        an open file that can seek.
    start, stop : float | None
        Segment (s); None is the file's start or end.
    sample_rate : int
        Rate of the result (Hz).
    channel : int | None
        The channel to take, from 0; None = the mean of all, or the loudest
        where they cancel each other.
    name : str | None
        What the errors call it; None = by its path.

    Returns
    -------
    torch.Tensor
        Shape [T], mono, float32.

    Raises
    ------
    AudioError
        If the file is missing, unreadable or empty, if it holds NaN, or if
        the segment lies outside of it.

    Example
    -------
    >>> read_audio("nowhere.wav")
    Traceback (most recent call last):
    speechbrain_c2ser.audio.errors.AudioError: The audio file nowhere.wav is \
missing.
    """
    name = name or f"The audio file {path}"
    with decode(path, name) as decoder:
        check_rate(decoder.rate, name)
        channel = check_channel(channel, decoder.channels, name)
        mixer = Mixer(decoder.channels, channel)
        wave = _read(decoder, mixer, start, stop, sample_rate, name)
        if mixer.cancels():
            tell_cancelled(name, mixer)
            mixer = Mixer(decoder.channels, mixer.loudest())
            wave = _read(decoder, mixer, start, stop, sample_rate, name)
    return wave


def audio_seconds(path, name: str | None = None) -> float:
    """True length of an audio file.

    A header is believed only where the file's size bears it out; else the
    file is decoded to its end (streams without a length, MP3 without a Xing
    header, cut files).

    Arguments
    ---------
    path : str | Path | BinaryIO
        As in :func:`read_audio`.
    name : str | None
        What the errors call it; None = by its path.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    AudioError
        If the file is missing, unreadable or empty.
    """
    name = name or f"The audio file {path}"
    with decode(path, name) as decoder:
        check_rate(decoder.rate, name)
        if decoder.reaches_its_end():
            return decoder.frames / decoder.rate
        count = sum(map(len, decoder.blocks()))
        if count == 0:
            raise AudioError(
                f"{name} is empty: it holds no samples; record it again."
            )
        return count / decoder.rate


def told_seconds(
    path, name: str | None = None, channel: int | None = None
) -> float | None:
    """True length of an audio file where no decoding of it is needed.

    Arguments
    ---------
    path : str | Path | BinaryIO
        As in :func:`read_audio`.
    name : str | None
        What the errors call it; None = by its path.
    channel : int | None
        The channel that will be taken, from 0.

    Returns
    -------
    float | None
        Seconds; None where only decoding all of it, or decoding from its
        start to read any part of it, would tell.

    Raises
    ------
    AudioError
        If the file is missing, unreadable or empty, or lacks the channel.

    Example
    -------
    >>> import io
    >>> import soundfile
    >>> file = io.BytesIO()
    >>> soundfile.write(file, np.zeros(4000), 8000, format="WAV")
    >>> told_seconds(file, "a.wav")
    0.5
    """
    name = name or f"The audio file {path}"
    with decode(path, name) as decoder:
        check_rate(decoder.rate, name)
        check_channel(channel, decoder.channels, name)
        if decoder.reaches_its_end():
            return decoder.frames / decoder.rate
    return None


def _read(decoder, mixer, start, stop, sample_rate, name):
    rate = decoder.rate
    first = _frame(start, rate, 0, name)
    last = _frame(stop, rate, math.inf, name)
    beyond = decoder.seekable and decoder.frames and first >= decoder.frames
    if first < 0 or first >= last or beyond:
        raise _no_segment(name, start, stop, decoder, decoder.frames)
    resampler, parts, position = Resampler(rate, sample_rate), [], first
    for block in decoder.blocks(first):
        block = block[: int(min(len(block), last - position))]
        check_samples(mixer.heard(block), name)
        parts.append(resampler(mixer(block)))
        position += len(block)
        if position >= last:
            break
    parts.append(resampler.rest())
    wave = np.concatenate(parts)
    if position == first:
        length = sum(map(len, decoder.blocks()))
        if length == 0:
            raise AudioError(
                f"{name} is empty: it holds no samples; record it again."
            )
        raise _no_segment(name, start, stop, decoder, length)
    if last < math.inf and last - position > TOLERANCE * rate:
        raise _no_segment(name, start, stop, decoder, position)
    return torch.from_numpy(np.ascontiguousarray(wave, np.float32))


def _frame(seconds, rate, default, name):
    if seconds is None:
        return default
    try:
        return round(float(seconds) * rate)
    except (TypeError, ValueError, OverflowError):
        raise AudioError(
            f"{name}: {seconds!r} is no time in seconds."
        ) from None


def _no_segment(name, start, stop, decoder, length):
    lasts = ""
    if length is not None:
        lasts = f"lasts {length / decoder.rate:.3f} s and "
    start = 0.0 if start is None else start
    until = "its end" if stop is None else f"{float(stop):.3f} s"
    return AudioError(
        f"{name} {lasts}has no segment from {float(start):.3f} to {until}."
    )
