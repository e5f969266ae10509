"""A speaker embedding as an encoder: SpeechBrain's ECAPA-TDNN."""

from collections.abc import Sequence

import torch
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.encoders.features import (
    SpeechEncoder,
    SpeechFeatures,
)
from speechbrain_c2ser.lobes.padding import sample_counts

SHORTEST = 800  # samples: its dilated layers reflect what is there


@remember_arguments
class SpeakerEncoder(SpeechEncoder):
    """Who speaks as one frame of an utterance: ECAPA-TDNN, always frozen.

    The defaults are those of speechbrain/spkrec-ecapa-voxceleb (Desplanques
    et al. 2020): filter banks less their mean over the utterance. Weights come
    through :mod:`speechbrain_c2ser.checkpoints.converters.speaker`. Items run
    one by one, each as if it were alone.

    Arguments
    ---------
    channels : sequence of int
        Of the first layer, the SE-Res2Net blocks, and the last one.
    kernel_sizes, dilations : sequence of int
        One for each of them.
    output_size : int
        Channels of the embedding.
    n_mels : int
        Bands.
    attention_size, se_size, scale : int
        Channels of the attention and of the squeeze; groups of a block.

    Example
    -------
    >>> encoder = SpeakerEncoder([16] * 4 + [48], output_size=8)
    >>> features = encoder.extract(torch.rand(2, 8000), torch.tensor([1, 0.5]))
    >>> features.frames.shape, features.lengths
    (torch.Size([2, 1, 8]), tensor([1, 1]))
    """

    num_layers = 1
    freeze = True

    def __init__(
        self,
        channels: Sequence[int] = (1024, 1024, 1024, 1024, 3072),
        kernel_sizes: Sequence[int] = (5, 3, 3, 3, 1),
        dilations: Sequence[int] = (1, 2, 3, 4, 1),
        output_size: int = 192,
        n_mels: int = 80,
        attention_size: int = 128,
        se_size: int = 128,
        scale: int = 8,
    ):
        super().__init__()
        self.output_size = output_size
        self.bands = Fbank(n_mels=n_mels)
        self.network = ECAPA_TDNN(
            n_mels,
            lin_neurons=output_size,
            channels=list(channels),
            kernel_sizes=list(kernel_sizes),
            dilations=list(dilations),
            attention_channels=attention_size,
            se_channels=se_size,
            res2net_scale=scale,
            groups=[1] * len(channels),
        )
        self.requires_grad_(False)
        self.train()

    @torch.no_grad()
    def extract(
        self,
        wavs: torch.Tensor,
        wav_lens: torch.Tensor | None = None,
        all_layers: bool = False,
    ) -> SpeechFeatures:
        """Embeds; the embedding is the only frame and the only layer."""
        counts = sample_counts(wavs, wav_lens).tolist()
        if min(counts) < SHORTEST:
            raise ValueError(
                f"A recording of {min(counts)} samples is too short for a "
                f"speaker embedding: leave out what is below {SHORTEST}."
            )
        vectors = []
        for wav, count in zip(wavs, counts, strict=True):
            bands = self.bands(wav[None, :count])
            bands = bands - bands.mean(1, keepdim=True)
            vectors.append(self.network(bands)[0])
        frames = torch.stack(vectors)  # [B, 1, C]
        ones = torch.ones(len(wavs), dtype=torch.long, device=wavs.device)
        layers = [frames] if all_layers else None
        return SpeechFeatures(frames, ones, layers=layers)
