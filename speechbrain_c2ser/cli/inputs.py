"""Which recordings the words of a command line mean."""

import codecs
import os
import re
import sys
from collections import Counter
from pathlib import Path

from speechbrain_c2ser.cli.terminal import tell

LISTS = (
    ".scp .list .lst .flist .filelist .txt .m3u .m3u8 .csv .tsv .tab .json "
    ".jsonl .ndjson .parquet"
).split()
NO_TEXT = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f]")
LOOKED_AT = 4096  # bytes of what somebody pipes in
MOST = 0.25  # of them; names hold some


def find_recordings(words: list[str]) -> list:
    """Recordings that files, folders, lists and ``-`` name, in their order.

    Arguments
    ---------
    words : list of str
        A file; a folder, in which every file below counts that has a
        recording's suffix, sorted, but no video beside its sound; a list
        (wav.scp, paths in a .txt, a table or a manifest); or ``-``: paths from
        standard input, one a line or each before a zero byte.

    Returns
    -------
    list of (str | dict)
        Paths; rows of lists with "id", "wav" and perhaps "start" and "stop".

    Raises
    ------
    ValueError
        For a folder without recordings, a list that cannot be read, or sound
        or other bytes in place of paths.

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
    # Not at the top: help must not wait for it.
    from speechbrain_c2ser.audio.formats import HEAD, recognise

    content = sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        # what older PowerShells write
        content = content.decode("utf-16", "replace").encode()
    head = content[:LOOKED_AT]
    form = recognise(content[:HEAD])
    # A path may begin like a sound, and hold what no text does.
    is_binary = NO_TEXT.search(head) is not None or b"\0\0" in head
    is_sound = is_binary and form is not None and form.demuxer is not None
    if is_sound or len(NO_TEXT.findall(head)) > len(head) * MOST:
        raise ValueError(
            f"Standard input holds {'a recording' if is_sound else 'no text'}, "
            "and paths are read there, one a line: save it to a file and name "
            "that."
        )
    # A zero byte ends a path of `find -print0`.
    lines = content.split(b"\0") if b"\0" in content else content.splitlines()
    names = [os.fsdecode(line) for line in lines if line.strip()]
    if not names:
        raise ValueError("Standard input names no recordings.")
    return names


def _from_folder(folder):
    # Not at the top: help must not wait for it.
    from speechbrain_c2ser.audio.file_names import (
        counts_in_words,
        recordings_among,
    )

    paths, others = [], Counter()
    for place, names in _walk(folder, set()):
        found, rest = recordings_among(names)
        paths += [os.path.join(place, name) for name in found]
        others += rest
    told = counts_in_words(others)
    if not paths:
        told = f" ({told})" if told else ""
        raise ValueError(f"The folder {folder} holds no recordings{told}.")
    if others:
        tell(
            f"The folder {folder} also holds files whose names are no "
            f"other recordings' ({told}): they are left out; name one to have "
            "it read."
        )
    return sorted(paths)


def _walk(folder, seen):
    """(place, names of files) below a folder and what links in it lead to.

    No place is seen twice, and no link leads to what holds the folder.
    """
    links = []
    for place, folders, names in os.walk(folder):
        true = os.path.realpath(place)
        if true in seen:
            folders.clear()
            continue
        seen.add(true)
        links += [os.path.join(place, name) for name in folders]
        yield place, names
    for link in filter(os.path.islink, sorted(links)):
        above = os.path.join(os.path.realpath(link), "")
        if not any(place.startswith(above) for place in seen):
            yield from _walk(link, seen)


def _from_list(path):
    # Not at the top: help must not wait for it.
    from speechbrain_c2ser.data.lists import read_list

    return [{**row, "id": key} for key, row in read_list(path).items()]
