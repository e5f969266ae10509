"""Candidates of a test set, drawn from weak labels by label and language.

Drawn in turns over sources and, within one, over speakers, so that no source or
speaker fills a cell while others have items.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from speechbrain_c2ser.data.sources import source_of
from speechbrain_c2ser.data.weak import top_label


def label_of(row: Mapping) -> str | None:
    """A row's weak label, or else its emotion.

    Example
    -------
    >>> label_of({"weak": {"labels": {"sad": 0.7, "angry": 0.3}}})
    'sad'
    >>> label_of({"emotion": "happy"})
    'happy'
    """
    weak = row.get("weak")
    return top_label(weak) if weak else row.get("emotion")


class Apart:
    """What a training set has had: its recordings, speakers and sources.

    Arguments
    ---------
    manifests : iterable of Mapping
        Id -> row, of each manifest that was trained on.

    Example
    -------
    >>> row = {"wav": "a.wav", "speaker": "s1", "dataset": "esd"}
    >>> apart = Apart([{"a": row}])
    >>> apart.has("b", {"wav": "b.wav", "dataset": "ESD"})
    True
    >>> apart.has("b", {"wav": "b.wav", "speaker": "s2"})
    False
    """

    def __init__(self, manifests: Iterable[Mapping]):
        self._seen: set = set()
        for rows in manifests:
            for key, row in rows.items():
                self._seen.update(self._marks(key, row))

    def has(self, key: str, row: Mapping) -> bool:
        """Whether a row shares anything with them.

        Arguments
        ---------
        key : str
            Its id.
        row : Mapping
            Its fields.

        Returns
        -------
        bool
        """
        return any(mark in self._seen for mark in self._marks(key, row))

    @staticmethod
    def _marks(key, row):
        yield "id", key
        yield "wav", row.get("wav"), row.get("start"), row.get("stop")
        dataset = row.get("dataset")
        if row.get("speaker"):
            yield "speaker", dataset, row["speaker"]
        if dataset:
            yield "dataset", source_of(dataset)


def draw_sample(
    items: Iterable[tuple[str, dict]],
    number: int,
    labels: Iterable[str],
    languages: Iterable[str],
    apart: Apart | None = None,
    seed: int = 1,
) -> tuple[dict, dict]:
    """So many items for each label and language, in turns over who speaks.

    Arguments
    ---------
    items : iterable of (str, dict)
        Weakly labelled rows; read once.
    number : int
        For each label and language.
    labels, languages : iterable of str
        The cells.
    apart : Apart | None
        What must not be drawn.
    seed : int
        Of the drawing.

    Returns
    -------
    sample : dict
        Id -> row, in random order.
    counts : dict
        (label, language) -> items drawn; fewer than ``number`` where there
        are no more.

    Example
    -------
    >>> row = {"emotion": "sad", "language": "en"}
    >>> rows = {f"a{n}": {**row, "speaker": "a"} for n in range(9)}
    >>> rows |= {"b": {**row, "speaker": "b"}}
    >>> sample, counts = draw_sample(rows.items(), 2, ["sad"], ["en"])
    >>> sorted(row["speaker"] for row in sample.values()), counts
    (['a', 'b'], {('sad', 'en'): 2})
    """
    # source -> speaker -> items, of each cell
    cells: dict[tuple[str, str], dict[Any, dict]] = {
        (label, language): {} for label in labels for language in languages
    }
    for key, row in items:
        cell = cells.get((label_of(row) or "", row.get("language") or ""))
        if cell is None or (apart is not None and apart.has(key, row)):
            continue
        speakers = cell.setdefault(row.get("dataset"), {})
        speakers.setdefault(row.get("speaker"), []).append((key, row))
    rng = random.Random(seed)
    sample, counts = [], {}
    for name, sources in cells.items():
        order = _in_turns(
            [_in_turns([iter(_mixed(s, rng)) for s in _mixed(by, rng)])
             for by in _mixed(sources, rng)]
        )  # fmt: skip
        drawn = [pair for _, pair in zip(range(number), order, strict=False)]
        counts[name] = len(drawn)
        sample += drawn
    rng.shuffle(sample)
    return dict(sample), counts


def _mixed(group, rng):
    """Members of a list, or values of a dict, in random order."""
    if isinstance(group, dict):
        members = [group[name] for name in sorted(group, key=str)]
    else:
        members = sorted(group, key=lambda pair: pair[0])
    rng.shuffle(members)
    return members


def _in_turns(iterators: list[Iterator]) -> Iterator:
    """One of each, again and again, until all are at their end."""
    while iterators:
        left = []
        for iterator in iterators:
            for value in iterator:
                yield value
                left.append(iterator)
                break
        iterators = left
