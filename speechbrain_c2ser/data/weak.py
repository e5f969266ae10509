"""Weak labels as what is trained on, where a yaml asks for them."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

EMOTION, WEAK = "emotion", "weak"
OWN = "emotion_raw"  # where a row's own emotion stays


def top_label(weak: dict) -> str | None:
    """The most probable label of a weak one; None of dimensions alone.

    Example
    -------
    >>> top_label({"labels": {"sad": 0.7, "angry": 0.3}})
    'sad'
    """
    shares = weak.get("labels")
    return max(shares, key=shares.__getitem__) if shares else None


def with_weak(row: dict) -> dict:
    """A row whose emotion is its weak label, or that has none without one.

    Arguments
    ---------
    row : dict
        Of a manifest, perhaps with ``weak``.

    Returns
    -------
    dict
        A copy; an emotion of its own is in ``emotion_raw``.

    Example
    -------
    >>> weak = {"labels": {"sad": 0.7, "angry": 0.3}}
    >>> with_weak({"emotion": "happy", "weak": weak})["emotion"]
    'sad'
    >>> with_weak({"emotion": "happy"})
    {'emotion_raw': 'happy'}
    """
    row = {**row}
    own, label = row.pop(EMOTION, None), top_label(row.get(WEAK) or {})
    if own is not None:
        row.setdefault(OWN, own)
    if label is not None:
        row[EMOTION] = label
    return row


class WeakCounts:
    """How many rows of a manifest are labelled by models, and by which.

    Arguments
    ---------
    rows : iterable of dict
        Of a manifest, as they are in it.

    Example
    -------
    >>> counts = WeakCounts([{"weak": {"labels": {"sad": 1.0}}}, {}])
    >>> counts.rows, counts.weak, counts.own
    (2, 1, 0)
    """

    def __init__(self, rows: Iterable[dict] = ()):
        self.rows = self.weak = self.own = 0
        self.sources: Counter = Counter()
        for row in rows:
            self.add(row.get(WEAK) or {}, row.get(EMOTION) is not None)

    def add(self, weak: dict, has_own: bool) -> str | None:
        """Count a row.

        Arguments
        ---------
        weak : dict
            Its weak label, perhaps empty.
        has_own : bool
            Whether it has an emotion of its own.

        Returns
        -------
        str | None
            Its most probable weak label.
        """
        label = top_label(weak)
        self.rows += 1
        self.own += has_own
        if label is not None:
            self.weak += 1
            self.sources.update(weak.get("source") or ())
        return label

    def tell(self, path: str | Path) -> None:
        """Say it, as a warning.

        Arguments
        ---------
        path : str | Path
            The manifest.
        """
        # Here: SpeechBrain's logger costs every command a second.
        from speechbrain.utils.logger import get_logger

        get_logger(__name__).warning(
            "%s: %d of %d rows are labelled by models (%s), not by people%s.",
            path,
            self.weak,
            self.rows,
            ", ".join(sorted(self.sources)) or "unnamed",
            f"; {self.own} have an emotion of their own, which is not used"
            * (self.own > 0),
        )
