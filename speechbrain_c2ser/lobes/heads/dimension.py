"""Continuous dimensions of emotion, such as valence."""

import torch
from torch import nn

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.losses import concordance_loss


@remember_arguments
class DimensionHead(nn.Module):
    """Numbers such as valence, arousal and dominance, trained by their CCC.

    Arguments
    ---------
    input_size : int
        Channels of the utterance vector.
    labels : list of str
        Names of the dimensions, in the order of the row's list.
    key : str
        Field of the manifest row: a list of numbers, None where unknown.
    weight : float
        Weight of its loss.

    Example
    -------
    >>> head = DimensionHead(4)
    >>> head.targets([{"vad": [1, 2, None]}, {}])
    tensor([[1., 2., nan],
            [nan, nan, nan]])
    """

    def __init__(
        self,
        input_size,
        labels=("valence", "arousal", "dominance"),
        key="vad",
        weight=1.0,
    ):
        super().__init__()
        self.labels = list(labels)
        self.key = key
        self.weight = weight
        self.linear = nn.Linear(input_size, len(self.labels))

    def targets(self, rows):
        """Values [B, dimensions]; NaN is missing."""
        values = torch.full((len(rows), len(self.labels)), float("nan"))
        for value, row in zip(values, rows, strict=True):
            given = row.get(self.key)
            if given is None:
                continue
            if len(given) != len(self.labels):
                raise ValueError(
                    f"Item {row.get('id')!r}: {self.key} has {len(given)} "
                    f"values, needed are {', '.join(self.labels)}."
                )
            for place, number in enumerate(given):
                if number is not None:
                    value[place] = float(number)
        return values

    def forward(self, vector, frames=None, lengths=None):
        """Values [B, dimensions] of utterance vectors [B, C]."""
        return self.linear(vector)

    def loss(self, values, targets):
        """1 - CCC, mean over dimensions, over the items that have them."""
        losses = [
            concordance_loss(
                values[:, i], targets[:, i], ~targets[:, i].isnan()
            )
            for i in range(len(self.labels))
        ]
        return torch.stack(losses).mean()

    def predict(self, values):
        """The values [B, dimensions] as they are."""
        return values.float()
