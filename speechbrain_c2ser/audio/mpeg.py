"""MP3 whose length no header tells, read to its end.

libsndfile guesses the frames of an MP3 without a Xing header from its first
one and stops there. Through a pipe it cannot guess and reads on.
"""

import io
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from speechbrain_c2ser.audio.parts import tag_size
from speechbrain_c2ser.audio.unfinished import tell_cut

FRAME = 1441  # bytes of the longest frame
CERTAIN = 4  # frames in a row that cannot be chance
SEARCHED = 1 << 18  # bytes before them
# Of layer III, by the index in a frame's header.
KILOBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
KILOBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
RATES = (44100, 48000, 32000)


def length_is_known(file: BinaryIO, size: int, name: str) -> bool:
    """Whether a Xing header counts this very file; a warning tells of a cut.

    Arguments
    ---------
    file : BinaryIO
        The MP3 file; read from its start.
    size : int
        Of the file in bytes.
    name : str
        What the warning calls it.

    Returns
    -------
    bool
        False without such a header, or where it counts another number of
        bytes (files that were joined, or cut).
    """
    place, counted, frames = _xing(file)
    if _is_free(file, place):
        return True  # its frames' length can only be found by going back
    if counted is None:
        return False
    if counted - (size - place) > 2 * FRAME:
        tell_cut(counted, size - place, name)
    # It counts itself, or does not.
    if abs(_count_frames(file, place, place + counted) - frames) > 1:
        return False
    left = size - place - counted
    if abs(left) <= 2 * FRAME:
        return True
    # Tags may follow, but no other frame, nor another file's tag.
    file.seek(place + counted)
    next_bytes = file.read(3)
    return left > 0 and not is_sync(next_bytes[:2]) and next_bytes != b"ID3"


@contextmanager
def without_length(file: BinaryIO) -> Iterator[int]:
    """A pipe of the file's bytes in which no header tells a length.

    Arguments
    ---------
    file : BinaryIO
        The MP3 file.

    Yields
    ------
    int
        The pipe's file descriptor.
    """
    place, _, _ = _xing(file)
    file.seek(0)
    head = bytearray(file.read(place + 512))
    for name in (b"Xing", b"Info", b"VBRI"):
        start = head.find(name, place)
        if start >= 0:
            head[start : start + 4] = bytes(4)
    reader, writer = os.pipe()

    def feed():
        try:
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(head)
                shutil.copyfileobj(file, pipe)
        except OSError:
            pass  # the reader has enough, or the file ends in an error

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    try:
        yield reader
    finally:
        os.close(reader)
        thread.join()


def check_end(pipe: int) -> None:
    """Refuse a stream whose decoder stopped before its last frames.

    Arguments
    ---------
    pipe : int
        Of :func:`without_length`, read by the decoder to what it took for the
        end.

    Raises
    ------
    RuntimeError
        Where frames follow.
    """
    rest = b""
    while len(rest) < SEARCHED and (content := os.read(pipe, SEARCHED)):
        rest += content
    if first_frame(io.BytesIO(rest)) is not None:
        raise RuntimeError("its frames do not follow each other")


def first_frame(file: BinaryIO) -> int | None:
    """Where an MP3 begins behind something else, such as a stream's words.

    Arguments
    ---------
    file : BinaryIO
        Read from its start.

    Returns
    -------
    int | None
        Offset in bytes of the first of some frames that follow each other;
        None where there are none.

    Example
    -------
    >>> import io
    >>> frame = b"\\xff\\xfb\\x10\\x00" + bytes(100)  # 32 kbit/s, 44.1 kHz
    >>> first_frame(io.BytesIO(b"icy" + CERTAIN * frame))
    3
    """
    file.seek(0)
    content = file.read(SEARCHED)
    place = content.find(b"\xff")
    while place >= 0:
        if _count_frames(file, place, place + CERTAIN * FRAME) >= CERTAIN:
            return place
        place = content.find(b"\xff", place + 1)
    return None


def _is_free(file, place):
    """Whether the first frame is of layer III and of no listed bit rate."""
    file.seek(place)
    head = file.read(4)
    is_third = len(head) == 4 and is_sync(head[:2]) and head[1] & 6 == 2
    return is_third and head[2] >> 4 == 0


def _xing(file):
    """(offset of the first frame, bytes and frames a Xing header counts)."""
    file.seek(0)
    head = file.read(10)
    place = tag_size(head)
    file.seek(place)
    frame = file.read(256)
    for name in (b"Xing", b"Info"):
        offset = frame.find(name)
        if offset >= 0:
            flags = int.from_bytes(frame[offset + 4 : offset + 8], "big")
            # Frames, then bytes, each where its flag is set.
            if flags & 3 == 3:
                start = offset + 12
                frames = int.from_bytes(frame[start - 4 : start], "big")
                counted = int.from_bytes(frame[start : start + 4], "big")
                return place, counted, frames
    return place, None, 0


def _count_frames(file, place, stop):
    """Frames of layer III from a place on, by their headers."""
    count = 0
    while place < stop:
        file.seek(place)
        head = file.read(4)
        length = _frame_length(head) if len(head) == 4 else 0
        if not length:
            break
        place, count = place + length, count + 1
    return count


def _frame_length(head):
    """Bytes of a frame of layer III by its header; 0 for another header."""
    if not is_sync(head[:2]) or head[1] & 0x06 != 0x02:
        return 0
    version, index, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or not 0 < index < 15 or rate == 3:
        return 0
    is_first = version == 3  # MPEG-1; 2 and 2.5 have half its frames and rates
    bits = (KILOBITS if is_first else KILOBITS_2)[index] * 1000
    hertz = RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    return (144 if is_first else 72) * bits // hertz + (head[2] >> 1 & 1)


def is_sync(head: bytes) -> bool:
    """Whether two bytes are the sync word of MPEG audio."""
    return len(head) == 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
