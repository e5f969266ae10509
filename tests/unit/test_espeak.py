"""espeak-ng through ctypes: repeatable speech, clear refusals."""

import multiprocessing
import sys

import numpy as np
import pytest

import speechbrain_c2ser.chain_of_thought.espeak as module
from speechbrain_c2ser.chain_of_thought.espeak import Espeak, EspeakError

VOICES = ["en-us+f3", "cmn+m2", "en-us+klatt3", "en-us+Mr serious"]


def say(voice):
    return Espeak().synthesize("The table is brown. 桌子。", voice)[0]


def test_same_call_same_samples_whatever_came_before():
    first = [say(voice) for voice in VOICES]
    again = [say(voice) for voice in reversed(VOICES)][::-1]
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a, b)
    assert all(0.02 < np.abs(a).max() <= 1 for a in first)


@pytest.mark.skipif(sys.platform == "win32", reason="no fork on Windows")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_works_in_a_forked_process():
    here = say(VOICES[0])
    with multiprocessing.get_context("fork").Pool(1) as pool:
        there = pool.apply_async(say, VOICES[:1]).get(timeout=30)
    assert np.array_equal(here, there)


def test_parameters_act():
    espeak = Espeak()
    text = "We walk to school."
    slow, _ = espeak.synthesize(text, rate=100)
    fast, _ = espeak.synthesize(text, rate=300)
    assert len(slow) > 2 * len(fast)
    quiet, _ = espeak.synthesize(text, volume=20)
    loud, _ = espeak.synthesize(text, volume=100)
    assert quiet.std() < 0.5 * loud.std()
    with pytest.raises(ValueError, match="pitch"):
        espeak.synthesize(text, pitch=120)


def test_phonemes_are_counted():
    espeak = Espeak()
    assert len(espeak.phoneme_list("blue hat")) == 6
    assert len(espeak.phoneme_list("Blue hat. Blue, hat!")) == 12
    # zhuo zi
    assert len(espeak.phoneme_list("桌子", "zh")) == 4
    assert len(espeak.phoneme_list("der Tisch", "de")) == 6
    assert len(espeak.phoneme_list("")) == 0


@pytest.mark.parametrize("voice", ["nonsuch", "en-us+nonsuch"])
def test_unknown_voice(voice):
    with pytest.raises(EspeakError, match="nonsuch"):
        Espeak().synthesize("Hello.", voice)


def test_nothing_to_say():
    with pytest.raises(EspeakError, match="spoke nothing"):
        Espeak().synthesize("")


def test_missing_wheel_names_the_remedy(monkeypatch):
    monkeypatch.setattr(module.Espeak, "_library", None)
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(EspeakError, match="pip install espeakng-loader"):
        Espeak()
