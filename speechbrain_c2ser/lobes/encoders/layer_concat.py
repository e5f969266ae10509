"""Chosen layers of an encoder, side by side."""

from collections.abc import Sequence

import torch
from torch import nn

from speechbrain_c2ser.arguments import remember_arguments


@remember_arguments
class LayerConcat(nn.Module):
    """Chosen layers of an encoder along the channels; takes LayerMix's place.

    For classifiers that weigh the channels themselves. Emotion is in the
    early layers of an encoder of speech recognition, its words in the last.

    Arguments
    ---------
    input_size : int
        Channels of a layer.
    layers : list[int]
        Which, the encoder's first one being 0.

    Raises
    ------
    ValueError
        For no layer; in ``forward``, for one that the encoder does not have.

    Example
    -------
    >>> concat = LayerConcat(4, [0, 2])
    >>> concat([torch.full((1, 3, 4), float(i)) for i in range(3)])[0, 0]
    tensor([0., 0., 0., 0., 2., 2., 2., 2.])
    """

    # averages over frames can be taken before: see ``cached_kind``
    normalize = False

    def __init__(self, input_size: int, layers: Sequence[int]):
        super().__init__()
        if not layers or min(layers) < 0:
            raise ValueError(
                f"LayerConcat was given the layers {list(layers)}: name one or "
                "more, counted from 0."
            )
        self.layers = list(layers)
        self.output_size = input_size * len(self.layers)

    def check(self, number: int) -> None:
        """Refuses an encoder of too few layers, before it is run.

        Arguments
        ---------
        number : int
            Layers that the encoder lists.
        """
        if max(self.layers) >= number:
            raise ValueError(
                f"The encoder gives {number} layers, counted from 0: there is "
                f"no layer {max(self.layers)}."
            )

    def forward(self, layers: Sequence[torch.Tensor]) -> torch.Tensor:
        """Layers, each [B, T, C], to [B, T, chosen * C]."""
        self.check(len(layers))
        return torch.cat([layers[i] for i in self.layers], -1)
