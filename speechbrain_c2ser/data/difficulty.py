"""Easy first: what is easy in a dialogue, and batches in that order."""

from collections.abc import Collection, Iterable, Sequence
from random import Random

import numpy as np

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.sampling import (
    BatchesInTurn,
    PairedBatchSampler,
)

SHIFTS = "emotion_shifts"
# Of a change of emotion between two turns, by whether one speaks both.
SAME, OTHER = 2.0, 1.0


class EasyFirst:
    """Which rows are easy, and for how long they come first.

    Arguments
    ---------
    groups : int
        The rows are divided into so many of about the same size.
    epochs : int
        In the first so many the groups come from easy to hard; later their
        batches are mixed.
    by : str
        "emotion_shifts" of a row's dialogue (:func:`emotion_shifts`), or a
        field with a number, the easy rows the smallest.

    Raises
    ------
    ValueError
        For fewer than two groups or one epoch.

    Example
    -------
    >>> rows = [{"id": "a", "noise": 2}, {"id": "b", "noise": 1}]
    >>> [g.tolist() for g in EasyFirst(groups=2, by="noise").divide(rows)]
    [[1], [0]]
    """

    def __init__(self, groups: int = 3, epochs: int = 1, by: str = SHIFTS):
        if groups < 2 or epochs < 1:
            raise ValueError(
                "Easy first takes at least 2 groups and 1 epoch, not "
                f"{groups} and {epochs}."
            )
        self.groups = groups
        self.epochs = epochs
        self.by = by

    def divide(self, rows: Collection[dict]) -> list[np.ndarray]:
        """Indices of rows in groups, the easiest first.

        Arguments
        ---------
        rows : collection of dict
            Manifest rows with their id and turns; read once.

        Returns
        -------
        list of numpy.ndarray

        Raises
        ------
        ManifestError
            If rows do not tell how hard they are, or are too few.
        """
        if len(rows) < self.groups:
            raise ManifestError(
                f"{len(rows)} rows cannot be divided into {self.groups} "
                "groups, easy first."
            )
        order = np.argsort(self._difficulties(rows), kind="stable")
        return np.array_split(order.astype(np.int32), self.groups)

    def _difficulties(self, rows):
        if self.by == SHIFTS:
            return self._shifts(rows)
        values, without = [], []
        for row in rows:
            value = row.get(self.by)
            if isinstance(value, int | float):
                values.append(value)
            else:
                without.append(row["id"])
        if without:
            raise ManifestError(
                f"Easy first needs a number in the field {self.by!r}, which "
                f"{len(without)} of {len(rows)} rows lack, such as "
                f"{without[0]!r}."
            )
        return values

    @staticmethod
    def _shifts(rows):
        shifts, has_turns = [], False
        for row in rows:
            shifts.append(emotion_shifts(row))
            has_turns |= bool(row.get("before") or row.get("after"))
        if not has_turns:
            raise ManifestError(
                "No row has turns before or after it, of which emotion "
                "shifts could be counted: give dialogue and turn, or "
                "order by a field (EasyFirst(by=...))."
            )
        return shifts


class EasyFirstSampler(BatchesInTurn):
    """Batches of easy rows before those of harder ones, for some epochs.

    Ranks take them in turn, so that all are at the easy ones at a time.

    Arguments
    ---------
    lengths : sequence of float
        Duration of each item, in seconds.
    groups : sequence of numpy.ndarray
        Indices, of :meth:`EasyFirst.divide`.
    epochs : int
        How many epochs keep the groups' order.
    seed : int
        Of the shuffling.
    options
        More of
        :class:`~speechbrain_c2ser.data.sampling.PairedBatchSampler`.

    Example
    -------
    >>> sampler = EasyFirstSampler(
    ...     [1.0] * 4, [[3, 1], [0, 2]], 1, max_batch_length=1.0, num_buckets=1
    ... )
    >>> sampler.set_epoch(1)
    >>> [set(sum(part, [])) for part in (list(sampler)[:2], list(sampler)[2:])]
    [{1, 3}, {0, 2}]
    """

    def __init__(
        self,
        lengths: Sequence[float] | np.ndarray,
        groups: Iterable[np.ndarray | Sequence[int]],
        epochs: int,
        seed: int = 0,
        **options,
    ):
        self.groups = [np.asarray(group, np.int32) for group in groups]
        self.epochs = epochs
        self.seed = seed
        lengths = np.asarray(lengths)
        self.samplers = [
            PairedBatchSampler(
                lengths[group], np.full(len(group), -1), seed=seed, **options
            )
            for group in self.groups
        ]
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch, counted from 1 as SpeechBrain does.

        Arguments
        ---------
        epoch : int
        """
        for sampler in self.samplers:
            sampler.set_epoch(epoch)
        items = np.concatenate(
            [
                group[sampler._items]
                for group, sampler in zip(
                    self.groups, self.samplers, strict=True
                )
            ]
        )
        sizes = np.concatenate(
            [np.diff(each._starts) for each in self.samplers]
        )
        order = list(range(len(sizes)))
        if epoch > self.epochs:
            Random(f"{self.seed}|{epoch}").shuffle(order)
        firsts = np.cumsum(sizes) - sizes
        self.lay_out(items, firsts[order], sizes[order])


def emotion_shifts(row: dict) -> float:
    """How often the emotion changes in the dialogue of a row, per turn.

    A change within what one speaker says counts twice, as it is harder to
    follow. Source: the weighted shifts of PRC-Emo.

    Arguments
    ---------
    row : dict
        With ``before`` and ``after`` of
        :func:`~speechbrain_c2ser.data.turns.with_turns`.

    Returns
    -------
    float
        0 for a row that stands alone.

    Example
    -------
    >>> first = {"speaker": "A", "emotion": "sad"}
    >>> emotion_shifts({"speaker": "A", "emotion": "happy", "before": [first]})
    1.0
    """
    turns = [*row.get("before", ()), row, *row.get("after", ())]
    weight = 0.0
    for one, two in zip(turns, turns[1:], strict=False):
        if one.get("emotion") != two.get("emotion"):
            same = one.get("speaker") == two.get("speaker")
            weight += SAME if same else OTHER
    return weight / len(turns)
