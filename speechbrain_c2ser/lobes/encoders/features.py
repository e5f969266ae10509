"""What a classifier asks of any encoder, and the encoders that give it.

``extract(wavs, wav_lens, all_layers) -> SpeechFeatures`` is the one interface;
``SelfSupervisedEncoder`` and ``LogMel`` have it too.
"""

from typing import NamedTuple

import torch
from torch import nn

from speechbrain_c2ser.arguments import remember_arguments


class SpeechFeatures(NamedTuple):
    """Features of a batch.

    Arguments
    ---------
    frames : torch.Tensor
        [B, T, C].
    lengths : torch.Tensor
        Valid frames of each item, [B].
    tokens : torch.Tensor or None
        Utterance tokens, [B, N, C].
    layers : list of torch.Tensor or None
        Each [B, T, C].
    """

    frames: torch.Tensor
    lengths: torch.Tensor
    tokens: torch.Tensor | None = None
    layers: list | None = None


@remember_arguments
class Emotion2VecFeatures(nn.Module):
    """Emotion2Vec-S, emotion2vec or emotion2vec+ for classifiers.

    Arguments
    ---------
    encoder : Emotion2VecS
        As built by a block or ``checkpoints.emotion2vec.load_encoder``.

    Example
    -------
    >>> from speechbrain_c2ser.lobes import Emotion2VecS
    >>> encoder = Emotion2VecFeatures(Emotion2VecS(
    ...     conv_layers=[(8, 10, 5), (8, 8, 8), (8, 8, 8)],
    ...     embed_dim=16, num_heads=2, prenet_depth=1, depth=2,
    ...     conv_pos_groups=2,
    ... ))
    >>> features = encoder.extract(torch.rand(2, 8000), all_layers=True)
    >>> features.tokens.shape, len(features.layers)
    (torch.Size([2, 10, 16]), 2)
    """

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.output_size = encoder.constructor_arguments["embed_dim"]
        self.num_layers = encoder.depth

    def extract(self, wavs, wav_lens=None, all_layers=False):
        """Frames, tokens and, on request, the blocks' results.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms at 16 kHz, [B, samples].
        wav_lens : torch.Tensor or None
            Relative lengths, [B].
        all_layers : bool
            Whether to give the layers too (frames only, without tokens).

        Returns
        -------
        SpeechFeatures
        """
        if not all_layers:
            frames, tokens, lengths = self.encoder.extract(wavs, wav_lens)
            return SpeechFeatures(frames, lengths, tokens)
        frames, tokens, lengths, layers = self.encoder.extract(
            wavs, wav_lens, all_layers=True
        )
        layers = [layer[:, tokens.shape[1] :] for layer in layers]
        return SpeechFeatures(frames, lengths, tokens, layers)


@remember_arguments
class WhisperFeatures(nn.Module):
    """Whisper's encoder for classifiers.

    Arguments
    ---------
    encoder : WhisperEncoder
        A frozen, untuned one needs ``pad_to_30s``.

    Example
    -------
    >>> from speechbrain_c2ser.lobes import WhisperEncoder
    >>> encoder = WhisperFeatures(WhisperEncoder(
    ...     num_layers=2, size=16, num_heads=2, ffn_size=32
    ... ))
    >>> features = encoder.extract(torch.rand(2, 8000), all_layers=True)
    >>> features.frames.shape, len(features.layers)
    (torch.Size([2, 25, 16]), 2)
    """

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.output_size = encoder.output_size
        self.num_layers = len(encoder.encoder.layers)

    def extract(self, wavs, wav_lens=None, all_layers=False):
        """Frames and, on request, every transformer layer's.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms at 16 kHz, [B, samples].
        wav_lens : torch.Tensor or None
            Relative lengths, [B].
        all_layers : bool
            Whether to give the layers too; the last one is the frames, before
            the final LayerNorm.

        Returns
        -------
        SpeechFeatures
        """
        if not all_layers:
            return SpeechFeatures(*self.encoder.extract(wavs, wav_lens))
        frames, lengths, layers = self.encoder.extract(
            wavs, wav_lens, all_layers=True
        )
        return SpeechFeatures(frames, lengths, layers=layers)
