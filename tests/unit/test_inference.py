"""The interfaces: right answers, or one clear sentence, for any input."""

import json

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_c2ser.audio import AudioError
from speechbrain_c2ser.audio.objects import open_recording
from speechbrain_c2ser.checkpoints.c2ser_folder import save_c2ser
from speechbrain_c2ser.checkpoints.emotion2vec_folder import save_emotion2vec
from speechbrain_c2ser.inference import C2SER, Emotion2VecSEncoder
from speechbrain_c2ser.inference.windows import cut
from speechbrain_c2ser.labels import LabelSpace

SPACE = LabelSpace.from_name("emo_emilia")


@pytest.fixture(scope="module")
def c2ser(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "c2ser"
    return C2SER.from_hparams(save_c2ser(model, folder, SPACE))


@pytest.fixture(scope="module")
def encoder(build_emotion2vec, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "e2v"
    save_emotion2vec(build_emotion2vec(), folder)
    return Emotion2VecSEncoder.from_hparams(folder)


@pytest.fixture
def write(tmp_path):
    """write(name, seconds, gain, rate, channels) -> path of a noise file."""

    def build(name, seconds=0.5, gain=0.1, rate=16000, channels=1):
        rng = np.random.default_rng(len(name))
        wave = gain * rng.standard_normal((int(seconds * rate), channels))
        path = tmp_path / name
        soundfile.write(path, wave.astype(np.float32), rate, "FLOAT")
        return path

    return build


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_classify_batch_is_in_speechbrains_order(c2ser, clips, alone):
    probabilities, score, index, label = c2ser.classify_batch(*clips)
    assert probabilities.shape == (3, 7)
    close(probabilities.sum(-1), torch.ones(3))
    close(score, probabilities.max(-1).values)
    assert label == [SPACE.names[i] for i in index]
    assert c2ser.labels == list(SPACE.names)
    for i in range(3):
        close(c2ser.classify_batch(*alone(i))[0][0], probabilities[i])
    close(c2ser(*clips)[0], probabilities)


def test_nothing_can_be_trained_by_accident(c2ser):
    assert not any(p.requires_grad for p in c2ser.parameters())
    assert not any(m.training for m in c2ser.mods.modules())


def test_classify_file(c2ser, write):
    path = write("a.wav")
    result = c2ser.classify_file(path)
    probabilities, score, index, label = result
    wav = torch.from_numpy(soundfile.read(path, dtype="float32")[0])
    close(probabilities, c2ser.classify_batch(wav[None])[0][0])
    assert score == probabilities.max() and label == SPACE.names[index]
    assert len(result.windows) == 1
    assert result.windows[0].stop == pytest.approx(0.5)


def test_rows_are_in_the_order_given_and_bad_files_do_not_stop(
    c2ser, write, tmp_path
):
    text = tmp_path / "not_audio.wav"
    text.write_text("hello")
    empty = tmp_path / "empty.wav"
    empty.write_bytes(b"")
    paths = [
        write("long.wav", 1.2),
        text,
        write("short.wav", 0.3),
        tmp_path / "missing.wav",
        write("quiet.wav", 0.7, gain=0.001),
        empty,
        write("click.wav", 0.01),
        write("silence.wav", gain=0.0),
        write("nan.wav", gain=np.nan),
    ]
    rows = c2ser.classify_files(paths, batch_size=2, progress=False)
    assert [row.path for row in rows] == [str(path) for path in paths]
    good = {0, 2, 4}
    for number, row in enumerate(rows):
        assert (row.error is None) == (number in good)
        if number in good:
            alone = c2ser.classify_file(paths[number])
            close(row.result.probabilities, alone.probabilities)
            assert row.label == alone.label
            assert row.score == pytest.approx(float(alone.score), abs=1e-5)
        else:
            assert row.label is None
            assert str(paths[number]) in row.error
    assert "missing" in rows[3].error
    assert "is 10 ms long" in rows[6].error
    assert "silence" in rows[7].error
    assert "NaN" in rows[8].error


def test_a_bad_file_is_one_sentence(c2ser, write):
    for path, message in (
        (write("click.wav", 0.01), "is 10 ms long; at least 100 ms"),
        (write("silence.wav", gain=0.0), "only silence"),
        (write("nan.wav", gain=np.nan), "NaN"),
        ("nowhere.wav", "missing"),
    ):
        for method in (c2ser.classify_file, c2ser.describe_file):
            with pytest.raises(AudioError, match=message):
                method(path)


def test_a_batch_that_fails_is_tried_file_by_file(c2ser, write, monkeypatch):
    classify = c2ser.classify_batch

    def no_batches(wavs, wav_lens=None, **options):
        if len(wavs) > 1:
            raise RuntimeError("out of memory")
        return classify(wavs, wav_lens, **options)

    monkeypatch.setattr(c2ser, "classify_batch", no_batches)
    rows = c2ser.classify_files([write("a.wav"), write("bb.wav")])
    assert [row.error for row in rows] == [None, None]


def test_other_rates_and_channels(c2ser, write, tmp_path):
    phone = c2ser.classify_file(write("phone.wav", rate=8000))
    assert phone.label in SPACE.names
    wave = 0.1 * np.random.default_rng(0).standard_normal(8000)
    mono, eight = tmp_path / "mono.wav", tmp_path / "eight.wav"
    soundfile.write(mono, wave, 16000, "FLOAT")
    soundfile.write(eight, np.stack([wave] * 8, 1), 16000, "FLOAT")
    close(
        c2ser.classify_file(mono).probabilities,
        c2ser.classify_file(eight).probabilities,
    )


def test_windows_of_a_long_recording(c2ser, write):
    path = write("long.wav", 2.5)
    result = c2ser.classify_file(path, window=1.0, hop=0.5)
    bounds = [(w.start, w.stop) for w in result.windows]
    assert bounds == [(0, 1), (0.5, 1.5), (1, 2), (1.5, 2.5)]
    wav = torch.from_numpy(soundfile.read(path, dtype="float32")[0])
    for window in result.windows:
        part = wav[int(window.start * 16000) : int(window.stop * 16000)]
        close(window.probabilities, c2ser.classify_batch(part)[0][0])
        assert window.label == SPACE.names[window.probabilities.argmax()]
    mean = torch.stack([w.probabilities for w in result.windows]).mean(0)
    close(result.probabilities, mean)


def test_silent_windows_do_not_count(c2ser, tmp_path):
    wave = np.zeros(48000, np.float32)
    wave[:16000] = 0.1 * np.random.default_rng(0).standard_normal(16000)
    path = tmp_path / "pause.wav"
    soundfile.write(path, wave, 16000, "FLOAT")
    result = c2ser.classify_file(path, window=1.0)
    assert [w.label is None for w in result.windows] == [False, True, True]
    close(result.probabilities, result.windows[0].probabilities)


def test_two_hours_are_cut_not_refused(tmp_path):
    path = tmp_path / "meeting.wav"
    with soundfile.SoundFile(path, "w", 1000, 1, "PCM_U8") as file:
        for _ in range(72):
            file.write(np.zeros(100_000))
    segments = cut(open_recording(path), window=30.0)
    assert len(segments) == 240
    assert segments[-1].stop == pytest.approx(7200.0)
    assert max(s.stop - s.start for s in segments) == 30.0


def test_two_hours_are_classified(c2ser, tmp_path):
    # Mostly silence, which is skipped: what is tested is the bookkeeping.
    path = tmp_path / "meeting.wav"
    noise = 0.1 * np.random.default_rng(0).standard_normal(4000)
    with soundfile.SoundFile(path, "w", 1000, 1, "PCM_16") as file:
        for part in range(72):
            file.write(np.zeros(100_000) if part else np.tile(noise, 25))
    result = c2ser.classify_file(path)
    assert len(result.windows) == 240
    heard = [w for w in result.windows if w.label is not None]
    assert [w.start for w in heard] == [0, 30, 60, 90]
    close(result.probabilities.sum(), torch.tensor(1.0))


@pytest.mark.parametrize("window, hop", [(0.01, None), (1, 0), (1, 2)])
def test_impossible_windows(c2ser, write, window, hop):
    with pytest.raises(ValueError, match="window|hop"):
        c2ser.classify_file(write("a.wav"), window=window, hop=hop)


@pytest.mark.parametrize(
    "wavs, wav_lens, message",
    [
        (torch.zeros(2, 8, 16000), None, "channels"),
        (torch.zeros(2, 0), None, "batch, time"),
        (torch.full((1, 16000), torch.nan), None, r"\[0\] hold NaN"),
        (torch.zeros(2, 16000), torch.ones(3), "3 lengths"),
    ],
)
def test_bad_batches(c2ser, encoder, wavs, wav_lens, message):
    for method in (c2ser.classify_batch, encoder.encode_batch):
        with pytest.raises(ValueError, match=message):
            method(wavs, wav_lens)


def test_noise_never_leaves_the_label_set(c2ser):
    for _ in range(4):
        wavs = torch.randn(50, 2000) * torch.rand(50, 1) * 3
        probabilities, _, _, labels = c2ser.classify_batch(wavs)
        assert set(labels) <= set(SPACE.names)
        assert torch.isfinite(probabilities).all()


def test_own_labels_and_prompts(c2ser, clips):
    four = LabelSpace(["angry", "happy", "sad", "neutral"])
    probabilities, _, _, labels = c2ser.classify_batch(*clips, labels=four)
    assert probabilities.shape == (3, 4) and set(labels) <= set(four.names)
    answers = {"yes": ["yes"], "no": ["no", "not at all"]}
    asked = c2ser.classify_batch(
        *clips, prompt="Is the speaker angry?", labels=answers
    )
    assert set(asked[3]) <= {"yes", "no"}
    unasked = c2ser.classify_batch(*clips, labels=answers)
    assert (asked[0] - unasked[0]).abs().max() > 1e-6


def test_languages(c2ser, clips):
    english = c2ser.classify_batch(*clips, language="en")[0]
    chinese = c2ser.classify_batch(*clips, language="zh")[0]
    close(english, c2ser.classify_batch(*clips)[0])
    assert (english - chinese).abs().max() > 1e-6


def test_describe(c2ser, clips, alone):
    descriptions = c2ser.describe_batch(*clips, max_new_tokens=8)
    assert len(descriptions) == 3
    for i, said in enumerate(descriptions):
        assert list(said.probabilities) == c2ser.labels
        assert sum(said.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert said.emotion == max(
            said.probabilities, key=said.probabilities.get
        )
        (one,) = c2ser.describe_batch(*alone(i), max_new_tokens=8)
        assert one.text == said.text
        assert one.probabilities == pytest.approx(said.probabilities, abs=1e-5)


def test_describing_listens_once(c2ser, clips, monkeypatch):
    """Text and probabilities come of one pass through each encoder."""
    perception, calls = c2ser.mods.model.perception, []

    def counted(part, name):
        function = getattr(part, name)
        monkeypatch.setattr(
            part, name, lambda *x: calls.append(part) or function(*x)
        )

    counted(perception.semantic_encoder, "extract")
    counted(perception.acoustic_encoder, "extract_tokens")
    counted(perception.connector, "forward")
    c2ser.describe_batch(clips[0], max_new_tokens=3)  # of equal length
    assert len(calls) == len(set(calls)) == 3


def test_a_folders_temperature_and_prior_are_used(model, tmp_path, clips):
    plain, calibrated = (
        C2SER.from_hparams(save_c2ser(model, tmp_path / name, SPACE, **more))
        for name, more in (
            ("plain", {}),
            ("fitted", {"temperature": 2.0, "prior": [0.4, *[0.1] * 6]}),
        )
    )
    scores = plain.classify_batch(*clips)[0] / torch.tensor([4, *[1] * 6])
    expected = scores.sqrt() / scores.sqrt().sum(-1, keepdim=True)
    close(calibrated.classify_batch(*clips)[0], expected)
    said = calibrated.describe_batch(*clips, mode="implicit", max_new_tokens=2)
    found = torch.tensor([list(s.probabilities.values()) for s in said])
    close(found, expected)
    # what was fitted for these labels says nothing of others
    other = {"yes": ["yes"], "no": ["no"]}
    close(
        *(
            m.classify_batch(*clips, labels=other)[0]
            for m in (plain, calibrated)
        )
    )


def test_describe_implicitly(c2ser, clips):
    said = c2ser.describe_batch(*clips, mode="implicit", max_new_tokens=4)
    probabilities, _, _, labels = c2ser.classify_batch(*clips)
    assert [s.emotion for s in said] == labels
    found = torch.tensor([list(s.probabilities.values()) for s in said])
    close(found, probabilities)


@pytest.mark.parametrize("beams", [1, 2])
def test_a_description_that_the_length_limit_ended_is_told(
    c2ser, clips, write, monkeypatch, beams
):
    model = c2ser.mods.model
    speech, question = model.listen(*clips), [c2ser.prompt("explicit")] * 3
    ids = model.write(speech, question, max_new_tokens=4).ids
    written = {token for row in ids for token in row}
    never = next(token for token in range(400) if token not in written)
    monkeypatch.setattr(model, "end_token_id", never)
    said = c2ser.describe_batch(*clips, max_new_tokens=3, num_beams=beams)
    assert [each.cut for each in said] == [True] * 3
    path = write("two.wav", 2.0)
    assert c2ser.describe_file(path, window=1.0, max_new_tokens=3).cut

    monkeypatch.setattr(model, "end_token_id", ids[0][0])
    said = c2ser.describe_batch(*clips, max_new_tokens=1)
    assert [each.cut for each in said] == [row[0] != ids[0][0] for row in ids]


def test_describe_file_of_any_length(c2ser, write):
    path = write("long.wav", 2.0)
    said = c2ser.describe_file(path, window=1.0, max_new_tokens=4)
    assert [(w.start, w.stop) for w in said.windows] == [(0, 1), (1, 2)]
    assert said.text == "\n".join(w.description.text for w in said.windows)
    short = c2ser.describe_file(write("a.wav"), max_new_tokens=4)
    assert short.emotion in SPACE.names
    assert [(w.start, w.stop) for w in short.windows] == [(0, 0.5)]


def test_without_acoustic_encoder(build_model, tmp_path, clips):
    model = build_model(acoustic=False)
    folder = save_c2ser(model, tmp_path / "c2ser", SPACE)
    c2ser = C2SER.from_hparams(folder)
    assert len(c2ser.describe_batch(*clips, max_new_tokens=3)) == 3


def test_encoder_batches(encoder, clips, alone):
    frames = encoder.encode_batch(*clips, granularity="frame")
    tokens = encoder.encode_batch(*clips)
    mean = encoder.encode_batch(*clips, granularity="mean")
    assert tokens.shape == (3, 10, 16) and mean.shape == (3, 16)
    for i in range(3):
        one = encoder.encode_batch(*alone(i), granularity="frame")[0]
        close(frames[i, : len(one)], one)
        close(mean[i], one.mean(0))
        close(tokens[i], encoder.encode_batch(*alone(i))[0])
    with pytest.raises(ValueError, match="granularity"):
        encoder.encode_batch(*clips, granularity="word")


def test_encoder_files(encoder, write):
    path = write("a.wav", 2.0)
    frames = encoder.encode_file(path, "frame")
    assert encoder.encode_file(path).shape == (10, 16)
    close(encoder.encode_file(path, "mean"), frames.mean(0))
    halves = encoder.encode_file(path, "frame", window=1.0)
    assert abs(len(halves) - len(frames)) <= 2
    with pytest.raises(AudioError, match="missing"):
        encoder.encode_file("nowhere.wav")


def test_features_of_a_corpus(encoder, write, tmp_path):
    paths = {
        "x/one": str(write("one.wav", 0.4)),
        "x/two": str(write("two.wav", 0.8)),
        "three": str(tmp_path / "missing.wav"),
        "../four": str(tmp_path / "one.wav"),
    }
    scp = tmp_path / "wav.scp"
    scp.write_text("".join(f"{k} {p}\n" for k, p in paths.items()))
    failures = encoder.write_features(scp, tmp_path / "out", progress=False)
    assert set(failures) == {"three", "../four"}
    written = {
        str(p.relative_to(tmp_path / "out")): np.load(p)
        for p in (tmp_path / "out").rglob("*.npy")
    }
    assert set(written) == {"x/one.npy", "x/two.npy"}
    for key, array in written.items():
        alone = encoder.encode_file(paths[key[:-4]], "frame")
        close(torch.from_numpy(array), alone)

    # Paths alone are their own ids, and absolute ones are laid below.
    paths_alone = tmp_path / "list.txt"
    paths_alone.write_text(paths["x/one"] + "\n")
    assert not encoder.write_features(paths_alone, tmp_path / "out")
    assert (tmp_path / "out" / f"{paths['x/one'][1:]}.npy").is_file()

    manifest = tmp_path / "list.json"
    manifest.write_text(
        json.dumps({"part": {"wav": paths["x/two"], "start": 0.2, "stop": 0.6}})
    )
    assert not encoder.write_features(
        manifest, tmp_path / "out", "utterance", progress=False
    )
    assert np.load(tmp_path / "out" / "part.npy").shape == (10, 16)


@pytest.mark.parametrize(
    "name, content",
    [
        ("wav.scp", "only_an_id\n"),
        ("list.json", "{"),
        ("list.json", '{"a": {}}'),
    ],
)
def test_lists_that_cannot_be_read(encoder, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=name):
        encoder.write_features(tmp_path / name, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        encoder.write_features(tmp_path / "nowhere.scp", tmp_path / "out")
