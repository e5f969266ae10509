"""An utterance as statistics of its contours, in the manner of openSMILE.

A frozen encoder without parameters for networks that learn from hundreds of
recordings only: log-mel bands, cepstra, loudness and pitch, each summarised
over the utterance.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.lengths import sample_counts
from speechbrain_c2ser.lobes.log_mel import LogMel

PERCENTILES = (0.01, 0.25, 0.5, 0.75, 0.99)


def functionals(contours):
    """Statistics of contours over time.

    Mean, deviation, skewness, kurtosis, five percentiles, slope, curvature,
    share of time above a quarter deviation over the mean, rate of crossing
    the mean, and mean absolute step.

    Arguments
    ---------
    contours : torch.Tensor
        [T, C], T >= 2.

    Returns
    -------
    torch.Tensor
        [14 C].

    Example
    -------
    >>> functionals(torch.rand(20, 3)).shape
    torch.Size([42])
    """
    time = torch.linspace(-1, 1, len(contours), device=contours.device)
    time = time.unsqueeze(1)
    mean, deviation = contours.mean(0), contours.std(0, correction=0) + 1e-6
    z = (contours - mean) / deviation
    levels = torch.tensor(PERCENTILES, device=contours.device)
    return torch.cat(
        [
            mean,
            deviation,
            z.pow(3).mean(0),
            z.pow(4).mean(0),
            contours.quantile(levels, dim=0).flatten(),
            (time * contours).mean(0) / time.square().mean(),
            ((time.square() - 1 / 3) * contours).mean(0),
            (z > 0.25).float().mean(0),
            (z[1:] * z[:-1] < 0).float().mean(0),
            contours.diff(dim=0).abs().mean(0),
        ]
    )


def deltas(contours, width=4):
    """Regression slope around every frame, the ends held.

    Arguments
    ---------
    contours : torch.Tensor
        [T, C].
    width : int
        Frames on either side.

    Returns
    -------
    torch.Tensor
        [T, C].

    Example
    -------
    >>> ramp = torch.arange(20.0).unsqueeze(1)
    >>> round(float(deltas(ramp)[10]), 4)
    1.0
    """
    steps = torch.arange(-width, width + 1.0, device=contours.device)
    kernel = (steps / steps.square().sum()).view(1, 1, -1)
    padded = F.pad(contours.t().unsqueeze(1), (width, width), mode="replicate")
    return F.conv1d(padded, kernel).squeeze(1).t()


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


@remember_arguments
class LogMelFunctionals(nn.Module):
    """Encoder of one utterance token: statistics of everything audible.

    Contours are log-mel bands (every second), cepstra and loudness, smoothed
    over three frames; statistics are taken of them, of their slopes, and of
    them in the louder 70 % of frames, and of the voice's pitch.

    Arguments
    ---------
    n_mels : int
        Mel bands.
    n_cepstra : int
        Cepstral coefficients.

    Example
    -------
    >>> encoder = LogMelFunctionals(n_mels=16, n_cepstra=8)
    >>> features = encoder.extract(torch.rand(2, 8000), torch.tensor([1, 0.5]))
    >>> features.tokens.shape, encoder.output_size
    (torch.Size([2, 1, 744]), 744)
    """

    def __init__(self, n_mels=64, n_cepstra=24):
        super().__init__()
        self.log_mel = LogMel(n_mels)
        bands = torch.arange(n_mels) + 0.5
        orders = torch.arange(n_cepstra)
        cosines = torch.cos(torch.pi / n_mels * torch.outer(bands, orders))
        cosines *= (2 / n_mels) ** 0.5
        cosines[:, 0] *= 0.5**0.5
        self.register_buffer("cosines", cosines, persistent=False)
        contours = n_cepstra + n_mels // 2 + 1
        self.output_size = 3 * 14 * contours + 30

    def extract(self, wavs, wav_lens=None, all_layers=False):
        """One token for each utterance, and the log-mel frames.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms at 16 kHz, [B, samples].
        wav_lens : torch.Tensor or None
            Relative lengths, [B].
        all_layers : bool
            As in ``LogMel``.

        Returns
        -------
        SpeechFeatures

        Raises
        ------
        ValueError
            Where an item is shorter than a tenth of a second.
        """
        counts = sample_counts(wavs, wav_lens)
        if counts.min() < 1600:
            item = int(counts.argmin())
            raise ValueError(
                f"Waveform {item} of the batch has {int(counts[item])} "
                "samples: statistics need at least 1600 (0.1 s)."
            )
        features = self.log_mel.extract(wavs, wav_lens, all_layers)
        tokens = [
            self._token(wav[:count], frames[:length])
            for wav, count, frames, length in zip(
                wavs,
                counts.tolist(),
                features.frames,
                features.lengths.tolist(),
                strict=True,
            )
        ]
        return features._replace(tokens=torch.stack(tokens).unsqueeze(1))

    def _token(self, wav, mel):
        loudness = mel.logsumexp(1, keepdim=True)
        contours = torch.cat([mel @ self.cosines, mel[:, ::2], loudness], 1)
        ends = F.pad(contours.t(), (1, 1), mode="replicate")
        contours = F.avg_pool1d(ends, 3, 1).t()
        loud = loudness[:, 0] > loudness.quantile(0.3)
        if loud.sum() < 2:
            # a sound that never changes
            loud = torch.ones_like(loud)
        return torch.cat(
            [
                functionals(contours),
                functionals(deltas(contours)),
                functionals(contours[loud]),
                voice_functionals(wav.float()),
            ]
        )
