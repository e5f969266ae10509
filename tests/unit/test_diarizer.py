"""Which emotion when, frame by frame: the interface, the command, EDER."""

import json

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.utils.EDER import EDER

from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.cli import main
from speechbrain_c2ser.evaluation.metrics.diarization import (
    recording_error_rates,
)
from speechbrain_c2ser.inference import EmotionClassifier as Interface
from speechbrain_c2ser.inference import EmotionDiarizer
from speechbrain_c2ser.lobes import (
    CategoryHead,
    DimensionHead,
    EmotionClassifier,
    FrameHead,
    LogMel,
    MaskedMean,
    MultiHead,
)

LABELS = ["neutral", "sad", "angry"]


def save(folder, **heads):
    """A classifier's folder."""
    model = EmotionClassifier(
        LogMel(n_mels=16), MultiHead(heads), MaskedMean(16)
    )
    save_classifier(model, folder, temperature=1.5)
    return folder


def frames():
    """A head that takes the quiet for neutral, the loud for angry."""
    head = FrameHead(16, LABELS, frame_rate=100.0)
    with torch.no_grad():
        signs = torch.tensor([-1.0, 0.0, 1.0])
        head.linear.weight.copy_(signs[:, None].expand(3, 16) / 16)
        head.linear.bias.copy_(torch.tensor([0.0, 0.5, 0.0]))
    return head


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diarizer")
    save(folder / "model", when=frames())
    save(
        folder / "both", emotion=CategoryHead(16, ["calm", "x"]), when=frames()
    )
    save(folder / "vad", vad=DimensionHead(16))
    rng = np.random.default_rng(5)
    loud = np.repeat([0.001, 0.3, 0.01, 0.6, 0.002], 8000)
    wave = (loud * rng.standard_normal(len(loud))).clip(-1, 1)
    soundfile.write(folder / "a.wav", wave.astype(np.float32), 16000)
    return folder


@pytest.fixture(scope="module")
def diarizer(place):
    return EmotionDiarizer.from_hparams(place / "model")


def check_cover(stretches, seconds):
    """In order, without gaps or overlaps, from 0 s to the end."""
    assert len(stretches) > 1
    assert stretches[0]["start"] == 0
    for before, after in zip(stretches, stretches[1:], strict=False):
        assert before["start"] < before["end"] == after["start"]
        assert before["emotion"] != after["emotion"]
    assert stretches[-1]["end"] == pytest.approx(seconds, abs=0.05)


def test_diarize_file_answers_as_speechbrain(place, diarizer):
    path = str(place / "a.wav")
    answer = diarizer.diarize_file(path)
    assert list(answer) == [path]
    assert all(set(s) == {"start", "end", "emotion"} for s in answer[path])
    check_cover(answer[path], 2.5)
    # the same as the head records it
    classified = Interface.from_hparams(place / "model").classify_file(path)
    segments = classified.heads["when"]["segments"]
    assert [s[2] for s in segments] == [s["emotion"] for s in answer[path]]
    np.testing.assert_allclose(
        [s[0] for s in segments], [s["start"] for s in answer[path]]
    )


def test_a_long_recording_goes_through_in_windows(place, diarizer):
    answer = diarizer.diarize_file(place / "a.wav", window=0.8)
    check_cover(answer[str(place / "a.wav")], 2.5)


def test_a_batch_is_its_items(diarizer, clips, alone):
    answers = diarizer.diarize_batch(*clips, ["a", "b", "c"])
    for number, name in enumerate("abc"):
        assert diarizer.diarize_batch(*alone(number))[0] == answers[name]
    assert answers["b"][-1]["end"] > answers["c"][-1]["end"]


def test_stretches_have_the_mean_of_their_frames(place, diarizer):
    wave, _ = soundfile.read(place / "a.wav", dtype="float32")
    predicted = diarizer.predict_batch(torch.from_numpy(wave)[None])
    answer = diarizer.classify_file(place / "a.wav")
    first = answer.windows[0]
    count = round(first.stop * 100)
    expected = predicted["when"][0, :count].mean(0)
    torch.testing.assert_close(first.probabilities, expected)
    assert first.label == LABELS[int(expected.argmax())]
    assert answer.probabilities.sum() == pytest.approx(1)


def test_beside_another_head(place, clips):
    both = EmotionDiarizer.from_hparams(place / "both")
    assert both.labels == LABELS
    label = both.classify_batch(*clips)[3][0]
    assert label in ("calm", "x")
    answer = both.classify_file(place / "a.wav")
    assert answer.label in LABELS
    assert answer.heads["emotion"]["label"] in ("calm", "x")


def run(capsys, *words):
    code = main([str(word) for word in words])
    done = capsys.readouterr()
    return code, done.out, done.err


def test_the_command_listens_frame_by_frame(place, diarizer, capsys):
    path = str(place / "a.wav")
    expected = diarizer.diarize_file(path)[path]
    for name in ("model", "both"):
        words = ("diarize", path, "--model", place / name, "--json")
        code, out, _ = run(capsys, *words)
        record = json.loads(out)
        assert code == 0 and not record["calibrated"]
        assert record["labels"] == LABELS
        if name == "model":
            told = [
                {"start": s["start"], "end": s["end"], "emotion": s["label"]}
                for s in record["segments"]
            ]
            assert told == [
                {**s, "start": round(s["start"], 3), "end": round(s["end"], 3)}
                for s in expected
            ]
    code, out, _ = run(capsys, "diarize", path, "--model", place / "model")
    assert out.splitlines()[1].startswith("  0.00-")


def test_frames_need_no_short_windows(place, monkeypatch, capsys):
    asked = []

    def listen(self, recordings, batch_size, window, hop, **more):
        asked.append((type(self).__name__, window, hop))
        return iter(())

    monkeypatch.setattr(Interface, "iter_files", listen)
    calm = save(place / "calm", emotion=CategoryHead(16, ["calm", "x"]))
    for model in (place / "model", calm):
        for words in ((), ("--window", 3)):
            run(capsys, "diarize", place / "a.wav", "--model", model, *words)
    assert asked == [
        ("EmotionDiarizer", 30.0, None),
        ("EmotionDiarizer", 3.0, None),
        ("EmotionClassifier", 4.0, 2.0),
        ("EmotionClassifier", 3.0, 1.5),
    ]


def test_what_tells_no_time(place, capsys):
    path = place / "a.wav"
    code, _, err = run(capsys, "diarize", path, "--model", place / "vad")
    assert code == 2 and err.count("\n") == 1
    assert "has no head that tells an emotion (it has vad)" in err
    with pytest.raises(ValueError, match="no head over frames.*it has vad"):
        EmotionDiarizer.from_hparams(place / "vad")


@pytest.mark.parametrize("seed", range(20))
def test_error_rate_is_speechbrains(seed):
    rng = np.random.default_rng(seed)
    stride, names = 0.02, ["neutral", "angry", "happy", "sad"]
    duration = float(rng.uniform(1, 4))
    start, end = sorted(rng.uniform(0, duration, 2))
    if seed % 4 == 0:
        start, end = 0.0, duration
    emotion = names[rng.integers(1, 4)]
    # a frame more or fewer than the recording has, as networks give them
    count = round(duration / stride) + int(rng.integers(-3, 3))
    runs = rng.integers(0, 4, count // 9 + 1).repeat(9)[:count]
    predicted = [names[i] for i in runs]
    theirs = EDER(
        [name[0] for name in predicted],
        "a",
        duration,
        [{"emo": emotion, "start": start, "end": end}],
        stride,
        stride,
    )
    hypothesis = [
        (i * stride, (i + 1) * stride, n) for i, n in enumerate(predicted)
    ]
    ours = recording_error_rates(
        [[(start, end, emotion)]], [hypothesis], [duration]
    )
    assert ours["eder"] == pytest.approx(theirs, abs=1e-9)


def test_a_window_that_ends_a_frame_early_leaves_no_gap():
    head = FrameHead(16, LABELS, frame_rate=50.0)
    calm, cross = torch.eye(3)[[0, 2]].unsqueeze(1).expand(2, 49, 3)
    stretches = head.stretches([(0.0, 1.0, calm), (1.0, 2.0, cross)])
    assert [s[:3] for s in stretches] == [(0.0, 0.98, 0), (0.98, 1.98, 2)]
