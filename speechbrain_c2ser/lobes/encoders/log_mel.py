"""Log-mel frames as an encoder without parameters."""

import torch
from torchaudio.functional import melscale_fbanks

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.host import on_both
from speechbrain_c2ser.lobes.acoustics.power_spectrum import power_spectrum
from speechbrain_c2ser.lobes.encoders.features import (
    SpeechEncoder,
    SpeechFeatures,
)
from speechbrain_c2ser.lobes.padding import frame_mask, longest, sample_counts


@remember_arguments
class LogMel(SpeechEncoder):
    """Natural logarithm of mel-band powers.

    Every item is framed as if it were alone: silence before and after it, no
    floor or mean taken from its neighbours.

    Arguments
    ---------
    n_mels : int
        Bands.
    window : float
        Length of the Hann window (s).
    hop : float
        From frame to frame (s).
    lowest, highest : float
        Range of the bands (Hz).
    sample_rate : int
        In Hz.

    Example
    -------
    >>> features = LogMel(n_mels=20).extract(
    ...     torch.rand(2, 8000), torch.tensor([1, 0.5])
    ... )
    >>> features.frames.shape, features.lengths
    (torch.Size([2, 51, 20]), tensor([51, 26]))
    """

    def __init__(
        self,
        n_mels: int = 64,
        window: float = 0.04,
        hop: float = 0.01,
        lowest: float = 50.0,
        highest: float = 8000.0,
        sample_rate: int = 16000,
    ):
        super().__init__()
        self.output_size = n_mels
        self.num_layers = 1
        self.hop = round(hop * sample_rate)
        self.frame_rate = sample_rate / self.hop
        size = round(window * sample_rate)
        # a power of two at least as long as the window
        self.n_fft = 1 << (size - 1).bit_length()
        filters = melscale_fbanks(
            self.n_fft // 2 + 1, lowest, highest, n_mels, sample_rate
        )
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer(
            "window", torch.hann_window(size), persistent=False
        )

    def extract(
        self,
        wavs: torch.Tensor,
        wav_lens: torch.Tensor | None = None,
        all_layers: bool = False,
    ) -> SpeechFeatures:
        """Log-mel frames; they are the only layer."""
        frames, lengths = self.bands(*self.power(wavs, wav_lens))
        return SpeechFeatures(
            frames, lengths, layers=[frames] if all_layers else None
        )

    def power(
        self, wavs: torch.Tensor, wav_lens: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Power spectra, before they are summed to bands.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms, [B, samples].
        wav_lens : torch.Tensor | None
            Relative lengths, [B].

        Returns
        -------
        power : torch.Tensor
            [B, T, n_fft // 2 + 1], float32.
        lengths : torch.Tensor
            Frames of each item, [B].
        """
        counts = sample_counts(wavs, wav_lens)
        wavs = wavs.float() * frame_mask(counts, wavs.shape[1])
        with torch.autocast(wavs.device.type, enabled=False):
            power = power_spectrum(
                wavs, self.n_fft, self.hop, self.window, pad_mode="constant"
            )
        lengths = on_both(lambda samples: samples // self.hop + 1, counts)
        return power[:, : longest(lengths, power.shape[1])], lengths

    def bands(
        self, power: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-mel frames of what ``power`` gave.

        Arguments
        ---------
        power : torch.Tensor
            [B, T, n_fft // 2 + 1].
        lengths : torch.Tensor
            Frames of each item, [B].

        Returns
        -------
        frames : torch.Tensor
            [B, T, n_mels]; frames of padding are zero.
        lengths : torch.Tensor
            As they came, [B].
        """
        with torch.autocast(power.device.type, enabled=False):
            frames = (power @ self.filters + 1e-7).log()
        mask = frame_mask(lengths, frames.shape[1]).unsqueeze(-1)
        return frames * mask, lengths
