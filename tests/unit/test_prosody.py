"""Measures of style, thresholds, annotation."""

import json
import math

import numpy as np
import pytest
import soundfile
import torch
from waves import RATE, tone

from speechbrain_c2ser.chain_of_thought import prosody
from speechbrain_c2ser.chain_of_thought.espeak import Espeak
from speechbrain_c2ser.chain_of_thought.prosody import (
    StyleThresholds,
    annotate,
    measure,
    measure_items,
)


@pytest.mark.parametrize("pitch", [90.0, 210.0, 400.0])
def test_pitch_of_a_tone(pitch):
    assert measure(tone(pitch, 0.6, 0.1))["f0"] == pytest.approx(
        pitch, rel=0.01
    )


def test_loudness():
    """A full-scale 997 Hz sine is -3.01 LUFS by BS.1770."""
    full = measure(tone(997.0, 2.0, gain=1.0))["loudness"]
    assert full == pytest.approx(-3.01, abs=0.1)
    soft = measure(tone(997.0, 2.0, gain=0.1))["loudness"]
    assert full - soft == pytest.approx(20.0, abs=0.05)
    # Shorter than one block of the standard.
    short = measure(tone(997.0, 0.2, gain=1.0))["loudness"]
    assert short == pytest.approx(full, abs=1.0)


def test_rate_is_phonemes_between_first_and_last_sound():
    speech = tone(200.0, 1.0, 0.1)
    silence = np.zeros(RATE // 2)
    padded = np.concatenate([silence, speech, silence, silence])
    values = measure(padded, "blue hat", "en")
    assert values["rate"] == pytest.approx(6.0, rel=0.05)


def test_faster_speech_has_a_higher_rate():
    rates = []
    for words_per_minute in (120, 240):
        samples, sample_rate = Espeak().synthesize(
            "The train has eight cars.", rate=words_per_minute
        )
        values = measure(
            samples, "The train has eight cars.", "en", sample_rate
        )
        assert 60 < values["f0"] < 300
        rates.append(values["rate"])
    assert rates[1] > 1.4 * rates[0]


@pytest.mark.parametrize("count", [0, 1, 50, 399, 400, 700, 1001, 6401, 7777])
def test_never_nan(count):
    """Noise and silence of any length: finite numbers or None."""
    noise = np.random.default_rng(count).normal(size=count) * 0.1
    for samples in (noise, np.zeros(count)):
        for value in measure(samples, "a b", "en").values():
            assert value is None or math.isfinite(value)
    silent = measure(np.zeros(count), "a b", "en")
    assert set(silent.values()) == {None}


def test_language_that_espeak_does_not_know(caplog):
    values = measure(tone(200.0, 0.5, 0.1), "hello", "klingon-x")
    assert values["rate"] is None
    assert "klingon-x" in caplog.text


def rows(values, **fields):
    return [
        {"prosody": {"f0": v, "loudness": v, "rate": v}, **fields}
        for v in values
    ]


def test_cuts_are_mean_and_deviation():
    cuts = StyleThresholds.fit(rows([1.0, 2.0, 3.0, 6.0])).cuts
    spread = math.sqrt((4 + 1 + 0 + 9) / 4)
    for groups in cuts.values():
        assert groups == {
            "all": pytest.approx([3 - spread, 3 + spread], abs=1e-4)
        }


def test_pitch_is_cut_by_gender_and_speed_by_language():
    men = rows(np.linspace(90, 130, 20), gender="male", language="en")
    women = rows(np.linspace(190, 230, 20), gender="female", language="zh")
    few = rows([500.0], gender="other", language="de")
    thresholds = StyleThresholds.fit(men + women + few)
    at = {"f0": 128.0, "loudness": 128.0, "rate": 128.0}
    assert thresholds.words(at, "male", "en")["pitch"] == "high"
    assert thresholds.words(at, "male", "en")["speed"] == "high"
    assert thresholds.words(at, "female", "zh")["pitch"] == "low"
    assert thresholds.words(at, "female", "zh")["speed"] == "low"
    # Unknown, or too few to know: as for all.
    for gender, language in ((None, None), ("other", "de")):
        words = thresholds.words(at, gender, language)
        assert set(words.values()) == {"normal"}


def test_what_could_not_be_measured_is_normal():
    thresholds = StyleThresholds.fit(rows([1.0, 2.0, 3.0]))
    nothing = {"f0": None, "loudness": None, "rate": None}
    normal = dict.fromkeys(("speed", "pitch", "volume"), "normal")
    assert thresholds.words(nothing) == normal
    empty = StyleThresholds.fit([{"prosody": nothing}])
    assert empty.words({"f0": 1.0, "loudness": 1.0, "rate": 1.0}) == normal
    same = StyleThresholds.fit(rows([2.0] * 12))
    assert same.words(rows([2.0])[0]["prosody"]) == normal


def test_save_and_load(tmp_path):
    thresholds = StyleThresholds.fit(rows([1.0, 2.0, 3.0]))
    path = tmp_path / "new" / "style.json"
    thresholds.save(path)
    assert StyleThresholds.load(path).cuts == thresholds.cuts
    assert [p.name for p in path.parent.iterdir()] == ["style.json"]
    with pytest.raises(FileNotFoundError, match="nothing.json"):
        StyleThresholds.load(tmp_path / "nothing.json")
    for content in ("{", "{}", "[]", '{"speed": {"all": 1}}'):
        path.write_text(content)
        with pytest.raises(ValueError, match="style.json"):
            StyleThresholds.load(path)


@pytest.fixture
def corpus(tmp_path):
    """build() -> 120 clips of rising pitch and falling loudness."""

    def build():
        items = {}
        for i in range(120):
            path = tmp_path / f"{i}.wav"
            if not path.exists():
                gain = 0.5 * 0.97**i
                soundfile.write(path, tone(100 + 2 * i, 0.3, gain), RATE)
            items[f"u{i}"] = {
                "wav": str(path),
                "duration": 0.3,
                "transcript": "blue hat",
                "language": "en",
            }
        return items

    return build


def test_annotate_is_the_same_in_one_process_and_in_two(corpus):
    items = corpus()
    thresholds = annotate(items, workers=1, progress=False)
    others = corpus()
    annotate(others, workers=2, progress=False)
    assert others == items
    json.dumps(items, allow_nan=False)
    assert items["u0"]["style"]["pitch"] == "low"
    assert items["u119"]["style"] == {
        "speed": "normal",
        "pitch": "high",
        "volume": "low",
    }
    alone = {"x": {**corpus()["u119"]}}
    annotate(alone, thresholds, progress=False)
    assert alone["x"]["style"] == items["u119"]["style"]


def test_measures_in_the_manifest_are_reused(corpus, monkeypatch):
    items = corpus()
    measure_items(items, workers=1, progress=False)
    kept = {key: dict(item["prosody"]) for key, item in items.items()}
    del items["u5"]["prosody"]
    read = []
    original = prosody.read_audio
    monkeypatch.setattr(
        prosody,
        "read_audio",
        lambda *a, **k: read.append(a) or original(*a, **k),
    )
    annotate(items, workers=1, progress=False)
    assert len(read) == 1
    assert {key: item["prosody"] for key, item in items.items()} == kept


def test_truncated_audio_has_no_rate(corpus):
    items = {"u1": {**corpus()["u1"], "truncated": True}}
    measure_items(items, progress=False)
    assert items["u1"]["prosody"]["rate"] is None
    assert items["u1"]["prosody"]["f0"] is not None


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_audio_is_named_and_nothing_is_changed(corpus, workers, tmp_path):
    items = corpus()
    items["u77"]["wav"] = str(tmp_path / "none.wav")
    with pytest.raises(ValueError, match="'u77'.*none.wav"):
        annotate(items, workers=workers, progress=False)
    assert not any("prosody" in item for item in items.values())


def test_tensors_are_welcome():
    wave = tone(200.0, 0.5, 0.1)
    assert measure(torch.from_numpy(wave)) == measure(wave)
