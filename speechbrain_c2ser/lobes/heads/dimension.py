"""Continuous dimensions of emotion, such as valence."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.heads.base import Head
from speechbrain_c2ser.losses import concordance_loss, gather_targets


@remember_arguments
class DimensionHead(Head):
    """Numbers such as valence, arousal and dominance, trained by their CCC.

    Where a row tells the scale of its numbers (``vad_scale: [1, 7]`` for the
    key ``vad``), they become 0 to 1, so that corpora of different scales can
    be mixed; what it predicts is then 0 to 1 too. Under DDP training the loss
    is that of all ranks' items together.

    Arguments
    ---------
    input_size : int
        Channels of the utterance vector.
    labels : sequence of str
        Names of the numbers, in the order of the row's list.
    key : str
        Field of a row: a list of numbers, None where unknown; a dict of them
        by name; for a single label one number; what a labeller gave
        (``{"vad": ...}``); or counts of a best-worst scaling (``{"best": 3,
        "worst": 1, "shown": 8}``), whose score is 0 (always worst) to 1.
    weight : float
        Weight of its loss.
    pick : sequence of str | None
        The labels that are predicted; None = all.
    loss : callable | None
        ``(values [n], targets [n]) -> scalar`` of one dimension, over the n
        items that have it: ``!name:torch.nn.functional.mse_loss``,
        ``!name:speechbrain_c2ser.losses.rank_loss``; None = 1 - CCC.

    Example
    -------
    >>> head = DimensionHead(4, pick=["arousal", "valence"])
    >>> head.targets([{"vad": [1, 4, None], "vad_scale": [1, 7]}, {}])
    tensor([[0.5000, 0.0000],
            [   nan,    nan]])
    """

    training_only = ("loss",)

    def __init__(
        self,
        input_size: int,
        labels: Sequence[str] = ("valence", "arousal", "dominance"),
        key: str = "vad",
        weight: float = 1.0,
        pick: Sequence[str] | None = None,
        loss: Callable | None = None,
    ):
        super().__init__(labels if pick is None else pick, key, weight)
        self.given = [str(label) for label in labels]
        outside = [label for label in self.labels if label not in self.given]
        if outside:
            raise ValueError(
                f"pick names {', '.join(outside)}: choose of "
                f"{', '.join(self.given)}."
            )
        self.loss_function = loss
        self.scaled: bool | None = None  # whether the training rows tell it
        self.linear = nn.Linear(input_size, len(self.labels))

    def fit(self, rows: Sequence[dict]) -> None:
        """Remembers whether the numbers have a scale: all must, or none.

        Raises
        ------
        ValueError
            Where some rows' numbers have a scale, and others' have none and
            are not from 0 to 1.
        """
        rows = [row for row in rows if row.get(self.key) is not None]
        scales = {row.get(f"{self.key}_scale") is not None for row in rows}
        self.scaled = True in scales
        for row in rows:
            self.truth(row)

    def _scale_of(self, row, given):
        scale = row.get(f"{self.key}_scale")
        low, high = scale or (0.0, 1.0)
        if not low < high:
            raise ValueError(
                f"Item {row.get('id')!r}: the scale from {low} to {high} of "
                f"{self.key} is none."
            )
        numbers = [number for number in given.values() if number is not None]
        if self.scaled and not scale and any(not 0 <= n <= 1 for n in numbers):
            raise ValueError(
                f"Item {row.get('id')!r} tells no scale of its {self.key} "
                f"{numbers}, unlike others: add {self.key}_scale, such as "
                "[1, 7]."
            )
        if self.scaled is False and scale:
            raise ValueError(
                f"Item {row.get('id')!r} tells a scale of its {self.key}, and "
                f"no training item does: add {self.key}_scale to them."
            )
        return low, high

    def _numbers_of(self, row):
        """Name → number or None, as the row has them."""
        given = row[self.key]
        if isinstance(given, dict) and "vad" in given:
            given = given["vad"]
        if isinstance(given, dict) and {"best", "worst", "shown"} <= set(given):
            won = given["best"] - given["worst"]
            given = 0.5 + 0.5 * won / given["shown"]
        if isinstance(given, int | float):
            given = [given]
        if isinstance(given, dict):
            return given
        if len(given) != len(self.given):
            raise ValueError(
                f"Item {row.get('id')!r}: {self.key} has {len(given)} values, "
                f"needed are {', '.join(self.given)}."
            )
        return dict(zip(self.given, given, strict=True))

    def truth(self, row: dict) -> dict[str, float | None] | None:
        """Dimension → number, None where unknown; None where all are.

        Raises
        ------
        ValueError
            For another number of values, or a scale that is none.
        """
        if row.get(self.key) is None:
            return None
        given = self._numbers_of(row)
        low, high = self._scale_of(row, given)
        numbers = {name: given.get(name) for name in self.labels}
        if all(number is None for number in numbers.values()):
            return None
        return {
            name: None if n is None else (float(n) - low) / (high - low)
            for name, n in numbers.items()
        }

    def targets(self, rows: Sequence[dict]) -> torch.Tensor:
        """Values [B, dimensions]; NaN is missing."""
        values = torch.full((len(rows), len(self.labels)), float("nan"))
        for line, row in zip(values, rows, strict=True):
            for place, number in enumerate((self.truth(row) or {}).values()):
                if number is not None:
                    line[place] = number
        return values

    def forward(
        self,
        vector: torch.Tensor,
        frames: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Values [B, dimensions] of utterance vectors [B, C]."""
        return self.linear(vector)

    def loss(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean over dimensions, each over the items that have it."""
        output = output.float()
        output, targets = gather_targets(output, targets)
        losses = []
        for values, wanted in zip(output.T, targets.T, strict=True):
            known = ~wanted.isnan()
            if self.loss_function is None:
                losses.append(concordance_loss(values, wanted, known))
            elif known.any():
                losses.append(self.loss_function(values[known], wanted[known]))
            else:
                losses.append(values.sum() * 0.0)
        return torch.stack(losses).mean()

    def predict(self, output: torch.Tensor) -> torch.Tensor:
        """The values [B, dimensions] as they are."""
        return output.float()

    def record(self, prediction: torch.Tensor) -> dict:
        """``values``: dimension → number, of one item [dimensions]."""
        return {
            "values": dict(zip(self.labels, prediction.tolist(), strict=True))
        }
