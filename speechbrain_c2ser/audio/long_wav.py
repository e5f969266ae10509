"""WAV files of over 4 GB, whose header counts their bytes in 32 bits.

A recorder that knows no RF64 writes on, and the size in the header starts
again at 0 every 2**32 bytes.
"""

import io
import struct
from typing import BinaryIO

from speechbrain_c2ser.audio.parts import Joined, Part

WRAP = 1 << 32
LONGEST_HEAD = 1 << 20  # bytes before the samples
CHUNKS = 64


def as_rf64(file: BinaryIO, size: int) -> Joined | None:
    """A WAV of over 4 GB with a header that counts in 64 bits.

    Arguments
    ---------
    file : BinaryIO
        The file.
    size : int
        Of the file in bytes.

    Returns
    -------
    Joined | None
        None where its header is right as it is, or no WAV's.

    Example
    -------
    >>> as_rf64(io.BytesIO(b"RIFF"), 4)
    """
    if size <= WRAP:
        return None
    file.seek(0)
    if file.read(4) != b"RIFF":
        return None
    place = 12
    for _ in range(CHUNKS):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8 or place > LONGEST_HEAD:
            return None
        name, length = struct.unpack("<4sI", head)
        if name == b"data":
            break
        place += 8 + length + length % 2
    else:
        return None
    start = place + 8
    rest = size - start
    # Right, where another chunk follows, or where nothing does.
    if rest < WRAP or _follows(file, start + length + length % 2):
        return None
    true = rest
    if length not in (0, WRAP - 1):
        true = length + (rest - length) // WRAP * WRAP
    file.seek(12)
    between = file.read(place - 12)
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, size + 28, true, 0, 0)
    head = b"RF64" + struct.pack("<I", WRAP - 1) + b"WAVE" + sizes + between
    head += b"data" + b"\xff" * 4
    return Joined([io.BytesIO(head), Part(file, start, size)])


def _follows(file, place):
    """Whether a chunk of those that follow samples begins there."""
    file.seek(place)
    head = file.read(4)
    return len(head) == 4 and head in (
        b"LIST", b"bext", b"cue ", b"id3 ", b"ID3 ", b"iXML", b"axml", b"fact",
        b"smpl", b"afsp", b"_PMX", b"JUNK",
    )  # fmt: skip
