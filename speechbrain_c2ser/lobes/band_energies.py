"""Waveforms to log-mel energies, as the first step of a front end."""

import torch
from torch import nn
from torchaudio.functional import melscale_fbanks

SAMPLE_RATE = 16000
LOWEST_HZ = 50.0
FLOOR = 1e-10


class BandEnergies(nn.Module):
    """Log energies of mel bands, scaled to about unit variance on speech.

    Frames are not padded at the edges, so an item's frames depend on its own
    samples alone. Nothing is normalised per utterance: loudness stays.

    Arguments
    ---------
    bands : int
        Mel bands between 50 Hz and 8 kHz.
    window : int
        Samples of a Hann window; 1024 (64 ms) tells the harmonics of a voice
        apart, and so its pitch.
    hop : int
        Samples from one window to the next.

    Example
    -------
    >>> energies = BandEnergies(bands=80, window=1024, hop=320)
    >>> energies(torch.randn(2, 16000)).shape
    torch.Size([2, 47, 80])
    """

    def __init__(self, bands=80, window=1024, hop=320):
        super().__init__()
        self.bands, self.window, self.hop = bands, window, hop
        filters = melscale_fbanks(
            window // 2 + 1,
            LOWEST_HZ,
            SAMPLE_RATE / 2,
            bands,
            SAMPLE_RATE,
            mel_scale="slaney",
        )
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer(
            "hann", torch.hann_window(window), persistent=False
        )

    def forward(self, wavs):
        """Computes the bands.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms at 16 kHz, [B, samples], at least one window long.

        Returns
        -------
        torch.Tensor
            [B, (samples - window) // hop + 1, bands].
        """
        # half precision has too few digits for a power spectrum
        with torch.autocast(wavs.device.type, enabled=False):
            spectrum = torch.stft(
                wavs.float(),
                self.window,
                self.hop,
                window=self.hann,
                center=False,
                return_complex=True,
            )
            power = spectrum.abs().square().transpose(1, 2)
            energy = (power @ self.filters).clamp_min(FLOOR).log10()
        return ((energy + 1.5) / 1.5).to(wavs.dtype)
