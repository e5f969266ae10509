"""Heads that place utterances by likeness: contrast beside other tasks."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.evaluation.metrics.category import majority
from speechbrain_c2ser.lobes.heads.base import Head
from speechbrain_c2ser.lobes.heads.category import CategoryHead
from speechbrain_c2ser.lobes.heads.dimension import DimensionHead
from speechbrain_c2ser.losses import (
    anchor_loss,
    gather_rows,
    info_nce,
    rank_contrast_loss,
    supervised_contrast,
)


class _Placing(Head):
    """What places utterances in a space: in place of the layer that decides,
    a projection into it."""

    def _place_in(self, input_size, output_size):
        del self.linear
        self.project = _projection(input_size, output_size)

    def forward(
        self,
        vector: torch.Tensor,
        frames: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Vectors [B, output_size] of utterance vectors [B, C]."""
        return self.project(vector)

    def predict(self, output: torch.Tensor) -> torch.Tensor:
        """Vectors [B, D] of unit length."""
        return F.normalize(output.float(), dim=-1)

    def record(self, prediction: torch.Tensor) -> dict:
        """``vector``, of one item [D]."""
        return {"vector": prediction.tolist()}


@remember_arguments
class ContrastHead(_Placing, CategoryHead):
    """Utterances of one label together, others apart; no decision.

    Its record is a vector of unit length; its figure, how often the nearest
    other utterance of the set has the same label (mean over labels). Under
    DDP training the items of all ranks are compared.

    Arguments
    ---------
    input_size : int
        Channels of the utterance vector.
    labels : sequence of str
        The closed set.
    key : str
        Field of a row, as of ``CategoryHead``: a label, or votes, whose
        majority counts; a row without one takes no part.
    weight : float
        Weight of its loss.
    output_size : int
        Channels of the space that is compared in.
    loss : callable | None
        ``(vectors [N, D], labels [N]) -> scalar``, such as
        ``!name:speechbrain_c2ser.losses.margin_loss``; None = supervised
        contrast.
    unknown : str
        What is done with a label outside the set: "error" or "missing".

    Example
    -------
    >>> head = ContrastHead(4, ["angry", "sad"], output_size=3)
    >>> targets = head.targets([{"emotion": "sad"}, {"emotion": "sad"}])
    >>> head.loss(head(torch.rand(2, 4)), targets)
    tensor(0., grad_fn=<MeanBackward0>)
    """

    decides = False
    training_only = ("loss", "unknown")

    def __init__(
        self,
        input_size: int,
        labels: Sequence[str],
        key: str = "emotion",
        weight: float = 1.0,
        output_size: int = 64,
        loss: Callable | None = None,
        unknown: str = "error",
    ):
        super().__init__(
            input_size, labels, key, weight, loss=loss, unknown=unknown
        )
        self._place_in(input_size, output_size)

    def loss(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Of vectors [B, D] and distributions [B, labels]; see ``loss``."""
        vectors, labels = self._labelled(output, targets)
        function = self.loss_function or supervised_contrast
        return function(vectors, labels) if len(labels) else output.sum() * 0.0

    def _labelled(self, output, targets):
        """Vectors and label indices of all ranks' items that have a label."""
        vectors, shares = _of_all_ranks(output, targets)
        # A mixture of two labels (mixup) has none.
        most, labels = shares.nan_to_num(0.0).max(-1)
        known = most > 0.5
        return vectors[known], labels[known]

    def truth(self, row: dict) -> dict[str, float] | None:
        """{label: 1} of the label that most votes name; None without one."""
        shares = super().truth(row)
        label = None if shares is None else majority(shares)
        return None if label is None else {label: 1.0}


@remember_arguments
class AnchorHead(ContrastHead):
    """A learned anchor a label; the nearest one decides.

    Trained by supervised contrast in which the anchors take part (Yu et al.
    2024).

    Arguments
    ---------
    input_size : int
        Channels of the utterance vector.
    labels : sequence of str
        The closed set.
    key : str
        Field of a row, as of ``ContrastHead``.
    weight : float
        Weight of its loss.
    output_size : int
        Channels of the space that is compared in.
    temperature : float
        Divides the cosines, in the loss and in the probabilities.
    angle : float
        Weight of what keeps the anchors apart.
    unknown : str
        What is done with a label outside the set: "error" or "missing".

    Example
    -------
    >>> head = AnchorHead(4, ["angry", "sad"], output_size=3)
    >>> head.predict(head(torch.rand(2, 4))).sum(1).round(decimals=3)
    tensor([1., 1.], grad_fn=<RoundBackward1>)
    """

    decides = True
    training_only = ("angle", "unknown")

    def __init__(
        self,
        input_size: int,
        labels: Sequence[str],
        key: str = "emotion",
        weight: float = 1.0,
        output_size: int = 64,
        temperature: float = 0.1,
        angle: float = 0.1,
        unknown: str = "error",
    ):
        super().__init__(
            input_size, labels, key, weight, output_size, None, unknown
        )
        self.temperature, self.angle = temperature, angle
        self.anchors = nn.Parameter(torch.randn(len(self.labels), output_size))

    def loss(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Of vectors [B, D] and distributions [B, labels]."""
        vectors, labels = self._labelled(output, targets)
        if not len(labels):
            return output.sum() * 0.0 + self.anchors.sum() * 0.0
        return anchor_loss(
            vectors, labels, self.anchors, self.temperature, self.angle
        )

    def predict(self, output: torch.Tensor) -> torch.Tensor:
        """Probabilities [B, labels]: softmax of the cosines to the anchors."""
        rows = F.normalize(output.float(), dim=-1)
        anchors = F.normalize(self.anchors.float(), dim=-1)
        return (rows @ anchors.t() / self.temperature).softmax(-1)

    def record(self, prediction: torch.Tensor) -> dict:
        """``label`` and ``probabilities`` of one item [labels]."""
        return CategoryHead.record(self, prediction)


@remember_arguments
class RankContrastHead(_Placing, DimensionHead):
    """Utterances as far apart as their valence, arousal ... are.

    Rank-N-Contrast (Zha et al. 2023; with valence and arousal, EmotionRankCLAP
    2025). Its record is a vector of unit length; its figure, the rank
    correlation of distances with those of the values. Under DDP training the
    items of all ranks are compared.

    Arguments
    ---------
    input_size : int
        Channels of the utterance vector.
    labels : sequence of str
        Names of the numbers, in the order of the row's list.
    key : str
        Field of a row, as of ``DimensionHead``.
    weight : float
        Weight of its loss.
    pick : sequence of str | None
        The numbers that count; None = all. A row that lacks one takes no
        part.
    output_size : int
        Channels of the space that is compared in.
    temperature : float
        Of the loss.

    Example
    -------
    >>> head = RankContrastHead(4, pick=["valence", "arousal"], output_size=3)
    >>> rows = [{"vad": [v, 0.5, None]} for v in (0.0, 0.5, 1.0)]
    >>> head.loss(head(torch.rand(3, 4)), head.targets(rows)).shape
    torch.Size([])
    """

    training_only = ("temperature",)

    def __init__(
        self,
        input_size: int,
        labels: Sequence[str] = ("valence", "arousal", "dominance"),
        key: str = "vad",
        weight: float = 1.0,
        pick: Sequence[str] | None = None,
        output_size: int = 64,
        temperature: float = 0.5,
    ):
        super().__init__(input_size, labels, key, weight, pick)
        self._place_in(input_size, output_size)
        self.loss_function = partial(
            rank_contrast_loss, temperature=temperature
        )

    def loss(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Of vectors [B, D] and values [B, dimensions]."""
        vectors, values = _of_all_ranks(output, targets)
        known = ~values.isnan().any(-1)
        return self.loss_function(vectors[known], values[known])

    def truth(self, row: dict) -> dict[str, float | None] | None:
        """Dimension → number; None where one is unknown."""
        values = super().truth(row)
        return None if values is None or None in values.values() else values


@remember_arguments
class PairedHead(Head):
    """An utterance's voice and words together, those of others apart.

    InfoNCE between the mean of the frames, before any fusion, and the mean of
    the words (CLAP; modality-pairwise contrast). Its record is both vectors,
    its figures how often the right words are the nearest to a voice of the
    set, and the other way round. Under DDP training the items of all ranks
    are compared.

    Arguments
    ---------
    input_size : int
        Channels of the frames that are pooled.
    other_size : int
        Channels of the text encoder.
    key : str
        Field of the words that the text encoder reads; a row without takes
        no part.
    weight : float
        Weight of its loss.
    output_size : int
        Channels of the space that is compared in.
    temperature : float
        Of the loss.

    Example
    -------
    >>> head = PairedHead(4, 2, output_size=3)
    >>> targets = head.targets([{"transcript": "oh"}, {"transcript": "no"}])
    >>> head.loss(head(torch.rand(2, 4), torch.rand(2, 2)), targets).shape
    torch.Size([])
    """

    needs_words = True
    training_only = ("temperature",)

    def __init__(
        self,
        input_size: int,
        other_size: int,
        key: str = "transcript",
        weight: float = 1.0,
        output_size: int = 64,
        temperature: float = 0.07,
    ):
        super().__init__(["voice", "words"], key, weight)
        self.temperature = temperature
        self.voice = _projection(input_size, output_size)
        self.words = _projection(other_size, output_size)

    def forward(self, voice: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Both [B, 2, output_size], of [B, input_size] and [B, other_size]."""
        return torch.stack([self.voice(voice), self.words(words)], 1)

    def truth(self, row: dict) -> str | None:
        """The words; None without."""
        return str(row.get(self.key) or "").strip() or None

    def targets(self, rows: Sequence[dict]) -> torch.Tensor:
        """1 where there are words, [B, 1]; NaN is missing."""
        known = [1.0 if self.truth(row) else float("nan") for row in rows]
        return torch.tensor(known).unsqueeze(1)

    def loss(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """InfoNCE of pairs [B, 2, D] that have words."""
        both, known = _of_all_ranks(output.flatten(1), targets)
        both = both[~known.isnan().any(-1)].unflatten(1, (2, -1))
        if len(both) < 2:
            return output.sum() * 0.0
        return info_nce(both[:, 0], both[:, 1], self.temperature)

    def predict(self, output: torch.Tensor) -> torch.Tensor:
        """Pairs [B, 2, D] of unit vectors."""
        return F.normalize(output.float(), dim=-1)

    def record(self, prediction: torch.Tensor) -> dict:
        """``voice`` and ``words``: the vectors of one item [2, D]."""
        voice, words = prediction.tolist()
        return {"voice": voice, "words": words}


def _projection(input_size, output_size):
    return nn.Sequential(
        nn.Linear(input_size, input_size),
        nn.ReLU(),
        nn.Linear(input_size, output_size),
    )


def _of_all_ranks(vectors, targets):
    """Vectors and targets of all ranks, while gradients are taken."""
    targets = targets.to(vectors.device)
    if not torch.is_grad_enabled():
        return vectors, targets
    size = vectors.shape[1]
    both = torch.cat([vectors.float(), targets.float()], 1)
    nothing = torch.zeros(len(both), dtype=torch.long, device=both.device)
    both, _ = gather_rows(both, nothing)
    return both[:, :size], both[:, size:].detach()
