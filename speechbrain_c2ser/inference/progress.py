"""How far many recordings are, and the time that is left."""

import time

from tqdm import tqdm

FORM = "{desc}{percentage:3.0f}%|{bar:20}| {elapsed}, {remaining} left"
DELAY = 1.0  # seconds: what is done sooner needs no bar


class Progress:
    """A bar over recordings, that moves within a long one too.

    Arguments
    ---------
    total : int
        Recordings.
    shown : bool
        Whether there is a bar; it comes when things take some seconds.

    Example
    -------
    >>> with Progress(2, shown=False) as progress:
    ...     progress.move(0, 0.5)
    ...     progress.move(0, 1.0)
    ...     progress.done
    1.0
    """

    def __init__(self, total: int, shown: bool):
        self._total, self._shares, self.done = total, {}, 0.0
        self._shown, self._bar = shown, None
        self._start = time.time()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()

    def move(self, number: int, share: float) -> None:
        """Tell what share of a recording is done; 1 = all of it.

        Arguments
        ---------
        number : int
            Its place.
        share : float
            From 0 to 1.
        """
        step = share - self._shares.get(number, 0.0)
        if step <= 0:
            return
        self._shares[number] = share
        self.done += step
        if not self._shown or time.time() < self._start + DELAY:
            return
        if self._bar is None:
            # tqdm's own delay would not hold where something is written.
            self._bar = tqdm(total=self._total, bar_format=FORM)
            self._bar.start_t = self._start
        whole = int(self.done + 1e-6)
        self._bar.set_description_str(
            f"{whole} of {self._total} files ", refresh=False
        )
        self._bar.update(min(self.done, self._total) - self._bar.n)
