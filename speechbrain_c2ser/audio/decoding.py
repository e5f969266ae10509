"""Recordings as streams of blocks; what a header tells is never believed."""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import BinaryIO

import numpy as np
import soundfile

from speechbrain_c2ser.audio.errors import AudioError
from speechbrain_c2ser.audio.ffmpeg import ffmpeg_blocks, find_ffmpeg
from speechbrain_c2ser.audio.formats import HEAD, MP3, recognise, remedy
from speechbrain_c2ser.audio.long_wav import as_rf64
from speechbrain_c2ser.audio.mpeg import length_is_known, without_length
from speechbrain_c2ser.audio.parts import Part, ogg_links, tag_size
from speechbrain_c2ser.audio.stored import open_stored, stored_of
from speechbrain_c2ser.audio.unfinished import PatchedFile, size_patches

logger = logging.getLogger(__name__)
BLOCK = 1 << 16  # frames
SMALL_BLOCK = 1 << 8  # frames, to come as near to a damage as possible
MOST_CHANNELS = 1024
# What libsndfile means by words that mislead.
MEANINGS = {
    "File does not exist or is not": "no frame of it is whole",
    "SF_INFO struct incomplete": "its header is damaged",
}


class _Sound(soundfile.SoundFile):
    """Reads to the end: soundfile goes by the header, and seeks after each."""

    def seekable(self):
        return False


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
    ):
        self.rate, self.channels, self.frames = rate, channels, frames
        self.seekable = seekable and frames is not None
        self._read, self._name = read, name
        self.consumed = consumed

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
        done = first if self.seekable else 0
        try:
            for block in self._read(done, BLOCK):
                done += len(block)
                yield block[max(0, len(block) - max(0, done - first)) :]
            return
        except (RuntimeError, OSError) as error:
            problem = error
        # Again from the last whole block, in small steps.
        try:
            for block in self._read(0, SMALL_BLOCK, done):
                done += len(block)
                yield block[max(0, len(block) - max(0, done - first)) :]
        except (RuntimeError, OSError) as error:
            problem = error
        if done <= first:
            raise AudioError(
                f"{self._name} cannot be read: it is damaged "
                f"({_reason(problem)}); record or copy it again."
            )
        logger.warning(
            "%s is damaged after %.3f s: what is before that is used.",
            self._name,
            done / self.rate,
        )


@contextmanager
def decode(audio: "str | os.PathLike | BinaryIO", name: str):
    """Open a recording of any format, told by its content.

    Arguments
    ---------
    audio : str | PathLike | BinaryIO
        A file, or an open one that can seek.
    name : str
        What messages call it.

    Yields
    ------
    Decoder

    Raises
    ------
    AudioError
        When it is missing, empty, or of no format that can be read here.
    """
    with ExitStack() as stack:
        stored = stored_of(audio)
        if stored is not None:
            audio = open_stored(stored, stack, name)
        file = audio
        if not hasattr(audio, "read"):
            file = stack.enter_context(_open(audio, name))
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            raise AudioError(
                f"{name} is empty (0 bytes): record or copy it again."
            )
        file.seek(0)
        head = file.read(HEAD)
        form = recognise(head)
        tag = tag_size(head)
        file.seek(tag)
        inner = recognise(file.read(HEAD)) if 0 < tag < size else None
        if inner is not None and inner is not MP3 and inner.demuxer:
            # Some programs put an MP3's tag before a FLAC.
            form, file, size = inner, Part(file, tag, size), size - tag
        shown = name if hasattr(audio, "read") else audio
        problem = "no audio"
        if form is None or form.demuxer is not None:
            try:
                decoder = _by_libsndfile(file, size, form, name)
            except (RuntimeError, OSError) as error:
                problem = error
            else:
                yield decoder
                return
        if form is not None and form.demuxer and find_ffmpeg():
            yield _by_ffmpeg(stack, file, audio, form.demuxer, name)
            return
        raise AudioError(f"{name} {remedy(shown, form, _reason(problem))}.")


def _open(path, name):
    if os.path.isdir(path):
        raise AudioError(f"{name} is a folder.")
    if not os.path.exists(path):
        raise AudioError(f"{name} is missing.")
    if not os.path.isfile(path):
        raise AudioError(f"{name} is no regular file.")
    try:
        return open(path, "rb")
    except OSError as error:
        raise AudioError(f"{name} cannot be read: {error.strerror}.") from error


def _by_libsndfile(file, size, form, name):
    links = ogg_links(file, size) if form and form.name == "Ogg" else [0]
    if len(links) > 1:
        return _chained(file, [*links, size], form, name)
    file = as_rf64(file, size) or file
    size = file.seek(0, os.SEEK_END)
    patches = size_patches(file, size)
    if patches:
        file = PatchedFile(file, patches)
    counted = form is not MP3 or length_is_known(file, size)

    @contextmanager
    def opened():
        if counted:
            file.seek(0)
            # An object without a name: a suffix .raw would be believed.
            with _Sound(_Nameless(file)) as sound:
                yield sound
            return
        with without_length(file) as pipe, _Sound(pipe, closefd=False) as sound:
            yield sound

    def read(first, block, again=0):
        with opened() as sound:
            if first:
                sound.seek(first)
            yield from _sound_blocks(sound, block, again)

    with opened() as sound:
        rate, channels, frames = sound.samplerate, sound.channels, sound.frames
        # In an MP3 libsndfile goes to some place nearby.
        seekable = form is not MP3 and soundfile.SoundFile.seekable(sound)
    if not 0 < channels <= MOST_CHANNELS:
        raise AudioError(f"{name} has {channels} channels.")
    if not counted or not 0 <= frames < 1 << 40:
        frames = None

    def consumed():
        return min(1.0, file.tell() / size)

    return Decoder(rate, channels, frames, seekable, read, name, consumed)


def _chained(file, places, found, name):
    """One recording after another, up to one of another rate."""
    links: list[Decoder] = []
    for start, stop in pairwise(places):
        part = Part(file, start, stop)
        link = _by_libsndfile(part, stop - start, found, name)
        if links and (link.rate, link.channels) != (
            links[0].rate,
            links[0].channels,
        ):
            logger.warning(
                "%s changes its rate or channels: what is after that is not "
                "used.",
                name,
            )
            break
        links.append(link)

    def read(first, block, again=0):
        for link in links:
            for samples in link.blocks():
                dropped = min(again, len(samples))
                again -= dropped
                if dropped < len(samples):
                    yield samples[dropped:]

    return Decoder(links[0].rate, links[0].channels, None, False, read, name)


class _Nameless:
    """The part of a file that soundfile needs."""

    def __init__(self, file):
        self.read, self.seek, self.tell = file.read, file.seek, file.tell
        self.readinto = getattr(file, "readinto", None) or self._readinto

    def _readinto(self, buffer):
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


def _sound_blocks(sound, block, done):
    """Blocks; the first ``done`` frames are dropped."""
    while done > 0:
        dropped = sound.read(out=_buffer(sound, min(done, BLOCK)))
        if len(dropped) == 0:
            return
        done -= len(dropped)
    while True:
        samples = sound.read(out=_buffer(sound, block))
        if len(samples) == 0:
            return
        yield samples


def _buffer(sound, frames):
    return np.empty((frames, sound.channels), np.float32)


def _by_ffmpeg(stack, file, audio, demuxer, name):
    path = audio
    if hasattr(audio, "read"):
        # ffmpeg goes to and fro in most containers: no pipe.
        copy = stack.enter_context(tempfile.NamedTemporaryFile())
        file.seek(0)
        shutil.copyfileobj(file, copy)
        copy.flush()
        path = copy.name
    path = os.path.abspath(os.fspath(path))

    @contextmanager
    def opened(block):
        try:
            with ffmpeg_blocks(path, demuxer, block) as stream:
                yield stream
        except AudioError as error:
            raise AudioError(f"{name} cannot be read: {error}.") from error

    def read(first, block, again=0):
        with opened(block) as (_, _, blocks):
            for samples in blocks:
                dropped = min(again, len(samples))
                again -= dropped
                if dropped < len(samples):
                    yield samples[dropped:]

    with opened(1) as (rate, channels, _):
        pass
    return Decoder(rate, channels, None, False, read, name)


def _reason(error):
    """libsndfile's words without the name that they begin with."""
    message = getattr(error, "error_string", None) or str(error)
    for words, meaning in MEANINGS.items():
        if words in message:
            return meaning
    return " ".join(message.split()).strip(" .")
