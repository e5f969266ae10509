"""Which files of a folder are recordings, by their names."""

import os
from collections import Counter
from collections.abc import Iterable

from speechbrain_c2ser.audio.formats import EXCHANGES, SOUNDS, VIDEOS


def recordings_among(names: Iterable[str]) -> tuple[list[str], Counter]:
    """Those of one folder's files that are listened to.

    A video, or what an exchange wrote, counts where no other recording has its
    stem; hidden files neither count nor are told.

    Arguments
    ---------
    names : iterable of str
        Of files.

    Returns
    -------
    list of str
        In their order.
    Counter
        Of the others: what they are -> number.

    Example
    -------
    >>> recordings_among(["a.wav", "a.mov", "b.mov", "b.TXT", ".c.wav", "d"])
    (['a.wav', 'b.mov'],
     Counter({".mov of a recording's stem": 1, '.txt': 1,
              'without a suffix': 1}))
    """
    split = [
        (name, *os.path.splitext(name))
        for name in names
        if not name.startswith(".")
    ]
    stems = {stem for _, stem, suffix in split if suffix.lower() in SOUNDS}
    found, others = [], Counter()
    for name, stem, suffix in split:
        suffix = suffix.lower()
        again = suffix in (*VIDEOS, *EXCHANGES)
        if suffix in SOUNDS or (again and stem not in stems):
            found.append(name)
        elif again:
            others[f"{suffix} of a recording's stem"] += 1
        else:
            others[suffix or "without a suffix"] += 1
    return found, others


def counts_in_words(others: Counter) -> str:
    """Counts for a message, the most frequent first.

    Arguments
    ---------
    others : Counter
        What -> number.

    Returns
    -------
    str

    Example
    -------
    >>> counts_in_words(Counter({".txt": 3, ".pdf": 5}))
    '5 .pdf, 3 .txt'
    """
    return ", ".join(f"{n} {what}" for what, n in others.most_common())
