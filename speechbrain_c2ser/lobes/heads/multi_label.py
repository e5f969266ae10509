"""Any number of labels for each utterance."""

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments


@remember_arguments
class MultiLabelHead(nn.Module):
    """Any number of labels of a set at once, such as mixed emotions.

    Arguments
    ---------
    input_size : int
        Channels of the utterance vector.
    labels : list of str
        The set.
    key : str
        Field of the manifest row: a list of labels, or label → votes (> 0
        is a yes).
    weight : float
        Weight of its loss.

    Example
    -------
    >>> head = MultiLabelHead(4, ["angry", "sad"], key="votes")
    >>> head.targets([{"votes": {"sad": 2}}, {}])
    tensor([[0., 1.],
            [nan, nan]])
    """

    def __init__(self, input_size, labels, key="emotions", weight=1.0):
        super().__init__()
        self.labels = [str(label) for label in labels]
        self.key = key
        self.weight = weight
        self.linear = nn.Linear(input_size, len(self.labels))

    def targets(self, rows):
        """0 or 1 for each label [B, labels]; NaN is missing."""
        values = torch.full((len(rows), len(self.labels)), float("nan"))
        for value, row in zip(values, rows, strict=True):
            given = row.get(self.key)
            if given is None:
                continue
            if isinstance(given, dict):
                given = [label for label, votes in given.items() if votes > 0]
            unknown = sorted(set(given) - set(self.labels))
            if unknown:
                raise ValueError(
                    f"Item {row.get('id')!r}: unknown label {unknown[0]!r} in "
                    f"{self.key} (known: {', '.join(self.labels)})."
                )
            value.zero_()
            value[[self.labels.index(label) for label in given]] = 1.0
        return values

    def forward(self, vector, frames=None, lengths=None):
        """Logits [B, labels] of utterance vectors [B, C]."""
        return self.linear(vector)

    def loss(self, logits, targets):
        """Binary cross-entropy of what is labelled; 0 without any."""
        labelled = ~targets.isnan()
        if not labelled.any():
            return logits.sum() * 0.0
        return F.binary_cross_entropy_with_logits(
            logits[labelled].float(), targets[labelled]
        )

    def predict(self, logits):
        """Probability of each label on its own [B, labels]."""
        return logits.float().sigmoid()
