"""Start a convolutional front end as a bank of mel-spaced band filters."""

import math

import torch


@torch.no_grad()
def start_as_filterbank(front_end, sample_rate=16000, lowest=80.0):
    """Set the weights of a front end so that it hears bands from the start.

    Published encoders start from data2vec 2.0, whose first convolutions have
    become band filters in 960 hours of speech. A front end that starts from
    noise needs thousands of updates for that. Here the first layer becomes
    pairs of Gabor filters (cosine and sine under a Gaussian) with mel-spaced
    centres, louder by 6 dB per octave against the slope of speech; each
    further layer of the same width smooths every channel in time. All of it
    is trained on.

    Arguments
    ---------
    front_end : ConvFrontEnd
        Convolutions, each with a LayerNorm and GELU behind it: its ``convs``
        (weights [channels, kernel, inputs]) and ``norms``. The first should
        have a kernel of some 25 ms.
    sample_rate : int
        In Hz.
    lowest : float
        Centre of the lowest band in Hz; the highest lies at 0.92 of half the
        sampling rate.

    Raises
    ------
    ValueError
        If the layers do not all have the same, even number of channels.

    Example
    -------
    >>> from speechbrain_c2ser.lobes.emotion2vec_layers import ConvFrontEnd
    >>> front_end = ConvFrontEnd([(32, 400, 40), (32, 16, 8)])
    >>> start_as_filterbank(front_end)
    >>> tone = torch.sin(2 * torch.pi * 1000 * torch.arange(16000) / 16000)
    >>> bands = front_end.convs[0](tone.view(1, -1, 1)).std(1).view(-1, 2)
    >>> int(bands.mean(1).argmax())  # of 16 pairs from 80 to 7360 Hz
    5
    """
    weights = [conv.weight for conv in front_end.convs]
    channels, kernel, _ = weights[0].shape
    if channels % 2 or {len(weight) for weight in weights} != {channels}:
        raise ValueError(
            "A front end that starts as a filter bank needs the same, even "
            "number of channels in every layer, got "
            f"{[len(weight) for weight in weights]}."
        )
    bands = _gabor_pairs(
        channels // 2, kernel, sample_rate, lowest, 0.46 * sample_rate
    )
    weights[0].copy_(bands.unsqueeze(-1))
    for weight, norm in zip(
        weights[1:], list(front_end.norms)[1:], strict=True
    ):
        window = torch.hann_window(weight.shape[1] + 2, periodic=False)[1:-1]
        weight.zero_()
        diagonal = torch.arange(channels)
        weight[diagonal, :, diagonal] = window / window.sum()
        # GELU then lets weak bands pass, nearly linearly, instead of cutting
        # all below the mean of the bands
        norm.bias.fill_(2.0)


def _gabor_pairs(pairs, kernel, sample_rate, lowest, highest):
    """Cosine and sine filters [2 x pairs, kernel] of mel-spaced centres."""
    low, high = _mel(lowest), _mel(highest)
    step = (high - low) / max(1, pairs - 1)
    time = (torch.arange(kernel) - (kernel - 1) / 2) / sample_rate
    filters = []
    for number in range(pairs):
        centre = _hertz(low + number * step)
        # as wide as the way to the next band, and as the kernel allows
        width = max(_hertz(low + (number + 1) * step) - centre, 50.0)
        spread = min(1 / (2 * math.pi * width), kernel / sample_rate / 5)
        envelope = torch.exp(-0.5 * (time / spread).square())
        for wave in (torch.cos, torch.sin):
            band = envelope * wave(2 * math.pi * centre * time)
            band = band - band.mean()
            loudness = max(centre, 300.0) / 1000
            filters.append(band / band.norm() * loudness)
    return torch.stack(filters)


def _mel(hertz):
    return 2595 * math.log10(1 + hertz / 700)


def _hertz(mel):
    return 700 * (10 ** (mel / 2595) - 1)
