"""Tones and noise."""

import numpy as np
import torch

RATE = 16000


def tone(pitch, seconds, gain):
    """[T]: a sine."""
    time = np.arange(int(seconds * RATE)) / RATE
    return gain * np.sin(2 * np.pi * pitch * time)


def waveforms(*seconds_and_gains):
    """Zero-padded noise [B, T], the same each time; relative lengths."""
    torch.manual_seed(1)
    counts = [round(seconds * RATE) for seconds, _ in seconds_and_gains]
    wavs = torch.zeros(len(counts), max(counts))
    for wav, count, (_, gain) in zip(
        wavs, counts, seconds_and_gains, strict=True
    ):
        wav[:count] = gain * torch.randn(count)
    return wavs, torch.tensor(counts) / max(counts)
