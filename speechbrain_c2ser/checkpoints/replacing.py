"""A model folder takes the place of an older one, and of nothing else."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from speechbrain_c2ser.checkpoints.folder import (
    SETTINGS,
    WEIGHTS,
    read_settings,
)
from speechbrain_c2ser.checkpoints.user_modules import FOLDER
from speechbrain_c2ser.data.atomic import shortened

CARD = "README.md"
FORMAT_LINE = re.compile(r"^format: ", re.MULTILINE)
REFERENCE = re.compile(r"!ref <folder>/([\w.-]+)")


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
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
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
    foreign = sorted(p.name for p in folder.iterdir() if p.name not in own)
    if foreign:
        raise ValueError(
            f"{folder} holds {foreign[0]}, which is no part of a model and "
            "would be lost: move it away, or choose another name."
        )


@contextmanager
def written_beside(folder: str | Path) -> Iterator[Path]:
    """A temporary folder that takes the place of ``folder`` when complete.

    Arguments
    ---------
    folder : str | Path
        As :func:`check_replaceable` takes it. Left as it is on an error.

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
    check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{shortened(folder.name, 16 * '.')}."
    place = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    # Not the place itself: only its owner may look into that.
    beside, old = place / "new", place / "old"
    try:
        beside.mkdir()
        yield beside
        check_replaceable(folder)
        if folder.exists():
            folder.rename(old)
        beside.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(place, ignore_errors=True)
