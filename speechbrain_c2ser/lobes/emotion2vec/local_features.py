"""Waveforms to local features, the part of a data2vec 2.0 encoder that
pre-training masks the output of."""

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.host import on_both, on_host
from speechbrain_c2ser.lobes.emotion2vec.layers import ConvFrontEnd
from speechbrain_c2ser.lobes.exporting import is_exporting
from speechbrain_c2ser.lobes.padding import (
    longest,
    normalize,
    sample_counts,
    valid_frames,
)


class LocalFeatures(nn.Module):
    """Convolutions, LayerNorm and projection: what an encoder starts with.

    A base class, so that its parameters keep their names in the encoder's
    checkpoints.

    Arguments
    ---------
    conv_layers : list of (int, int, int)
        Channels, kernel and stride of each layer of the front end.
    embed_dim : int
        Channels of the features.
    normalize : bool
        Layer-norm the waveform over its valid samples.
    pad_short : bool
        Pad audio shorter than one frame with zeros instead of refusing it.
    spectrum : dict | None
        Arguments of a `VoiceSpectrum` for the convolutions to run on; None:
        on the waveform.

    Example
    -------
    >>> local = LocalFeatures([(8, 10, 5), (8, 8, 8), (8, 8, 8)], 16)
    >>> x, lengths = local.frontend(
    ...     torch.rand(2, 8000), torch.tensor([1, 0.5])
    ... )
    >>> x.shape, lengths
    (torch.Size([2, 24, 16]), tensor([24, 12]))
    """

    def __init__(
        self,
        conv_layers,
        embed_dim: int,
        normalize: bool = True,
        pad_short: bool = False,
        spectrum: dict | None = None,
    ):
        super().__init__()
        self.embed_dim = embed_dim
        self.normalize = normalize
        self.pad_short = pad_short
        self.front_end = ConvFrontEnd(conv_layers, spectrum)
        self.feature_norm = nn.LayerNorm(self.front_end.output_size)
        self.projection = nn.Linear(self.front_end.output_size, embed_dim)

    def frame_lengths(self, sample_lengths: torch.Tensor) -> torch.Tensor:
        """Frames that so many samples give.

        Arguments
        ---------
        sample_lengths : torch.Tensor
            Samples, [B].

        Returns
        -------
        torch.Tensor
            Frames, [B].

        Raises
        ------
        ValueError
            Where an item is too short for one frame and `pad_short` is off.
        """
        shortest = self.front_end.receptive_field
        if self.pad_short:
            sample_lengths = on_both(
                lambda samples: samples.clamp_min(shortest), sample_lengths
            )
        elif not is_exporting() and on_host(sample_lengths).min() < shortest:
            samples = on_host(sample_lengths)
            item = int(samples.argmin())
            raise ValueError(
                f"Item {item} of the batch has {int(samples[item])} "
                f"samples, but one frame needs {shortest} "
                f"({shortest / 16} ms at 16 kHz): remove it, or set "
                "pad_short: True to pad such items with zeros."
            )
        return on_both(self.front_end.frame_lengths, sample_lengths)

    def frontend(
        self, wavs: torch.Tensor, wav_lens: torch.Tensor | None = None
    ):
        """Computes the local features: everything before the positions.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms at 16 kHz, [B, samples].
        wav_lens : torch.Tensor | None
            Relative lengths, [B]; None when all are full.

        Returns
        -------
        torch.Tensor
            Local features, [B, T, C]; padded frames are zero.
        torch.Tensor
            Valid frames of each item, [B].

        Raises
        ------
        ValueError
            Where an item is too short for one frame and `pad_short` is off.
        """
        samples = sample_counts(wavs, wav_lens)
        lengths = self.frame_lengths(samples)
        if self.normalize:
            wavs = normalize(wavs, samples)
        wavs = wavs.to(self.projection.weight.dtype)
        missing = self.front_end.receptive_field - wavs.shape[1]
        if missing > 0:
            wavs = F.pad(wavs, (0, missing))
        at_once = torch.is_grad_enabled() or is_exporting()
        if at_once or wavs.device.type != "cpu":
            x = self._project(self.front_end(wavs))
            x = x[:, : longest(lengths, x.shape[1])]
            valid = valid_frames(lengths, x.shape[1])
            return x if valid is None else x * valid, lengths
        needed = self.front_end.receptive_field
        items = [
            torch.cat(
                [
                    self._project(piece)[0]
                    for piece in self.front_end.in_pieces(
                        wav[: max(count, needed)]
                    )
                ]
            )
            for wav, count in zip(wavs, on_host(samples).tolist(), strict=True)
        ]
        return nn.utils.rnn.pad_sequence(items, batch_first=True), lengths

    def _project(self, x):
        return self.projection(self.feature_norm(x))
