"""Numbers for every frame: valence and arousal as they change."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.heads.base import Head
from speechbrain_c2ser.lobes.padding import frame_mask
from speechbrain_c2ser.losses import concordance_loss, gather_targets


@remember_arguments
class TrackHead(Head):
    """Dimensions as tracks over time, trained by the CCC of all frames.

    Where a row tells the scale of its numbers (``tracks_scale: [-1, 1]`` for
    the key ``tracks``), they become 0 to 1.

    Arguments
    ---------
    input_size : int
        Channels of the frames.
    labels : sequence of str
        Names of the dimensions.
    frame_rate : float
        Frames per second: ``!ref <encoder.frame_rate>`` where no network over
        frames changes it.
    key : str
        Field of the row: ``{"rate": 25.0, "valence": [0.1, ...], ...}``,
        numbers per second from 0 s on; a dimension may be missing.
    weight : float
        Weight of its loss.

    Example
    -------
    >>> head = TrackHead(4, ["valence"], frame_rate=2)
    >>> rows = [{"tracks": {"rate": 1.0, "valence": [0.0, 1.0]}}, {}]
    >>> head.targets(rows)[..., 0]
    tensor([[0.0000, 0.5000, 1.0000],
            [   nan,    nan,    nan]])
    """

    needs_frames = True

    def __init__(
        self,
        input_size: int,
        labels: Sequence[str] = ("valence", "arousal"),
        frame_rate: float = 50.0,
        key: str = "tracks",
        weight: float = 1.0,
    ):
        super().__init__(labels, key, weight)
        self.frame_rate = frame_rate
        self.linear = nn.Linear(input_size, len(self.labels))

    def truth(self, row: dict) -> dict | None:
        """``rate`` and ``tracks`` (dimension → numbers); None without any.

        Raises
        ------
        ValueError
            For tracks without a rate, or a scale that is none.
        """
        given = row.get(self.key)
        if given is None:
            return None
        rate = given.get("rate")
        low, high = row.get(f"{self.key}_scale") or (0.0, 1.0)
        if not isinstance(rate, int | float) or rate <= 0 or not low < high:
            raise ValueError(
                f"Item {row.get('id')!r}: {self.key} needs a rate above 0 "
                "(numbers per second), and a scale from low to high."
            )
        tracks = {
            label: [(float(n) - low) / (high - low) for n in given[label]]
            for label in self.labels
            if given.get(label)
        }
        return {"rate": float(rate), "tracks": tracks} if tracks else None

    def targets(self, rows: Sequence[dict]) -> torch.Tensor:
        """Numbers [B, T, dimensions]; NaN is missing."""
        lines = []
        for row in rows:
            truth = self.truth(row) or {"rate": 1.0, "tracks": {}}
            size = max(map(len, truth["tracks"].values()), default=0)
            last = (size - 1) / truth["rate"]
            times = np.arange(round(max(last, 0) * self.frame_rate) + 1)
            line = torch.full((len(times), len(self.labels)), float("nan"))
            for place, label in enumerate(self.labels):
                numbers = truth["tracks"].get(label)
                if numbers:
                    known = np.arange(len(numbers)) / truth["rate"]
                    values = np.interp(times / self.frame_rate, known, numbers)
                    line[:, place] = torch.from_numpy(values)
            lines.append(line)
        return nn.utils.rnn.pad_sequence(
            lines, batch_first=True, padding_value=float("nan")
        )

    def forward(
        self, vector: torch.Tensor, frames: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Numbers [B, T, dimensions] of frames [B, T, C]; NaN past the end."""
        valid = frame_mask(lengths, frames.shape[1]).unsqueeze(-1)
        return self.linear(frames).masked_fill(~valid, float("nan"))

    def loss(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """1 - CCC over all labelled frames, mean over dimensions."""
        size = min(output.shape[1], targets.shape[1])
        output = output[:, :size].flatten(0, 1).float()  # [B T, dimensions]
        targets = targets[:, :size].flatten(0, 1)
        valid = ~output.isnan().any(-1)
        output, targets = output[valid], targets[valid]
        output, targets = gather_targets(output, targets)
        losses = [
            concordance_loss(values, wanted, ~wanted.isnan())
            for values, wanted in zip(output.T, targets.T, strict=True)
        ]
        return torch.stack(losses).mean()

    def predict(self, output: torch.Tensor) -> torch.Tensor:
        """The numbers [B, T, dimensions]; NaN past an item's end."""
        return output.float()

    def record(self, prediction: torch.Tensor) -> dict:
        """``tracks`` (dimension → numbers) and ``rate`` of one item [T, D]."""
        valid = prediction[~prediction.isnan().any(-1)]
        tracks = {
            label: [round(n, 4) for n in numbers]
            for label, numbers in zip(
                self.labels, valid.T.tolist(), strict=True
            )
        }
        return {"rate": float(self.frame_rate), "tracks": tracks}

    def join(
        self, parts: Sequence[tuple[float, float, torch.Tensor | None]]
    ) -> dict:
        """Tracks of a whole recording; straight lines over silent windows."""
        times, values = [], []
        for start, frames in until_next(parts, self.frame_rate):
            frames = frames[~frames.isnan().any(-1)]
            times += [start + i / self.frame_rate for i in range(len(frames))]
            values += frames.tolist()
        size = round(times[-1] * self.frame_rate) + 1
        whole = np.arange(size) / self.frame_rate
        columns = [np.interp(whole, times, own) for own in np.array(values).T]
        return self.record(torch.from_numpy(np.stack(columns, 1)).float())

    def check(self, row: dict, record: dict) -> None:
        """Refuses a frame rate that the frames do not have."""
        size = len(record["tracks"][self.labels[0]])
        check_rate(self.frame_rate, size / self.frame_rate, row)


def until_next(
    parts: Sequence[tuple[float, float, torch.Tensor | None]], frame_rate: float
) -> Iterator[tuple[float, torch.Tensor]]:
    """Windows' frames, each up to where the next window starts.

    Arguments
    ---------
    parts : sequence of (float, float, torch.Tensor | None)
        Start and stop of each window (s), and its frames [T, ...]; None where
        it is silent.
    frame_rate : float
        Frames per second.

    Yields
    ------
    (float, torch.Tensor)
        Start (s) and frames.

    Example
    -------
    >>> parts = [(0.0, 1.0, torch.zeros(4, 1)), (0.5, 1.5, torch.zeros(4, 1))]
    >>> [len(frames) for _, frames in until_next(parts, 4.0)]
    [2, 4]
    """
    starts = [start for start, *_ in parts]
    for (start, _, frames), after in zip(
        parts, [*starts[1:], None], strict=True
    ):
        if frames is not None:
            size = None
            if after is not None:
                size = round((after - start) * frame_rate)
            yield start, frames[:size]


def check_rate(frame_rate: float, end: float, row: dict) -> None:
    """Refuse a frame rate under which frames end elsewhere than the audio.

    Arguments
    ---------
    frame_rate : float
        Frames per second.
    end : float
        Where the last frame ends by it (s).
    row : dict
        A manifest row, with the true ``duration``.

    Raises
    ------
    ValueError
        Says which rate would fit.

    Example
    -------
    >>> check_rate(50.0, 1.02, {"id": "a", "duration": 1.0})
    """
    seconds = float(row["duration"])
    if abs(end - seconds) > max(0.2 * seconds, 4 / frame_rate):
        raise ValueError(
            f"The frames of item {row.get('id')!r} end at {end:.2f} s of "
            f"{seconds:.2f} s: frame_rate is {frame_rate}, but should be "
            f"about {frame_rate * end / seconds:.0f}."
        )
