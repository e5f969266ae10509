"""The shape of spectra, frame by frame: where the energy lies, how it falls."""

import torch

ROLL_OFFS = (0.25, 0.5, 0.75, 0.9)
# Hz; the voice's own region and two that tension lifts
SLOPES = ((0, 500), (500, 1500), (1500, 5000))


def spectral_shape(power, sample_rate=16000):
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
        [T, 18].

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
