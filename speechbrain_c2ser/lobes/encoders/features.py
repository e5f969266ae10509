"""Interface of every speech encoder: its features and its sizes.

Any encoder serves a classifier and either role of C2SER, because all have
``extract(wavs, wav_lens, all_layers) -> SpeechFeatures``.
"""

from typing import NamedTuple

import torch
from torch import nn


class SpeechFeatures(NamedTuple):
    """Features of a batch.

    Arguments
    ---------
    frames : torch.Tensor
        [B, T, C]; padded frames are zero.
    lengths : torch.Tensor
        Valid frames of each item, [B].
    tokens : torch.Tensor | None
        Utterance tokens, [B, N, C].
    layers : list[torch.Tensor] | None
        Each [B, T, C], the lowest first, padded frames zero; never the tokens.
    """

    frames: torch.Tensor
    lengths: torch.Tensor
    tokens: torch.Tensor | None = None
    layers: list[torch.Tensor] | None = None


class SpeechEncoder(nn.Module):
    """Base of the speech encoders: their one contract.

    A subclass defines ``extract`` and sets these attributes:

    ``output_size`` : int
        Channels of frames, tokens and layers.
    ``num_layers`` : int
        Layers that ``extract`` lists on request.
    ``frame_rate`` : float | None
        Frames per second; None where the frames are no sequence in time.
    ``num_tokens`` : int
        Utterance tokens; 0 for an encoder that has none.
    ``freeze`` : bool
        Whether it takes no gradients and stays in eval.

    What is a layer depends on the architecture:

    ========================  ================================================
    ``WhisperEncoder``        The output of each transformer layer.
    ``SelfSupervisedEncoder`` What enters the first transformer layer, and the
                              output of each.
    ``Emotion2VecS``          Of each block after the prenet what its MLP adds
                              to the frames, as the pre-training averages them.
    others                    The frames, as the only one.
    ========================  ================================================

    Layers are before the architecture's final LayerNorm, where it has one; the
    frames are after it.

    Example
    -------
    >>> class Loudness(SpeechEncoder):
    ...     output_size, num_layers, frame_rate = 1, 1, 100.0
    ...     def extract(self, wavs, wav_lens=None, all_layers=False):
    ...         frames = wavs.unfold(1, 160, 160).square().mean(2, True)
    ...         lengths = torch.full(wavs.shape[:1], frames.shape[1])
    ...         return SpeechFeatures(frames, lengths)
    >>> Loudness()(torch.ones(2, 800)).shape
    torch.Size([2, 5, 1])
    """

    output_size: int
    num_layers: int
    frame_rate: float | None = None
    num_tokens: int = 0
    freeze: bool = False

    def train(self, mode: bool = True) -> "SpeechEncoder":
        """Sets the mode; a frozen encoder stays in eval."""
        return super().train(mode and not self.freeze)

    def forward(
        self, wavs: torch.Tensor, wav_lens: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The frames alone, [B, T, C]; as :meth:`extract`."""
        return self.extract(wavs, wav_lens).frames

    def extract(
        self,
        wavs: torch.Tensor,
        wav_lens: torch.Tensor | None = None,
        all_layers: bool = False,
    ) -> SpeechFeatures:
        """Encodes a padded batch; an item as if it were alone.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms at 16 kHz, [B, samples].
        wav_lens : torch.Tensor | None
            Relative lengths, [B]; None when all are full.
        all_layers : bool
            Whether to list the layers too.

        Returns
        -------
        SpeechFeatures

        Raises
        ------
        ValueError
            Where an item is too short for one frame.
        """
        raise NotImplementedError

    def extract_tokens(
        self, wavs: torch.Tensor, wav_lens: torch.Tensor | None = None
    ) -> torch.Tensor | None:
        """The utterance tokens alone, [B, N, C], or None where an encoder has
        none; as :meth:`extract`, in less time where an encoder can."""
        return self.extract(wavs, wav_lens).tokens


class WrappedEncoder(SpeechEncoder):
    """Base of what stands around another encoder, with its sizes.

    Arguments
    ---------
    encoder : SpeechEncoder
        The inner one.

    Example
    -------
    >>> from speechbrain_c2ser.lobes import LogMel
    >>> encoder = LogMel(n_mels=8)
    >>> wavs = torch.rand(1, 800)
    >>> torch.equal(WrappedEncoder(encoder)(wavs), encoder(wavs))
    True
    """

    def __init__(self, encoder: SpeechEncoder):
        super().__init__()
        self.encoder = encoder
        self.output_size = encoder.output_size
        self.num_layers = encoder.num_layers
        self.frame_rate = encoder.frame_rate
        self.num_tokens = encoder.num_tokens

    def extract(
        self,
        wavs: torch.Tensor,
        wav_lens: torch.Tensor | None = None,
        all_layers: bool = False,
    ) -> SpeechFeatures:
        """As the encoder's."""
        return self.encoder.extract(wavs, wav_lens, all_layers)
