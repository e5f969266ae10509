"""Heads on top of an encoder's frames."""

import torch
from torch import nn

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.lengths import frame_mask


def masked_mean(frames, lengths):
    """Mean over the valid frames of each item.

    Arguments
    ---------
    frames : torch.Tensor
        [B, T, C].
    lengths : torch.Tensor
        Valid frames of each item, [B].

    Returns
    -------
    torch.Tensor
        [B, C].

    Example
    -------
    >>> masked_mean(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([2]))
    tensor([[2.]])
    """
    valid = frame_mask(lengths, frames.shape[1]).unsqueeze(-1)
    return (frames * valid).sum(1) / lengths.unsqueeze(1)


@remember_arguments
class MeanPoolClassifier(nn.Module):
    """Mean over frames, then one linear layer: the head of emotion2vec+.

    Arguments
    ---------
    input_size : int
        Channels of the frames.
    labels : list of str
        Label of each output. Outputs whose label starts with "unuse" never
        win: their logit is -inf.

    Example
    -------
    >>> head = MeanPoolClassifier(4, ["angry", "unuse_0", "sad"])
    >>> logits = head(torch.rand(2, 5, 4), torch.tensor([5, 3]))
    >>> logits.shape, head.used
    (torch.Size([2, 3]), [0, 2])
    """

    def __init__(self, input_size, labels):
        super().__init__()
        self.labels = list(labels)
        self.used = [
            i
            for i, label in enumerate(self.labels)
            if not label.startswith("unuse")
        ]
        if not self.used:
            raise ValueError(
                "No label is left: every one of them starts with 'unuse'."
            )
        self.linear = nn.Linear(input_size, len(self.labels))

    def forward(self, frames, lengths):
        """Computes the logits.

        Arguments
        ---------
        frames : torch.Tensor
            [B, T, C].
        lengths : torch.Tensor
            Valid frames of each item, [B].

        Returns
        -------
        torch.Tensor
            [B, labels], -inf for unused labels.
        """
        logits = self.linear(masked_mean(frames, lengths))
        unused = torch.ones(
            len(self.labels), dtype=torch.bool, device=logits.device
        )
        unused[self.used] = False
        return logits.masked_fill(unused, float("-inf"))
