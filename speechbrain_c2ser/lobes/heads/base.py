"""What every head has: its part of a row, its loss, its record, its figures."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


class Head(nn.Module):
    """Base of the heads: all that a recipe asks of one.

    A row is a manifest's; it may lack what a head predicts, and then takes no
    part in its loss and figures. A subclass has ``forward(vector, frames,
    lengths)`` and the methods that raise here; where its records are of a
    kind of their own, ``score`` too. Constructor arguments that it names in
    ``training_only`` are not written into a model's folder.

    Arguments
    ---------
    labels : sequence of str
        Names of what it predicts.
    key : str
        Field of a row that holds the truth.
    weight : float
        Weight of its loss.

    Example
    -------
    >>> Head(["angry", "sad"], "emotion", 1.0).needs_frames
    False
    """

    needs_frames = False  # whether its forward takes frames
    needs_words = False  # whether its forward takes voice and words instead
    decides = False  # whether its record has a label and probabilities
    training_only: tuple[str, ...] = ()

    def __init__(self, labels: Sequence[str], key: str, weight: float):
        super().__init__()
        self.labels = [str(label) for label in labels]
        self.key = key
        self.weight = weight
        if not self.labels:
            raise ValueError(f"The head of {key!r} needs at least one label.")

    def fit(self, rows: Sequence[dict]) -> None:
        """Takes from the training rows what the loss needs: here, nothing."""

    def truth(self, row: dict) -> Any:
        """What is true of one row, as JSON; None where it has nothing."""
        raise NotImplementedError

    def targets(self, rows: Sequence[dict]) -> torch.Tensor:
        """What ``loss`` compares with, of a batch of rows; NaN is missing."""
        raise NotImplementedError

    def loss(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Scalar; a zero with a gradient where no item has a target."""
        raise NotImplementedError

    def predict(self, output: torch.Tensor) -> torch.Tensor:
        """Probabilities or values [B, ...] of outputs."""
        raise NotImplementedError

    def record(self, prediction: torch.Tensor) -> dict:
        """One item's prediction as JSON."""
        raise NotImplementedError

    def join(
        self, parts: Sequence[tuple[float, float, torch.Tensor | None]]
    ) -> dict:
        """A whole recording's record from those of its windows.

        Arguments
        ---------
        parts : sequence of (float, float, torch.Tensor | None)
            Start and stop of each window (s), and its prediction; None where
            it is silent. Not all are.

        Returns
        -------
        dict
            Of the mean over the windows that are not silent, by their length.
        """
        return self.record(mean_over_time(parts))

    def score(
        self, truths: list, records: list[dict], durations: list[float]
    ) -> dict[str, float]:
        """Figures of items that have a truth, by the kind of their records."""
        # sklearn: not before something is scored
        from speechbrain_c2ser.evaluation.metrics.records import record_metrics

        return record_metrics(truths, records, durations)

    def check(self, row: dict, record: dict) -> None:
        """Refuses a record that cannot be right, before any training."""

    def figures(
        self, rows: Sequence[dict], records: Sequence[dict]
    ) -> dict[str, float]:
        """Figures of predictions over a whole set.

        Arguments
        ---------
        rows : sequence of dict
            Manifest rows.
        records : sequence of dict
            Of ``record``, one for each row.

        Returns
        -------
        dict
            Empty where no row has a truth, or too few.
        """
        known = [
            (truth, record, float(row.get("duration") or 0.0))
            for row, record in zip(rows, records, strict=True)
            if (truth := self.truth(row)) is not None
        ]
        if not known:
            return {}
        return self.score(*map(list, zip(*known, strict=True)))


def mean_over_time(
    parts: Sequence[tuple[float, float, torch.Tensor | None]],
) -> torch.Tensor:
    """Mean of what windows were given, each by its length.

    Arguments
    ---------
    parts : sequence of (float, float, torch.Tensor | None)
        Start and stop of each window (s), and its prediction [L]; None where
        it is silent. Not all are.

    Returns
    -------
    torch.Tensor
        [L].

    Example
    -------
    >>> long, short = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    >>> mean_over_time([(0, 3, long), (3, 4, short), (4, 9, None)])
    tensor([0.7500, 0.2500])
    """
    known = [part for part in parts if part[2] is not None]
    rows = torch.stack([prediction for *_, prediction in known])
    lengths = torch.tensor([stop - start for start, stop, _ in known])
    return (lengths / lengths.sum()).to(rows) @ rows
