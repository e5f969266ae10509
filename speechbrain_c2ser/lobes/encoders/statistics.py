"""An utterance as statistics of an encoder's layers."""

from collections.abc import Sequence

import torch

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.encoders.features import (
    SpeechEncoder,
    SpeechFeatures,
    WrappedEncoder,
)
from speechbrain_c2ser.lobes.padding import masked_mean


@remember_arguments
class UtteranceStatistics(WrappedEncoder):
    """Means and deviations over time of chosen layers, as utterance tokens.

    What a probe for emotion is given (SUPERB). The early layers of Whisper
    carry more of it than the last one. Everything else is the encoder's.

    Arguments
    ---------
    encoder : SpeechEncoder
        Any; its class says which layers it lists.
    layers : sequence of int
        From 0, or from the end as -1.

    Raises
    ------
    ValueError
        For a layer that the encoder does not have.

    Example
    -------
    >>> from speechbrain_c2ser.lobes import WhisperEncoder
    >>> encoder = UtteranceStatistics(WhisperEncoder(
    ...     num_layers=2, size=16, num_heads=2, ffn_size=32
    ... ), layers=[0, 1])
    >>> encoder.extract(torch.rand(2, 8000)).tokens.shape
    torch.Size([2, 4, 16])
    """

    def __init__(self, encoder: SpeechEncoder, layers: Sequence[int]):
        super().__init__(encoder)
        number = encoder.num_layers
        foreign = [n for n in layers if not -number <= n < number]
        if foreign or not layers:
            raise ValueError(
                f"layers is {list(layers)}, but a {type(encoder).__name__} "
                f"has {number}: give some of 0 to {number - 1}."
            )
        self.layers = list(layers)
        self.num_tokens = 2 * len(self.layers)
        self.freeze = encoder.freeze

    def extract(
        self,
        wavs: torch.Tensor,
        wav_lens: torch.Tensor | None = None,
        all_layers: bool = False,
    ) -> SpeechFeatures:
        """As the encoder's; tokens: mean and deviation of each layer."""
        features = self.encoder.extract(wavs, wav_lens, all_layers=True)
        lengths = features.lengths
        tokens = []
        for number in self.layers:
            layer = features.layers[number].float()
            mean = masked_mean(layer, lengths)
            steps = (layer - mean.unsqueeze(1)).square()
            square = masked_mean(steps, lengths)
            # the square root has no gradient at 0
            tokens += [mean, (square + 1e-8).sqrt()]
        return features._replace(
            tokens=torch.stack(tokens, 1),
            layers=features.layers if all_layers else None,
        )
