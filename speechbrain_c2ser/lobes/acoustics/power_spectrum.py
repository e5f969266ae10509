"""Short-time power spectra: what log-mel bands and pitch lags begin with."""

import math

import torch
from torch.nn import functional as F

from speechbrain_c2ser.lobes.exporting import is_exporting


def power_spectrum(
    wavs: torch.Tensor, n_fft: int, hop: int, window: torch.Tensor, **framing
) -> torch.Tensor:
    """Powers of the short-time Fourier transform.

    While a model is exported it is a convolution: ONNX runtimes compute their
    own transform slowly, and not at every size.

    Arguments
    ---------
    wavs : torch.Tensor
        Waveforms, [B, samples], float32.
    n_fft : int
        Samples of a transform.
    hop : int
        Samples from frame to frame.
    window : torch.Tensor
        At most ``n_fft`` weights.
    **framing
        ``center`` and ``pad_mode`` of ``torch.stft``.

    Returns
    -------
    torch.Tensor
        [B, frames, n_fft // 2 + 1].

    Example
    -------
    >>> power_spectrum(torch.rand(2, 800), 400, 160, torch.ones(400)).shape
    torch.Size([2, 6, 201])
    """
    if is_exporting():
        return _by_convolution(wavs, n_fft, hop, window, **framing)
    spectrum = torch.stft(
        wavs,
        n_fft,
        hop,
        len(window),
        window,
        return_complex=True,
        **framing,
    )
    # a third of the time that the square of the modulus takes
    power = spectrum.real.square() + spectrum.imag.square()
    return power.transpose(1, 2)


def cosines(n_fft: int, samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine of every frequency of a transform.

    Arguments
    ---------
    n_fft : int
        Samples of the transform.
    samples : int
        First samples that are wanted.

    Returns
    -------
    cosine, sine : torch.Tensor
        [n_fft // 2 + 1, samples], float64.

    Example
    -------
    >>> cosines(4, 4)[0].round().tolist()[1]
    [1.0, 0.0, -1.0, -0.0]
    """
    frequency = torch.arange(n_fft // 2 + 1).unsqueeze(1)
    # whole turns are taken away in integers, where nothing is lost
    turns = (frequency * torch.arange(samples)).remainder(n_fft)
    # A table of numbers: older ONNX runtimes have no cosine of float64.
    phases = [2 * math.pi * turn / n_fft for turn in range(n_fft)]
    cosine, sine = (
        torch.tensor([function(phase) for phase in phases], dtype=torch.double)
        for function in (math.cos, math.sin)
    )
    return cosine[turns], sine[turns]


def _by_convolution(wavs, n_fft, hop, window, center=True, pad_mode="reflect"):
    if center:
        ends = (n_fft // 2, n_fft // 2)
        wavs = F.pad(wavs.unsqueeze(1), ends, mode=pad_mode).squeeze(1)
    before = (n_fft - len(window)) // 2
    window = F.pad(window, (before, n_fft - len(window) - before))
    basis = torch.cat(cosines(n_fft, n_fft)).float() * window
    spectrum = F.conv1d(wavs.unsqueeze(1), basis.unsqueeze(1), stride=hop)
    real, imaginary = spectrum.chunk(2, 1)
    return (real.square() + imaginary.square()).transpose(1, 2)
