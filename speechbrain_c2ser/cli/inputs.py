"""Which recordings the words of a command line mean."""

import os
import sys
from pathlib import Path

LISTS = (
    ".scp .list .lst .flist .filelist .txt .m3u .m3u8 .csv .tsv .tab .json "
    ".jsonl .ndjson .parquet"
).split()
# How recordings begin that somebody pipes in.
SOUND = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"ID3", b"FORM", b"caff", b".snd")


def find_recordings(words: list[str]) -> list:
    """Recordings that files, folders, lists and ``-`` name, in their order.

    Arguments
    ---------
    words : list of str
        A file; a folder, in which every audio file below counts, sorted; a
        list (wav.scp, paths in a .txt, a table or a manifest); or ``-``:
        paths from standard input, one a line or each before a zero byte.

    Returns
    -------
    list of (str | dict)
        Paths; rows of lists with "id", "wav" and perhaps "start" and "stop".

    Raises
    ------
    ValueError
        For a folder without recordings, a list that cannot be read, or sound
        in place of paths.

    Example
    -------
    >>> find_recordings(["a.wav", "b.mp3"])
    ['a.wav', 'b.mp3']
    """
    recordings = []
    for word in words:
        if word == "-":
            recordings += _from_stdin()
        elif os.path.isdir(word):
            recordings += _from_folder(word)
        elif Path(word).suffix.lower() in LISTS:
            recordings += _from_list(word)
        else:
            recordings.append(word)
    return recordings


def _from_stdin():
    content = sys.stdin.buffer.read().removeprefix(b"\xef\xbb\xbf")
    if content.startswith(SOUND) and b"\0" in content[:64]:
        raise ValueError(
            "Standard input holds a recording, and paths are read there, one "
            "a line: save it to a file and name that."
        )
    # A zero byte ends a path of `find -print0`.
    lines = content.split(b"\0") if b"\0" in content else content.splitlines()
    names = [os.fsdecode(line) for line in lines if line.strip()]
    if not names:
        raise ValueError("Standard input names no recordings.")
    return names


def _from_folder(folder):
    # Not at the top: help must not wait for it.
    from speechbrain_c2ser.audio.formats import SOUNDS

    paths = sorted(
        os.path.join(place, name)
        for place, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in SOUNDS and not name.startswith(".")
    )
    if not paths:
        raise ValueError(f"The folder {folder} holds no recordings.")
    return paths


def _from_list(path):
    # Not at the top: help must not wait for it.
    from speechbrain_c2ser.data.lists import read_list

    return [{**row, "id": key} for key, row in read_list(path).items()]
