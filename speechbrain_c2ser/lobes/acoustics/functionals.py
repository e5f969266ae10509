"""Statistics of contours over an utterance, in the manner of openSMILE."""

import torch
from torch.nn import functional as F

PERCENTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
LEVELS = (0.25, 0.75, 0.9)
LAGS = (1, 4, 8, 16)
# Columns of `functionals`, for each contour.
FUNCTIONALS = (
    "mean",
    "deviation",
    "skewness",
    "kurtosis",
    *(f"percentile {level}" for level in PERCENTILES),
    "slope",
    "curvature",
    "time above mean + deviation / 4",
    "mean crossing rate",
    "mean step",
)
# Columns of `dynamics`, for each contour.
DYNAMICS = (
    *(f"time above {level} of range" for level in LEVELS),
    "time rising",
    "peak rate",
    "peak height",
    "position of maximum",
    "position of minimum",
    "mean rise",
    "mean fall",
    *(f"autocorrelation {lag}" for lag in LAGS),
    "deviation of steps",
)


def functionals(contours: torch.Tensor) -> torch.Tensor:
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
        [14 C]: the columns FUNCTIONALS, each for all contours.

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


def deltas(contours: torch.Tensor, width: int = 4) -> torch.Tensor:
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


def dynamics(contours: torch.Tensor) -> torch.Tensor:
    """How contours move: peaks, rises and falls, and how long they hold.

    Share of time above three levels of the range, share of time rising,
    peaks per frame and their mean height, where the highest and lowest
    frames are, mean rise, mean fall, autocorrelation at four lags, and
    deviation of the steps.

    Arguments
    ---------
    contours : torch.Tensor
        [T, C], T >= 3.

    Returns
    -------
    torch.Tensor
        [15 C]: the columns DYNAMICS, each for all contours.

    Example
    -------
    >>> dynamics(torch.rand(20, 3)).shape
    torch.Size([45])
    """
    count = len(contours)
    mean, deviation = contours.mean(0), contours.std(0, correction=0) + 1e-6
    z, steps = (contours - mean) / deviation, contours.diff(dim=0)
    lowest, highest = contours.amin(0), contours.amax(0)
    height = (contours - lowest) / (highest - lowest + 1e-6)
    peaks = torch.zeros_like(z)
    middle = z[1:-1]
    peaks[1:-1] = (middle > z[:-2]) & (middle >= z[2:]) & (middle > 0)
    rising, falling = steps > 0, steps < 0
    return torch.cat(
        [
            *((height > level).float().mean(0) for level in LEVELS),
            rising.float().mean(0),
            peaks.mean(0),
            (contours * peaks).sum(0) / peaks.sum(0).clamp_min(1) - mean,
            contours.argmax(0) / count,
            contours.argmin(0) / count,
            (steps * rising).sum(0) / rising.sum(0).clamp_min(1),
            (steps * falling).sum(0) / falling.sum(0).clamp_min(1),
            *(
                # a lag beyond the end: no two frames to compare
                (z[lag:] * z[: max(count - lag, 0)]).sum(0) / count
                for lag in LAGS
            ),
            steps.std(0, correction=0),
        ]
    )
