"""WAV files with a header that libsndfile refuses, under a plain one.

Between "RIFF" and the samples other programs write chunks of wrong or odd
sizes; of all of them only ``fmt`` and ``data`` matter here.
"""

import struct
from typing import BinaryIO

from speechbrain_c2ser.audio.long_wav import SplicedFile
from speechbrain_c2ser.audio.parts import Part

CHUNKS = 256
SEARCHED = 1 << 16  # bytes in which the next chunk is looked for
WANTED = (b"fmt ", b"data")


def as_plain_wav(file: BinaryIO, size: int) -> Part | None:
    """A WAV with nothing but its format before its samples.

    Arguments
    ---------
    file : BinaryIO
        The file; not changed.
    size : int
        Of the file in bytes.

    Returns
    -------
    Part | None
        None where it is no WAV, or has no format or samples. It ends with
        its samples, at the latest with the file.

    Example
    -------
    >>> import io
    >>> as_plain_wav(io.BytesIO(b"RIFF"), 4)
    """
    file.seek(0)
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64", b"BW64"):
        return None
    if head[8:].upper() != b"WAVE":
        return None
    place, form = 12, None
    for _ in range(CHUNKS):
        file.seek(place)
        name = file.read(4)
        (length,) = struct.unpack("<I", file.read(4).ljust(4, b"\0"))
        if place + 8 > size:
            return None
        if name == b"fmt ":
            # An extension follows where the size is right.
            form = file.read(length if length <= 64 else 16)
        if name == b"data":
            break
        place = _next_chunk(file, place + 8, length, size)
        if place is None:
            return None
    if form is None or len(form) < 16 or name != b"data":
        return None
    rest = size - place - 8
    if 0 < length < rest:
        rest = length
    head = _head(form, rest)
    plain = SplicedFile(head, file, place + 8)
    return Part(plain, 0, len(head) + rest)


def _next_chunk(file, start, length, size):
    """Where the next chunk begins: after an even size, an odd one, or later."""
    for place in (start + length + length % 2, start + length):
        if place + 8 <= size and _is_name(file, place):
            return place
    file.seek(start)
    content = file.read(SEARCHED)
    places = [start + content.find(n) for n in WANTED if n in content]
    return min(places, default=None)


def _is_name(file, place):
    file.seek(place)
    name = file.read(4)
    return name.isascii() and name.decode().isprintable()


def _head(form, length):
    form = struct.pack("<4sI", b"fmt ", len(form)) + form
    if len(form) % 2:
        form += b"\0"
    length = min(length, 0xFFFFFFFF - len(form) - 12)
    total = 4 + len(form) + 8 + length
    return (
        struct.pack("<4sI4s", b"RIFF", total, b"WAVE")
        + form
        + struct.pack("<4sI", b"data", length)
    )
