"""Batches of so many items, of like length, drawn anew every epoch."""

from collections.abc import Sequence

import numpy as np
import torch

from speechbrain_c2ser.data.sampling import (
    BUCKETS,
    BatchesInTurn,
    sort_loosely,
)


class LikeLengthSampler(BatchesInTurn):
    """Random batches with little padding, all of about one size.

    The items of an epoch are sorted by length; each is moved up or down by
    chance, by half a batch or a 256th of the epoch at most, whichever is
    more; then they are cut into batches, whose order is random. So an item
    has other companions in each epoch, and counts as much as any other:
    batches that are filled up by seconds hold few long items, each of which
    would weigh more.

    The order is a function of the seed and the epoch alone.

    Arguments
    ---------
    lengths : sequence of float
        Of each item, in any unit; where all are equal, batches are random.
    batch_size : int
        Items of a batch. Batches differ by one item at most, and none has a
        single one (of which batch norm has no statistics) unless that is
        the size, or the whole.
    classes : sequence of int | None
        Class index of each item: every class is drawn as often, with
        replacement. None: each item once.
    draws : int | None
        Items of an epoch, with ``classes``; None: as many as there are.
    shuffle : bool
        Whether epochs differ; if not, batches are in ascending order of
        length, and no item is moved.
    seed : int
        Of what is drawn.

    Raises
    ------
    ValueError
        If there is no item.

    Example
    -------
    >>> sampler = LikeLengthSampler([3.0, 1.0, 2.0, 1.5], 2, shuffle=False)
    >>> list(sampler)
    [[1, 3], [2, 0]]
    """

    def __init__(
        self,
        lengths: Sequence[float] | np.ndarray,
        batch_size: int,
        classes: Sequence[int] | np.ndarray | None = None,
        draws: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
    ):
        if len(lengths) == 0:
            raise ValueError(
                "There is no item to make batches of: is the manifest empty?"
            )
        self.lengths = np.asarray(lengths, np.float64)
        self.shuffle, self.seed = shuffle, seed
        self._weights = None
        self._draws = len(self.lengths)
        if classes is not None:
            counts = np.bincount(classes)
            self._weights = torch.from_numpy(1 / counts[classes])
            self._draws = draws or self._draws
        number = -(-self._draws // batch_size)
        if batch_size > 1 and number > 1 and self._draws // number < 2:
            number -= 1
        bounds = np.linspace(0, self._draws, number + 1).round().astype(int)
        self._firsts, self._sizes = bounds[:-1], np.diff(bounds)
        self._reach = max(batch_size / 2, self._draws / BUCKETS / 2)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw the batches of an epoch.

        Arguments
        ---------
        epoch : int
            Each has other ones.
        """
        generator = torch.Generator().manual_seed(self.seed + epoch)
        items = sort_loosely(
            self._drawn(generator),
            self.lengths,
            self._reach if self.shuffle else 0,
            generator,
        )
        batches = np.arange(len(self._firsts))
        if self.shuffle:
            batches = torch.randperm(len(batches), generator=generator).numpy()
        self.lay_out(items, self._firsts[batches], self._sizes[batches])

    def _drawn(self, generator):
        """The items of an epoch, in random order."""
        if self._weights is not None:
            return torch.multinomial(
                self._weights, self._draws, True, generator=generator
            ).numpy()
        if not self.shuffle:
            return np.arange(self._draws)
        return torch.randperm(self._draws, generator=generator).numpy()
