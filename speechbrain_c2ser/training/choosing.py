"""Which epoch a run keeps: the yaml's ``select_by``."""

from collections.abc import Sequence


class EpochChoice:
    """The figure by which the best epoch is chosen.

    Arguments
    ---------
    select_by : str
        "max" or "min" and a figure of the log: ``max valid_ua``,
        ``min valid_frames_eder``.

    Raises
    ------
    ValueError
        For anything else.

    Example
    -------
    >>> choice = EpochChoice("max valid_vad_ccc")
    >>> choice.keep, choice.best
    ({'max_keys': ['valid_vad_ccc']}, {'max_key': 'valid_vad_ccc'})
    >>> choice.check(["valid_loss", "valid_ua"])
    Traceback (most recent call last):
    ...
    ValueError: select_by: there is no figure valid_vad_ccc; there are
    valid_loss, valid_ua.
    """

    def __init__(self, select_by: str):
        words = str(select_by).split()
        if len(words) != 2 or words[0] not in ("max", "min"):
            raise ValueError(
                f"select_by is {select_by!r}: give max or min and a figure, "
                "such as max valid_ua."
            )
        self.direction, self.figure = words

    def check(self, names: Sequence[str]) -> None:
        """Refuses a figure that the run will not have.

        Arguments
        ---------
        names : sequence of str
            The figures that there will be.
        """
        if self.figure not in names:
            raise ValueError(
                f"select_by: there is no figure {self.figure}; there are "
                f"{', '.join(names)}."
            )

    @property
    def keep(self) -> dict:
        """For ``Checkpointer.save_and_keep_only``."""
        return {f"{self.direction}_keys": [self.figure]}

    @property
    def best(self) -> dict:
        """For ``recover_if_possible`` and ``Brain.evaluate``."""
        return {f"{self.direction}_key": self.figure}
