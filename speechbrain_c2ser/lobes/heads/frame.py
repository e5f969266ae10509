"""One label for each frame: emotion diarization."""

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.padding import frame_mask


@remember_arguments
class FrameHead(nn.Module):
    """A label for every frame, from ``segments`` of a manifest row.

    Arguments
    ---------
    input_size : int
        Channels of the frames.
    labels : list of str
        The closed set.
    frame_rate : float
        Frames per second.
    key : str
        Field of the row: a list of [start (s), end (s), label]. Frames
        outside all segments have no label.
    weight : float
        Weight of its loss.

    Example
    -------
    >>> head = FrameHead(4, ["neutral", "sad"], frame_rate=2)
    >>> head.targets([{"segments": [[0.5, 1.5, "sad"]]}, {}])
    tensor([[-1,  1,  1],
            [-1, -1, -1]])
    """

    def __init__(
        self, input_size, labels, frame_rate=50.0, key="segments", weight=1.0
    ):
        super().__init__()
        self.labels = [str(label) for label in labels]
        self.frame_rate = frame_rate
        self.key = key
        self.weight = weight
        self.linear = nn.Linear(input_size, len(self.labels))

    def targets(self, rows):
        """Label indices [B, T] up to the last segment's end; -1 is missing."""
        segments = [row.get(self.key) or [] for row in rows]
        ends = [end for listed in segments for _, end, _ in listed]
        size = round(max(ends, default=1 / self.frame_rate) * self.frame_rate)
        indices = torch.full((len(rows), max(size, 1)), -1)
        for line, listed, row in zip(indices, segments, rows, strict=True):
            for start, end, label in listed:
                if label not in self.labels:
                    raise ValueError(
                        f"Item {row.get('id')!r}: unknown label {label!r} in "
                        f"{self.key} (known: {', '.join(self.labels)})."
                    )
                first, last = (round(t * self.frame_rate) for t in (start, end))
                line[first:last] = self.labels.index(label)
        return indices

    def forward(self, vector, frames, lengths):
        """Logits [B, T, labels] of frames [B, T, C]; -inf past the end."""
        logits = self.linear(frames)
        valid = frame_mask(lengths, frames.shape[1]).unsqueeze(-1)
        return logits.masked_fill(~valid, float("-inf"))

    def loss(self, logits, targets):
        """Cross-entropy of the labelled frames; 0 without any."""
        size = min(logits.shape[1], targets.shape[1])
        logits, targets = logits[:, :size], targets[:, :size]
        # a segment may end a frame after the frames do
        labelled = (targets >= 0) & logits.isfinite().all(-1)
        if not labelled.any():
            return self.linear.weight.sum() * 0.0
        return F.cross_entropy(logits[labelled].float(), targets[labelled])

    def predict(self, logits):
        """Probabilities [B, T, labels]; 0 past an item's end."""
        return logits.float().softmax(-1).nan_to_num(0.0)
