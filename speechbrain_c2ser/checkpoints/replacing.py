"""A model folder takes the place of an older one, and of nothing else."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from speechbrain_c2ser.checkpoints.folder import (
    SETTINGS,
    WEIGHTS,
    read_settings,
)
from speechbrain_c2ser.checkpoints.user_modules import FOLDER
from speechbrain_c2ser.data.atomic import shortened

CARD = "README.md"
FORMAT_LINE = re.compile(r"^format: ", re.MULTILINE)
# No dot first: ".." is what holds the folder, and no part of it.
REFERENCE = re.compile(r"!ref <folder>/([\w-][\w.-]*)")
# What file managers, network disks and downloads of a hub leave.
NOBODYS = re.compile(r"\.DS_Store|Thumbs\.db|\.nfs.*|\.gitattributes|\.cache")
NEW, OLD, LOCK = "new", "old", "lock"


def entries_of(folder: str | Path) -> set[str]:
    """Names of what a model folder consists of, by its own settings.

    Arguments
    ---------
    folder : str | Path
        A model folder.

    Returns
    -------
    set of str

    Example
    -------
    >>> folder = Path(getfixture("tmpdir"))
    >>> _ = (folder / SETTINGS).write_text("source: !ref <folder>/llm")
    >>> sorted(entries_of(folder))
    ['hyperparams.yaml', 'llm', 'model.safetensors', 'user_modules']
    """
    named = REFERENCE.findall(read_settings(folder))
    return {SETTINGS, WEIGHTS, FOLDER, *named}


def files_of(folder: str | Path) -> list[Path]:
    """The files that a model folder consists of.

    Arguments
    ---------
    folder : str | Path
        Anything; what holds no settings consists of nothing.

    Returns
    -------
    list of Path
        Sorted.

    Example
    -------
    >>> files_of("nowhere")
    []
    """
    folder = Path(folder)
    if not (folder / SETTINGS).is_file():
        return []
    places = [folder / name for name in entries_of(folder)]
    below = [path for place in places for path in place.rglob("*")]
    return sorted(path for path in places + below if path.is_file())


def check_replaceable(folder: str | Path) -> None:
    """Refuse to put a model where anything else is than a model of ours.

    Arguments
    ---------
    folder : str | Path
        Where the model goes.

    Raises
    ------
    ValueError
        Names what would be lost.

    Example
    -------
    >>> folder = Path(getfixture("tmpdir"))
    >>> check_replaceable(folder)
    >>> _ = (folder / SETTINGS).write_text("format: 1")
    >>> (folder / "log.txt").touch()
    >>> check_replaceable(folder)
    Traceback (most recent call last):
    ...
    ValueError: ... holds log.txt, which is no part of a model and would be
    lost: move it away, or choose another name.
    """
    folder = Path(folder)
    if _is_free(folder):
        return
    ours = (folder / SETTINGS).is_file() and FORMAT_LINE.search(
        read_settings(folder)
    )
    if not ours:
        raise ValueError(
            f"{folder} exists and is no model folder; choose another name."
        )
    # Not at the top: who opens a model must not wait for it.
    from speechbrain_c2ser.evaluation.report.card import MARK

    own = entries_of(folder)
    card = folder / CARD
    # One of ours tells of the older model, and goes with it.
    if card.is_file() and MARK.encode() in card.read_bytes():
        own.add(CARD)
    names = sorted(path.name for path in folder.iterdir())
    foreign = [n for n in names if n not in own and not NOBODYS.fullmatch(n)]
    if foreign:
        raise ValueError(
            f"{folder} holds {foreign[0]}, which is no part of a model and "
            "would be lost: move it away, or choose another name."
        )


def _is_free(folder):
    return not folder.exists() or (
        folder.is_dir() and not any(folder.iterdir())
    )


@contextmanager
def written_beside(folder: str | Path) -> Iterator[Path]:
    """A temporary folder that takes the place of ``folder`` when complete.

    Arguments
    ---------
    folder : str | Path
        As :func:`check_replaceable` takes it. Left as it is on an error; what
        a killed process left beside it comes back or goes.

    Yields
    ------
    Path

    Example
    -------
    >>> folder = Path(getfixture("tmpdir")) / "model"
    >>> with written_beside(folder) as beside:
    ...     _ = (beside / SETTINGS).write_text("format: 1")
    >>> [path.name for path in folder.parent.rglob("*")]
    ['model', 'hyperparams.yaml']
    """
    folder = Path(folder)
    _clear(folder)
    check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    place = tempfile.mkdtemp(prefix=_prefix(folder), dir=folder.parent)
    place = Path(place)
    # Not the place itself: only its owner may look into that.
    beside, old = place / NEW, place / OLD
    try:
        with _held(place, folder):
            beside.mkdir()
            try:
                yield beside
                check_replaceable(folder)
                if folder.exists():
                    folder.rename(old)
                beside.rename(folder)
            finally:
                if os.path.lexists(old) and not folder.exists():
                    old.rename(folder)
                _empty(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _prefix(folder):
    return f".{shortened(folder.name, 16 * '.')}."


@contextmanager
def _held(place, folder):
    """Until the process ends in whatever way, nobody else clears the place.

    Where a disk or system has no locks, nobody ever does.
    """
    if fcntl is None:
        yield
        return
    # By another name until it is locked: one that is not, is of the dead.
    part = place / f"{LOCK}.part"
    with open(part, "wb") as file:
        file.write(os.fsencode(folder.name))
        file.flush()
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.rename(place / LOCK)
        yield


def _clear(folder):
    """Of killed processes, the older model comes back and the rest goes."""
    if fcntl is None:
        return
    form = re.compile(re.escape(_prefix(folder)) + r"\w{8}")
    with suppress(OSError):
        beside = [p for p in folder.parent.iterdir() if form.fullmatch(p.name)]
        # The last to be at work knows the older model best.
        for place in sorted(beside, key=os.path.getmtime, reverse=True):
            with suppress(OSError):
                _clear_place(place, folder)


def _clear_place(place, folder):
    if place.is_symlink():
        return
    names = {path.name for path in place.iterdir()}
    if LOCK not in names or not names <= {NEW, OLD, LOCK}:
        return  # a user's
    with open(place / LOCK, "rb") as file:
        if file.read() != os.fsencode(folder.name):
            return
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if OLD in names and _is_free(folder):
            (place / OLD).rename(folder)
        _empty(place)
    shutil.rmtree(place, ignore_errors=True)


def _empty(place):
    """Not the lock: whoever is killed here leaves what can be cleared."""
    for name in (NEW, OLD):
        path = place / name
        if path.is_symlink():
            path.unlink()
        shutil.rmtree(path, ignore_errors=True)
