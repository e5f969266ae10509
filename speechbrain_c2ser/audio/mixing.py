"""Several channels as one, and what to do where they cancel each other."""

import numpy as np

CANCELS = 0.05  # of the power that channels without relation would give


class Mixer:
    """The mean of the channels of a stream, with its power and theirs.

    Arguments
    ---------
    channels : int
        How many there are.
    channel : int | None
        The one to take, from 0; None = the mean of all.

    Example
    -------
    >>> mixer = Mixer(2)
    >>> mixer(np.array([[1.0, -1.0], [-1.0, 1.0]], "float32"))
    array([0., 0.], dtype=float32)
    >>> mixer.cancels(), mixer.loudest()
    (True, 0)
    """

    def __init__(self, channels: int, channel: int | None = None):
        self._channel, self._count = channel, 0
        # Sum and sum of squares of each channel, and last of the mix.
        self._sums = np.zeros((2, channels + 1))

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Mono block [n] of a block [n, channels]."""
        if block.shape[1] == 1:
            return block[:, 0]
        if self._channel is not None:
            return block[:, self._channel]
        mix = block.mean(axis=1)
        both = np.concatenate([block, mix[:, None]], 1).astype(np.float64)
        self._sums += both.sum(0), (both**2).sum(0)
        self._count += len(block)
        return mix

    def heard(self, block: np.ndarray) -> np.ndarray:
        """What is used of a block [n, channels]: one channel, or all."""
        return block if self._channel is None else block[:, self._channel]

    def cancels(self) -> bool:
        """Whether the mix is far weaker than even unrelated channels' is.

        Returns
        -------
        bool
            True for channels of opposite phase; silent channels and constant
            offsets do not count.
        """
        if not self._count:
            return False
        power = self._power()
        unrelated = power[:-1].sum() / (len(power) - 1) ** 2
        return bool(power[-1] < CANCELS * unrelated)

    def loudest(self) -> int:
        """The channel of the greatest power, from 0."""
        return int(self._power()[:-1].argmax())

    def _power(self):
        mean = self._sums / max(self._count, 1)
        # Below what float32 resolves beside an offset there is nothing.
        floor = 1e-9 * mean[1] + 1e-12
        power = mean[1] - mean[0] ** 2
        return np.where(power > floor, power, 0.0)
