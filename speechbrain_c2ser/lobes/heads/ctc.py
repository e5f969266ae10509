"""A category from a sequence of frames, most of which tell nothing of it."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.heads.category import CategoryHead


@remember_arguments
class CTCHead(CategoryHead):
    """A category whose place in time is not known (CTC).

    The utterance's label is a sequence of one, and a blank stands where there
    is nothing of it: the likelihood of a label is the sum over all paths of
    blanks, then this label, then blanks (Chernykh and Prikhodko 2017). Which
    label is likeliest decides; probabilities are the likelihoods' shares.

    Arguments
    ---------
    input_size : int
        Channels of the frames, such as a recurrent network's.
    labels : sequence of str
        The closed set.
    key : str | sequence of str
        Field of a row, as of ``CategoryHead``; of votes each label's loss
        weighs by its share.
    weight : float
        Weight of its loss.
    unknown : str
        What is done with a label outside the set: "error" or "missing".

    Example
    -------
    >>> head = CTCHead(4, ["angry", "sad"])
    >>> output = head(None, torch.rand(2, 5, 4), torch.tensor([5, 3]))
    >>> output.shape, bool((output < 0).all())
    (torch.Size([2, 2]), True)
    """

    needs_frames = True
    training_only = ("unknown",)

    def __init__(
        self,
        input_size: int,
        labels: Sequence[str],
        key: str | Sequence[str] = "emotion",
        weight: float = 1.0,
        unknown: str = "error",
    ):
        super().__init__(input_size, labels, key, weight, unknown=unknown)
        # in place of the layer that decides: the first score is the blank's
        self.linear = torch.nn.Linear(input_size, 1 + len(self.labels))

    def forward(
        self,
        vector: torch.Tensor | None,
        frames: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Log-likelihoods [B, labels] of frames [B, T, C]."""
        assert frames is not None and lengths is not None
        count, device = len(self.labels), frames.device
        logs = self.linear(frames).float().log_softmax(-1)  # [B, T, 1 + L]
        # every item once for each label
        logs = logs.repeat_interleave(count, 0).transpose(0, 1)
        labels = torch.arange(1, count + 1, device=device).repeat(len(frames))
        losses = F.ctc_loss(
            logs,
            labels.unsqueeze(1),
            lengths.repeat_interleave(count),
            torch.ones_like(labels),
            reduction="none",
        )
        return -losses.view(len(frames), count)

    def loss(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """CTC of log-likelihoods [B, labels] and distributions [B, labels]."""
        labelled = ~targets.isnan().any(-1)
        if not labelled.any():
            return output.sum() * 0.0
        return -(targets[labelled] * output[labelled]).sum(-1).mean()
