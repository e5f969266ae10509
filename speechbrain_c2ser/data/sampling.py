"""Batches of similar length in which every emotion has a partner."""

import hashlib
import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch.utils.data import Sampler

NEAR = 16  # items of a label, on either side, that an exchange looks at
PADDING = 0.1  # of a batch at most, as a part of its items' seconds
ENOUGH = 0.01  # of a batch: padding that an exchange may add unasked
BUCKETS = 128  # of like length, within which items are moved by chance


class BatchesInTurn(Sampler):
    """Batches of an epoch in two arrays, which ranks take in turn.

    A million items are some megabytes in each process. The order is to be a
    function of the seed and the epoch alone: ``set_epoch`` makes it, by
    :meth:`lay_out`.
    """

    _turn = 0, 1

    def take_turns(self, rank: int, ranks: int) -> None:
        """Give every rank of a training its share: batches in turn.

        Where they do not come out even, the last ranks begin again, as
        torch's ``DistributedSampler`` has it.

        Arguments
        ---------
        rank : int
            This process, from 0.
        ranks : int
            How many there are.
        """
        self._turn = rank, ranks

    def set_epoch(self, epoch: int) -> None:
        """Make the batches of an epoch.

        Arguments
        ---------
        epoch : int
            Each has another order.
        """
        raise NotImplementedError

    def lay_out(
        self, items: np.ndarray, firsts: np.ndarray, sizes: np.ndarray
    ) -> None:
        """Take stretches of a list of items as the batches.

        Arguments
        ---------
        items : numpy.ndarray
            Indices [N], those of a batch side by side.
        firsts, sizes : numpy.ndarray
            Where each batch starts, and its items, in the batches' order.
        """
        self._starts = np.concatenate([[0], np.cumsum(sizes)])
        steps = np.repeat(firsts - self._starts[:-1], sizes)
        self._items = items[steps + np.arange(len(steps))].astype(np.int32)

    def __len__(self):
        return -(-(len(self._starts) - 1) // self._turn[1])

    def __iter__(self):
        rank, ranks = self._turn
        for number in range(len(self)):
            batch = (number * ranks + rank) % (len(self._starts) - 1)
            yield self._batch(batch).tolist()

    def _batch(self, number):
        return self._items[self._starts[number] : self._starts[number + 1]]


def sort_loosely(
    items: np.ndarray,
    lengths: np.ndarray,
    reach: float,
    generator: torch.Generator,
) -> np.ndarray:
    """Sort items by length, then move each up or down by chance.

    Arguments
    ---------
    items : numpy.ndarray
        Indices [N], those of equal length in the order that they keep.
    lengths : numpy.ndarray
        Of every item that has an index, in any unit.
    reach : float
        How many places an item is moved at most.
    generator : torch.Generator
        Of the chance; not drawn from where nothing is moved.

    Returns
    -------
    numpy.ndarray
        The same indices [N].

    Example
    -------
    >>> lengths = np.array([3.0, 1.0, 2.0])
    >>> sort_loosely(np.arange(3), lengths, 0, torch.Generator()).tolist()
    [1, 2, 0]
    """
    items = items[np.argsort(lengths[items], kind="stable")]
    if not reach:
        return items
    moved = torch.rand(len(items), generator=generator).numpy() - 0.5
    return items[np.argsort(np.arange(len(items)) + 2 * reach * moved)]


def cut(
    lengths: np.ndarray, limit: float, padding: float = PADDING
) -> np.ndarray:
    """Items of each batch, where a row of them is cut into full batches.

    Arguments
    ---------
    lengths : numpy.ndarray
        Of the items, side by side.
    limit : float
        Of a batch: its longest item's length times its items. A longer item
        makes a batch of its own.
    padding : float
        A batch ends, too, where it would have more than this beside its
        items, as a part of them; as happens where items are few.

    Returns
    -------
    numpy.ndarray
        Sizes, whose sum is the number of items. The last two batches are
        alike where that can be: a rest of one item would weigh as much as a
        full batch.

    Example
    -------
    >>> cut(np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 9.0]), 4.0).tolist()
    [3, 2, 1, 1]
    >>> cut(np.ones(9), 8.0).tolist()
    [5, 4]
    """
    sizes, start = [], 0
    while start < len(lengths):
        most = max(1, int(limit / lengths[start]))
        part = lengths[start : start + most]
        real = np.cumsum(part)
        padded = np.maximum.accumulate(part) * np.arange(1, len(part) + 1)
        fits = (padded <= limit) & (padded - real <= padding * real)
        sizes.append(max(1, len(part) if fits.all() else int(fits.argmin())))
        start += sizes[-1]
    both = sum(sizes[-2:])
    rest = both // 2
    if sizes[-1] < rest and lengths[-rest:].max() * rest <= limit:
        sizes[-2:] = both - rest, rest
    return np.array(sizes)


class PairedBatchSampler(BatchesInTurn):
    """Batches of so many seconds that hold a pair of one label if possible.

    As SpeechBrain's ``DynamicBatchSampler`` they hold clips of like length.
    But a bucket of lengths leaves no batch half full: the clips are sorted by
    length, each is moved up or down by chance (:func:`sort_loosely`), and the
    row is cut into batches wherever the next clip would not fit. And a batch
    in which no two items share a label, useless to PairLoss, exchanges one
    item with the nearest batch that can spare one.

    The order is a function of the seed and the epoch alone, so that an epoch
    can be entered at any batch.

    Arguments
    ---------
    lengths : sequence of float
        Duration of each item, in seconds.
    labels : sequence of int
        Class index of each item, -1 = unlabelled.
    max_batch_length : float
        Seconds of audio in a batch, padding counted. A longer item makes a
        batch of its own.
    num_buckets : int
        Of like length, within which an item is moved by chance: as many
        equal shares of all items, or a batch where that is more. More of
        them waste less on padding, of which a batch has 2 / num_buckets of
        its items' seconds at most, or a tenth.
    shuffle : bool
        Whether items and batches change their order every epoch; if not,
        batches are in ascending order of length.
    seed : int
        Of the shuffling.

    Raises
    ------
    ValueError
        If there is no item, or the two sequences differ in length.

    Example
    -------
    >>> sampler = PairedBatchSampler(
    ...     [1.0] * 6, [0, 0, 1, -1, 1, -1], max_batch_length=3.0
    ... )
    >>> sorted(sum(sampler, []))
    [0, 1, 2, 3, 4, 5]
    >>> sampler.take_turns(1, 2)
    >>> len(sampler)
    1
    """

    def __init__(
        self,
        lengths: Sequence[float] | np.ndarray,
        labels: Sequence[int] | np.ndarray,
        max_batch_length: float,
        num_buckets: int = BUCKETS,
        shuffle: bool = True,
        seed: int = 0,
    ):
        if len(lengths) == 0 or len(lengths) != len(labels):
            raise ValueError(
                f"Lengths ({len(lengths)}) and labels ({len(labels)}) must be "
                "as many, and more than none: is the manifest empty?"
            )
        self.labels = np.asarray(labels, np.int32)
        self.lengths = np.asarray(lengths, np.float64)
        self.shuffle, self.seed = shuffle, seed
        self._seconds = max_batch_length
        self._padding = max(PADDING, 2 / num_buckets)
        batches = len(cut(np.sort(self.lengths), max_batch_length))
        self._reach = len(self.lengths) / min(num_buckets, batches) / 2
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Make the batches of an epoch.

        Arguments
        ---------
        epoch : int
            Each has another order.
        """
        generator = torch.Generator().manual_seed(self.seed + epoch)
        items = np.arange(len(self.lengths))
        if self.shuffle:
            items = torch.randperm(len(items), generator=generator).numpy()
        items = sort_loosely(
            items, self.lengths, self._reach if self.shuffle else 0, generator
        )
        sizes = cut(self.lengths[items], self._seconds, self._padding)
        firsts = np.cumsum(sizes) - sizes
        self.lay_out(items, firsts, sizes)
        self._make_pairs()  # in the order of length
        if self.shuffle:
            order = torch.randperm(len(sizes), generator=generator).numpy()
            self.lay_out(self._items, firsts[order], sizes[order])

    def _make_pairs(self):
        """Each batch that has a label but no pair of one seeks a partner."""
        labels = self.labels[self._items]
        sizes = np.diff(self._starts)
        self._batch_of = np.repeat(np.arange(len(sizes)), sizes)
        named = labels >= 0
        known = np.stack([self._batch_of[named], labels[named]], axis=1)
        labels_there, counts = np.unique(known, axis=0, return_counts=True)
        batches = labels_there[:, 0]
        lacking = np.zeros(len(sizes), bool)
        lacking[batches] = True  # without a label, there is no partner
        lacking[batches[counts > 1]] = False
        lacking &= sizes > 1
        self._places = {
            label: np.flatnonzero(labels == label)
            for label in np.unique(labels[named]).tolist()
        }
        for number in np.flatnonzero(lacking):
            # an exchange may have given it one
            if not self._has_pair(number):
                self._exchange(number)
        del self._batch_of, self._places  # some megabytes of a million items

    def _has_pair(self, number):
        labels = self.labels[self._batch(number)].tolist()
        labels = [label for label in labels if label >= 0]
        return len(set(labels)) < len(labels)

    def _exchange(self, number):
        """Swap one item of the batch for a partner of another of its items.

        The partner is about as long as what is given for it: its places are
        in order of length, or nearly.
        """
        least, best = math.inf, None
        start = self._starts[number]
        for place, label in enumerate(self.labels[self._batch(number)]):
            if label < 0:
                continue
            gift = start + (place == 0)
            places = self._places[label]
            here = np.searchsorted(places, gift)
            near = places[max(0, here - NEAR) : here + NEAR]
            for partner in near[np.argsort(abs(near - gift))]:
                added = self._added(gift, partner)
                if added <= ENOUGH * self._seconds:
                    self._swap(gift, partner)
                    return
                if added < least:
                    least, best = added, (gift, partner)
        if best is not None:
            self._swap(*best)

    def _added(self, gift, partner):
        """Seconds of padding that a swap adds; inf where it cannot be.

        One batch is to have a pair and the other to keep what it had, both
        with no more seconds than a batch may.
        """
        batches = ours, other = self._batch_of[[gift, partner]]
        before = sum(map(self._padded, batches))
        had_pair = self._has_pair(other)
        self._swap(gift, partner)
        after = [self._padded(number) for number in batches]
        good = self._has_pair(ours) and self._has_pair(other) >= had_pair
        self._swap(gift, partner)
        if not good or max(after) > self._seconds:
            return math.inf
        return sum(after) - before

    def _padded(self, number):
        items = self._batch(number)
        return self.lengths[items].max() * len(items)

    def _swap(self, one, other):
        self._items[[one, other]] = self._items[[other, one]]


def hide_labels(
    ids: Iterable[str],
    labels: Sequence[int] | np.ndarray,
    labelled_fraction: float,
    seed: int = 0,
) -> np.ndarray:
    """Hide a part of the labels, the same part in every run.

    Whether an item keeps its label depends on its id and the seed alone, not
    on which other items there are.

    Arguments
    ---------
    ids : iterable of str
        Utterance ids.
    labels : sequence of int
        Class indices, -1 = unlabelled already.
    labelled_fraction : float
        Share of labels to keep, in [0, 1].
    seed : int
        Another seed keeps another part.

    Returns
    -------
    numpy.ndarray
        Labels int32 [N], -1 where hidden.

    Example
    -------
    >>> hide_labels(["a", "b"], [0, 1], labelled_fraction=0.0).tolist()
    [-1, -1]
    >>> hide_labels(["a", "b"], [0, 1], labelled_fraction=1.0).tolist()
    [0, 1]
    """
    if not 0 <= labelled_fraction <= 1:
        raise ValueError(
            f"labelled_fraction must lie in [0, 1], got {labelled_fraction}."
        )
    labels = np.array(labels, np.int32)
    if labelled_fraction < 1:
        keeps = (keeps_label(name, labelled_fraction, seed) for name in ids)
        labels[~np.fromiter(keeps, bool, len(labels))] = -1
    return labels


def keeps_label(name: str, labelled_fraction: float, seed: int = 0) -> bool:
    """Whether an item is of the part that keeps its label.

    Arguments
    ---------
    name : str
        Utterance id.
    labelled_fraction : float
        Share of labels to keep, in [0, 1].
    seed : int
        As of :func:`hide_labels`.

    Returns
    -------
    bool

    Example
    -------
    >>> keeps_label("a", 1.0), keeps_label("a", 0.0)
    (True, False)
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little") / 2**64 < labelled_fraction
