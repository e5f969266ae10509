"""WAV files with a header that libsndfile refuses, under a plain one.

Between "RIFF" and the samples other programs write chunks of wrong or odd
sizes, and some keep the samples in several chunks; of all chunks only ``fmt``
and ``data`` matter here.
"""

import io
import struct
from typing import BinaryIO

from speechbrain_c2ser.audio.parts import Joined, Part

CHUNKS = 256
PIECES = 1 << 16  # chunks after the first samples
SEARCHED = 1 << 16  # bytes in which the next chunk is looked for
WANTED = (b"fmt ", b"data")
MP3_CODE = 0x55
EXTENSIBLE = 0xFFFE  # the code is that of its sub-format


def as_plain_wav(file: BinaryIO, size: int) -> Joined | None:
    """A WAV with nothing but its format before its samples.

    Arguments
    ---------
    file : BinaryIO
        The file; not changed.
    size : int
        Of the file in bytes.

    Returns
    -------
    Joined | None
        None where it is no WAV, or has no format or samples. It ends with
        its samples, at the latest with the file.

    Example
    -------
    >>> as_plain_wav(io.BytesIO(b"RIFF"), 4)
    """
    form, place = format_and_data(file, size)
    if form is None or place is None:
        return None
    stretches = _stretches(file, form, place, size)[0]
    stretches = stretches or [(place + 8, size)]
    head = _head(form, sum(stop - start for start, stop in stretches))
    samples = [Part(file, start, stop) for start, stop in stretches]
    return Joined([io.BytesIO(head), *samples])


def is_in_pieces(file: BinaryIO, size: int) -> tuple[bool, bool]:
    """Whether a WAV has its samples in several chunks.

    Arguments
    ---------
    file : BinaryIO
        The file; not changed.
    size : int
        Of the file in bytes.

    Returns
    -------
    tuple of bool
        Whether they are in several, and whether some of them are of another
        format, which :func:`as_plain_wav` leaves out.

    Example
    -------
    >>> is_in_pieces(io.BytesIO(b"RIFF"), 4)
    (False, False)
    """
    form, place = format_and_data(file, size)
    if form is None or place is None:
        return False, False
    stretches, others = _stretches(file, form, place, size)
    moved = bool(stretches) and stretches[0][0] != place + 8
    return len(stretches) > 1 or moved, others


def format_and_data(
    file: BinaryIO, size: int
) -> tuple[bytes | None, int | None]:
    """What a WAV tells before its samples, and where they are.

    Arguments
    ---------
    file : BinaryIO
        The file; not changed.
    size : int
        Of the file in bytes.

    Returns
    -------
    tuple
        Content of ``fmt``, and the place of the first ``data``; None for
        what is missing.

    Example
    -------
    >>> format_and_data(io.BytesIO(b"RIFF"), 4)
    (None, None)
    """
    head = _read(file, 0, 12)
    if head[:4] not in (b"RIFF", b"RF64", b"BW64"):
        return None, None
    if head[8:].upper() != b"WAVE":
        return None, None
    place, form = 12, None
    for _ in range(CHUNKS):
        if place is None or place + 8 > size:
            break
        name, length = struct.unpack("<4sI", _read(file, place, 8))
        if name == b"data":
            return form, place
        if name == b"fmt ":
            # An extension follows where the size is right.
            form = file.read(length if length <= 64 else 16)
            form = form if len(form) >= 16 else None
        place = _next_chunk(file, place + 8, length, size, SEARCHED)
    return None, None


def mp3_of_wav(file: BinaryIO, size: int) -> Part | None:
    """The MP3 in a WAV: libsndfile believes what the header says of frames.

    Arguments
    ---------
    file : BinaryIO
        The file; not changed.
    size : int
        Of the file in bytes.

    Returns
    -------
    Part | None
        None where it is no WAV, or holds no MP3.

    Example
    -------
    >>> mp3_of_wav(io.BytesIO(b"RIFF"), 4)
    """
    form, place = format_and_data(file, size)
    if form is None or place is None:
        return None
    codes = struct.unpack("<H22xH", form[:26].ljust(26, b"\0"))
    if codes[codes[0] == EXTENSIBLE] != MP3_CODE:
        return None
    length = int.from_bytes(_read(file, place + 4, 4), "little")
    return Part(file, place + 8, min(place + 8 + length, size))


def _stretches(file, form, place, size):
    """Of the samples in chunks from a first on, and if others follow."""
    stretches, others = [], False
    for _ in range(PIECES):
        name, length = struct.unpack("<4sI", _read(file, place, 8))
        start = place + 8
        place = _next_chunk(file, start, length, size, 0)
        others = name == b"fmt " and _read(file, start, len(form)) != form
        if name == b"data":
            # The last one's size may never have been written.
            stop = size if place is None and not length else start + length
            stretches.append((start, min(stop, size)))
        if others or place is None:
            break
    return [each for each in stretches if each[0] < each[1]], others


def _read(file, place, count):
    file.seek(place)
    return file.read(count)


def _next_chunk(file, start, length, size, searched):
    """Where the next chunk begins: after an even size, an odd one, or later."""
    for place in (start + length + length % 2, start + length):
        if place + 8 <= size and _is_name(file, place):
            return place
    content = _read(file, start, searched)
    places = [start + content.find(n) for n in WANTED if n in content]
    return min(places, default=None)


def _is_name(file, place):
    name = _read(file, place, 4)
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
