"""Paths below a manifest's own folder, so that a corpus can be moved."""

import os
from pathlib import Path

DATA_ROOT = "{data_root}"
IN_CSV = "$data_root"  # as SpeechBrain's own tables spell it


def from_data_root(wav: str, folder: str | Path) -> str:
    """A path of a table whose own folder is filled in.

    Arguments
    ---------
    wav : str
        Of a recording.
    folder : str | Path
        The table's.

    Returns
    -------
    str

    Example
    -------
    >>> from_data_root("$data_root/w/a.wav", "x"), from_data_root("b", "x")
    ('x/w/a.wav', 'b')
    """
    return wav.replace(DATA_ROOT, str(folder)).replace(IN_CSV, str(folder))


def below_data_root(wav: str | Path, folder: str | Path) -> str:
    """A path as it is written: what is below the folder is relative to it.

    Arguments
    ---------
    wav : str | Path
        Of a recording.
    folder : str | Path
        The manifest's.

    Returns
    -------
    str

    Example
    -------
    >>> below_data_root("/data/w/a.wav", "/data"), below_data_root("b", "/data")
    ('{data_root}/w/a.wav', 'b')
    """
    wav, prefix = str(wav), os.path.abspath(folder) + os.sep
    if not wav.startswith(prefix):
        return wav
    return f"{DATA_ROOT}/{Path(wav[len(prefix) :]).as_posix()}"
