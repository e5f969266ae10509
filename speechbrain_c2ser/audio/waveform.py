"""Samples in memory as mono float32 at one rate."""

import logging
import math
import numbers

import numpy as np
import torch

from speechbrain_c2ser.audio.errors import AudioError
from speechbrain_c2ser.audio.mixing import Mixer
from speechbrain_c2ser.audio.narrow import tell_narrow
from speechbrain_c2ser.audio.resampling import HIGHEST, LOWEST, Resampler

logger = logging.getLogger(__name__)
SILENCE = 1e-4  # -80 dB of full scale, under which nothing is heard
AROUND = 401  # samples: 25 ms at 16 kHz
SECOND = 16000
PART = 39 * AROUND  # about a second
CLICKS = 4  # times 25 ms: a codec's edges beside silence; no syllable
LOUDEST = 100.0  # of floats; more are integers' numbers


def as_waveform(
    audio,
    sample_rate: float,
    target_rate: float = 16000,
    name: str = "The audio",
    channel: int | None = None,
) -> torch.Tensor:
    """Bring samples to the form that every model here takes.

    Arguments
    ---------
    audio : array | torch.Tensor
        [T] mono, or [T, channels] (as soundfile) or [channels, T]: the
        smaller size is taken for the channels, whose mean is used; where they
        cancel each other, the loudest. Integers (int16, int32, uint8 ...) are
        scaled to [-1, 1); floats are taken as they are, also beyond 1.
    sample_rate : float
        Rate of ``audio`` (Hz).
    target_rate : float
        Rate of the result (Hz).
    name : str
        What the errors call it.
    channel : int | None
        The channel to take, from 0.

    Returns
    -------
    torch.Tensor
        Shape [T], float32.

    Raises
    ------
    AudioError
        If it is empty, of wrong shape, holds NaN or infinity, integers as
        floats, or the rate cannot be one.

    Example
    -------
    >>> as_waveform(torch.zeros(800, 2, dtype=torch.int16), 8000).shape
    torch.Size([1600])
    """
    check_rate(sample_rate, name)
    samples = as_samples(audio, name)
    if samples.size == 0:
        raise AudioError(f"{name} is empty: it holds no samples.")
    if samples.ndim > 2 and samples.size == max(samples.shape):
        samples = samples.reshape(-1)  # a batch of one
    if samples.ndim not in (1, 2):
        raise AudioError(
            f"{name} has {samples.ndim} dimensions: give [samples] or "
            "[samples, channels]."
        )
    if samples.ndim == 1:
        samples = samples[:, None]
    elif samples.shape[1] > samples.shape[0]:
        samples = samples.T
    channel = check_channel(channel, samples.shape[1], name)
    mixer = Mixer(samples.shape[1], channel)
    check_samples(mixer.heard(samples), name)
    mono = mixer(samples)
    if mixer.cancels():
        mono = samples[:, mixer.loudest()]
        tell_cancelled(name, mixer)
    resampler = Resampler(sample_rate, target_rate)
    wave = np.concatenate([resampler(mono), resampler.rest()])
    return torch.from_numpy(np.ascontiguousarray(wave, np.float32))


def as_samples(audio, name: str = "The audio") -> np.ndarray:
    """Numbers of any type as float32, integers scaled to [-1, 1).

    Arguments
    ---------
    audio : array | torch.Tensor
        Of any shape.
    name : str
        What the errors call it.

    Returns
    -------
    numpy.ndarray
        float32, of the same shape.

    Raises
    ------
    AudioError
        For what holds no numbers, or integers of unknown scale.

    Example
    -------
    >>> as_samples(np.array([-32768, 16384], "int16")).tolist()
    [-1.0, 0.5]
    """
    if isinstance(audio, torch.Tensor):
        try:
            audio = audio.detach().cpu()
            if audio.dtype is torch.bfloat16:
                audio = audio.float()
            audio = audio.resolve_neg().numpy()
        except (TypeError, RuntimeError) as error:
            raise AudioError(f"{name} has no samples ({error}).") from None
    try:
        samples = np.asarray(audio)
    except (ValueError, TypeError) as error:
        raise AudioError(f"{name} is no array of samples ({error}).") from None
    if samples.dtype.kind == "O":  # of a table, numbers nevertheless
        samples = _as_numbers(samples, name)
    kind = samples.dtype.kind
    if samples.size == 0:
        return samples.astype(np.float32)
    if kind == "f":
        with np.errstate(over="ignore"):
            return samples.astype(np.float32)
    if kind == "b":
        raise AudioError(f"{name} holds truth values, not samples.")
    if kind not in "iu":
        raise AudioError(f"{name} holds no numbers ({samples.dtype}).")
    info = np.iinfo(samples.dtype)
    if info.bits > 32:
        raise AudioError(
            f"{name} holds {info.bits}-bit integers, whose full scale cannot "
            "be known: give them the type of the recording, such as int16, "
            "or floats from -1 to 1."
        )
    if info.min < 0 and info.bits == 32:
        tell_narrow(samples, name)
    scaled = samples.astype(np.float64 if info.bits > 16 else np.float32)
    if info.min == 0:
        # Unsigned formats put silence in the middle.
        scaled = scaled / ((info.max + 1) / 2) - 1.0
    else:
        scaled = scaled / (info.max + 1)
    return scaled.astype(np.float32)


def _as_numbers(samples, name):
    try:
        return np.asarray(samples.tolist())
    except (ValueError, TypeError) as error:
        raise AudioError(f"{name} is no array of samples ({error}).") from None


def is_silent(wave: torch.Tensor) -> bool:
    """Whether there is nothing to hear: an offset is no sound.

    Nor is one that drifts, as of an input that nothing is plugged into, nor
    what a codec makes of the edges of either.

    Arguments
    ---------
    wave : torch.Tensor
        [T], not empty.

    Returns
    -------
    bool
        True where nothing is further than 1e-4 from the middle, or from
        the mean of the 25 ms around it; of a second or more, where less than
        100 ms are by their RMS.

    Example
    -------
    >>> is_silent(torch.full((100,), 0.3))
    True
    """
    low, high = torch.aminmax(wave)
    if (high - low) / 2 < SILENCE:
        return True
    if len(wave) < SECOND:
        if len(wave) <= 2 * AROUND or wave.diff().abs().max() > SILENCE:
            return False
        return bool(_moved(wave).abs().max() < SILENCE)
    # Turned about its ends, so that what drifts goes on beyond them.
    half = AROUND // 2
    begin = 2 * wave[0] - wave[1 : half + 1].flip(0)
    end = 2 * wave[-1] - wave[-half - 1 : -1].flip(0)
    longer = torch.cat([begin, wave, end])
    loud = 0  # samples
    for start in range(0, len(wave), PART):  # of speech, the first will do
        moved = _moved(longer[start : start + PART + AROUND - 1]).square()
        whole = len(moved) // AROUND * AROUND
        frames, rest = moved[:whole].view(-1, AROUND), moved[whole:]
        loud += AROUND * int((frames.mean(1) > SILENCE**2).sum())
        if len(rest) and rest.mean() > SILENCE**2:
            loud += len(rest)
        if loud >= CLICKS * AROUND:
            return False
    return True


def _moved(wave):
    """Less the mean of what is around each sample."""
    sums = torch.nn.functional.pad(wave.double().cumsum(0), (1, 0))
    means = (sums[AROUND:] - sums[:-AROUND]) / AROUND
    return wave[AROUND // 2 : len(wave) - AROUND // 2] - means


def check_rate(rate: object, name: str) -> None:
    """Refuse a sample rate that cannot be one of speech.

    Example
    -------
    >>> check_rate(1, "a.wav")
    Traceback (most recent call last):
    speechbrain_c2ser.audio.errors.AudioError: a.wav has a sample rate of 1 \
Hz: 1000 to 1000000 Hz can be used.
    """
    if not isinstance(rate, numbers.Real) or isinstance(rate, bool):
        raise AudioError(
            f"{name} has {rate!r} for a sample rate: give a number of Hz."
        )
    if not math.isfinite(rate) or not LOWEST <= rate <= HIGHEST:
        raise AudioError(
            f"{name} has a sample rate of {rate} Hz: {LOWEST} to {HIGHEST} Hz "
            "can be used."
        )


def check_samples(samples: np.ndarray, name: str) -> None:
    """Refuse NaN, infinity, and integers that were made floats.

    Example
    -------
    >>> check_samples(np.array([0.5, 300.0]), "a.wav")
    Traceback (most recent call last):
    speechbrain_c2ser.audio.errors.AudioError: a.wav holds floats up to 300, \
which are no samples from -1 to 1: give the integers themselves, or divide \
16-bit ones by 32768.
    """
    low, high = samples.min(initial=0), samples.max(initial=0)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise AudioError(
            f"{name} holds NaN or infinite samples: repair them, or export it "
            "again."
        )
    if max(-low, high) > LOUDEST:
        raise AudioError(
            f"{name} holds floats up to {max(-low, high):.6g}, which are no "
            "samples from -1 to 1: give the integers themselves, or divide "
            "16-bit ones by 32768."
        )


def check_channel(channel: int | None, channels: int, name: str) -> int | None:
    """The channel to take, if the recording has it.

    Example
    -------
    >>> check_channel(1, 2, "a.wav")
    1
    """
    if channel is None or 0 <= channel < channels:
        return channel
    raise AudioError(
        f"{name} has {channels} channels and no channel {channel} (from 0)."
    )


def tell_cancelled(name: str, mixer: Mixer) -> None:
    """Log that one channel was taken in place of the mean."""
    logger.warning(
        "%s: its channels cancel each other out; channel %d is used.",
        name,
        mixer.loudest(),
    )
