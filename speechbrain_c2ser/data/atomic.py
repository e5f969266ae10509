"""Files that are whole or not there, by names that any disk takes."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def write_atomic(text: str, path: str | Path) -> None:
    """Write a text file whole or not at all.

    Arguments
    ---------
    text : str
        The content.
    path : str | Path
        Replaced if it exists; its folder is made.
    """
    with written_beside(path) as part:
        part.write_text(text, encoding="utf-8")


def write_recording(wave: "np.ndarray", path: str | Path, rate: int) -> None:
    """Write a WAV file of 16 bits whole or not at all.

    Arguments
    ---------
    wave : np.ndarray
        Samples [T], -1 to 1.
    path : str | Path
        Replaced if it exists; its folder is made.
    rate : int
        Hz.
    """
    import soundfile

    with written_beside(path) as part:
        soundfile.write(part, wave, rate, "PCM_16", format="WAV")


@contextmanager
def written_beside(path: str | Path) -> Iterator[Path]:
    """Where to write what takes a file's place when all of it is there.

    Arguments
    ---------
    path : str | Path
        Replaced if it exists; its folder is made. Left as it is on an error.
        A device or pipe is written to, and never replaced.

    Yields
    ------
    Path
        Beside it, gone afterwards.

    Example
    -------
    >>> path = Path(getfixture("tmpdir")) / "a.txt"
    >>> with written_beside(path) as part:
    ...     _ = part.write_text("all")
    >>> path.read_text(), [file.name for file in path.parent.iterdir()]
    ('all', ['a.txt'])
    """
    path = Path(path)
    if is_device(path):
        with tempfile.TemporaryDirectory() as folder:
            part = Path(folder) / path.name
            yield part
            with open(part, "rb") as file, open(path, "wb") as device:
                shutil.copyfileobj(file, device)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path, f".{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def is_device(path: str | Path) -> bool:
    """Whether something is there that is neither a file nor a folder.

    Example
    -------
    >>> is_device(os.devnull), is_device("nowhere")
    (True, False)
    """
    path = Path(path)
    return path.exists() and not path.is_file() and not path.is_dir()


def part_of(path: str | Path, suffix: str = ".part") -> Path:
    """The name under which a file is begun, no longer than a disk takes.

    Example
    -------
    >>> part_of("a.csv").name, len(part_of("a" * 255).name)
    ('a.csv.part', 255)
    """
    path = Path(path)
    return path.with_name(shortened(path.name, suffix) + suffix)


def shortened(name: str, suffix: str = "") -> str:
    """A name that with its suffix is no longer than most disks take.

    Example
    -------
    >>> shortened("a.wav", ".json"), len(shortened("a" * 255, ".json"))
    ('a.wav', 250)
    """
    room = 255 - len(os.fsencode(suffix))
    while len(os.fsencode(name)) > room:
        name = name[:-1]
    return name


def file_name(name: str) -> str:
    """A name without the characters that some disk or shell would not take.

    Example
    -------
    >>> file_name("a/b: c.wav")
    'a_b__c.wav'
    """
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
