"""One label of several for each utterance."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import nn

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.host import on_host, to_device
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes.heads.base import Head
from speechbrain_c2ser.losses import soft_label_loss

logger = logging.getLogger(__name__)


@remember_arguments
class CategoryHead(Head):
    """One label of a closed set: the emotion, or another attribute.

    Its field holds a label, votes (label → count or share), or what a labeller
    gave (``{"labels": {label: share}, ...}``): all are distributions to it.
    Votes for words that mean a label of the set count for it ("excited" for
    happy, where there is no excited).

    Arguments
    ---------
    input_size : int
        Channels of the utterance vector.
    labels : sequence of str
        The closed set.
    key : str | sequence of str
        Field of a row: "emotion", "gender", "votes", "weak" ...; of several
        the first that a row has.
    weight : float
        Weight of its loss.
    label_smoothing : float
        Share of the target that is spread over all labels, by the loss that
        it has without ``loss``.
    loss : callable | None
        ``(logits [n, L], distributions [n, L], weights [L] | None) ->
        scalar`` of the n items that have a label, such as
        ``!name:speechbrain_c2ser.losses.focal_loss``.
    weigh_classes : bool
        Let every label count alike in the loss, however rare it is.
    reverse : float
        Where it is not 0, the rest of the model learns to hide the attribute:
        the gradient comes out of this head turned round, times so much (Ganin
        and Lempitsky 2015).
    unknown : str
        "error" names a row whose label is outside the set; "missing" takes it
        for a row without (the speakers of a valid set), and of votes counts
        the others.

    Example
    -------
    >>> head = CategoryHead(4, ["angry", "sad"], key="votes")
    >>> targets = head.targets([{"votes": {"sad": 3, "angry": 1}}, {}])
    >>> targets
    tensor([[0.2500, 0.7500],
            [   nan,    nan]])
    >>> head.loss(head(torch.rand(2, 4)), targets).shape
    torch.Size([])
    """

    decides = True
    training_only = (
        "label_smoothing",
        "loss",
        "weigh_classes",
        "reverse",
        "unknown",
    )

    def __init__(
        self,
        input_size: int,
        labels: Sequence[str],
        key: str | Sequence[str] = "emotion",
        weight: float = 1.0,
        label_smoothing: float = 0.0,
        loss: Callable | None = None,
        weigh_classes: bool = False,
        reverse: float = 0.0,
        unknown: str = "error",
    ):
        keys = [key] if isinstance(key, str) else list(key)
        super().__init__(labels, keys[0], weight)
        self.keys = keys
        if unknown not in ("error", "missing"):
            raise ValueError(f"unknown is error or missing, not {unknown!r}.")
        self.label_smoothing = label_smoothing
        self.loss_function = loss
        self.weigh_classes = weigh_classes
        self.reverse = reverse
        self.unknown = unknown
        self.class_weights: torch.Tensor | None = None
        self._places: dict[str, str | None] = {}  # word of a vote → label
        self.linear = nn.Linear(input_size, len(self.labels))

    def fit(self, rows: Sequence[dict]) -> None:
        """Weighs the labels by how rare they are, where that is wanted.

        Raises
        ------
        ValueError
            For a label that no training row has.
        """
        counts = self.targets(rows).nansum(0)
        outside = self._outside(rows)
        if outside:
            logger.warning(
                "The head of %s leaves out what its labels have no place for: "
                "%s.",
                self.key,
                ", ".join(f"{word} {n:g}" for word, n in outside.most_common()),
            )
        unseen = [
            label
            for label, count in zip(self.labels, counts, strict=True)
            if not count
        ]
        if unseen:
            raise ValueError(
                f"No training item has the {self.key} {', '.join(unseen)}: "
                "leave it out of the head's labels (label_names), or draw the "
                "splits anew."
            )
        if self.weigh_classes:
            self.class_weights = counts.sum() / len(counts) / counts

    def truth(self, row: dict) -> dict[str, float] | None:
        """Label → share of one row, summing to 1; None where it has none.

        Raises
        ------
        ValueError
            For a label outside the set, or a negative vote; names the row.
        """
        key = next((k for k in self.keys if row.get(k) is not None), None)
        if key is None:
            return None
        given = row[key]
        if isinstance(given, dict):
            votes = given.get("labels", given)
        else:
            votes = {given: 1.0}
        shares: dict[str, float] = {}
        for word, count in votes.items():
            if count < 0:
                raise ValueError(
                    f"Item {row.get('id')!r}: {count} {key} for {word!r}: "
                    "give counts or shares of at least 0."
                )
            label = self._label_of(word, isinstance(given, dict))
            if count and label is None and self.unknown == "error":
                raise ValueError(
                    f"Item {row.get('id')!r}: unknown {key} {word!r} "
                    f"(known: {', '.join(self.labels)})."
                )
            if count and label is not None:
                shares[label] = shares.get(label, 0.0) + float(count)
        total = sum(shares.values())
        return {name: n / total for name, n in shares.items()} or None

    def _outside(self, rows):
        """Votes, word → number, that have no place in the set."""
        outside: Counter[str] = Counter()
        for row in rows:
            given = row.get(self.key)
            if isinstance(given, dict):
                for word, count in given.get("labels", given).items():
                    if count and self._label_of(word, True) is None:
                        outside[word] += count
        return outside

    def _label_of(self, word, is_vote):
        if word in self.labels or not is_vote:
            return word if word in self.labels else None
        if word not in self._places:
            self._places[word] = LabelSpace(self.labels).map(word)
        return self._places[word]

    def targets(self, rows: Sequence[dict]) -> torch.Tensor:
        """Distributions [B, labels] of rows; NaN is missing."""
        shares = torch.full((len(rows), len(self.labels)), float("nan"))
        for line, row in zip(shares, rows, strict=True):
            truth = self.truth(row)
            if truth is not None:
                numbers = [truth.get(label, 0.0) for label in self.labels]
                line.copy_(torch.tensor(numbers))
        return shares

    def forward(
        self,
        vector: torch.Tensor,
        frames: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits [B, labels] of utterance vectors [B, C]."""
        if self.reverse:
            vector = _Reversed.apply(vector, self.reverse)
        return self.linear(vector)

    def loss(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Of logits [B, labels] and distributions [B, labels]; see ``loss``."""
        there = on_host(targets)
        labelled = (~there.isnan().any(-1)).nonzero().squeeze(1)
        if not len(labelled):
            return output.sum() * 0.0
        logits, shares = output.float(), targets
        if len(labelled) < len(there):
            logits = logits[to_device(labelled, logits.device)]
            shares = to_device(there[labelled], logits.device)
        weights = self.class_weights
        if weights is not None:
            weights = weights.to(output.device)
        if self.loss_function is None:
            return soft_label_loss(
                logits, shares, weights, self.label_smoothing
            )
        return self.loss_function(logits, shares, weights)

    def predict(self, output: torch.Tensor) -> torch.Tensor:
        """Probabilities [B, labels]."""
        return output.float().softmax(-1)

    def record(self, prediction: torch.Tensor) -> dict:
        """``label`` and ``probabilities`` of one item [labels]."""
        shares = prediction.tolist()
        return {
            "label": self.labels[shares.index(max(shares))],
            "probabilities": dict(zip(self.labels, shares, strict=True)),
        }


class _Reversed(torch.autograd.Function):
    """The same value; its gradient times -factor."""

    @staticmethod
    def forward(ctx, value, factor):
        ctx.factor = factor
        return value.view_as(value)

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.factor * gradient, None
