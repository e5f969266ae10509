"""Any number of labels for each utterance."""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.host import on_host, to_device
from speechbrain_c2ser.lobes.heads.base import Head

THRESHOLD = 0.5


@remember_arguments
class MultiLabelHead(Head):
    """Any number of labels of a set at once, such as mixed emotions.

    Arguments
    ---------
    input_size : int
        Channels of the utterance vector.
    labels : sequence of str
        The set.
    key : str
        Field of a row: a list of labels, or label → votes (> 0 is a yes).
    weight : float
        Weight of its loss.
    loss : callable | None
        ``(logits [n], targets [n]) -> scalar`` of all that is labelled; None =
        binary cross-entropy.

    Example
    -------
    >>> head = MultiLabelHead(4, ["angry", "sad"], key="votes")
    >>> head.targets([{"votes": {"sad": 2}}, {}])
    tensor([[0., 1.],
            [nan, nan]])
    """

    training_only = ("loss",)

    def __init__(
        self,
        input_size: int,
        labels: Sequence[str],
        key: str = "emotions",
        weight: float = 1.0,
        loss: Callable | None = None,
    ):
        super().__init__(labels, key, weight)
        self.loss_function = loss
        self.linear = nn.Linear(input_size, len(self.labels))

    def truth(self, row: dict) -> list[str] | None:
        """The labels; None where the row has no list.

        Raises
        ------
        ValueError
            For a label outside the set; names the row.
        """
        given = row.get(self.key)
        if given is None:
            return None
        if isinstance(given, dict):
            given = [label for label, votes in given.items() if votes > 0]
        unknown = sorted(set(given) - set(self.labels))
        if unknown:
            raise ValueError(
                f"Item {row.get('id')!r}: unknown label {unknown[0]!r} in "
                f"{self.key} (known: {', '.join(self.labels)})."
            )
        return list(given)

    def targets(self, rows: Sequence[dict]) -> torch.Tensor:
        """0 or 1 for each label [B, labels]; NaN is missing."""
        values = torch.full((len(rows), len(self.labels)), float("nan"))
        for value, row in zip(values, rows, strict=True):
            labels = self.truth(row)
            if labels is not None:
                value.zero_()
                value[[self.labels.index(label) for label in labels]] = 1.0
        return values

    def forward(
        self,
        vector: torch.Tensor,
        frames: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits [B, labels] of utterance vectors [B, C]."""
        return self.linear(vector)

    def loss(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Binary cross-entropy, or ``loss``, of what is labelled."""
        there = on_host(targets)
        labelled = ~there.isnan()
        if not labelled.any():
            return output.sum() * 0.0
        places = to_device(labelled.flatten().nonzero()[:, 0], output.device)
        function = self.loss_function or F.binary_cross_entropy_with_logits
        return function(
            output.flatten()[places].float(),
            to_device(there[labelled], output.device),
        )

    def predict(self, output: torch.Tensor) -> torch.Tensor:
        """Probability of each label on its own [B, labels]."""
        return output.float().sigmoid()

    def record(self, prediction: torch.Tensor) -> dict:
        """``labels`` that are probable, and each one's probability."""
        shares = dict(zip(self.labels, prediction.tolist(), strict=True))
        likely = [label for label, p in shares.items() if p >= THRESHOLD]
        return {"labels": likely, "each": shares}
