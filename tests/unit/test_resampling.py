"""Any sample rate, at bounded memory, against the exact signal in float64."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_c2ser.audio import AudioError, as_waveform, read_audio

RATES = [8000, 11025, 16001, 22050, 44099, 44100, 47999, 96000, 192000, 384000]


def chord(rate, seconds):
    """Tones below 4 kHz, in float64."""
    time = np.arange(round(rate * seconds)) / rate
    tones = (97.0, 440.0, 1333.0, 3100.0)
    return sum(0.2 * np.sin(2 * np.pi * hertz * time) for hertz in tones)


@pytest.mark.parametrize("rate", RATES)
def test_any_rate_is_exact(tmp_path, rate):
    wave = as_waveform(chord(rate, 1.0).astype("f4"), rate).numpy()
    assert len(wave) == 16000
    error = np.abs(wave - chord(16000, 1.0))[800:-800].max()
    assert error < 2e-6
    # A file gives the same, however it is cut into blocks.
    path = tmp_path / "a.wav"
    soundfile.write(path, chord(rate, 1.0).astype("f4"), rate, "FLOAT")
    np.testing.assert_allclose(read_audio(path), wave, atol=1e-5)


def test_16_khz_is_left_alone():
    samples = chord(16000, 0.5).astype("f4")
    assert torch.equal(as_waveform(samples, 16000), torch.tensor(samples))


def test_what_16_khz_cannot_carry_is_filtered_out():
    time = np.arange(44100) / 44100
    wave = as_waveform(np.sin(2 * np.pi * 10000 * time), 44100)
    assert wave[500:-500].abs().max() < 1e-5


def test_an_offset_does_not_ring():
    wave = as_waveform(np.full(44100, 0.3, "f4"), 44100)
    assert (wave - 0.3).abs().max() < 1e-5


@pytest.mark.parametrize("rate", [0, 1, -8000, float("nan"), True, "16000"])
def test_rates_that_cannot_be(rate):
    with pytest.raises(AudioError, match="sample rate"):
        as_waveform([0.0] * 99, rate)


def test_a_file_of_one_hertz_is_refused(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(100), 1)
    with pytest.raises(AudioError, match="a.wav has a sample rate of 1 Hz"):
        read_audio(path)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory_does_not_grow_with_the_ratio(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(44099 * 2), 44099)
    program = (
        "import resource, sys\n"
        "from speechbrain_c2ser.audio import read_audio\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "assert len(read_audio(sys.argv[1])) == 32000\n"
        "assert peak() - before < 50_000, peak() - before  # KiB\n"
    )
    subprocess.run([sys.executable, "-c", program, path], check=True)
