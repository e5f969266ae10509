"""Recordings from Python objects: a path, samples, a row of a data set."""

import io
import math
import numbers
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import numpy as np
import torch

from speechbrain_c2ser.audio.data_urls import DATA, content_of
from speechbrain_c2ser.audio.errors import AudioError
from speechbrain_c2ser.audio.formats import recognise
from speechbrain_c2ser.audio.object_keys import (
    CONTENTS,
    PATHS,
    RATES,
    SAMPLES,
    plain_keys,
    segment_of,
)
from speechbrain_c2ser.audio.reading import (
    audio_seconds,
    read_audio,
    told_seconds,
)
from speechbrain_c2ser.audio.resampling import LOWEST
from speechbrain_c2ser.audio.streaming import AudioStream
from speechbrain_c2ser.audio.waveform import as_waveform

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|data:", re.IGNORECASE)
LONGEST = 4096  # characters of a path
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
    told : float | None
        Its true length (s); None where only decoding all of it tells that.
    measure : callable
        ``() -> true length`` (s), by decoding where it must be.
    read : callable
        ``(start, stop) -> waveform [T] at 16 kHz``; seconds, or None for the
        start or the end.
    stream : callable | None
        ``(start, stop) -> AudioStream``, which decodes once from start to
        stop; None for samples in memory.
    """

    name: str
    told: float | None
    measure: Callable[[], float] = field(repr=False)
    read: Callable[[float | None, float | None], torch.Tensor] = field(
        repr=False
    )
    stream: Callable[[float, float | None], AudioStream] | None = field(
        default=None, repr=False
    )

    @property
    def seconds(self) -> float:
        """Its true length."""
        return self.measure() if self.told is None else self.told


def open_recording(audio: object, name: str = "The audio") -> Recording:
    """A recording from any object that holds one.

    Arguments
    ---------
    audio : object
        A path (str, Path, or bytes of a name); ``(samples, rate)`` or
        ``(rate, samples)``; a dictionary with ``array`` and
        ``sampling_rate``, with ``bytes`` or with ``path`` (a Hugging Face
        audio column), perhaps below ``audio``, or with ``wav``, ``start``
        and ``stop`` (a row of a manifest; also NeMo's ``offset`` and
        ``duration``), and perhaps ``channel`` (the one to take, from 0; else
        their mean); bytes of an audio file; an open binary file; an item of
        torchaudio's data sets; torchcodec's AudioDecoder, pydub's
        AudioSegment, an open SoundFile or wave file. Samples are as in
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
        return _from_file(os.fsdecode(audio), name)
    if isinstance(audio, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(audio), name)
    if hasattr(audio, "get_all_samples"):  # torchcodec's AudioDecoder
        samples = audio.get_all_samples()
        return _from_samples(samples.data, samples.sample_rate, name)
    if hasattr(audio, "get_array_of_samples"):  # pydub's AudioSegment
        array = np.asarray(audio.get_array_of_samples())
        samples = array.reshape(-1, audio.channels)
        return _from_samples(samples, audio.frame_rate, name)
    if hasattr(audio, "samplerate") and hasattr(audio, "seek"):  # SoundFile
        audio.seek(0)
        return _from_samples(audio.read(), audio.samplerate, name)
    if hasattr(audio, "readframes"):
        return _from_samples(_of_wave(audio), audio.getframerate(), name)
    if isinstance(audio, (tuple, list)) and len(audio) == 1:
        if isinstance(audio[0], (str, os.PathLike, Mapping)):
            return open_recording(audio[0], name)
    if _is_item(audio):
        audio = audio[:2]
    if isinstance(audio, (tuple, list)) and len(audio) == 2:
        first, second = audio
        if _is_path(first) and _is_rate(second):
            told = "is a path beside a rate: give the path alone"
            raise AudioError(f"{name} {told}.")
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
    if isinstance(audios, Mapping):
        column = plain_keys(audios).get("audio")  # of Hugging Face's batch
        if isinstance(column, list) and {*map(type, column)} == {dict}:
            return column
    listed = isinstance(audios, (tuple, list)) and len(audios) > 0
    pair = listed and len(audios) == 2 and any(map(_is_rate, audios))
    numbers_alone = listed and isinstance(audios[0], numbers.Real)
    if one or pair or numbers_alone or _is_item(audios):
        return [audios]
    decoders = ("read", "get_all_samples", "get_array_of_samples", "readframes")
    if any(hasattr(audios, name) for name in decoders):
        return [audios]
    if hasattr(audios, "columns") and hasattr(audios, "to_dict"):  # pandas
        return audios.to_dict("records")
    if hasattr(audios, "__array__") and not isinstance(audios, torch.Tensor):
        names = np.asarray(audios).tolist()
        if isinstance(names, list) and all(isinstance(n, str) for n in names):
            return names
    try:
        return [audios] if hasattr(audios, "__array__") else list(audios)
    except TypeError:
        return [audios]  # None, a number: refused by name


def name_of(audio: object, number: int) -> str:
    """What tells a recording from others: its path, else its place.

    Example
    -------
    >>> name_of({"path": "a.wav"}, 0), name_of(([0.0], 8000), 1)
    ('a.wav', 'recording 1')
    """
    if isinstance(audio, Mapping):
        audio = plain_keys(audio)
        inner = audio.get("audio")
        if isinstance(inner, (Mapping, str, os.PathLike)):
            return name_of(inner, number)
        audio = next(
            (audio[key] for key in PATHS if _is_path(audio.get(key))), None
        )
    if hasattr(audio, "read"):
        audio = getattr(audio, "name", None)
    if isinstance(audio, (str, os.PathLike)):
        path = os.fsdecode(audio)
        if len(path) <= LONGEST and not DATA.match(path):
            return path
    return f"recording {number}"


def _from_file(path, name, channel=None):
    content = content_of(path, name)
    if content is not None:
        return _from_open_file(io.BytesIO(content), name, channel)
    if len(path) <= LONGEST and not os.path.lexists(path):
        path = _as_typed(path)
    if ADDRESS.match(path) and not os.path.lexists(path):
        raise AudioError(
            f"{path[:80]} is an address, and nothing is fetched here: download "
            "it and give the file."
        )
    if len(path) > LONGEST:
        raise AudioError(
            f"A text of {len(path)} characters ({path[:20]}...) is no path: "
            f"{ACCEPTED}."
        )
    return _of_file(path, f"The audio file {path}", path, channel)


def _as_typed(path):
    """A path without quotes and blanks around it, "~" and "file://"."""
    plain = path.strip().strip("\"'")
    if plain.lower().startswith("file://"):
        plain = unquote(urlsplit(plain).path)
    plain = os.path.expanduser(plain)
    return plain if os.path.exists(plain) else path


def _of_file(file, called, name, channel):
    """Of a path or an open file, which errors call as they are told."""
    return Recording(
        name,
        told_seconds(file, called, channel),
        lambda: audio_seconds(file, called),
        lambda start, stop: read_audio(
            file, start, stop, channel=channel, name=called
        ),
        lambda start, stop: AudioStream(file, start, stop, channel, called),
    )


def _from_samples(samples, rate, name, channel=None):
    rate = rate.item() if hasattr(rate, "item") else rate
    wave = as_waveform(samples, rate, name=name, channel=channel)

    def read(start, stop):
        first = 0 if start is None else round(start * 16000)
        last = len(wave) if stop is None else round(stop * 16000)
        return wave[first:last]

    seconds = len(wave) / 16000
    return Recording(name, seconds, lambda: seconds, read)


def _of_wave(audio):
    """Samples of a file that the standard library's wave has open."""
    audio.rewind()
    content = audio.readframes(audio.getnframes())
    width, channels = audio.getsampwidth(), audio.getnchannels()
    whole = content[: len(content) // (width * channels) * width * channels]
    parts = np.frombuffer(whole, np.uint8).reshape(-1, width)
    if width == 1:
        return parts.reshape(-1, channels)
    wide = np.zeros((len(parts), 4), np.uint8)
    wide[:, 4 - width :] = parts
    return wide.view("<i4").reshape(-1, channels)


def _from_bytes(content, name, channel=None):
    if len(content) < 4096 and recognise(content) is None:
        # A name, as os.fsencode gives it?
        if b"\0" not in content and os.path.exists(content):
            return _from_file(os.fsdecode(content), name, channel)
    return _from_open_file(io.BytesIO(content), name, channel)


def _from_open_file(file, name, channel=None):
    if isinstance(file, io.TextIOBase):
        raise AudioError(f"{name} is open as text: open it with 'rb'.")
    seekable = getattr(file, "seekable", None)
    try:
        if not (seekable and seekable()):
            copy = tempfile.TemporaryFile()  # gone with its last reader
            shutil.copyfileobj(file, copy)
            file = copy
    except (TypeError, ValueError) as error:
        raise AudioError(f"{name} cannot be read: {error}.") from None
    return _of_file(file, name, name, channel)


def _from_mapping(row, name):
    keys, row = list(row), plain_keys(row)
    inner, channel = row.get("audio"), row.get("channel")
    rate = next((row[r] for r in RATES if row.get(r) is not None), None)
    bare = rate is not None and _is_samples(inner)
    paths = any(row.get(key) is not None for key in PATHS)
    if inner is not None and not bare and not paths:
        return _stretch(open_recording(inner, name), row)
    for key in SAMPLES:
        if _is_samples(row.get(key)):
            if rate is None:
                raise AudioError(
                    f"{name} has samples without their rate: give it as "
                    "sampling_rate."
                )
            return _from_samples(row[key], rate, name, channel)
    for key in CONTENTS:
        if isinstance(row.get(key), (bytes, bytearray)) and row[key]:
            return _from_bytes(bytes(row[key]), name, channel)
    for key in PATHS:
        if isinstance(row.get(key), (str, os.PathLike)):
            whole = _from_file(os.fsdecode(row[key]), name, channel)
            return _stretch(whole, row)
    raise AudioError(
        f"{name} is a dictionary without audio (it has: "
        f"{', '.join(map(str, keys)) or 'nothing'}): {ACCEPTED}."
    )


def _stretch(whole, row):
    """The part of a recording that a row names, from start to stop."""
    start, stop, lasts = segment_of(row)
    if start is None and stop is None:
        return whole
    try:
        first = 0.0 if start is None else float(start)
        last = whole.told if stop is None else float(stop)
        if stop is None and lasts is not None:
            # A duration beside a start is the segment's, as NeMo has it, if
            # it is not the whole file's.
            if whole.told is None or abs(float(lasts) - whole.told) >= 0.01:
                last = first + float(lasts)
    except (TypeError, ValueError):
        raise AudioError(
            f"{whole.name}: {start!r} to {stop!r} are no times in seconds."
        ) from None
    # A manifest rounds seconds.
    most = math.inf if whole.told is None else whole.told + 0.01
    if first < 0 or last is not None and not first < last <= most:
        raise AudioError(
            f"{whole.name} lasts {whole.seconds:.3f} s and has no segment "
            f"from {first:.3f} to {last:.3f} s."
        )
    if whole.told is not None:
        last = min(last, whole.told)

    def read(begin, end):
        return whole.read(
            first + (begin or 0.0), last if end is None else first + end
        )

    def measure():
        return (whole.seconds if last is None else last) - first

    def stream(begin, end):
        return whole.stream(first + begin, last if end is None else first + end)

    return Recording(
        whole.name,
        None if whole.told is None else last - first,
        measure,
        read,
        whole.stream and stream,
    )


def _is_path(value):
    return isinstance(value, (str, os.PathLike)) and bool(str(value))


def _is_item(value):
    """Whether samples, their rate and what else is known make one tuple."""
    return (
        isinstance(value, tuple)
        and len(value) > 2
        and hasattr(value[0], "__array__")
        and _is_rate(value[1])
        and not _is_rate(value[0])
    )


def _is_samples(value):
    if (
        isinstance(value, list)
        and value
        and isinstance(value[0], (str, Mapping))
    ):
        return False  # paths
    is_array = hasattr(value, "__array__") or isinstance(value, list)
    return is_array or isinstance(value, tuple) and len(value) > 2


def _is_rate(value):
    if hasattr(value, "__array__") and hasattr(value, "item"):
        # A tensor or an array of one number; of a DataLoader, [16000].
        one = value.item() if math.prod(value.shape) == 1 else None
        is_one = isinstance(one, numbers.Real) and one >= LOWEST
        return value.ndim == 0 or is_one
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
