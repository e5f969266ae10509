"""Several channels as one, and what to do where they cancel each other."""

import numpy as np

CANCELS = 0.3  # of the power that channels without relation would give
SPAN = 1 << 13  # frames that are judged together: 0.5 s at 16 kHz
# Of the power of the loudest hundredth: below lie pauses and their noise.
PAUSE = 0.01


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
        self._channel, self._spans = channel, []
        self._energy = np.zeros(channels + 1)  # of the spans
        self._begin_span()

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Mono block [n] of a block [n, channels]."""
        if block.shape[1] == 1:
            return block[:, 0]
        if self._channel is not None:
            return block[:, self._channel]
        mix = block.mean(axis=1)
        both = np.concatenate([block, mix[:, None]], 1).astype(np.float64)
        while len(both):
            part, both = np.split(both, [SPAN - self._count])
            self._sums += part.sum(0), (part**2).sum(0)
            self._count += len(part)
            if self._count == SPAN:
                self._end_span()
        return mix

    def heard(self, block: np.ndarray) -> np.ndarray:
        """What is used of a block [n, channels]: one channel, or all."""
        return block if self._channel is None else block[:, self._channel]

    def cancels(self) -> bool:
        """Whether the mix is far weaker than unrelated channels' mostly is.

        Span by span, for noise in the pauses and a tone before the speech
        cancel nothing.

        Returns
        -------
        bool
            True for channels of opposite phase; silent channels and constant
            offsets do not count.
        """
        if self._count:
            self._end_span()
        spans = np.array([span for span in self._spans if span[0] > 0])
        if not len(spans):
            return False
        loudest = np.quantile(spans[:, 0], 0.99)
        unrelated, mixed = spans[spans[:, 0] >= PAUSE * loudest].T
        return bool((mixed < CANCELS * unrelated).mean() > 0.5)

    def loudest(self) -> int:
        """The channel of the greatest power, from 0."""
        return int((self._energy + self._span())[:-1].argmax())

    def _begin_span(self):
        # Sum and sum of squares of each channel, and last of the mix.
        self._sums, self._count = np.zeros((2, len(self._energy))), 0

    def _end_span(self):
        energy = self._span()
        self._energy += energy
        channels = len(energy) - 1
        self._spans.append((energy[:-1].sum() / channels**2, energy[-1]))
        self._begin_span()

    def _span(self):
        """Energy in the span, of each channel and of the mix."""
        mean = self._sums / max(self._count, 1)
        # Below what float32 resolves beside an offset there is nothing.
        floor = 1e-9 * mean[1] + 1e-12
        power = mean[1] - mean[0] ** 2
        return np.where(power > floor, power, 0.0) * self._count
