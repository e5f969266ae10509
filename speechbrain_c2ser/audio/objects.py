"""Recordings from Python objects: a path, samples, a row of a data set."""

import io
import numbers
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from speechbrain_c2ser.audio.errors import AudioError
from speechbrain_c2ser.audio.formats import recognise
from speechbrain_c2ser.audio.reading import audio_seconds, read_audio
from speechbrain_c2ser.audio.waveform import as_waveform

RATES = ("sampling_rate", "sample_rate", "sr", "rate")
SAMPLES = ("array", "raw", "samples", "waveform")
PATHS = ("wav", "path", "file", "audio_filepath")
ACCEPTED = (
    "give a path, (samples, rate), a dictionary with array and sampling_rate "
    "(or path, or bytes), the bytes of a file, or an open file"
)


@dataclass(frozen=True)
class Recording:
    """A recording of which any stretch can be read.

    Arguments
    ---------
    name : str
        Its path, or what else tells it from others.
    seconds : float
        Its true length.
    read : callable
        ``(start, stop) -> waveform [T] at 16 kHz``; seconds, or None for the
        start or the end.
    """

    name: str
    seconds: float
    read: Callable[[float | None, float | None], torch.Tensor]


def open_recording(audio: object, name: str = "The audio") -> Recording:
    """A recording from any object that holds one.

    Arguments
    ---------
    audio : object
        A path (str, Path, or bytes of a name); ``(samples, rate)`` or
        ``(rate, samples)``; a dictionary with ``array`` and
        ``sampling_rate``, with ``bytes`` or with ``path`` (a Hugging Face
        audio column), perhaps below ``audio``, or with ``wav``, ``start``
        and ``stop`` (a row of a manifest); bytes of an audio file; an open
        binary file; or torchcodec's AudioDecoder. Samples are as in
        :func:`~speechbrain_c2ser.audio.as_waveform`.
    name : str
        What the errors call it, where it has no path.

    Returns
    -------
    Recording

    Raises
    ------
    AudioError
        When it is none of these, or cannot be read.

    Example
    -------
    >>> open_recording((torch.zeros(800, dtype=torch.int16), 8000)).seconds
    0.1
    """
    if isinstance(audio, Mapping):
        return _from_mapping(audio, name)
    if isinstance(audio, (str, os.PathLike)):
        return _from_file(os.fsdecode(audio))
    if isinstance(audio, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(audio), name)
    if hasattr(audio, "get_all_samples"):  # torchcodec's AudioDecoder
        samples = audio.get_all_samples()
        return _from_samples(samples.data, samples.sample_rate, name)
    if isinstance(audio, (tuple, list)) and len(audio) == 2:
        first, second = audio
        if _is_rate(second) and not _is_rate(first):
            return _from_samples(first, second, name)
        if _is_rate(first) and not _is_rate(second):  # Gradio, scipy
            return _from_samples(second, first, name)
    if hasattr(audio, "read"):
        return _from_open_file(audio, name)
    if hasattr(audio, "__array__") or isinstance(audio, (list, tuple)):
        raise AudioError(
            f"{name} has samples without their rate: give (samples, rate)."
        )
    raise AudioError(f"{name} is {type(audio).__name__}: {ACCEPTED}.")


def load_audio(audio: object, name: str = "The audio") -> torch.Tensor:
    """The whole waveform of any object that holds a recording.

    Arguments
    ---------
    audio : object
        As in :func:`open_recording`.
    name : str
        What the errors call it, where it has no path.

    Returns
    -------
    torch.Tensor
        [T] at 16 kHz, float32.

    Raises
    ------
    AudioError
        When it cannot be read.

    Example
    -------
    >>> load_audio({"array": [0.0] * 800, "sampling_rate": 8000}).shape
    torch.Size([1600])
    """
    return open_recording(audio, name).read(None, None)


def as_list(audios: object) -> list:
    """Many recordings as a list; one alone is a list of one.

    Arguments
    ---------
    audios : object
        One object of :func:`open_recording`, or an iterable of them.

    Returns
    -------
    list

    Example
    -------
    >>> as_list("a.wav"), as_list(("a.wav", "b.wav"))
    (['a.wav'], ['a.wav', 'b.wav'])
    """
    one = isinstance(
        audios, (str, bytes, bytearray, memoryview, os.PathLike, Mapping)
    )
    pair = isinstance(audios, (tuple, list)) and len(audios) == 2
    if one or pair and any(map(_is_rate, audios)):
        return [audios]
    if hasattr(audios, "read") or hasattr(audios, "get_all_samples"):
        return [audios]
    if isinstance(audios, torch.Tensor) or hasattr(audios, "__array__"):
        return [audios]  # samples without a rate: refused by name
    return list(audios)


def name_of(audio: object, number: int) -> str:
    """What tells a recording from others: its path, else its place.

    Example
    -------
    >>> name_of({"path": "a.wav"}, 0), name_of(([0.0], 8000), 1)
    ('a.wav', 'recording 1')
    """
    if isinstance(audio, Mapping):
        inner = audio.get("audio")
        if isinstance(inner, (Mapping, str, os.PathLike)):
            return name_of(inner, number)
        audio = next((audio[key] for key in PATHS if audio.get(key)), None)
    if hasattr(audio, "read"):
        audio = getattr(audio, "name", None)
    if isinstance(audio, (str, os.PathLike)):
        return os.fsdecode(audio)
    return f"recording {number}"


def _from_file(path):
    return Recording(
        path,
        audio_seconds(path),
        lambda start, stop: read_audio(path, start, stop),
    )


def _from_samples(samples, rate, name):
    wave = as_waveform(samples, rate, name=name)

    def read(start, stop):
        first = 0 if start is None else round(start * 16000)
        last = len(wave) if stop is None else round(stop * 16000)
        return wave[first:last]

    return Recording(name, len(wave) / 16000, read)


def _from_bytes(content, name):
    if len(content) < 4096 and recognise(content) is None:
        # A name, as os.fsencode gives it?
        if b"\0" not in content and os.path.exists(content):
            return _from_file(os.fsdecode(content))
    return _from_open_file(io.BytesIO(content), name)


def _from_open_file(file, name):
    if isinstance(file, io.TextIOBase):
        raise AudioError(f"{name} is open as text: open it with 'rb'.")
    seekable = getattr(file, "seekable", None)
    if not (seekable and seekable()):
        copy = tempfile.TemporaryFile()  # gone with its last reader
        shutil.copyfileobj(file, copy)
        file = copy
    return Recording(
        name,
        audio_seconds(file, name),
        lambda start, stop: read_audio(file, start, stop, name=name),
    )


def _from_mapping(row, name):
    inner = row.get("audio")
    if inner is not None and not any(row.get(key) is not None for key in PATHS):
        return _stretch(open_recording(inner, name), row)
    for key in SAMPLES:
        if row.get(key) is not None:
            rate = next((row[r] for r in RATES if row.get(r) is not None), None)
            if rate is None:
                raise AudioError(
                    f"{name} has samples without their rate: give it as "
                    "sampling_rate."
                )
            return _from_samples(row[key], rate, name)
    if row.get("bytes"):
        return _from_bytes(row["bytes"], name)
    for key in PATHS:
        if isinstance(row.get(key), (str, os.PathLike)):
            return _stretch(_from_file(os.fsdecode(row[key])), row)
    raise AudioError(
        f"{name} is a dictionary without audio (it has: "
        f"{', '.join(map(str, row)) or 'nothing'}): {ACCEPTED}."
    )


def _stretch(whole, row):
    """The part of a recording that a row names, from start to stop."""
    start, stop = row.get("start"), row.get("stop")
    if start is None and stop is None:
        return whole
    first = 0.0 if start is None else float(start)
    last = whole.seconds if stop is None else float(stop)
    # A manifest rounds seconds.
    if not 0 <= first < last <= whole.seconds + 0.01:
        raise AudioError(
            f"{whole.name} lasts {whole.seconds:.3f} s and has no segment "
            f"from {first:.3f} to {last:.3f} s."
        )
    last = min(last, whole.seconds)

    def read(begin, end):
        return whole.read(
            first + (begin or 0.0), last if end is None else first + end
        )

    return Recording(whole.name, last - first, read)


def _is_rate(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
