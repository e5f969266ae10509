"""Named heads over one utterance vector, for labels that may be missing.

Every head knows its ``key`` in a manifest row, its ``weight`` in the sum of
losses, and which rows have no such label: these take no part in its loss.
"""

from collections.abc import Sequence

import torch
from torch import nn

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.host import to_device
from speechbrain_c2ser.lobes.heads.base import Head


@remember_arguments
class MultiHead(nn.Module):
    """Several named heads over one encoder.

    Arguments
    ---------
    heads : dict
        Name → head; None takes a head of a yaml away.

    Example
    -------
    >>> from speechbrain_c2ser.lobes import CategoryHead, DimensionHead
    >>> heads = MultiHead({
    ...     "emotion": CategoryHead(4, ["angry", "sad"]),
    ...     "vad": DimensionHead(4, weight=0.5),
    ... })
    >>> outputs = heads(torch.rand(2, 4))
    >>> rows = [{"emotion": "sad"}, {"emotion": "angry", "vad": [1, 2, 3]}]
    >>> total, parts = heads.loss(outputs, heads.targets(rows))
    >>> sorted(parts)
    ['emotion', 'vad']
    """

    def __init__(self, heads: dict):
        super().__init__()
        heads = {name: head for name, head in heads.items() if head is not None}
        if not heads:
            raise ValueError("MultiHead needs at least one head.")
        wrong = [n for n, head in heads.items() if not isinstance(head, Head)]
        if wrong:
            raise ValueError(
                f"The head {wrong[0]!r} is a {type(heads[wrong[0]]).__name__}: "
                "derive its class from speechbrain_c2ser.lobes.Head."
            )
        self.constructor_arguments = {"heads": heads}
        self.heads = nn.ModuleDict(heads)

    def __getitem__(self, name):
        return self.heads[name]

    @property
    def main(self) -> str | None:
        """Name of the head that decides on a label: emotion, or the first."""
        names = [name for name, head in self.heads.items() if head.decides]
        return "emotion" if "emotion" in names else next(iter(names), None)

    @property
    def needs_frames(self) -> bool:
        """Whether any head takes frames."""
        return any(head.needs_frames for head in self.heads.values())

    @property
    def needs_words(self) -> bool:
        """Whether any head takes voice and words."""
        return any(head.needs_words for head in self.heads.values())

    def fit(self, rows: Sequence[dict]) -> None:
        """Lets each head take what its loss needs from the training rows.

        Raises
        ------
        ValueError
            For a head that no row has a target for, and what a head refuses.
        """
        for name in self.without_target(rows):
            head = self.heads[name]
            raise ValueError(
                f"No training item has a target for the head {name!r} (field "
                f"{head.key!r}): leave the head out, or label some."
            )
        for head in self.heads.values():
            head.fit(rows)

    def without_target(self, rows: Sequence[dict]) -> list[str]:
        """Names of the heads that no row has a target for.

        Every row's targets are looked at, so what a head refuses is told.
        """
        return [
            name
            for name, head in self.heads.items()
            if not sum(head.truth(row) is not None for row in rows)
        ]

    def forward(
        self,
        vector: torch.Tensor,
        frames: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
        streams: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Every head's output.

        Arguments
        ---------
        vector : torch.Tensor
            Utterance vectors [B, C].
        frames : torch.Tensor | None
            [B, T, C], for heads over frames.
        lengths : torch.Tensor | None
            Valid frames [B].
        streams : tuple of torch.Tensor | None
            Means of the voice [B, C] and the words [B, W], for heads over
            both.

        Returns
        -------
        dict
            Name → output, before softmax or sigmoid.
        """
        return {
            name: head(*streams)
            if head.needs_words and streams
            else head(vector, frames, lengths)
            for name, head in self.heads.items()
        }

    def targets(self, rows: Sequence[dict]) -> dict[str, torch.Tensor]:
        """Name → targets of manifest rows, missing ones marked."""
        return {n: h.targets(rows) for n, h in self.heads.items()}

    def loss(
        self,
        outputs: dict[str, torch.Tensor],
        targets: dict[str, torch.Tensor],
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Weighted sum of the heads' losses.

        Returns
        -------
        total : torch.Tensor
            Scalar.
        parts : dict
            Name → unweighted loss.
        """
        parts = {
            name: head.loss(
                outputs[name], to_device(targets[name], outputs[name].device)
            )
            for name, head in self.heads.items()
        }
        total = sum(self.heads[name].weight * parts[name] for name in parts)
        return total, parts

    def predict(
        self, outputs: dict[str, torch.Tensor], temperature: float = 1.0
    ) -> dict[str, torch.Tensor]:
        """Name → probabilities or values.

        Arguments
        ---------
        outputs : dict
            Name → output of :meth:`forward`.
        temperature : float
            Of the probabilities of the ``main`` head.
        """
        found = {n: h.predict(outputs[n]) for n, h in self.heads.items()}
        if temperature != 1 and self.main is not None:
            scores = found[self.main].clamp_min(1e-12).log() / temperature
            found[self.main] = scores.softmax(-1)
        return found

    def records(self, predictions: dict[str, torch.Tensor]) -> list[dict]:
        """Of each item: name → the head's prediction as JSON."""
        named = {
            name: [self.heads[name].record(one) for one in batch.cpu()]
            for name, batch in predictions.items()
        }
        return [
            dict(zip(named, item, strict=True))
            for item in zip(*named.values(), strict=True)
        ]

    def figures(
        self, rows: Sequence[dict], records: Sequence[dict]
    ) -> dict[str, float]:
        """Figures of a whole set: "vad_ccc", of the head "emotion" just "ua".

        Arguments
        ---------
        rows : sequence of dict
            Manifest rows.
        records : sequence of dict
            Of :meth:`records`, one for each row.

        Returns
        -------
        dict
            Name of the head and the figure → number.
        """
        return {
            figure if name == "emotion" else f"{name}_{figure}": value
            for name, head in self.heads.items()
            for figure, value in head.figures(
                rows, [record[name] for record in records]
            ).items()
        }
