"""Short-time power spectra: what log-mel bands and pitch lags begin with."""

import torch


def power_spectrum(
    wavs: torch.Tensor, n_fft: int, hop: int, window: torch.Tensor, **framing
) -> torch.Tensor:
    """Powers of the short-time Fourier transform.

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
