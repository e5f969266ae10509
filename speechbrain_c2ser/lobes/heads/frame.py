"""One label for each frame: emotion diarization."""

from collections.abc import Callable, Sequence
from itertools import groupby

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.heads.base import Head
from speechbrain_c2ser.lobes.heads.track import check_rate, until_next
from speechbrain_c2ser.lobes.padding import frame_mask


@remember_arguments
class FrameHead(Head):
    """A label for every frame, from ``segments`` of a manifest row.

    Arguments
    ---------
    input_size : int
        Channels of the frames.
    labels : sequence of str
        The closed set.
    frame_rate : float
        Frames per second: ``!ref <encoder.frame_rate>`` where no network over
        frames changes it.
    key : str
        Field of the row: a list of [start (s), end (s), label].
    weight : float
        Weight of its loss.
    outside : str | None
        Label of the frames of a row that are in none of its segments; None =
        they have no label.
    loss : callable | None
        As of ``CategoryHead``, of the frames that have a label.

    Example
    -------
    >>> head = FrameHead(4, ["neutral", "sad"], frame_rate=2)
    >>> head.targets([{"segments": [[0.5, 1.5, "sad"]]}, {}])
    tensor([[-1,  1,  1],
            [-1, -1, -1]])
    """

    needs_frames = True
    training_only = ("outside", "loss")

    def __init__(
        self,
        input_size: int,
        labels: Sequence[str],
        frame_rate: float = 50.0,
        key: str = "segments",
        weight: float = 1.0,
        outside: str | None = None,
        loss: Callable | None = None,
    ):
        super().__init__(labels, key, weight)
        if outside is not None and outside not in self.labels:
            raise ValueError(
                f"outside is {outside!r}, which is none of "
                f"{', '.join(self.labels)}."
            )
        self.loss_function = loss
        self.frame_rate = frame_rate
        self.outside = outside
        self.linear = nn.Linear(input_size, len(self.labels))

    def truth(self, row: dict) -> list | None:
        """The segments; None where the row has none listed.

        Raises
        ------
        ValueError
            For a label outside the set; names the row.
        """
        segments = row.get(self.key)
        for _, _, label in segments or ():
            if label not in self.labels:
                raise ValueError(
                    f"Item {row.get('id')!r}: unknown label {label!r} in "
                    f"{self.key} (known: {', '.join(self.labels)})."
                )
        return segments

    def targets(self, rows: Sequence[dict]) -> torch.Tensor:
        """Label indices [B, T]; -1 is missing."""
        listed = [self.truth(row) for row in rows]
        ends = [end for segments in listed for _, end, _ in segments or ()]
        if self.outside is not None:
            ends += [float(row["duration"]) for row in rows]
        size = round(max(ends, default=0.0) * self.frame_rate)
        indices = torch.full((len(rows), max(size, 1)), -1)
        for line, segments in zip(indices, listed, strict=True):
            if segments is not None and self.outside is not None:
                line[:] = self.labels.index(self.outside)
            for start, end, label in segments or ():
                first, last = (round(t * self.frame_rate) for t in (start, end))
                line[first:last] = self.labels.index(label)
        return indices

    def forward(
        self, vector: torch.Tensor, frames: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Logits [B, T, labels] of frames [B, T, C]; -inf past the end."""
        logits = self.linear(frames)
        valid = frame_mask(lengths, frames.shape[1]).unsqueeze(-1)
        return logits.masked_fill(~valid, float("-inf"))

    def loss(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the labelled frames; 0 without any."""
        size = min(output.shape[1], targets.shape[1])
        logits, targets = output[:, :size], targets[:, :size]
        # a segment may end a frame after the frames do
        labelled = (targets >= 0) & logits.isfinite().all(-1)
        if not labelled.any():
            return self.linear.weight.sum() * 0.0
        logits, targets = logits[labelled].float(), targets[labelled]
        if self.loss_function is None:
            return F.cross_entropy(logits, targets)
        shares = F.one_hot(targets, len(self.labels)).float()
        return self.loss_function(logits, shares, None)

    def predict(self, output: torch.Tensor) -> torch.Tensor:
        """Probabilities [B, T, labels]; 0 past an item's end."""
        return output.float().softmax(-1).nan_to_num(0.0)

    def record(self, prediction: torch.Tensor) -> dict:
        """``segments`` of one item [T, labels]: [start, end, label]."""
        return self.join([(0.0, 0.0, prediction)])

    def join(
        self, parts: Sequence[tuple[float, float, torch.Tensor | None]]
    ) -> dict:
        """Segments of a whole recording; each window up to the next one."""
        segments = [
            [start, end, self.labels[index]]
            for start, end, index, _ in self.stretches(parts)
        ]
        return {"segments": segments}

    def stretches(
        self, parts: Sequence[tuple[float, float, torch.Tensor | None]]
    ) -> list[tuple[float, float, int, torch.Tensor]]:
        """Neighbouring frames of one label, through a whole recording.

        Arguments
        ---------
        parts : sequence of (float, float, torch.Tensor | None)
            As of ``join``.

        Returns
        -------
        list of (float, float, int, torch.Tensor)
            Start and end (s), place of the label, mean probabilities
            [labels].
        """
        joined: list[list] = []
        for offset, frames in until_next(parts, self.frame_rate):
            frames, frame = frames[frames.sum(-1) > 0], 0
            for index, same in groupby(frames.argmax(-1).tolist()):
                first, frame = frame, frame + len(list(same))
                times = (n / self.frame_rate for n in (first, frame))
                start, end = (round(offset + time, 4) for time in times)
                own = list(frames[first:frame])
                # convolutions end a frame before their window does
                if joined and start - joined[-1][1] < 1.5 / self.frame_rate:
                    start = joined[-1][1]
                    if joined[-1][2] == index:
                        joined[-1][1] = end
                        joined[-1][3] += own
                        continue
                joined.append([start, end, index, own])
        return [
            (start, end, index, torch.stack(own).mean(0))
            for start, end, index, own in joined
        ]

    def check(self, row: dict, record: dict) -> None:
        """Refuses a frame rate that the frames do not have."""
        check_rate(self.frame_rate, record["segments"][-1][1], row)
