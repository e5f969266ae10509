"""Layers of an encoder under learned weights, or one of them."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.encoders.features import (
    SpeechEncoder,
    SpeechFeatures,
    WrappedEncoder,
)


@remember_arguments
class LayerMix(nn.Module):
    """Softmax-weighted sum of layers (ELMo; SUPERB's probes).

    The weights start equal; weights and sum are float32 under autocast too.

    Arguments
    ---------
    num_layers : int
        Layers that the encoder gives.
    normalize : bool
        Layer-norm every frame of every layer first (without parameters), so
        that loud layers do not outweigh quiet ones.

    Raises
    ------
    ValueError
        In ``forward``, for another number of layers.

    Example
    -------
    >>> mix = LayerMix(2)
    >>> mix([torch.zeros(1, 3, 4), torch.ones(1, 3, 4)])[0, 0]
    tensor([0.5000, 0.5000, 0.5000, 0.5000], grad_fn=<SelectBackward0>)
    """

    def __init__(self, num_layers: int, normalize: bool = False):
        super().__init__()
        self.normalize = normalize
        self.scores = nn.Parameter(torch.zeros(num_layers))

    def check(self, number: int) -> None:
        """Refuses an encoder of another number of layers, before it is run.

        Arguments
        ---------
        number : int
            Layers that the encoder lists.
        """
        if number != len(self.scores):
            raise ValueError(
                f"The encoder gives {number} layers, LayerMix was built for "
                f"{len(self.scores)}: set its num_layers."
            )

    def forward(self, layers: Sequence[torch.Tensor]) -> torch.Tensor:
        """Mixes layers.

        Arguments
        ---------
        layers : Sequence[torch.Tensor]
            Each [B, T, C].

        Returns
        -------
        torch.Tensor
            [B, T, C], in the layers' type.
        """
        self.check(len(layers))
        mixed = 0.0
        for weight, layer in zip(
            self.scores.float().softmax(0), layers, strict=True
        ):
            layer = layer.float()
            if self.normalize:
                layer = F.layer_norm(layer, layer.shape[-1:])
            mixed = mixed + weight * layer
        return mixed.to(layers[-1].dtype)


@remember_arguments
class MixedLayers(WrappedEncoder):
    """An encoder whose frames are a learned mix of its layers, or one layer.

    The last layer is rarely the one that carries most emotion. Everything
    else is the encoder's: lengths, utterance tokens, and whether it is frozen
    (the mix is trained in any case). Where the encoder is trained, what is
    above the layers that count has no gradient: DDP then needs
    ``find_unused_parameters``.

    Arguments
    ---------
    encoder : SpeechEncoder
        Any; its class says which layers it lists.
    layer : int | None
        The layer whose frames are taken, from 0 or, as -1, from the last one;
        None: a :class:`LayerMix` of all.
    normalize : bool
        As in ``LayerMix``.

    Raises
    ------
    ValueError
        For a layer that the encoder does not have.

    Example
    -------
    >>> from speechbrain_c2ser.lobes import WhisperEncoder
    >>> encoder = MixedLayers(WhisperEncoder(
    ...     num_layers=2, size=16, num_heads=2, ffn_size=32
    ... ))
    >>> encoder.extract(torch.rand(2, 8000)).frames.shape
    torch.Size([2, 25, 16])
    """

    def __init__(
        self,
        encoder: SpeechEncoder,
        layer: int | None = None,
        normalize: bool = False,
    ):
        super().__init__(encoder)
        number = encoder.num_layers
        if layer is not None and not -number <= layer < number:
            raise ValueError(
                f"layer is {layer}, but a {type(encoder).__name__} has "
                f"{number}: give one of 0 to {number - 1}, or null for a mix."
            )
        self.layer = layer
        self.mix = LayerMix(number, normalize) if layer is None else None

    def extract(
        self,
        wavs: torch.Tensor,
        wav_lens: torch.Tensor | None = None,
        all_layers: bool = False,
    ) -> SpeechFeatures:
        """As the encoder's, with other frames; the layers stay as they are."""
        features = self.encoder.extract(wavs, wav_lens, all_layers=True)
        layers = features.layers
        frames = layers[self.layer] if self.mix is None else self.mix(layers)
        return features._replace(
            frames=frames, layers=layers if all_layers else None
        )
