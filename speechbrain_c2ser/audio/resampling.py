"""Another sample rate, block by block, at bounded memory for any ratio."""

import numpy as np
import soxr

LOWEST, HIGHEST = 1000, 1_000_000  # Hz
START = 1 << 16  # samples that show a constant offset


class Resampler:
    """libsoxr's polyphase filter over a stream of mono blocks.

    Its error stays below 1e-6 of full scale where both rates can carry the
    signal (band edge at 0.91 of the lower Nyquist frequency), also for ratios
    that share no factor, such as 44,099 to 16,000 Hz.

    Arguments
    ---------
    rate : float
        Of the blocks (Hz).
    target : float
        Of the result (Hz).

    Example
    -------
    >>> resampler = Resampler(44099, 16000)
    >>> parts = [resampler(np.zeros(44099, "float32")), resampler.rest()]
    >>> len(np.concatenate(parts))
    16000
    """

    def __init__(self, rate: float, target: float):
        self._stream, self._offset = None, None
        if rate != target:
            self._stream = soxr.ResampleStream(rate, target, 1, quality="HQ")

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """What is certain after a block more.

        Arguments
        ---------
        block : numpy.ndarray
            float32 [n].

        Returns
        -------
        numpy.ndarray
            float32 [m].
        """
        if self._stream is None:
            return block
        if len(block) == 0:
            return block
        if self._offset is None:
            # A constant stays one: without it the start and the end of a
            # recording with an offset would be steps, which ring.
            self._offset = np.float32(block[:START].mean())
        return self._stream.resample_chunk(block - self._offset) + self._offset

    def rest(self) -> np.ndarray:
        """What is left after the last block.

        Returns
        -------
        numpy.ndarray
            float32 [m].
        """
        none = np.empty(0, np.float32)
        if self._stream is None or self._offset is None:
            return none
        return self._stream.resample_chunk(none, last=True) + self._offset
