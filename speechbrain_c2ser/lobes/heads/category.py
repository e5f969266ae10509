"""One label of several for each utterance."""

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments


@remember_arguments
class CategoryHead(nn.Module):
    """One label of a closed set: the emotion, or another attribute.

    Arguments
    ---------
    input_size : int
        Channels of the utterance vector.
    labels : list of str
        The closed set.
    key : str
        Field of the manifest row that holds the label ("emotion", "gender").
    weight : float
        Weight of its loss.
    label_smoothing : float
        Share of the target that is spread over all labels.

    Example
    -------
    >>> head = CategoryHead(4, ["angry", "sad"])
    >>> targets = head.targets([{"emotion": "sad"}, {}])
    >>> targets
    tensor([ 1, -1])
    >>> head.loss(head(torch.rand(2, 4)), targets).shape
    torch.Size([])
    """

    def __init__(
        self, input_size, labels, key="emotion", weight=1.0, label_smoothing=0.0
    ):
        super().__init__()
        self.labels = [str(label) for label in labels]
        self.key = key
        self.weight = weight
        self.label_smoothing = label_smoothing
        self.class_weights = None
        self.linear = nn.Linear(input_size, len(self.labels))

    def weigh_classes(self, rows):
        """Let every label count alike in the loss, however rare it is.

        Arguments
        ---------
        rows : iterable of dict
            The training set's manifest rows.
        """
        targets = self.targets(list(rows))
        counts = torch.bincount(
            targets[targets >= 0], minlength=len(self.labels)
        ).float()
        present = (counts > 0).sum()
        self.class_weights = counts.sum() / present / counts.clamp_min(1)

    def targets(self, rows):
        """Label indices [B] of manifest rows; -1 is missing.

        Raises
        ------
        ValueError
            For a label outside the set; names the row.
        """
        indices = []
        for row in rows:
            label = row.get(self.key)
            if label is not None and label not in self.labels:
                raise ValueError(
                    f"Item {row.get('id')!r}: unknown {self.key} {label!r} "
                    f"(known: {', '.join(self.labels)})."
                )
            indices.append(-1 if label is None else self.labels.index(label))
        return torch.tensor(indices)

    def forward(self, vector, frames=None, lengths=None):
        """Logits [B, labels] of utterance vectors [B, C]."""
        return self.linear(vector)

    def loss(self, logits, targets):
        """Cross-entropy of the labelled items.

        Arguments
        ---------
        logits : torch.Tensor
            [B, labels].
        targets : torch.Tensor
            Indices [B], or distributions [B, labels], all zero where missing.

        Returns
        -------
        torch.Tensor
            Scalar; 0 without a labelled item.
        """
        labelled = targets >= 0 if targets.dim() == 1 else targets.sum(1) > 0
        if not labelled.any():
            return logits.sum() * 0.0
        weights = self.class_weights
        return F.cross_entropy(
            logits[labelled].float(),
            targets[labelled],
            None if weights is None else weights.to(logits.device),
            label_smoothing=self.label_smoothing,
        )

    def predict(self, logits):
        """Probabilities [B, labels]."""
        return logits.float().softmax(-1)
