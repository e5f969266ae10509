"""Any audio file or array as mono float32 at one rate, with clear errors."""

import os

import soundfile
import torch
import torchaudio.functional


class AudioError(ValueError):
    """Audio that cannot be used; one sentence says which and why."""


def as_waveform(audio, sample_rate, target_rate=16000, name="The audio"):
    """Bring samples to the form that every model here takes.

    Arguments
    ---------
    audio : array or torch.Tensor
        [T] mono, or [T, channels] (as soundfile) or [channels, T]: the
        smaller size is taken for the channels, whose mean is used. Integers
        are scaled to [-1, 1).
    sample_rate : int
        Rate of ``audio`` (Hz).
    target_rate : int
        Rate of the result (Hz).
    name : str
        What the errors call it.

    Returns
    -------
    torch.Tensor
        Shape [T], float32.

    Raises
    ------
    AudioError
        If it is empty, of wrong shape, holds NaN or infinity, or the rate is
        not positive.

    Example
    -------
    >>> as_waveform(torch.zeros(800, 2, dtype=torch.int16), 8000).shape
    torch.Size([1600])
    """
    wave = torch.as_tensor(audio)
    if sample_rate <= 0:
        raise AudioError(f"{name} has a sample rate of {sample_rate} Hz.")
    if wave.numel() == 0:
        raise AudioError(f"{name} is empty: it holds no samples.")
    if wave.ndim not in (1, 2):
        raise AudioError(
            f"{name} has {wave.ndim} dimensions: give [samples] or "
            "[samples, channels]."
        )
    if not wave.is_floating_point():
        wave = _scale_integers(wave, name)
    wave = wave.detach().to(device="cpu", dtype=torch.float32)
    if wave.ndim == 2:
        wave = wave.mean(dim=int(wave.shape[1] <= wave.shape[0]))
    # a sum is quick, and finite unless a sample is not (or it overflows)
    if not (wave.sum().isfinite() or wave.isfinite().all()):
        raise AudioError(f"{name} holds NaN or infinite samples.")
    if sample_rate != target_rate:
        wave = torchaudio.functional.resample(
            wave, int(sample_rate), int(target_rate)
        )
    return wave.contiguous()


def read_audio(path, start=None, stop=None, sample_rate=16000):
    """Read an audio file, or a segment of it.

    Arguments
    ---------
    path : str or Path
        Any format that soundfile reads (wav, flac, ogg, mp3 ...).
    start, stop : float
        Segment (s); None is the file's start or end.
    sample_rate : int
        Rate of the result (Hz).

    Returns
    -------
    torch.Tensor
        Shape [T], mono, float32.

    Raises
    ------
    AudioError
        If the file is missing, unreadable or empty, if it holds NaN, or if
        the segment lies outside of it.

    Example
    -------
    >>> read_audio("nowhere.wav")
    Traceback (most recent call last):
    speechbrain_c2ser.audio.AudioError: The audio file nowhere.wav is missing.
    """
    name = f"The audio file {path}"
    if not os.path.isfile(path):
        raise AudioError(f"{name} is missing.")
    if os.path.getsize(path) == 0:
        raise AudioError(f"{name} is empty (0 bytes).")
    try:
        with soundfile.SoundFile(str(path)) as file:
            rate = file.samplerate
            first, last = _segment(name, start, stop, file.frames, rate)
            file.seek(first)
            samples = file.read(last - first, "float32", always_2d=True)
    except (RuntimeError, OSError) as error:
        raise AudioError(f"{name} cannot be read: {error}.") from error
    # Channels are the last axis here, however short the segment.
    several = samples.shape[1] > 1
    mono = samples.mean(axis=1) if several else samples[:, 0]
    return as_waveform(mono, rate, sample_rate, name)


def _segment(name, start, stop, frames, rate):
    if frames == 0:
        raise AudioError(f"{name} is empty: it holds no samples.")
    first = 0 if start is None else round(start * rate)
    last = frames if stop is None else round(stop * rate)
    # Manifests round seconds: a hundredth past the end is the end.
    if last <= frames + rate // 100:
        last = min(last, frames)
    if not 0 <= first < last <= frames:
        raise AudioError(
            f"{name} lasts {frames / rate:.3f} s and has no segment from "
            f"{first / rate:.3f} to {last / rate:.3f} s."
        )
    return first, last


def _scale_integers(wave, name):
    if wave.dtype == torch.bool:
        raise AudioError(f"{name} holds truth values, not samples.")
    info = torch.iinfo(wave.dtype)
    wave = wave.to(torch.float32)
    if info.min == 0:
        # Unsigned formats put silence in the middle.
        return wave / ((info.max + 1) / 2) - 1.0
    return wave / (info.max + 1)
