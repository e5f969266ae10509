"""Frames of a FLAC file by their headers, to go on behind a damage.

libFLAC searches for a place by decoding here and there, for seconds in each
megabyte of noise; each header tells its place, with a checksum.
"""

import re
from typing import BinaryIO

BLOCK = 1 << 20  # bytes
LONGEST = 16  # bytes of a header
SYNC = re.compile(rb"\xff[\xf8\xf9]")


def frame_starts(file: BinaryIO) -> list[int]:
    """The first sample of each frame whose header is whole.

    Arguments
    ---------
    file : BinaryIO
        FLAC; read from its start.

    Returns
    -------
    list of int
        In ascending order.

    Example
    -------
    >>> import io
    >>> frame = bytes([0xFF, 0xF8, 0xC9, 0x08, 2, 0])
    >>> frame = frame[:-1] + bytes([_checksum(frame[:-1])])
    >>> block = bytes([0x10, 0]) * 2  # 4,096 samples
    >>> frame_starts(io.BytesIO(b"fLaC" + bytes(4) + block + frame))
    [8192]
    """
    file.seek(8)
    samples = int.from_bytes(file.read(2), "big")
    starts, kept = [], b""
    while content := file.read(BLOCK):
        content = kept + content
        for match in SYNC.finditer(content):
            head = content[match.start() : match.start() + LONGEST]
            start = _first_sample(head, samples)
            if start is not None:
                starts.append(start)
        kept = content[-LONGEST:]
    return sorted(set(starts))


def _first_sample(head, samples):
    """What a frame's header tells; None where it is no header."""
    if len(head) < 6 or head[2] < 0x10 or head[2] & 15 == 15 or head[3] & 1:
        return None
    # A number of up to 36 bits, as UTF-8 would have it.
    ones = 8 - (head[4] ^ 0xFF).bit_length()
    more = head[5 : 4 + ones]
    if ones in (1, 8) or any(byte >> 6 != 2 for byte in more):
        return None
    number = head[4] & (0x7F >> ones)
    for byte in more:
        number = number << 6 | byte & 0x3F
    end = 5 + len(more)
    end += {6: 1, 7: 2}.get(head[2] >> 4, 0)
    end += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if len(head) <= end or _checksum(head[:end]) != head[end]:
        return None
    return number if head[1] & 1 else number * samples


def _checksum(content):
    value = 0
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ (0x07 if value & 0x80 else 0)) & 0xFF
    return value
