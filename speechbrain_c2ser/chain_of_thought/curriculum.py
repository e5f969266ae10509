"""How explicit answers give way to implicit ones over the training."""

import hashlib
import math


class Curriculum:
    """Probability that a sample keeps its explicit answer.

    Arguments
    ---------
    schedule : str
        "linear" (the paper's: 1 to 0, section 3), "cosine" (slow at both
        ends), "step" (all at once) or "constant" (stays at ``start``).
    start, end : float
        Probability at the training's beginning and end.
    step_at : float
        Progress in [0, 1] at which "step" changes from start to end.
    seed : int
        Of the choice.

    Raises
    ------
    ValueError
        For an unknown schedule or a number outside [0, 1].

    Example
    -------
    >>> curriculum = Curriculum("linear")
    >>> [curriculum.probability(p) for p in (0.0, 0.25, 1.0)]
    [1.0, 0.75, 0.0]
    >>> curriculum.modes(["a", "b"], progress=0.0)
    ['explicit', 'explicit']
    """

    SCHEDULES = ("linear", "cosine", "step", "constant")

    def __init__(
        self, schedule="linear", start=1.0, end=0.0, step_at=0.5, seed=0
    ):
        if schedule not in self.SCHEDULES:
            raise ValueError(
                f"There is no schedule {schedule!r} "
                f"(known: {', '.join(self.SCHEDULES)})."
            )
        limits = {"start": start, "end": end, "step_at": step_at}
        for name, value in limits.items():
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], not {value}.")
        self.schedule = schedule
        self.start = start
        self.end = end
        self.step_at = step_at
        self.seed = seed

    def probability(self, progress):
        """Probability of an explicit answer.

        Arguments
        ---------
        progress : float
            Share of the training that is done, in [0, 1].

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If progress is not in [0, 1].
        """
        if not 0.0 <= progress <= 1.0:
            raise ValueError(f"progress must be in [0, 1], not {progress}.")
        done = {
            "linear": progress,
            "cosine": (1.0 - math.cos(math.pi * progress)) / 2.0,
            "step": float(progress >= self.step_at),
            "constant": 0.0,
        }[self.schedule]
        return self.start + (self.end - self.start) * done

    def modes(self, ids, progress, moment=None):
        """What each sample is asked for now.

        Arguments
        ---------
        ids : list of str
            Of the samples.
        progress : float
            As in :meth:`probability`.
        moment : object
            Names this moment, such as the epoch; None is the progress. The
            same seed, moment and id give the same choice, in any batch and
            after any restart. As the probability falls at a fixed moment, a
            sample that was implicit stays implicit.

        Returns
        -------
        list of str
            "explicit" or "implicit" for each id.
        """
        probability = self.probability(progress)
        moment = float(progress) if moment is None else moment
        return [
            "explicit"
            if self._uniform(name, moment) < probability
            else "implicit"
            for name in ids
        ]

    def _uniform(self, name, moment):
        """A number in [0, 1) that only these names decide."""
        key = f"{self.seed}|{moment}|{name}".encode()
        digest = hashlib.blake2b(key, digest_size=6).digest()
        return int.from_bytes(digest, "big") / 2**48
