"""Two speech encoders as one: their frames side by side."""

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.encoders.features import (
    SpeechEncoder,
    SpeechFeatures,
)


@remember_arguments
class EncoderPair(SpeechEncoder):
    """Frames of two encoders along the channels, at the rate of the first.

    The second one's frames are interpolated in time, each item's own.

    Arguments
    ---------
    first : SpeechEncoder
        Gives the frame rate.
    second : SpeechEncoder
        Any that has frames in time.

    Raises
    ------
    ValueError
        For an encoder without frames in time.

    Example
    -------
    >>> from speechbrain_c2ser.lobes import LogMel
    >>> pair = EncoderPair(LogMel(n_mels=20), LogMel(n_mels=8, hop=0.02))
    >>> features = pair.extract(torch.rand(2, 8000), torch.tensor([1, 0.5]))
    >>> features.frames.shape, features.lengths
    (torch.Size([2, 51, 28]), tensor([51, 26]))
    """

    num_layers = 1

    def __init__(self, first: SpeechEncoder, second: SpeechEncoder):
        super().__init__()
        for encoder in (first, second):
            if encoder.frame_rate is None:
                raise ValueError(
                    f"A {type(encoder).__name__} has no frames in time, which "
                    "a pair of encoders lays side by side."
                )
        self.first, self.second = first, second
        self.output_size = first.output_size + second.output_size
        self.frame_rate = first.frame_rate

    def extract(
        self,
        wavs: torch.Tensor,
        wav_lens: torch.Tensor | None = None,
        all_layers: bool = False,
    ) -> SpeechFeatures:
        """Encodes by both; their frames are the only layer."""
        one = self.first.extract(wavs, wav_lens)
        two = self.second.extract(wavs, wav_lens)
        items = zip(
            two.frames, two.lengths.tolist(), one.lengths.tolist(), strict=True
        )
        stretched = [
            F.interpolate(
                item[:own].t().unsqueeze(0),
                size=length,
                mode="linear",
                align_corners=False,
            )[0].t()
            for item, own, length in items
        ]
        both = [one.frames, pad_sequence(stretched, batch_first=True)]
        frames = torch.cat(both, -1)
        layers = [frames] if all_layers else None
        return SpeechFeatures(frames, one.lengths, layers=layers)
