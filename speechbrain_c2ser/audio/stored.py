"""Recordings inside an uncompressed tar, named by where their bytes lie.

Kaldi names a matrix in an archive by ``ark:offset``; in the same way
``corpus.tar:1536+20480:a.mp3`` are the 20,480 bytes from byte 1,536 on. So a
manifest points into archives as they were downloaded, and nothing is unpacked.
"""

import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from speechbrain_c2ser.audio.errors import AudioError
from speechbrain_c2ser.audio.parts import Part

NAME = re.compile(r"(.+\.tar):(\d+)\+(\d+):(.+)", re.DOTALL)


class Stored(NamedTuple):
    """Where a recording's bytes lie.

    Arguments
    ---------
    path : str
        The tar.
    start, size : int
        Bytes.
    member : str
        Its name in the tar.
    """

    path: str
    start: int
    size: int
    member: str

    def __str__(self):
        return f"{self.path}:{self.start}+{self.size}:{self.member}"


def stored_of(name: object) -> Stored | None:
    """Where a recording lies that is named so; None for any other name.

    Arguments
    ---------
    name : object
        A path, or what else names a recording.

    Returns
    -------
    Stored | None

    Example
    -------
    >>> stored_of("en.tar:1536+20480:a/b.mp3").member
    'a/b.mp3'
    >>> stored_of("a.wav") is None
    True
    """
    match = NAME.fullmatch(os.fsdecode(name)) if _is_path(name) else None
    if match is None:
        return None
    return Stored(match[1], int(match[2]), int(match[3]), match[4])


def open_stored(stored: Stored, stack: ExitStack, name: str) -> Part:
    """The bytes of a recording in a tar, as a file.

    Arguments
    ---------
    stored : Stored
        Where they lie.
    stack : ExitStack
        Closes the tar.
    name : str
        What errors call the recording.

    Returns
    -------
    Part

    Raises
    ------
    AudioError
        If the tar is missing, or too short to hold them.
    """
    try:
        file = stack.enter_context(open(stored.path, "rb"))
    except OSError as error:
        raise AudioError(f"{name} cannot be read: {error.strerror}.") from None
    stop = stored.start + stored.size
    if stop > file.seek(0, os.SEEK_END):
        raise AudioError(
            f"{name} is not whole: {stored.path} ends before byte {stop}; it "
            "was cut, or has changed."
        )
    return Part(file, stored.start, stop)


def stored_bytes(name: str) -> bytes:
    """All bytes of a recording, in a file of its own or in a tar.

    Arguments
    ---------
    name : str
        A path, or a recording's place in a tar.

    Returns
    -------
    bytes

    Raises
    ------
    AudioError
        If it is in a tar that is missing or too short.
    OSError
        If its own file cannot be read.

    Example
    -------
    >>> path = getfixture("tmpdir") / "two.tar"
    >>> _ = path.write_binary(b"first, second")
    >>> stored_bytes(f"{path}:7+6:b.wav")
    b'second'
    """
    stored = stored_of(name)
    if stored is None:
        return Path(name).read_bytes()
    with ExitStack() as stack:
        return open_stored(stored, stack, name).read()


def _is_path(name):
    return isinstance(name, (str, os.PathLike))
