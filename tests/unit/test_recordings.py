"""Any object that holds a recording; one bad one never costs the others."""

import io
import logging
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_c2ser.audio import (
    AudioError,
    as_waveform,
    is_silent,
    read_audio,
)
from speechbrain_c2ser.audio.objects import as_list, load_audio
from speechbrain_c2ser.inference.file_classifier import (
    FileClassifier,
    mean_of_windows,
)
from speechbrain_c2ser.inference.options import (
    check_batch,
    check_number,
    read_labels,
)
from speechbrain_c2ser.inference.pretrained import find_device
from speechbrain_c2ser.inference.recordings import for_each_recording
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes.padding import sample_counts

WAVE = (0.3 * np.sin(np.arange(8000) / 7)).astype("f4")


@pytest.fixture
def path(tmp_path):
    soundfile.write(tmp_path / "a.wav", WAVE, 16000, "FLOAT")
    return tmp_path / "a.wav"


class Loud(FileClassifier):
    """Loud or quiet; ``broken`` is raised for waveforms of that length."""

    def __init__(self, broken=None):
        model = torch.nn.Linear(1, 1)
        model.receptive_field = 2304
        super().__init__(model, {}, {"device": "cpu"})
        self.broken = broken or {}

    labels = ["loud", "quiet"]

    def names_of(self):
        return self.labels

    def classify_batch(self, wavs, wav_lens=None):
        shortest = (wav_lens * wavs.shape[1]).round().min()
        if shortest < self.mods.model.receptive_field:
            raise ValueError("too short for a frame")
        for count in (wav_lens * wavs.shape[1]).round().int().tolist():
            if count in self.broken:
                raise self.broken[count]
        loud = wavs.abs().amax(1).clamp(max=1)
        return (torch.stack([loud, 1 - loud], 1),)


def objects(path):
    """Every form of the same recording."""
    yield path
    yield str(path)
    yield os.fsencode(path)
    yield path.read_bytes()
    yield open(path, "rb")
    yield io.BytesIO(path.read_bytes())
    yield WAVE, 16000
    yield 16000, WAVE
    yield torch.tensor(WAVE), 16000.0
    yield WAVE.tolist(), 16000
    yield WAVE.astype(">f8"), 16000
    yield WAVE[None], 16000
    yield np.stack([WAVE, WAVE], 1), 16000
    yield {"array": WAVE, "sampling_rate": 16000, "path": None}
    yield {"raw": WAVE, "sampling_rate": 16000}
    yield {"path": None, "bytes": path.read_bytes()}
    yield {"path": str(path), "bytes": None}
    yield {"audio": {"array": WAVE, "sampling_rate": 16000}, "label": 3}
    yield {"wav": str(path), "start": 0.0, "stop": 0.5}
    yield {"audioFilepath": str(path), "offset": 0, "duration": 0.5}
    yield {"signal": WAVE, "samplingFrequency": 16000}
    yield {"__key__": "a", "flac": path.read_bytes()}
    yield {"audio": [str(path)]}
    yield f' "{path}" '
    yield path.as_uri()
    yield torch.tensor(WAVE)[None], 16000, "what is said", 3  # torchaudio's
    yield soundfile.SoundFile(path)
    samples = SimpleNamespace(data=torch.tensor(WAVE)[None], sample_rate=16000)
    yield SimpleNamespace(get_all_samples=lambda: samples)


def test_every_form_of_a_recording_is_the_same(path):
    for audio in objects(path):
        wave = load_audio(audio)
        assert np.abs(wave.numpy() - WAVE).max() < 1e-6, audio


@pytest.mark.parametrize(
    "bounds",
    [
        {"offset": 0.125, "duration": 0.25},
        {"begin": 0.125, "end": 0.375},
        {"startTime": 0.125, "end_time": "0.375"},
    ],
)
def test_a_segment_by_any_name_is_not_the_whole_file(path, bounds):
    heard = load_audio({"file": str(path), **bounds}).numpy()
    assert np.abs(heard - WAVE[2000:6000]).max() < 1e-6


def test_many_recordings_in_tables():
    paths = ["a.wav", "b.wav"]
    assert as_list(np.array(paths)) == paths
    assert as_list(None) == [None]
    pandas = pytest.importorskip("pandas")
    assert as_list(pandas.Series(paths)) == paths
    assert as_list(pandas.DataFrame({"wav": paths}))[1] == {"wav": "b.wav"}


def test_a_stream_that_cannot_seek(path):
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as pipe:
        pipe.write(path.read_bytes()[:40000])
    with os.fdopen(reader, "rb") as pipe:
        assert len(load_audio(pipe)) > 7900


@pytest.mark.parametrize(
    "audio, message",
    [
        (WAVE, "without their rate"),
        ([0.0, 0.1, 0.2], "without their rate"),
        ({"array": WAVE}, "without their rate"),
        ({"text": "hello"}, "dictionary without audio"),
        ({}, "dictionary without audio"),
        (None, "is NoneType"),
        (7, "is int"),
        ((WAVE, 0), "sample rate of 0"),
        (([], 16000), "holds no samples"),
        ((np.array(["a"]), 16000), "no numbers"),
        ((WAVE.astype("c8"), 16000), "no numbers"),
        ((np.array([1, 2], "int64"), 16000), "64-bit integers"),
        (([1.0, [2.0]], 16000), "no array"),
        (b"no audio here", "cannot be read"),
        (io.StringIO("a"), "open as text"),
        ({"wav": "nowhere.wav", "start": 1.0}, "nowhere.wav is missing"),
    ],
)
def test_what_is_no_recording_is_told_in_one_sentence(audio, message):
    with pytest.raises(AudioError, match=message) as caught:
        load_audio(audio)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "dtype, scale",
    [("int16", 2**15), ("int32", 2**31), ("int8", 2**7), ("uint8", None)],
)
def test_integers_are_the_same_recording(dtype, scale):
    if scale is None:
        whole = np.round(WAVE * 128 + 128).astype(dtype)
    else:
        whole = np.round(WAVE.astype("f8") * scale).astype(dtype)
    error = 1.0 / 2 ** (8 * min(2, np.dtype(dtype).itemsize) - 2)
    for wave in (
        as_waveform(whole, 16000),
        check_batch(torch.tensor(whole))[0][0],
        check_batch(whole[None])[0][0],
        load_audio((whole, 16000)),
    ):
        assert np.abs(wave.numpy() - WAVE).max() < error


def test_integers_that_were_made_floats_are_refused():
    floats = np.round(WAVE * 32768)
    for function in (lambda x: as_waveform(x, 16000), check_batch):
        with pytest.raises(AudioError, match="divide 16-bit ones by 32768"):
            function(floats)
    # A little beyond full scale is how floats may be.
    assert as_waveform(WAVE * 10, 16000).abs().max() > 2.9


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("weaker", [1.0, 0.9])
def test_channels_that_cancel_are_heard(tmp_path, caplog, rate, weaker):
    time = np.arange(rate) / rate
    left = 0.3 * np.sin(2 * np.pi * 300 * time)
    path = tmp_path / "anti.wav"
    both = np.stack([left + 0.1, -weaker * left - 0.1], 1)
    soundfile.write(path, both, rate, "FLOAT")
    with caplog.at_level(logging.WARNING):
        waves = [read_audio(path), as_waveform(both, rate)]
    for wave in waves:
        assert (wave - wave.mean()).abs().max() == pytest.approx(0.3, abs=0.02)
    assert caplog.text.count("anti.wav: its channels cancel") == 1
    part = read_audio(path, 0.25, 0.75)
    assert part.abs().max() > 0.2
    picked = read_audio(path, channel=1)
    assert picked.mean() == pytest.approx(-0.1, abs=0.01)
    with pytest.raises(AudioError, match="no channel 2"):
        read_audio(path, channel=2)


def test_offsets_of_opposite_sign_do_not_hide_that_channels_cancel():
    tone = 0.01 * WAVE
    both = np.stack([tone + 0.5, -tone + 0.4], 1)
    wave = as_waveform(both, 16000)
    assert (wave - wave.mean()).abs().max() > 0.002


def test_an_offset_that_drifts_is_silence():
    times = torch.linspace(0, 1, 16000)
    drift = 0.3 * torch.exp(-times)
    assert is_silent(drift) and is_silent((drift * 32768).round() / 32768)
    assert not is_silent(drift + 5e-4 * torch.sin(600 * times))


@pytest.mark.parametrize("edge", [0.0, 0.3])
def test_the_edges_that_a_codec_makes_are_silence(edge):
    wave = torch.full((48000,), edge)
    wave[:600] += 0.01 * torch.sin(torch.arange(600) / 3.0)
    wave[-600:] -= 0.01 * torch.sin(torch.arange(600) / 3.0)
    assert is_silent(wave)
    assert not is_silent(wave[:15000])  # nothing beside them tells of it
    wave[20000:21600] += 0.01 * torch.sin(torch.arange(1600) / 3.0)
    assert not is_silent(wave)


def test_quiet_speech_is_no_silence():
    wave = torch.zeros(64000)
    wave[60000:] = 2e-4 * torch.sin(torch.arange(4000) / 3.0)
    assert not is_silent(wave)


def constant(rate=16000, value=0.4, noise=0.0):
    rng = np.random.default_rng(0)
    return np.full(rate, value) + noise * rng.standard_normal(rate)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("value", [0.0, 0.4, -0.9])
def test_an_offset_is_silence(rate, value):
    (row,) = Loud().classify_files(
        (constant(rate, value, 1e-5), rate), progress=False
    )
    assert "holds only silence" in row.error
    (row,) = Loud().classify_files(
        (constant(rate, value, 0.01), rate), progress=False
    )
    assert row.error is None


def test_a_short_clip_is_padded_or_told_with_its_length(path):
    rows = Loud().classify_files(
        [(WAVE[:count], 16000) for count in (1584, 1600, 2304)], progress=False
    )
    assert rows[0].error == (
        "recording 0 is 99 ms long; at least 100 ms are needed."
    )
    assert [row.error for row in rows[1:]] == [None, None]
    assert rows[1].label == "quiet"


def test_any_error_costs_one_recording_only(path, tmp_path):
    broken = {
        4000: KeyError("a key"),
        4001: TypeError("of no type"),
        4002: MemoryError(),
        4003: RuntimeError("CUDA out of memory"),
        4004: ZeroDivisionError("division"),
    }
    raw = tmp_path / "call.raw"
    raw.write_bytes(bytes(range(200)))
    audios = [path, raw, *((WAVE[:n], 16000) for n in broken), None, path]
    rows = Loud(broken).classify_files(audios, batch_size=3, progress=False)
    assert [row.error is None for row in rows] == [
        True, *[False] * (len(audios) - 2), True
    ]  # fmt: skip
    for number, row in enumerate(rows[2:-1], 2):
        assert f"recording {number}" in row.error
        assert "\n" not in row.error
    assert "KeyError" in rows[2].error and "call.raw" in rows[1].error
    assert rows[0].path == str(path)


def test_980_of_1000_are_answered_in_order():
    def samples(number):
        count = 1600 + number % 400
        return "no path" if number % 50 == 7 else (WAVE[:count] * 2, 16000)

    audios = [samples(number) for number in range(1000)]
    rows = list(
        for_each_recording(
            audios,
            lambda wavs, lens: (lens * wavs.shape[1]).round().int().tolist(),
            lambda parts: parts[0][2],
        )
    )
    for number, row in enumerate(rows):
        if number % 50 == 7:
            assert row.result is None and "no path is missing" in row.error
        else:
            assert row.result == 1600 + number % 400
    assert sum(row.error is not None for row in rows) == 20


def test_one_alone_is_a_list_of_one(path):
    for audio in (str(path), path, (WAVE, 16000), {"wav": str(path)}):
        (row,) = Loud().classify_files(audio, progress=False)
        assert row.error is None
    assert as_list(p for p in "ab") == ["a", "b"]


def test_results_unpack_and_stay_as_they_are(path):
    result = Loud().classify_file(path)
    probabilities, score, index, label = result
    assert label == result.label and score == probabilities[index]
    with pytest.raises(AttributeError):
        result.windows = ()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch_size": 0}, "batch_size must be a whole number from 1, not 0"),
        ({"batch_size": -1}, "batch_size"),
        ({"batch_size": 1.5}, "batch_size"),
        ({"batch_size": True}, "batch_size"),
        ({"window": 0}, "window must be a number from 0.1"),
        ({"window": float("nan")}, "window"),
        ({"window": float("inf")}, "window"),
        ({"window": "30"}, "window"),
        ({"hop": 0}, "hop"),
        ({"hop": -1.0}, "hop"),
        ({"hop": 31.0}, "hop must not be longer"),
    ],
)
def test_options_are_refused_before_anything_is_read(options, message):
    with pytest.raises(ValueError, match=message):
        Loud().classify_files(["nowhere.wav"], progress=False, **options)


def test_numbers_out_of_range():
    check_number("x", np.int64(3), 1, 3, whole=True)
    with pytest.raises(ValueError, match="from 1 to 3, not 4"):
        check_number("x", 4, 1, 3)


def test_labels_in_the_forms_of_other_libraries():
    for given in (
        {0: "happy", 1: "sad"},
        {"1": "sad", "0": "happy"},
        {"sad": 1, "happy": 0},
        '["happy", "sad"]',
        "happy; sad",
        "happy,sad,",
        "('happy', 'sad')",
        "{'happy', 'sad'}",
        '{"0": "happy", "1": "sad"}',
        {"happy": np.int64(0), "sad": np.int64(1)},
        ["happy ", "sad"],
    ):
        assert read_labels(given).names == ["happy", "sad"]
    assert len(read_labels(" EMO-EMILIA ")) == len(read_labels(7)) == 7
    words = {"a": {"en": ["joyful"], "zh": "欢"}}
    assert read_labels(words) == {"a": ["joyful", "欢"]}
    for odd, remedy in (
        ("happy sad", "commas between them"),
        ('{"happy": "joyful", "sad": "gloomy"}', "give the labels alone"),
        ({"happy": 1.0}, "'happy' needs a word"),
        ({"happy": True}, "'happy' needs a word"),
        ({1: "happy", 2: "sad"}, "number labels from 0"),
    ):
        with pytest.raises(ValueError, match=remedy):
            read_labels(odd)
    with pytest.raises(ValueError, match="'Joy' names both 'a' and 'b'"):
        read_labels({"a": ["joy"], "b": "Joy"})


def test_labels_are_words():
    assert read_labels({"a": "joyful", "b": ("x", "y")}) == {
        "a": ["joyful"],
        "b": ["x", "y"],
    }
    for given in (["happy", "sad"], ("happy", "sad"), "happy, sad"):
        assert read_labels(given).names == ["happy", "sad"]
    assert read_labels("emo_emilia").names == (
        LabelSpace.from_name("emo_emilia").names
    )
    assert read_labels(None) is None
    for given in ({}, [], {"a": []}, {"a": [""]}, {"a": 1}, ["a", 1], 8, "odd"):
        with pytest.raises((ValueError, TypeError), match="."):
            read_labels(given)


def test_devices_that_are_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for name in ("cuda", "cuda:1", "gpu0"):
        with pytest.raises(ValueError, match=f"{name}.*leave it out"):
            find_device(name)
    assert find_device("cpu").type == "cpu"


class OnApple(torch.Tensor):
    """A tensor as on Apple's GPUs, which have no float64."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is torch.Tensor.cpu:
            return args[0].as_subclass(torch.Tensor)
        result = super().__torch_function__(function, types, args, kwargs)
        doubled = isinstance(result, OnApple) and result.dtype is torch.float64
        if doubled:
            raise TypeError("MPS has no float64")
        return result


def test_lengths_are_rounded_where_there_is_float64():
    lengths = torch.tensor([1.0, 0.25]).as_subclass(OnApple)
    with pytest.raises(TypeError):
        lengths.double()
    counts = sample_counts(torch.zeros(2, 1000).as_subclass(OnApple), lengths)
    assert counts.tolist() == [1000, 250]


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there")
def test_names_that_are_no_utf8(tmp_path, path):
    odd = os.path.join(os.fsencode(tmp_path), b"caf\xe9.wav")
    with open(odd, "wb") as file:
        file.write(path.read_bytes())
    rows = Loud().classify_files([odd, os.fsdecode(odd)], progress=False)
    assert [row.error for row in rows] == [None, None]


@pytest.mark.skipif(sys.platform == "win32", reason="no name there")
def test_a_name_like_an_address_that_is_there(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data:a.wav").write_bytes(path.read_bytes())
    assert len(load_audio("data:a.wav")) == len(load_audio(path))
    with pytest.raises(AudioError, match="is an address"):
        load_audio("data:b.wav")


def test_probabilities_that_are_no_numbers_are_no_label():
    parts = [(0.0, 1.0, torch.tensor([float("nan"), 0.5]))]
    with pytest.raises(ValueError, match="no numbers .NaN.: its weights"):
        mean_of_windows(parts, ["sad", "happy"])
