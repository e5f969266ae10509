"""Stretches of speech in place of windows everywhere."""

import importlib.util
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from test_long_recordings import Level, stream_of  # noqa: F401

from speechbrain_c2ser.audio import speech as module
from speechbrain_c2ser.audio.objects import open_recording
from speechbrain_c2ser.audio.speech import SpeechFinder
from speechbrain_c2ser.audio.streaming import AudioStream
from speechbrain_c2ser.cli import main, recordings
from speechbrain_c2ser.inference.c2ser import C2SER
from speechbrain_c2ser.inference.recordings import for_each_recording
from speechbrain_c2ser.inference.results import Description

RATE = 16000
NEEDED = pytest.mark.skipif(
    importlib.util.find_spec("silero_vad") is None,
    reason="the extra `vad` is not installed",
)


@pytest.fixture(scope="module")
def talk():
    """Silence, a sentence, silence, another: (samples, rate, bounds)."""
    pytest.importorskip("espeakng_loader", reason="the extra `prosody`")
    from speechbrain_c2ser.chain_of_thought.espeak import Espeak

    espeak, parts, bounds, now = Espeak(), [], [], 0.0
    for text in ("The train to Berlin leaves at nine.", "I told you so."):
        wave, rate = espeak.synthesize(text, "en-us+f3")
        parts += [np.zeros(int(1.5 * rate)), wave]
        bounds.append((now + 1.5, now + 1.5 + len(wave) / rate))
        now = bounds[-1][1]
    parts.append(np.zeros(rate))
    noise = 1e-4 * np.random.default_rng(0).standard_normal(10 * rate)
    wave = np.concatenate(parts)
    return (wave + noise[: len(wave)]).astype("f4"), rate, bounds


def near(stretches, bounds):
    assert len(stretches) == len(bounds)
    for stretch, bound in zip(stretches, bounds, strict=True):
        assert stretch == pytest.approx(bound, abs=0.35)


@NEEDED
def test_speech_is_found_however_it_is_read(talk, tmp_path, monkeypatch):
    wave, rate, bounds = talk
    finder = SpeechFinder()
    whole = finder(open_recording((wave, rate)), 30.0)
    near(whole, bounds)
    soundfile.write(tmp_path / "a.wav", wave, rate, "FLOAT")
    monkeypatch.setattr(module, "BLOCK", 31 * module.CHUNK)
    streamed = finder(open_recording(tmp_path / "a.wav"), 30.0)
    assert np.allclose(streamed, whole, atol=0.04)
    # A stretch of a list is a recording of its own.
    row = {"wav": tmp_path / "a.wav", "start": bounds[0][1] + 0.4}
    part = finder(open_recording(row), 30.0)
    shift = row["start"]
    near([(a + shift, b + shift) for a, b in part], bounds[1:])


@NEEDED
def test_stretches_are_no_longer_than_a_window(talk):
    wave, rate, bounds = talk
    stretches = SpeechFinder()(open_recording((wave, rate)), 0.9)
    assert len(stretches) > 2
    lengths = [stop - start for start, stop in stretches]
    assert module.SHORTEST <= min(lengths) and max(lengths) <= 0.9
    for (_, stop), (start, _) in zip(stretches, stretches[1:], strict=False):
        assert stop <= start


@NEEDED
def test_a_pause_within_a_sentence_parts_nothing(talk):
    wave, rate, bounds = talk
    cut = int(0.3 * rate)
    first = int((sum(bounds[0]) / 2) * rate)
    wave = np.concatenate([wave[:first], 0 * wave[:cut], wave[first:]])
    recording = open_recording((wave, rate))
    assert len(SpeechFinder()(recording, 30.0)) == 2
    assert len(SpeechFinder(pause=0.1)(recording, 30.0)) > 2


class Script:
    """A network that says what it is told to."""

    def __init__(self, shares):
        self.shares, self.resets = shares, 0

    def reset_states(self):
        self.resets += 1
        self._rest = iter(self.shares)

    def __call__(self, chunk, rate):
        return torch.tensor(next(self._rest))


@NEEDED
def test_a_piece_of_a_parted_stretch_may_be_too_short():
    finder = SpeechFinder()
    shares = [1.0] * 2 + [0.0] * 5 + [1.0] * 40
    finder._network = Script(shares)
    wave = torch.zeros(len(shares) * module.CHUNK)
    first = finder(open_recording((wave, RATE)), 1.0)
    assert first and min(b - a for a, b in first) >= module.SHORTEST
    # Nothing of a recording is carried into the next one.
    assert finder(open_recording((wave, RATE)), 1.0) == first
    assert finder._network.resets == 2


@NEEDED
def test_an_hour_is_looked_through_piece_by_piece(stream_of, monkeypatch):  # noqa: F811
    taken, forgotten = [], []
    take, forget = AudioStream.take, AudioStream.forget

    def noted(self, start, stop):
        taken.append(stop - start)
        return take(self, start, stop)

    monkeypatch.setattr(AudioStream, "take", noted)
    monkeypatch.setattr(
        AudioStream,
        "forget",
        lambda self, t: (forgotten.append(t), forget(self, t))[1],
    )
    monkeypatch.setattr(module, "BLOCK", 31 * module.CHUNK)
    recording = open_recording(stream_of(5.0))
    assert SpeechFinder()(recording, 30.0) == []  # noise
    assert max(taken) <= 31 * module.CHUNK / RATE + 1e-9
    assert sum(taken) == pytest.approx(5.0, abs=0.2)
    assert len(forgotten) == len(taken) - 1


@NEEDED
def test_the_process_keeps_its_threads():
    code = (
        "import torch\n"
        "torch.set_num_threads(2)\n"
        "from speechbrain_c2ser.audio.speech import SpeechFinder\n"
        "SpeechFinder()\n"
        "assert torch.get_num_threads() == 2\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.fixture
def listen(tmp_path, monkeypatch, capsys):
    """listen(command, *words) -> (code, stdout, stderr, model), in a folder."""
    monkeypatch.chdir(tmp_path)

    def run(command, *words, model=None):
        model = model or Level()
        monkeypatch.setattr(recordings, "_load", lambda *_: model)
        code = main([command, "--model", "m", *map(str, words)])
        return (code, *capsys.readouterr(), model)

    return run


@NEEDED
@pytest.mark.parametrize("command", ["classify", "diarize"])
def test_segments_on_the_command_line(listen, talk, command):
    wave, rate, bounds = talk
    soundfile.write("a.wav", wave, rate)
    soundfile.write("silent.wav", 0 * wave + 1e-3, rate)
    code, out, err, model = listen(
        command, "a.wav", "silent.wav", "--segments", "--json", "--window", 30
    )
    assert code == 1 and "silent.wav holds no speech" in err
    record = json.loads(out)
    near([(w["start"], w["end"]) for w in record["windows"]], bounds)
    near([(s["start"], s["end"]) for s in record["segments"]], bounds)
    assert model.heard == 2


@NEEDED
def test_resume_knows_segments_from_windows(listen, talk):
    wave, rate, _ = talk
    soundfile.write("a.wav", wave, rate)
    words = ("a.wav", "--json", "-o", "out", "--batch-size", 1)
    once = Level(after=1)
    assert listen("classify", *words, "--segments", model=once)[0] == 130
    code, _, err, _ = listen("classify", *words, "--resume")
    assert code == 2 and "segments was True, is False" in err
    code, _, _, rest = listen("classify", *words, "--segments", "--resume")
    assert code == 0 and rest.heard == 1


def test_what_cannot_be_is_refused_before_any_work(monkeypatch, capsys):
    def load(*_):
        pytest.fail("a model is loaded")

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setattr(recordings, "_load", load)
    words = ["classify", "--model", "m", "nowhere.wav", "--segments"]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "pip install 'speechbrain_c2ser[vad]'" in err
    monkeypatch.setattr(module, "find_spec", lambda name: name)
    assert main([*words, "--hop", "1"]) == 2
    assert "leave out one of them" in capsys.readouterr().err


def test_a_long_stretch_counts_more_than_a_short_one():
    wave = 0.5 * torch.randn(10 * RATE, generator=torch.manual_seed(0))
    wave[2 * RATE :] *= 0.01
    level = Level()
    stretches = [(0.0, 1.0), (3.0, 9.0)]
    (row,) = level.iter_files([(wave, RATE)], speech=lambda *_: stretches)
    loud, quiet = (w.probabilities for w in row.result.windows)
    expected = (loud + 6 * quiet) / 7
    assert torch.allclose(row.result.probabilities, expected, atol=1e-6)


def test_a_long_description_counts_more_than_a_short_one():
    said = [
        Description(
            "x", None, None, label, {"sad": p, "glad": 1 - p}, None, "en"
        )
        for label, p in (("sad", 1.0), ("glad", 0.0))
    ]
    parts = [(0.0, 1.0, said[0]), (2.0, 5.0, said[1]), (5.0, 9.0, None)]
    labels = SimpleNamespace(labels=["sad", "glad"])
    whole = C2SER._join_descriptions(labels, parts)
    assert whole.probabilities == {"sad": 0.25, "glad": 0.75}


def test_no_stretch_at_all_is_an_error_of_its_own():
    wave = 0.5 * torch.randn(RATE)
    rows = for_each_recording(
        [(wave, RATE), (wave, RATE)],
        lambda wavs, lens: [0] * len(wavs),
        len,
        speech=lambda recording, _: (
            [] if recording.name.endswith("0") else [(0.0, 0.5)]
        ),
    )
    errors = [row.error for row in rows]
    assert errors == ["recording 0 holds no speech.", None]
