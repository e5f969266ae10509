"""Headers that a recorder never finished: their sizes put right while reading.

A recorder writes a header with a size of 0 or "unknown" and the true one when
it stops. If it was killed, or wrote to a pipe, the samples are all there and
the size is wrong: what follows the header is taken for the samples then.
"""

import io
import logging
import math
import re
import struct
from typing import BinaryIO

logger = logging.getLogger(__name__)
STREAMED = 0x7FFF0000  # and above: what is written where none can be known
ODD = (0, 0xFFFFFFFF, 0x7FFFFFFF)
CHUNKS = 4096  # more of them before the samples are no header
LEFT = 4096  # bytes behind the samples that are more than an odd tag
SPHERE = re.compile(
    rb"^(sample_count|sample_n_bytes|channel_count) -i (\d+)", re.MULTILINE
)
# What programs put behind the samples, of any length.
TAGS = (
    *(b"TAG", b"ID3", b"APETAGEX", b"LYRICS", b"PK\x03\x04", b"RIFF", b"LIST"),
    *(b"id3 ", b"bext", b"cue ", b"smpl", b"iXML", b"axml", b"_PMX", b"JUNK"),
    *(b"PEAK", b"fact", b"inst", b"afsp"),
)


class PatchedFile(io.RawIOBase):
    """A file of which some bytes are read as others.

    Arguments
    ---------
    file : BinaryIO
        The file; not changed.
    patches : dict
        Offset -> bytes.

    Example
    -------
    >>> file = PatchedFile(io.BytesIO(b"abcdef"), {2: b"XY"})
    >>> file.seek(1), file.read(4)
    (1, b'bXYe')
    """

    def __init__(self, file: BinaryIO, patches: dict[int, bytes]):
        self._file, self._patches = file, patches

    def readable(self):
        """True."""
        return True

    def seekable(self):
        """True."""
        return True

    def seek(self, offset, whence=0):
        """As any file's."""
        return self._file.seek(offset, whence)

    def tell(self):
        """As any file's."""
        return self._file.tell()

    def readinto(self, buffer):
        """As any file's."""
        start = self._file.tell()
        content = bytearray(self._file.read(len(buffer)))
        for offset, value in self._patches.items():
            for place, byte in enumerate(value, offset - start):
                if 0 <= place < len(content):
                    content[place] = byte
        buffer[: len(content)] = content
        return len(content)


def size_patches(
    file: BinaryIO, size: int, name: str, told_is_all: bool = True
) -> dict[int, bytes]:
    """Sizes in a header that cannot be, and what they should be.

    A warning tells of a file that ends before the size that it has.

    Arguments
    ---------
    file : BinaryIO
        WAV, RF64, AIFF, AU, CAF, SPHERE or FLAC; read from its start.
    size : int
        Of the file in bytes.
    name : str
        What the warning calls it.
    told_is_all : bool
        False for a FLAC that goes on after what its header tells.

    Returns
    -------
    dict
        Offset -> bytes; empty where the header is right, or of another
        format.

    Example
    -------
    >>> head = b".snd" + struct.pack(">5I", 24, 0, 3, 16000, 1)
    >>> size_patches(io.BytesIO(head + bytes(8)), 32, "a.au")
    {8: b'\\x00\\x00\\x00\\x08'}
    """
    file.seek(0)
    head = file.read(12)
    try:
        if head[:4] in (b".snd", b"dns."):
            return _au(file, size, ">" if head[:1] == b"." else "<", name)
        if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM"):
            patches = _chunks(file, size, head[:4], name)
            if head[:4] == b"BW64":  # the same under another name
                patches[0] = b"RF64"
            return patches
        if head[:4] == b"caff":
            return _caf(file, size, name)
        if head[:7] == b"NIST_1A":
            _check_sphere(file, size, name)
        if head[:4] == b"fLaC" and not told_is_all:
            # Four bits and four bytes of STREAMINFO count the samples.
            file.seek(21)
            return {21: bytes([file.read(1)[0] & 0xF0]), 22: bytes(4)}
    except (struct.error, ValueError):
        pass  # the header itself is cut off
    return {}


def _au(file, size, order, name):
    file.seek(4)
    start, length = struct.unpack(f"{order}2I", file.read(8))
    rest = size - start
    tell_cut(length, rest, name)
    unknown = length == 0 or length > rest
    if rest > 0 and (unknown or _goes_on(file, start + length, size)):
        return {8: struct.pack(f"{order}I", min(rest, ODD[1]))}
    return {}


def _caf(file, size, name):
    place = 8
    for _ in range(CHUNKS):
        file.seek(place)
        kind, length = struct.unpack(">4sq", file.read(12))
        if kind == b"data":
            rest = size - place - 12
            tell_cut(length, rest, name)
            # Its first four bytes count edits.
            unknown = length <= 4 or length > rest
            if not unknown:
                unknown = _is_left(file, place + 12 + length, size, ">4sq")
            if unknown and rest > 4:
                return {place + 4: struct.pack(">q", rest)}
            return {}
        place += 12 + max(length, 0)
    return {}


def _check_sphere(file, size, name):
    file.seek(8)
    start = int(file.read(8))
    head = file.read(max(0, min(start, LEFT) - 16))
    if b"shorten" in head or b"wavpack" in head:
        return  # smaller than what they tell of
    told = dict(SPHERE.findall(head))
    if len(told) == 3:
        length = math.prod(map(int, told.values()))
        tell_cut(length, size - start, name)


def _chunks(file, size, kind, called):
    """RIFF and its relatives, and AIFF, which is one of them."""
    order = ">" if kind in (b"RIFX", b"FORM") else "<"
    wanted = b"SSND" if kind == b"FORM" else b"data"
    place, long_sizes = 12, None
    for _ in range(CHUNKS):
        file.seek(place)
        name, length = struct.unpack(f"{order}4sI", file.read(8))
        if name == b"ds64":
            long_sizes = place + 16
        if name == wanted:
            break
        place += 8 + length + length % 2
    else:
        return {}
    start, extra = place + 8, 8 if kind == b"FORM" else 0
    rest = size - start
    if long_sizes is not None and length == ODD[1]:
        file.seek(long_sizes)
        (length,) = struct.unpack(f"{order}Q", file.read(8))
        at, form, most = long_sizes, "Q", rest
    else:
        at, form, most = place + 4, "I", ODD[1] - 1
    tell_cut(length, rest, called)
    unknown = length <= extra or length > rest
    if unknown:
        empty = rest <= extra or _is_chunk(file, start, rest, f"{order}4sI")
        unknown = not empty
    else:
        end = start + length + length % 2
        unknown = _is_left(file, end, size, f"{order}4sI")
    if not unknown:
        return {}
    return {at: struct.pack(f"{order}{form}", min(rest, most))}


def tell_cut(length: int, rest: int, name: str) -> None:
    """Warn of a file that ends before its header tells.

    Arguments
    ---------
    length, rest : int
        Bytes that it tells of, and that there are.
    name : str
        What the warning calls it.
    """
    if 0 < rest < length - 1 and length < STREAMED:
        logger.warning(
            "%s ends %d bytes before its header tells: it was cut, or sent as "
            "text; what is there is used.",
            name,
            length - rest,
        )


def _goes_on(file, end, size):
    """Whether samples follow where a header says that they end."""
    if size - end < LEFT:
        return False
    file.seek(end)
    head = file.read(LEFT)
    return not head.startswith(TAGS) and any(head)


def _is_left(file, end, size, layout):
    """Whether a recorder that was killed had written the size of before."""
    is_next = _is_chunk(file, end, size - end, layout)
    return not is_next and _goes_on(file, end, size)


def _is_chunk(file, place, rest, layout):
    """Whether another chunk follows, and no samples."""
    file.seek(place)
    head = file.read(struct.calcsize(layout))
    if len(head) < struct.calcsize(layout):
        return False
    name, length = struct.unpack(layout, head)
    fits = length <= rest - len(head)
    return name.isascii() and name.decode().isprintable() and fits
