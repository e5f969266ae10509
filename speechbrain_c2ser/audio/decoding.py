"""Recordings as streams of blocks; what a header tells is never believed."""

import logging
import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import pairwise
from typing import BinaryIO

import numpy as np
import soundfile

from speechbrain_c2ser.audio.decoder import BLOCK, Decoder, reason
from speechbrain_c2ser.audio.errors import AudioError
from speechbrain_c2ser.audio.ffmpeg import ffmpeg_blocks, find_ffmpeg
from speechbrain_c2ser.audio.flac_frames import frame_starts
from speechbrain_c2ser.audio.formats import (
    HEAD,
    MP3,
    VOC,
    first_container,
    recognise,
    remedy,
)
from speechbrain_c2ser.audio.long_wav import as_rf64
from speechbrain_c2ser.audio.mpeg import (
    check_end,
    first_frame,
    is_sync,
    length_is_known,
    without_length,
)
from speechbrain_c2ser.audio.narrow import scale_of, used_bits
from speechbrain_c2ser.audio.parts import Part, ogg_links, tag_size
from speechbrain_c2ser.audio.plain_wav import (
    as_plain_wav,
    format_and_data,
    is_in_pieces,
    mp3_of_wav,
)
from speechbrain_c2ser.audio.sound_file import Nameless, Sound
from speechbrain_c2ser.audio.stored import open_stored, stored_of
from speechbrain_c2ser.audio.text_mode import was_sent_as_text
from speechbrain_c2ser.audio.unfinished import PatchedFile, size_patches

logger = logging.getLogger(__name__)
MOST_CHANNELS = 1024
AHEAD = 9000  # bytes


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
        form, start = _behind_tags(file, head, size)
        if start:
            file, size = Part(file, start, size), size - start
        shown = name if hasattr(audio, "read") else audio
        if form is not None and form.demuxer and was_sent_as_text(file):
            raise AudioError(
                f"{name} was sent as text, which made two bytes of each line "
                "feed in it: copy it again in binary mode."
            )
        problem = "no audio"
        # Of several blocks of a VOC, libsndfile takes headers for samples.
        if form is None or form.demuxer is not None and form is not VOC:
            try:
                decoder = _by_libsndfile(file, size, form, name)
            except (RuntimeError, OSError) as error:
                problem = error
            else:
                yield decoder
                return
        tried = bool(form is not None and form.demuxer and find_ffmpeg())
        if tried:
            try:
                decoder = _by_ffmpeg(stack, file, audio, form.demuxer, name)
            except AudioError as error:
                # libsndfile knows better of what it knows.
                if form is VOC or "not recognised" in reason(problem):
                    problem = error
            else:
                yield decoder
                return
        told = remedy(shown, form, reason(problem), tried)
        raise AudioError(f"{name} {told}.")


def _behind_tags(file, head, size):
    """Format of a recording, and the byte at which it begins."""
    start = tag_size(head)
    if start:  # of an MP3, and before a FLAC by some programs
        file.seek(start)
        form = recognise(file.read(HEAD)) if start < size else None
        if form is not None and form.demuxer:
            return form, start
    form = recognise(head)
    if form is None or form.demuxer is None:
        start = first_container(head)  # behind a mark, a server's words ...
        # An archive holds more than one, and no text.
        if start and (form is None or b"\0" not in head[:start]):
            return recognise(head[start:]), start
    if form is None or form is MP3 and not is_sync(head[:2]):
        start = first_frame(file)
        if start is not None:
            return MP3, start
    return form, 0


def _open(path, name):
    if os.path.isdir(path):
        raise AudioError(f"{name} is a folder.")
    if not os.path.exists(path):
        if os.path.islink(path):
            target = os.readlink(path)
            raise AudioError(f"{name} is a link to nothing ({target}).")
        raise AudioError(f"{name} is missing.")
    if not os.path.isfile(path):
        raise AudioError(
            f"{name} is no regular file: write what it gives to one."
        )
    try:
        return open(path, "rb")
    except OSError as error:
        raise AudioError(f"{name} cannot be read: {error.strerror}.") from error


def _by_libsndfile(file, size, form, name):
    links, was_cut = [0], False
    if form is not None and form.name == "Ogg":
        links, was_cut = ogg_links(file, size)
    if was_cut:
        logger.warning("%s was cut: what is there of it is used.", name)
    if len(links) > 1:
        return _chained(file, [*links, size], form, name)
    in_pieces, others = is_in_pieces(file, size)
    if others:
        logger.warning(
            "%s changes its format: what is after that is not used.", name
        )
    if in_pieces:
        file = as_plain_wav(file, size)
        size = file.seek(0, os.SEEK_END)
    try:
        decoder = _one(file, size, form, name)
    except (RuntimeError, OSError) as error:
        plain = as_plain_wav(file, size)
        if plain is None:
            raise
        if "'RIFF'" in reason(error):  # a second one
            logger.warning("%s: what is behind its samples is not used.", name)
        return _one(plain, plain.seek(0, os.SEEK_END), form, name)
    is_flac = form is not None and form.name == "FLAC"
    if is_flac and decoder.reaches_its_end() and decoder.consumed:
        # Its decoder reads some kilobytes ahead.
        if file.tell() < size - AHEAD:
            return _one(file, size, form, name, told_is_all=False)
    return decoder


def _one(file, size, form, name, told_is_all=True):
    file = as_rf64(file, size) or file
    size = file.seek(0, os.SEEK_END)
    patches = size_patches(file, size, name, told_is_all)
    if patches:
        file = PatchedFile(file, patches)
    inner = mp3_of_wav(file, size)
    if inner is not None:
        file, form = inner, MP3
        size = file.seek(0, os.SEEK_END)
    counted = form is not MP3 or length_is_known(file, size, name)

    @contextmanager
    def opened():
        if counted:
            file.seek(0)
            # An object without a name: a suffix .raw would be believed.
            with Sound(Nameless(file)) as sound:
                yield sound
            return
        with without_length(file) as pipe, Sound(pipe, closefd=False) as sound:
            yield sound

    def read(first, block, again=0):
        with opened() as sound:
            if first:
                sound.seek(first)
            for samples in _sound_blocks(sound, block, again):
                yield samples if scale == 1 else samples * scale
            if not counted:
                check_end(sound.name)

    bits = used_bits(format_and_data(file, size)[0])
    with opened() as sound:
        rate, channels, frames = sound.samplerate, sound.channels, sound.frames
        # In an MP3 libsndfile goes to some place nearby.
        seekable = form is not MP3 and soundfile.SoundFile.seekable(sound)
        scale = scale_of(sound, bits, name) if seekable else 1.0
    if not 0 < channels <= MOST_CHANNELS:
        raise AudioError(f"{name} has {channels} channels.")
    if not counted or not 0 <= frames < 1 << 40:
        frames = None

    def consumed():
        return min(1.0, file.tell() / size)

    places = None
    if form is not None and form.name == "FLAC":
        places = cache(lambda: frame_starts(file))
    return Decoder(
        rate, channels, frames, seekable, read, name, consumed, places
    )


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
            with ffmpeg_blocks(path, demuxer, block, name) as stream:
                yield stream
        except AudioError as error:
            raise AudioError(f"{name} cannot be read: {error}.") from error

    def read(first, block, again=0):
        with opened(block) as (_, _, blocks):
            samples = None
            for samples in blocks:
                dropped = min(again, len(samples))
                again -= dropped
                if dropped < len(samples):
                    yield samples[dropped:]
        if samples is None:
            raise AudioError(
                f"{name} cannot be read: nothing in it can be decoded; record, "
                "export or download it again."
            )

    with ffmpeg_blocks(path, demuxer, 1, name) as (rate, channels, _):
        pass  # or its error, for which there is a remedy
    return Decoder(rate, channels, None, False, read, name)
