"""Learning rates by update: a warm-up, then a decay."""

import math


class WarmupCosine:
    """Learning rate: a linear rise, then half a cosine down.

    Arguments
    ---------
    peak : float
        Rate at the end of the warm-up.
    warmup : float
        Share of the training that the rise takes, in [0, 1).
    final : float
        Rate at the end.

    Example
    -------
    >>> schedule = WarmupCosine(peak=1.0, warmup=0.1)
    >>> [round(schedule(update, 100), 3) for update in (5, 10, 55, 100)]
    [0.5, 1.0, 0.5, 0.0]
    """

    def __init__(self, peak: float, warmup: float = 0.05, final: float = 0.0):
        if not 0 <= warmup < 1:
            raise ValueError(f"warmup must lie in [0, 1), got {warmup}.")
        self.peak = peak
        self.warmup = warmup
        self.final = final

    def __call__(self, update, updates):
        """Rate of an update (counted from 1) out of so many."""
        progress = update / updates
        if progress < self.warmup:
            return self.peak * progress / self.warmup
        fall = (progress - self.warmup) / (1 - self.warmup)
        weight = 0.5 * (1 + math.cos(math.pi * fall))
        return self.final + (self.peak - self.final) * weight


class WarmupInverseSquareRoot:
    """Learning rate: a linear rise, then a fall as 1 / sqrt(update).

    What C2SER was trained with (section 3). SpeechBrain's ``NoamScheduler``
    has this shape; this one depends on the update alone, so that several
    optimisers share it and a restart needs no state.

    Arguments
    ---------
    peak : float
        Rate at the end of the warm-up.
    warmup_updates : int
        Updates that the rise takes.

    Example
    -------
    >>> schedule = WarmupInverseSquareRoot(peak=1.0, warmup_updates=100)
    >>> [schedule(update, 1000) for update in (50, 100, 400)]
    [0.5, 1.0, 0.5]
    """

    def __init__(self, peak: float, warmup_updates: int):
        if warmup_updates < 1:
            raise ValueError(
                f"warmup_updates must be 1 or more, got {warmup_updates}."
            )
        self.peak = peak
        self.warmup_updates = warmup_updates

    def __call__(self, update, updates):
        """Rate of an update (counted from 1); their number does not matter."""
        share = update / self.warmup_updates
        return self.peak * min(share, share**-0.5)


class EpochTriangles:
    """Learning rate: up and down in equal lines, the same within an epoch.

    torch's ``CyclicLR`` ("triangular"), stepped once an epoch; as it depends
    on the update alone, a restart needs no state.

    Arguments
    ---------
    low, high : float
        The rates of the first epoch and of each peak.
    epochs_up : int
        Epochs from one to the other.
    epochs : int
        Of the whole training.

    Example
    -------
    >>> schedule = EpochTriangles(low=1.0, high=2.0, epochs_up=2, epochs=5)
    >>> [schedule(update, 10) for update in range(1, 11)]
    [1.0, 1.0, 1.5, 1.5, 2.0, 2.0, 1.5, 1.5, 1.0, 1.0]
    """

    def __init__(self, low: float, high: float, epochs_up: int, epochs: int):
        self.low, self.high = low, high
        self.epochs_up, self.epochs = epochs_up, epochs

    def __call__(self, update, updates):
        """Rate of an update (counted from 1) out of so many."""
        epoch = (update - 1) * self.epochs // updates
        share = 1 - abs(epoch / self.epochs_up % 2 - 1)
        return self.low + (self.high - self.low) * share
