"""MP3 whose length no header tells, read to its end.

libsndfile guesses the frames of an MP3 without a Xing header from its first
one and stops there. Through a pipe it cannot guess and reads on.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

FRAME = 1441  # bytes of the longest frame


def length_is_known(file: BinaryIO, size: int) -> bool:
    """Whether a Xing header counts this very file.

    Arguments
    ---------
    file : BinaryIO
        The MP3 file; read from its start.
    size : int
        Of the file in bytes.

    Returns
    -------
    bool
        False without such a header, or where it counts another number of
        bytes (files that were joined, or cut).
    """
    place, counted = _xing(file)
    if counted is None:
        return False
    left = size - place - counted
    if abs(left) <= 2 * FRAME:
        return True
    # Tags may follow, but no other frame.
    file.seek(place + counted)
    next_bytes = file.read(2)
    return left > 0 and not _is_sync(next_bytes)


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
    place, _ = _xing(file)
    file.seek(0)
    head = bytearray(file.read(place + 512))
    for name in (b"Xing", b"Info", b"VBRI"):
        found = head.find(name, place)
        if found >= 0:
            head[found : found + 4] = bytes(4)
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


def _xing(file):
    """(offset of the first frame, bytes that a Xing header counts | None)."""
    file.seek(0)
    head = file.read(10)
    place = 0
    if head[:3] == b"ID3" and len(head) == 10:
        size = 0
        for byte in head[6:10]:
            size = size << 7 | byte & 0x7F
        place = 10 + size
    file.seek(place)
    frame = file.read(256)
    for name in (b"Xing", b"Info"):
        found = frame.find(name)
        if found >= 0:
            flags = int.from_bytes(frame[found + 4 : found + 8], "big")
            # Frames, then bytes, each where its flag is set.
            if flags & 3 == 3:
                start = found + 12
                return place, int.from_bytes(frame[start : start + 4], "big")
    return place, None


def _is_sync(head):
    return len(head) == 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
