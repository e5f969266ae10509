"""Low-level descriptors of speech: spectral shape, pitch, periodicity."""

import math

import torch
from torch.nn import functional as F

from speechbrain_c2ser.lobes.acoustics.functionals import (
    FUNCTIONALS,
    functionals,
)

ROLL_OFFS = (0.25, 0.5, 0.75, 0.9)
# Hz; the voice's own region and two that tension lifts
SLOPES = ((0, 500), (500, 1500), (1500, 5000))
# Columns of `spectral_shape`.
SHAPE = (
    "centroid",
    "spread",
    "skewness",
    "kurtosis",
    "entropy",
    "flatness",
    *(f"roll-off {share}" for share in ROLL_OFFS),
    "flux",
    "alpha ratio",
    "Hammarberg index",
    *(f"slope {lowest}-{highest} Hz" for lowest, highest in SLOPES),
    "energy 250-650 Hz",
    "energy 1-4 kHz",
)
# Columns of `voice_functionals`.
VOICE = (
    *(
        f"{column} of {contour}"
        for column in FUNCTIONALS
        for contour in ("pitch", "harmonicity")
    ),
    "voiced share",
    "voiced stretches per frame",
)


def spectral_shape(
    power: torch.Tensor, sample_rate: int = 16000
) -> torch.Tensor:
    """Descriptors of spectra, as openSMILE's sets have them.

    Centroid, spread, skewness and kurtosis on a scale of octaves; entropy;
    flatness; four roll-off points (octaves); flux; alpha ratio (50 Hz to 1 kHz
    over 1 to 5 kHz); Hammarberg index (highest peak below 2 kHz over the
    highest in 2 to 5 kHz); slopes of three regions (per kHz); energy of 250
    to 650 Hz and of 1 to 4 kHz. Ratios and energies are natural logarithms.

    Arguments
    ---------
    power : torch.Tensor
        Power spectra [T, bins], from 0 Hz to half the sample rate.
    sample_rate : int
        In Hz, at least 10000.

    Returns
    -------
    torch.Tensor
        [T, 18], the columns SHAPE.

    Example
    -------
    >>> spectral_shape(torch.rand(7, 513)).shape
    torch.Size([7, 18])
    """
    bins = power.shape[1]
    hertz = torch.linspace(0, sample_rate / 2, bins, device=power.device)
    octave = hertz.clamp_min(20).log2()
    power = power + 1e-8
    logs = power.log()
    share = power / power.sum(1, keepdim=True)

    def part(lowest, highest):
        return (hertz >= lowest) & (hertz < highest)

    def energy(lowest, highest):
        return power[:, part(lowest, highest)].sum(1).log()

    def peak(lowest, highest):
        return power[:, part(lowest, highest)].amax(1).log()

    def slope(lowest, highest):
        kilohertz = hertz[part(lowest, highest)] / 1000
        kilohertz = kilohertz - kilohertz.mean()
        fall = logs[:, part(lowest, highest)] @ kilohertz
        return fall / kilohertz.square().sum()

    centroid = share @ octave
    away = octave - centroid.unsqueeze(1)
    spread = ((share * away.square()).sum(1) + 1e-6).sqrt()
    total = share.cumsum(1)
    roll_offs = [
        octave[(total < roll_off).sum(1).clamp_max(bins - 1)]
        for roll_off in ROLL_OFFS
    ]
    amplitude = power.sqrt()
    amplitude = amplitude / amplitude.sum(1, keepdim=True)
    moved = amplitude.diff(dim=0, prepend=amplitude[:1]).square().sum(1)
    return torch.stack(
        [
            centroid,
            spread,
            (share * away.pow(3)).sum(1) / spread.pow(3),
            (share * away.pow(4)).sum(1) / spread.pow(4),
            -(share * share.log()).sum(1),
            logs.mean(1) - power.mean(1).log(),
            *roll_offs,
            moved.clamp_min(1e-8).log(),
            energy(50, 1000) - energy(1000, 5000),
            peak(0, 2000) - peak(2000, 5000),
            *(slope(*region) for region in SLOPES),
            energy(250, 650),
            energy(1000, 4000),
        ],
        1,
    )


def pitch_contour(
    wav: torch.Tensor,
    sample_rate: int = 16000,
    hop: int = 160,
    lowest: float = 60.0,
    highest: float = 600.0,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
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

    raw, decay = autocorrelation(frames), autocorrelation(window)
    # the window's own decay is divided out
    height = raw / (raw[:, :1] + 1e-9) / (decay / decay[0])
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


def voice_functionals(wav: torch.Tensor) -> torch.Tensor:
    """Statistics of pitch and periodicity over the voiced frames.

    Arguments
    ---------
    wav : torch.Tensor
        Waveform [samples] at 16 kHz.

    Returns
    -------
    torch.Tensor
        [30], the columns VOICE: 14 functionals of pitch (octaves) and of
        harmonicity (log odds
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
