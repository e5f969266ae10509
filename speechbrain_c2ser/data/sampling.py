"""Batches of similar length in which every emotion has a partner."""

import hashlib
from collections.abc import Sequence

import numpy as np
from speechbrain.dataio.sampler import DynamicBatchSampler


class PairedBatchSampler(DynamicBatchSampler):
    """Length-bucketed batches that hold a pair of one label where possible.

    SpeechBrain's sampler with two changes. The buckets' boundaries are
    quantiles of the corpus' own lengths, so that short clips fill a batch
    too. And a batch in which no two items share a label, useless to
    PairLoss, exchanges one item with the nearest batch that can spare one.

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
    max_batch_ex : int | None
        Largest number of items in a batch.
    shuffle : bool
        Whether items and batches change their order every epoch.
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
    """

    def __init__(
        self,
        lengths: Sequence[float],
        labels: Sequence[int],
        max_batch_length: float,
        num_buckets: int = 10,
        max_batch_ex: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
    ):
        if len(lengths) == 0 or len(lengths) != len(labels):
            raise ValueError(
                f"Lengths ({len(lengths)}) and labels ({len(labels)}) must be "
                "as many, and more than none: is the manifest empty?"
            )
        self.labels = list(labels)
        quantiles = np.linspace(0, 1, num_buckets + 1)[1:]
        boundaries = np.quantile(np.asarray(lengths), quantiles)
        super().__init__(
            dataset=lengths,
            max_batch_length=max_batch_length,
            bucket_boundaries=np.unique(boundaries).tolist(),
            lengths_list=list(lengths),
            max_batch_ex=max_batch_ex,
            shuffle=shuffle,
            batch_ordering="random" if shuffle else "ascending",
            seed=seed,
        )

    def _generate_batches(self):
        super()._generate_batches()
        for batch in self._batches:
            if len(batch) > 1 and not self._has_pair(batch):
                self._exchange(batch)

    def __iter__(self):
        # the order is a function of the epoch (set_epoch) alone, so that an
        # epoch can be entered anywhere; SpeechBrain shuffles on at its end
        yield from self._batches

    def _has_pair(self, batch):
        labels = [self.labels[i] for i in batch if self.labels[i] >= 0]
        return len(set(labels)) < len(labels)

    def _exchange(self, batch):
        """Swap one item of the batch for a partner of another of its items."""
        labels = {self.labels[i]: i for i in batch if self.labels[i] >= 0}
        longest = max(self.get_durations(batch))
        others = [b for b in self._batches if b is not batch]
        others.sort(key=lambda b: abs(max(self.get_durations(b)) - longest))
        for other in others:
            for place, item in enumerate(other):
                anchor = labels.get(self.labels[item])
                if anchor is None:
                    continue
                given = next(i for i in batch if i != anchor)
                swapped = other[:place] + [given] + other[place + 1 :]
                if self._has_pair(swapped):
                    other[:] = swapped
                    batch[batch.index(given)] = item
                    return


def hide_labels(
    ids: Sequence[str],
    labels: Sequence[int],
    labelled_fraction: float,
    seed: int = 0,
) -> list[int]:
    """Hide a part of the labels, the same part in every run.

    Whether an item keeps its label depends on its id and the seed alone, not
    on which other items there are.

    Arguments
    ---------
    ids : sequence of str
        Utterance ids.
    labels : sequence of int
        Class indices, -1 = unlabelled already.
    labelled_fraction : float
        Share of labels to keep, in [0, 1].
    seed : int
        Another seed keeps another part.

    Returns
    -------
    list of int
        Labels, -1 where hidden.

    Example
    -------
    >>> hide_labels(["a", "b"], [0, 1], labelled_fraction=0.0)
    [-1, -1]
    >>> hide_labels(["a", "b"], [0, 1], labelled_fraction=1.0)
    [0, 1]
    """
    if not 0 <= labelled_fraction <= 1:
        raise ValueError(
            f"labelled_fraction must lie in [0, 1], got {labelled_fraction}."
        )
    kept = []
    for name, label in zip(ids, labels, strict=True):
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        draw = int.from_bytes(digest[:8], "little") / 2**64
        kept.append(label if draw < labelled_fraction else -1)
    return kept
