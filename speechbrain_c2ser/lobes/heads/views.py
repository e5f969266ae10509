"""Two encoders' views of an utterance, drawn together."""

from collections.abc import Sequence

import torch

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.heads.contrast import PairedHead


@remember_arguments
class ViewsHead(PairedHead):
    """What two encoders tell of an utterance together, of others apart.

    InfoNCE between the two parts of an utterance vector: the mean frames of
    an ``EncoderPair``, as ``MaskedMean`` pools them. Its record is both
    vectors of unit length, its figures how often the second view of a
    recording is the nearest to its first in the set, and the other way round.
    Under DDP training the items of all ranks are compared.

    Arguments
    ---------
    input_size : int
        Channels of the first view: the utterance vector begins with them.
    other_size : int
        Channels of the second view, the rest of the vector.
    weight : float
        Weight of its loss.
    output_size : int
        Channels of the space that is compared in.
    temperature : float
        Of the loss.

    Raises
    ------
    ValueError
        In ``forward``, for a vector of another size.

    Example
    -------
    >>> head = ViewsHead(4, 2, output_size=3)
    >>> head.loss(head(torch.rand(2, 6)), head.targets([{}, {}])).shape
    torch.Size([])
    """

    needs_words = False

    def __init__(
        self,
        input_size: int,
        other_size: int,
        weight: float = 1.0,
        output_size: int = 64,
        temperature: float = 0.07,
    ):
        super().__init__(
            input_size, other_size, "wav", weight, output_size, temperature
        )
        self.sizes = [input_size, other_size]

    def forward(
        self,
        vector: torch.Tensor,
        frames: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Both [B, 2, output_size], of [B, input_size + other_size]."""
        if vector.shape[1] != sum(self.sizes):
            raise ValueError(
                f"A ViewsHead of {self.sizes[0]} and {self.sizes[1]} channels "
                f"was given a vector of {vector.shape[1]}: pool the encoders' "
                "own frames by MaskedMean, with no network before the heads."
            )
        first, second = vector.split(self.sizes, 1)
        return super().forward(first, second)

    def truth(self, row: dict) -> str | None:
        """Every recording has two views."""
        return "both"

    def targets(self, rows: Sequence[dict]) -> torch.Tensor:
        """1 for every row, [B, 1]."""
        return torch.ones(len(rows), 1)

    def record(self, prediction: torch.Tensor) -> dict:
        """``first`` and ``second``: the vectors of one item [2, D]."""
        first, second = prediction.tolist()
        return {"first": first, "second": second}
