"""Uploaded files: their names, their samples, their end."""

import os
import re
import time
from pathlib import Path
from typing import Any

import torch

from speechbrain_c2ser.audio import AudioError
from speechbrain_c2ser.audio.decoding import decode
from speechbrain_c2ser.audio.reading import read_audio
from speechbrain_c2ser.audio.waveform import check_rate
from speechbrain_c2ser.web.limits import MEGABYTE, Limits, TooMuch

# Controls, marks that turn the direction of writing, halves of characters.
UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
LONGEST = 100  # characters of a name
MOST_CHANNELS = 64


def plain_name(name: str | None) -> str:
    """The name of an upload, that leads nowhere and breaks no line.

    Arguments
    ---------
    name : str | None
        As a stranger gives it.

    Returns
    -------
    str

    Example
    -------
    >>> plain_name("../../etc/a\\nb.wav"), plain_name("C:\\\\x.wav")
    ('ab.wav', 'x.wav')
    >>> plain_name(".."), plain_name(None)
    ('recording', 'recording')
    """
    last = re.split(r"[/\\]", name or "")[-1]
    last = UNSAFE.sub("", last).strip().lstrip(".")
    # A spreadsheet would take it for a formula.
    last = re.sub("^[=+@-]", "_", last)
    if len(last) > LONGEST:
        stem, suffix = os.path.splitext(last)
        last = stem[: LONGEST - len(suffix[:10])] + suffix[:10]
    return last or "recording"


def read_upload(source: Any, name: str, limits: Limits) -> torch.Tensor:
    """The waveform of an upload, of which no more than allowed is decoded.

    Arguments
    ---------
    source : str | Path | BinaryIO
        The stored file.
    name : str
        What errors call it.
    limits : Limits
        Of size and length.

    Returns
    -------
    torch.Tensor
        [T], mono at 16 kHz.

    Raises
    ------
    TooMuch
        When it is too large or too long.
    AudioError
        When it holds no recording.
    """
    if isinstance(source, (str, os.PathLike)):
        # Opened here: a message must not show where it lies.
        try:
            with open(source, "rb") as file:
                return read_upload(file, name, limits)
        except FileNotFoundError:
            raise AudioError(
                f"{name} is no longer here, uploads are kept for "
                f"{limits.kept / 60:g} minutes: upload it again."
            ) from None
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    if size > limits.size:
        raise TooMuch(
            f"{name} has {size / MEGABYTE:.1f} MB; at most "
            f"{limits.size / MEGABYTE:g} MB are taken: cut it, or use "
            "c2ser classify."
        )
    _check_length(source, name, limits.seconds)
    return read_audio(source, name=name)


def _check_length(source, name, most):
    """Count samples up to the limit: headers lie, and silence packs well."""
    with decode(source, name) as decoder:
        check_rate(decoder.rate, name)
        if decoder.channels > MOST_CHANNELS:
            raise TooMuch(
                f"{name} has {decoder.channels} channels; at most "
                f"{MOST_CHANNELS} are taken: mix or split them."
            )
        count = 0
        for block in decoder.blocks():
            count += len(block)
            if count > most * decoder.rate:
                raise TooMuch(
                    f"{name} is longer than {most:g} s: cut it, or use "
                    "c2ser classify."
                )


def stored_bytes(folder: str | Path) -> int:
    """Bytes that a folder holds.

    Arguments
    ---------
    folder : str | Path
        Of uploads.

    Returns
    -------
    int
    """
    return sum(status.st_size for _, status in _files(folder))


def remove_old(folder: str | Path, seconds: float) -> int:
    """Remove files that nobody has written for so long.

    Arguments
    ---------
    folder : str | Path
        Of uploads.
    seconds : float
        Age that a file may have.

    Returns
    -------
    int
        Files that are gone.
    """
    count, oldest = 0, time.time() - seconds
    for path, status in _files(folder):
        if status.st_mtime < oldest:
            path.unlink(missing_ok=True)
            count += 1
            try:
                path.parent.rmdir()  # unless there are more, or it is in use
            except OSError:
                pass
    Path(folder).mkdir(exist_ok=True)
    return count


def _files(folder):
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            try:
                yield path, path.lstat()
            except FileNotFoundError:
                pass  # removed meanwhile
