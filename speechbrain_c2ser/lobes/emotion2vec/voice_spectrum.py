"""Waveforms to log-mel energies and pitch lags: a front end's first step."""

import math
from collections.abc import Iterable

import torch
from torch import nn
from torchaudio.functional import melscale_fbanks

from speechbrain_c2ser.lobes.acoustics.power_spectrum import (
    cosines,
    power_spectrum,
)
from speechbrain_c2ser.lobes.exporting import is_exporting

SAMPLE_RATE = 16000
LOWEST_HZ = 50.0
HIGHEST_PITCH_HZ, LOWEST_PITCH_HZ = 560.0, 70.0
FLOOR = 1e-10


class VoiceSpectrum(nn.Module):
    """Log energies of mel bands, then the cepstrum where voices have a pitch.

    The bands hold loudness and timbre, the cepstrum's lags the pitch: a voice
    of 200 Hz has its peak at 5 ms. `fit` standardises each of them over a
    training set, once; nothing is normalized per utterance, and frames are not
    padded at the edges: an item's frames depend on its own samples alone.

    Arguments
    ---------
    bands : int
        Mel bands between 50 Hz and 8 kHz.
    lags : int
        Logarithmically spaced lags between 1.8 and 14.3 ms (560 to 70 Hz).
    window : int
        Samples of a Hann window, an even number; it should hold a few periods
        of the lowest voice, as 1024 (64 ms) does.
    hop : int
        Samples from one window to the next.

    Example
    -------
    >>> spectrum = VoiceSpectrum(bands=80, lags=48, window=1024, hop=320)
    >>> spectrum(torch.randn(2, 16000)).shape
    torch.Size([2, 47, 128])
    """

    def __init__(
        self,
        bands: int = 80,
        lags: int = 48,
        window: int = 1024,
        hop: int = 320,
    ):
        super().__init__()
        self.output_size = bands + lags
        self.window, self.hop = window, hop
        filters = melscale_fbanks(
            window // 2 + 1,
            LOWEST_HZ,
            SAMPLE_RATE / 2,
            bands,
            SAMPLE_RATE,
            mel_scale="slaney",
        )
        buffers = {
            "filters": filters,
            "lag_weights": _lag_weights(lags, window),
            "hann": torch.hann_window(window),
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer, persistent=False)
        self.register_buffer("mean", torch.zeros(self.output_size))
        self.register_buffer("deviation", torch.ones(self.output_size))

    @torch.no_grad()
    def fit(self, wavs: Iterable[torch.Tensor]) -> None:
        """Standardises from now on by the statistics of some recordings.

        Arguments
        ---------
        wavs : iterable of torch.Tensor
            Waveforms at 16 kHz, [samples]; those shorter than a window do
            not count.
        """
        wavs = [wav for wav in wavs if len(wav) >= self.window]
        frames = torch.cat([self._frames(wav.unsqueeze(0))[0] for wav in wavs])
        self.mean.copy_(frames.mean(0))
        self.deviation.copy_(frames.std(0).clamp_min(1e-3))

    def forward(self, wavs: torch.Tensor) -> torch.Tensor:
        """Computes the frames.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms at 16 kHz, [B, samples], at least one window long.

        Returns
        -------
        torch.Tensor
            [B, (samples - window) // hop + 1, bands + lags].
        """
        frames = (self._frames(wavs) - self.mean) / self.deviation
        return frames.to(wavs.dtype)

    def _frames(self, wavs):
        # half precision has too few digits for a power spectrum
        with torch.autocast(wavs.device.type, enabled=False):
            power = power_spectrum(
                wavs.float(), self.window, self.hop, self.hann, center=False
            )
            bands = (power @ self.filters).clamp_min(FLOOR).log10()
            cepstrum = self._cepstrum(power.clamp_min(FLOOR).log10())
            pitch = cepstrum @ self.lag_weights
        return torch.cat([bands, pitch], -1)

    def _cepstrum(self, logs):
        """The first half of the inverse transform of real spectra."""
        half = self.window // 2
        if not is_exporting():
            return torch.fft.irfft(logs)[..., :half]
        weights = cosines(self.window, half)[0] * (2 / self.window)
        inner = weights[1:-1]
        ends = weights[[0, -1]] / 2  # these two frequencies stand there once
        return logs @ torch.cat([ends[:1], inner, ends[1:]]).float()


def _lag_weights(lags, window):
    """Sums of neighbouring lags, [window // 2, lags], of unit length."""
    edges = torch.linspace(
        math.log(SAMPLE_RATE / HIGHEST_PITCH_HZ),
        math.log(SAMPLE_RATE / LOWEST_PITCH_HZ),
        lags + 1,
    ).exp()
    samples = torch.arange(window // 2).unsqueeze(1)
    inside = (samples >= edges[:-1]) & (samples < edges[1:])
    # an interval without a whole lag takes the nearest one
    nearest = ((edges[:-1] + edges[1:]) / 2).round().clamp_max(window // 2 - 1)
    inside |= (samples == nearest) & ~inside.any(0)
    return inside.float() / inside.sum(0).clamp_min(1).sqrt()
