"""Pitch and periodicity of a voice, by autocorrelation."""

import math

import torch
from torch.nn import functional as F

from speechbrain_c2ser.lobes.functionals import functionals


def pitch_contour(wav, sample_rate=16000, hop=160, lowest=60.0, highest=600.0):
    """Pitch by the autocorrelation of windows of 50 ms (Boersma 1993).

    Arguments
    ---------
    wav : torch.Tensor
        Waveform [samples].
    sample_rate : int
        In Hz.
    hop : int
        Samples from frame to frame.
    lowest, highest : float
        Range of pitch (Hz).

    Returns
    -------
    octaves : torch.Tensor
        log2 of the pitch in Hz, [T].
    strength : torch.Tensor
        Height of the autocorrelation's peak, in [0, 1]: 1 is periodic.
    energy : torch.Tensor
        Logarithm of the window's energy.

    Example
    -------
    >>> time = torch.arange(16000) / 16000
    >>> octaves, strength, _ = pitch_contour((2 * torch.pi * 200 * time).sin())
    >>> round(2 ** float(octaves[50])), round(float(strength[50]), 2)
    (200, 1.0)
    """
    size, n_fft = 800, 2048
    window = torch.hann_window(size, device=wav.device)
    frames = F.pad(wav, (size // 2, size // 2)).unfold(0, size, hop)
    frames = (frames - frames.mean(1, keepdim=True)) * window
    longest, shortest = int(sample_rate / lowest), int(sample_rate / highest)

    def autocorrelation(x):
        power = torch.fft.rfft(x, n_fft).abs().square()
        return torch.fft.irfft(power)[..., : longest + 1]

    raw, own = autocorrelation(frames), autocorrelation(window)
    # the window's own decay is divided out
    height = raw / (raw[:, :1] + 1e-9) / (own / own[0])
    lags = torch.arange(longest + 1, device=wav.device).clamp_min(1)
    peak = torch.zeros_like(height, dtype=torch.bool)
    middle = height[:, 1:-1]
    peak[:, 1:-1] = (middle > height[:, :-2]) & (middle >= height[:, 2:])
    peak[:, :shortest] = False
    # a small cost of long lags: not the octave below
    score = height - 0.03 * lags.log2()
    best = score.masked_fill(~peak, -9.0).argmax(1)
    strength = height.gather(1, best.unsqueeze(1)).squeeze(1).clamp(0, 1)
    octaves = math.log2(sample_rate) - best.clamp_min(1).float().log2()
    return octaves, strength, raw[:, 0].clamp_min(1e-9).log()


def voice_functionals(wav):
    """Statistics of pitch and periodicity over the voiced frames.

    Arguments
    ---------
    wav : torch.Tensor
        Waveform [samples] at 16 kHz.

    Returns
    -------
    torch.Tensor
        [30]: 14 functionals of pitch (octaves) and of harmonicity (log odds
        of the strength), share of voiced frames, voiced stretches per frame.

    Example
    -------
    >>> voice_functionals(torch.rand(8000)).shape
    torch.Size([30])
    """
    octaves, strength, energy = pitch_contour(wav)
    voiced = (strength > 0.55) & (energy > energy.max() - 7)
    if voiced.sum() < 8:
        # a whisper: its most periodic frames stand in
        voiced = strength >= strength.sort(descending=True)[0][:8][-1]
    odds = torch.logit(strength.clamp(0.01, 0.99))
    contours = torch.stack([octaves, odds], 1)[voiced]
    starts = (voiced[1:] & ~voiced[:-1]).float().mean()
    counts = torch.stack([voiced.float().mean(), starts])
    return torch.cat([functionals(contours), counts])
