"""Statistics of contours, spectral shape and the encoder made of them."""

import math

import pytest
import torch

from speechbrain_c2ser.lobes.acoustics.descriptors import (
    VOICE,
    spectral_shape,
    voice_functionals,
)
from speechbrain_c2ser.lobes.acoustics.functionals import dynamics, functionals
from speechbrain_c2ser.lobes.encoders.functionals import (
    SpeechFunctionals,
    zero_crossings,
)


def test_dynamics_of_a_sawtooth():
    """Up in four steps of 1, down in one of 4, five times."""
    saw = torch.arange(5.0).repeat(5).unsqueeze(1)
    found = dynamics(saw)
    over = [3 / 5, 1 / 5, 1 / 5]  # 0.25, 0.75 and 0.9 of the range
    expected = [*over, 20 / 24, 4 / 25, 2.0, 4 / 25, 0.0, 1.0, -4.0]
    torch.testing.assert_close(found[:10], torch.tensor(expected))
    z = (saw - saw.mean()) / saw.std(correction=0)
    later = (z[4:] * z[:-4]).sum() / 25
    torch.testing.assert_close(found[11], later)
    assert dynamics(saw[:10])[13] == 0  # no two frames are 16 apart


def test_functionals_of_a_ramp():
    found = functionals(torch.linspace(-1, 1, 101).unsqueeze(1))
    assert found[0].abs() < 1e-6  # mean
    assert found[2].abs() < 1e-4  # skewness
    torch.testing.assert_close(found[6], torch.tensor(0.0), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[9], torch.tensor(1.0))  # slope
    torch.testing.assert_close(found[13], torch.tensor(0.02))  # mean step


def test_shape_of_a_tone_and_of_noise():
    hertz = torch.linspace(0, 8000, 513)
    tone = torch.zeros(3, 513)
    tone[:, (hertz - 1000).abs().argmin()] = 1e4
    found = spectral_shape(tone)
    octave = math.log2(1000)
    # centroid and the four roll-off points
    for column in (0, 6, 7, 8, 9):
        assert found[:, column].allclose(torch.tensor(octave), atol=1e-2)
    flat = spectral_shape(torch.ones(3, 513))
    assert flat[:, 5].allclose(torch.tensor(0.0), atol=1e-5)  # flatness
    assert flat[:, 4].allclose(torch.tensor(math.log(513)))  # entropy
    assert flat[:, 13:16].abs().max() < 1e-4  # slopes
    assert flat[:, 4].min() > found[:, 4].max()


def test_zero_crossings_of_a_tone():
    wav = (2 * math.pi * 400 * torch.arange(16000) / 16000 + 0.1).sin()
    # 400 Hz crosses 800 times a second
    assert zero_crossings(wav, 640, 160)[10:90].allclose(
        torch.tensor(800 / 16000), atol=2e-3
    )


@pytest.mark.parametrize("sound", ["silence", "click", "noise"])
def test_any_sound_has_finite_statistics(sound):
    wav = torch.zeros(1600)  # the shortest that is taken
    if sound == "click":
        wav[800] = 1.0
    elif sound == "noise":
        wav = torch.randn(1600)
    tokens = SpeechFunctionals().extract(wav.unsqueeze(0)).tokens
    assert tokens.shape == (1, 1, 3198)
    assert tokens.isfinite().all()


def test_too_short_is_named():
    wavs = torch.zeros(2, 3200)
    with pytest.raises(ValueError, match="Waveform 1 .* at least 1600"):
        SpeechFunctionals().extract(wavs, torch.tensor([1.0, 0.25]))


def test_the_columns_of_the_token_are_named():
    encoder = SpeechFunctionals(n_mels=16, n_cepstra=8)
    wav = torch.randn(4000)
    token = encoder.extract(wav.unsqueeze(0)).tokens[0, 0]
    assert len(set(encoder.columns)) == len(encoder.columns) == len(token)
    named = dict(zip(encoder.columns, token, strict=True))
    voice = dict(zip(VOICE, voice_functionals(wav), strict=True))
    for name, value in voice.items():
        assert named[name] == value
    loudness = named["percentile 0.5 of loudness"]
    assert named["percentile 0.25 of loudness"] < loudness
    assert named["percentile 0.5 of loud loudness"] > loudness
    assert named["mean of delta loudness"].abs() < 1
    assert 0 < named["time rising of zero crossings"] < 1
