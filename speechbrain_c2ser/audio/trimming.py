"""Silence before and after speech, found by the level of short frames."""

import torch

FRAME = 320  # samples at 16 kHz: 20 ms


def trim_silence(
    wave: torch.Tensor, below: float = 40.0, margin: float = 0.05
) -> torch.Tensor:
    """A recording without the silence around it.

    Arguments
    ---------
    wave : torch.Tensor
        [T] at 16 kHz.
    below : float
        Frames of 20 ms that are so many dB below the loudest are silence.
    margin : float
        Seconds of it that stay on either side.

    Returns
    -------
    torch.Tensor
        [T' <= T]; the whole where nothing stands out.

    Example
    -------
    >>> wave = torch.zeros(16000)
    >>> wave[6400:9600] = torch.sin(torch.arange(3200) / 10)
    >>> len(trim_silence(wave, margin=0.0))
    3200
    """
    if len(wave) < 2 * FRAME:
        return wave
    # The last frame takes what is left over.
    frames = wave[: len(wave) // FRAME * FRAME].view(-1, FRAME)
    power = frames.double().square().mean(1)
    loud = torch.nonzero(power > power.max() * 10 ** (-below / 10)).flatten()
    if not len(loud):
        return wave
    first = int(loud[0]) * FRAME - round(margin * 16000)
    last = (int(loud[-1]) + 1) * FRAME + round(margin * 16000)
    return wave[max(first, 0) : last]
