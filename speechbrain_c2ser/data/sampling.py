"""Batches of similar length in which every emotion has a partner."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch.utils.data import Sampler

NEAR = 64  # batches that are looked at first


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


class PairedBatchSampler(BatchesInTurn):
    """Length-bucketed batches that hold a pair of one label where possible.

    The batches of SpeechBrain's ``DynamicBatchSampler``, with two changes.
    The buckets' boundaries are quantiles of the corpus' own lengths, so that
    short clips fill a batch too. And a batch in which no two items share a
    label, useless to PairLoss, exchanges one item with the nearest batch that
    can spare one.

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
        Number of length buckets.
    shuffle : bool
        Whether items and batches change their order every epoch; if not,
        batches are in ascending order of their longest item.
    seed : int
        Of the shuffling.

    Raises
    ------
    ValueError
        If there is no item, or the two sequences differ in length.

    Example
    -------
    >>> sampler = PairedBatchSampler(
    ...     [1.0] * 6, [0, 0, 1, -1, 1, -1], max_batch_length=3.0, num_buckets=1
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
        num_buckets: int = 10,
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
        quantiles = np.linspace(0, 1, num_buckets + 1)[1:]
        boundaries = np.unique(np.quantile(self.lengths, quantiles))
        self._buckets = np.searchsorted(boundaries, self.lengths)
        self._buckets = self._buckets.astype(np.int32)
        sizes = (max_batch_length / boundaries).astype(int)
        self._sizes = np.maximum(1, sizes)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Make the batches of an epoch.

        Arguments
        ---------
        epoch : int
            Each has another order.
        """
        order = self._order(len(self.lengths), epoch)
        # places in the order, bucket by bucket; cut into batches
        by_bucket = np.argsort(self._buckets[order], kind="stable")
        counts = np.bincount(self._buckets, minlength=len(self._sizes))
        firsts, sizes, ends = [], [], []
        start = 0
        for bucket, (size, count) in enumerate(
            zip(self._sizes.tolist(), counts.tolist(), strict=True)
        ):
            first = np.arange(start, start + count, size)
            start += count
            last = np.minimum(first + size, start) - 1
            # a batch is ready when its last item has come; rests come last
            end = by_bucket[last]
            if count % size:
                end[-1] = len(order) + bucket
            firsts.append(first)
            sizes.append(last - first + 1)
            ends.append(end)
        first, length = np.concatenate(firsts), np.concatenate(sizes)
        ready = np.argsort(np.concatenate(ends))
        if self.shuffle:
            ready = ready[self._order(len(ready), epoch)]
        else:
            lengths = self.lengths[order[by_bucket]]
            longest = np.maximum.reduceat(lengths, first)
            ready = ready[np.argsort(longest[ready], kind="stable")]
        self.lay_out(order[by_bucket], first[ready], length[ready])
        self._make_pairs()

    def _order(self, number, epoch):
        if not self.shuffle:
            return np.arange(number)
        generator = torch.Generator().manual_seed(self.seed + epoch)
        return torch.randperm(number, generator=generator).numpy()

    def _make_pairs(self):
        """Each batch that has a label but no pair of one seeks a partner."""
        labels = self.labels[self._items]
        sizes = np.diff(self._starts)
        batch_of = np.repeat(np.arange(len(sizes)), sizes)
        named = labels >= 0
        known = np.stack([batch_of[named], labels[named]], axis=1)
        labels_there, counts = np.unique(known, axis=0, return_counts=True)
        batches = labels_there[:, 0]
        lacking = np.zeros(len(sizes), bool)
        lacking[batches] = True  # without a label, there is no partner
        lacking[batches[counts > 1]] = False
        lacking &= sizes > 1
        if not lacking.any():
            return
        self._longest = np.maximum.reduceat(
            self.lengths[self._items], self._starts[:-1]
        )
        self._named = np.bincount(batch_of[named], minlength=len(sizes))
        self._spare = np.zeros(len(sizes), bool)
        self._spare[batches[counts > 1]] = True
        self._spare &= self._named > 2
        for number in np.flatnonzero(lacking):
            # an exchange may have given it one
            if not self._has_pair(self._batch(number)):
                self._exchange(number)

    def _has_pair(self, items):
        labels = [label for label in self.labels[items].tolist() if label >= 0]
        return len(set(labels)) < len(labels)

    def _exchange(self, number):
        """Swap one item of the batch for a partner of another of its items."""
        batch = self._batch(number)
        first, second = batch[:2].tolist()
        # label -> the item that is given away for a partner of the one with it
        gifts = {
            label: second if item == first else first
            for item, label in zip(
                batch.tolist(), self.labels[batch].tolist(), strict=True
            )
            if label >= 0
        }
        for near in self._nearest(number, list(gifts.values())):
            other = self._batch(near)
            for place, label in enumerate(self.labels[other].tolist()):
                gift = gifts.get(label)
                if gift is None:
                    continue
                swapped = other.copy()
                swapped[place] = gift
                if self._has_pair(swapped):
                    batch[batch == gift] = other[place]
                    other[place] = gift
                    self._note(number)
                    self._note(near)
                    return

    def _note(self, number):
        """What an exchange looks at, of a batch that has changed."""
        batch = self._batch(number)
        labels = self.labels[batch]
        counts = np.bincount(labels[labels >= 0], minlength=1)
        self._longest[number] = self.lengths[batch].max()
        self._named[number] = counts.sum()
        self._spare[number] = counts.sum() > 2 and (counts > 1).any()

    def _nearest(self, number, gifts):
        """Batches that could give an item away, those of like length first."""
        # a gift without a label makes no pair: they must keep one
        has_label = (self.labels[gifts] >= 0).any()
        able = self._named > 1 if has_label else self._spare.copy()
        able[number] = False
        able = np.flatnonzero(able)
        distance = np.abs(self._longest[able] - self._longest[number])
        done = 0
        while done < len(able):
            # mostly one of the first will do: the rest need not be sorted
            some = min(max(NEAR, 8 * done), len(able))
            limit = np.partition(distance, some - 1)[some - 1]
            near = np.flatnonzero(distance <= limit)
            near = near[np.argsort(distance[near], kind="stable")]
            yield from able[near[done:]].tolist()
            done = len(near)


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
