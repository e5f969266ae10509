"""Files that hold a recording behind a tag, or several one after another."""

import io
from bisect import bisect_right
from itertools import accumulate
from typing import BinaryIO


class Part(io.RawIOBase):
    """A stretch of a file, as a file.

    Arguments
    ---------
    file : BinaryIO
        The whole; where it is read next does not matter.
    start, stop : int
        Bytes.

    Example
    -------
    >>> part = Part(io.BytesIO(b"abcdef"), 2, 5)
    >>> part.read(), part.seek(1), part.read(9)
    (b'cde', 1, b'de')
    """

    def __init__(self, file: BinaryIO, start: int, stop: int):
        self._file, self._start, self._stop = file, start, stop
        self._place = 0

    def readable(self):
        """True."""
        return True

    def seekable(self):
        """True."""
        return True

    def seek(self, offset, whence=0):
        """As any file's."""
        size = self._stop - self._start
        self._place = max(0, offset + (0, self._place, size)[whence])
        return self._place

    def tell(self):
        """As any file's."""
        return self._place

    def readinto(self, buffer):
        """As any file's."""
        self._file.seek(self._start + self._place)
        left = max(0, self._stop - self._start - self._place)
        content = self._file.read(min(len(buffer), left))
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)


class Joined(io.RawIOBase):
    """Several files, one after another, as one.

    Arguments
    ---------
    files : list of BinaryIO
        Not changed, and none of them empty.

    Example
    -------
    >>> file = Joined([io.BytesIO(b"XYZ"), Part(io.BytesIO(b"abcdef"), 2, 6)])
    >>> file.read(5), file.seek(0, 2)
    (b'XYZcd', 7)
    """

    def __init__(self, files: list[BinaryIO | Part]):
        self._files, self._place = files, 0
        sizes = [file.seek(0, io.SEEK_END) for file in files]
        self._starts = [0, *accumulate(sizes)]

    def readable(self):
        """True."""
        return True

    def seekable(self):
        """True."""
        return True

    def seek(self, offset, whence=0):
        """As any file's."""
        origin = (0, self._place, self._starts[-1])[whence]
        self._place = max(0, origin + offset)
        return self._place

    def tell(self):
        """As any file's."""
        return self._place

    def readinto(self, buffer):
        """As any file's."""
        done = 0
        while done < len(buffer) and self._place < self._starts[-1]:
            number = bisect_right(self._starts, self._place) - 1
            file = self._files[number]
            file.seek(self._place - self._starts[number])
            content = file.read(len(buffer) - done)
            if not content:  # it became shorter
                break
            buffer[done : done + len(content)] = content
            self._place, done = self._place + len(content), done + len(content)
        return done


def tag_size(head: bytes) -> int:
    """Bytes of an ID3v2 or APE tag that begins so; 0 where there is none.

    Example
    -------
    >>> tag_size(b"ID3\\x04\\x00\\x00\\x00\\x00\\x01\\x02")
    140
    """
    if head[:8] == b"APETAGEX" and len(head) >= 16:
        return 32 + int.from_bytes(head[12:16], "little")
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def ogg_links(file: BinaryIO, size: int) -> tuple[list[int], bool]:
    """Where each recording of a chained Ogg file begins, and if it was cut.

    Arguments
    ---------
    file : BinaryIO
        Ogg, as streams and ``cat`` chain it.
    size : int
        Of the file in bytes.

    Returns
    -------
    list of int
        Offsets in bytes; [0] where it holds one recording.
    bool
        Whether the file ends within a page.
    """
    links, place, was_first = [], 0, False
    while place < size:
        file.seek(place)
        head = file.read(27)
        if len(head) < 27 or head[:4] != b"OggS":
            break
        is_first = bool(head[5] & 2)  # of a stream; several may be side by side
        if is_first and not was_first:
            links.append(place)
        was_first = is_first
        place += 27 + head[26] + sum(file.read(head[26]))
    return links or [0], bool(links) and place > size
