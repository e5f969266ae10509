"""Hours of audio: decoded once, held in part, gone on with after a stop."""

import gc
import json
import os
import signal
import struct
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_c2ser.audio import AudioError, audio_seconds, read_audio
from speechbrain_c2ser.audio import decoding as decoding_module
from speechbrain_c2ser.audio.decoder import BLOCK
from speechbrain_c2ser.audio.objects import open_recording
from speechbrain_c2ser.audio.streaming import AudioStream
from speechbrain_c2ser.cli import main, recordings
from speechbrain_c2ser.inference.file_classifier import FileClassifier
from speechbrain_c2ser.inference.journal import Journal
from speechbrain_c2ser.inference.recordings import for_each_recording
from speechbrain_c2ser.inference.windows import cut, stream_windows

RATE = 16000


class Level(FileClassifier):
    """Loud or quiet; counts what it hears, and may be stopped."""

    labels = ["loud", "quiet"]

    def __init__(self, after=None):
        super().__init__(torch.nn.Linear(1, 1), {}, {"device": "cpu"})
        self.heard, self._after = 0, after

    def names_of(self):
        return self.labels

    def classify_batch(self, wavs, wav_lens=None):
        if self._after is not None and self.heard >= self._after:
            raise KeyboardInterrupt
        self.heard += len(wavs)
        loud = wavs.abs().mean(1).clamp(max=1)
        return (torch.stack([loud, 1 - loud], 1),)


def sound(seconds, rate=RATE, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    wave = 0.3 * rng.standard_normal((int(seconds * rate), channels))
    level = 0.2 + 0.6 * np.arange(len(wave))[:, None] / len(wave)
    return (level * wave.clip(-1, 1)).astype("f4")


@pytest.fixture
def stream_of(tmp_path):
    """stream_of(seconds, ...) -> path of an MP3 whose length is not told."""

    def build(seconds, rate=RATE, channels=1, name="a.mp3"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        wave = sound(seconds, rate, channels)
        soundfile.write(path, wave, rate, format="MP3")
        content = path.read_bytes()
        for tag in (b"Xing", b"Info"):  # no header counts its frames
            content = content.replace(tag, bytes(4), 1)
        path.write_bytes(content)
        return path

    return build


@pytest.mark.parametrize("rate, channels", [(16000, 1), (44100, 2), (8000, 1)])
@pytest.mark.parametrize("window, hop", [(1.0, None), (1.0, 0.4), (0.7, 0.7)])
def test_streamed_windows_are_the_windows_of_the_whole(
    stream_of, rate, channels, window, hop
):
    recording = open_recording(stream_of(3.3, rate, channels))
    assert recording.told is None
    expected = cut(recording, window, hop)
    count = 0
    for part, segment in zip(
        stream_windows(recording, window, hop), expected, strict=True
    ):
        assert part.start == pytest.approx(segment.start, abs=1e-6)
        assert part.stop == pytest.approx(segment.stop, abs=1e-6)
        difference = (part.read() - segment.read()).abs()
        # At an edge the resampler estimates the offset from what it has.
        assert difference.max() < 1e-3 and difference.mean() < 1e-5
        count += 1
    assert count > 2


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0, 2.5])
def test_a_window_to_the_sample_is_no_stream(tmp_path, seconds, monkeypatch):
    """Streams end as seeking does, also on the last sample of a window."""
    path = tmp_path / "a.wav"
    soundfile.write(path, sound(seconds), RATE, "FLOAT")
    (seeking,) = Level().classify_files(path, 3, 1.0, progress=False)
    monkeypatch.setattr(
        decoding_module.Decoder, "reaches_its_end", lambda self: False
    )
    (streamed,) = Level().classify_files(path, 3, 1.0, progress=False)
    bounds = [(w.start, w.stop) for w in seeking.result.windows]
    assert [(w.start, w.stop) for w in streamed.result.windows] == bounds
    assert torch.allclose(
        seeking.result.probabilities, streamed.result.probabilities, atol=1e-5
    )


def test_a_long_stream_is_decoded_once(stream_of, monkeypatch):
    path, blocks = stream_of(60.0), []
    plain = decoding_module._sound_blocks

    def counted(*arguments):
        for block in plain(*arguments):
            blocks.append(len(block))
            yield block

    monkeypatch.setattr(decoding_module, "_sound_blocks", counted)
    (row,) = Level().classify_files(path, 4, 2.0, 1.0, progress=False)
    assert len(row.result.windows) >= 59
    # Once, and a window more that shows that it is long.
    assert sum(blocks) <= 60.2 * RATE + 2 * RATE + 2 * BLOCK


def test_a_stream_holds_what_it_needs(stream_of):
    with AudioStream(stream_of(60.0)) as stream:
        for second in range(50):
            stream.forget(float(second))
            assert stream.reaches(second + 2.0)
            assert len(stream._held) <= 2 * RATE + BLOCK


def test_windows_of_an_hour_are_held_one_by_one(stream_of):
    recording = open_recording(stream_of(60.0))  # 3.8 MB
    tracemalloc.start()
    for segment in stream_windows(recording, 1.0, 0.5):
        segment.read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


@pytest.mark.parametrize("name", ["a.wav", "a.mp3"])
def test_no_tensor_of_a_window_stays(stream_of, tmp_path, name):
    """Thousands of small ones would pin the heap of the large ones."""
    path, counts = tmp_path / name, []
    if name == "a.wav":
        soundfile.write(path, sound(40.0), RATE)
    else:
        stream_of(40.0)

    class Counting(Level):
        def classify_batch(self, wavs, wav_lens=None):
            everything = gc.get_objects()
            counts.append(sum(type(o) is torch.Tensor for o in everything))
            return super().classify_batch(wavs, wav_lens)

    (row,) = Counting().classify_files(path, 4, 1.0, progress=False)
    assert len(row.result.windows) >= 40
    assert isinstance(row.result.windows[3].probabilities, torch.Tensor)
    assert counts[-1] <= counts[1] + 2


def test_rows_of_a_list_are_parts_of_a_stream(stream_of):
    path = str(stream_of(9.0))
    row = {"wav": path, "start": 2.0, "stop": 7.5}
    (result,) = Level().classify_files(row, 8, 2.0, progress=False)
    bounds = [(w.start, w.stop) for w in result.result.windows]
    assert bounds == [(0, 2), (2, 4), (3.5, 5.5)]
    whole = read_audio(path, 2.0, 7.5)
    expected = Level().classify_batch(whole[None, : 2 * RATE])[0][0]
    assert torch.allclose(
        result.result.windows[0].probabilities, expected, atol=1e-4
    )
    for start, stop in ((2.0, 30.0), (20.0, 30.0), (20.0, None)):
        row = {"wav": path, "start": start, "stop": stop}
        (result,) = Level().classify_files(row, 8, 2.0, progress=False)
        assert "has no segment" in result.error


def test_a_channel_is_taken(tmp_path):
    path = tmp_path / "call.wav"
    both = np.concatenate([0.05 * sound(3.0), sound(3.0, seed=1)], 1)
    soundfile.write(path, both, RATE, "FLOAT")
    for channel in (0, 1):
        wave = open_recording({"wav": str(path), "channel": channel}).read(
            None, None
        )
        assert np.abs(wave.numpy() - both[:, channel]).max() < 1e-6
    with pytest.raises(AudioError, match="no channel 2"):
        open_recording({"wav": str(path), "channel": 2})


def test_a_wav_of_over_4_gb_is_read_to_its_end(tmp_path):
    path = tmp_path / "long.wav"
    frames = (1 << 31) + 5 * RATE  # of 16 bits: over 2**32 bytes
    data = (2 * frames) % (1 << 32)
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    head = b"RIFF" + struct.pack("<I", data + 36) + b"WAVE" + fmt
    tone = (1e4 * np.sin(np.arange(RATE) / 9)).astype("<i2")
    with open(path, "wb") as file:  # sparse: nothing is written between
        file.write(head + b"data" + struct.pack("<I", data))
        file.seek(44 + 2 * (frames - RATE))
        file.write(tone.tobytes())
    assert path.stat().st_size == 44 + 2 * frames
    seconds = frames / RATE
    assert audio_seconds(path) == seconds
    wave = read_audio(path, seconds - 1.0, None)
    assert np.abs(wave.numpy() - tone / 32768).max() < 1e-6
    # Samples, then a chunk: the header is right.
    with open(path, "r+b") as file:
        file.seek(44 + data)
        file.write(b"LIST")
    assert audio_seconds(path) == data / 2 / RATE


# --- going on ----------------------------------------------------------


def test_a_journal_goes_on_after_any_byte(tmp_path):
    path = tmp_path / "j"
    with Journal(path, {"window": 4.0, "hop": None}) as journal:
        journal.add("a", 0.0, 4.0, [0.1, 0.9])
        journal.add(100 * "b", 0.0, 4.0, None)
    content = path.read_bytes()
    first = content.index(b"\n") + 1
    for end in range(len(content) + 1):
        path.write_bytes(content[:end])
        with Journal(path, {"window": 4.0, "hop": None}, resume=True) as j:
            assert len(j) == content[first:end].count(b"\n")
            if len(j):
                assert j.find("a", 0.0, 4.0) == ([0.1, 0.9],)
            j.add("c", 0.0, 4.0, [1.0, 0.0])
        assert all(json.loads(line) for line in path.open())
        with Journal(path, {"window": 4.0, "hop": None}, resume=True) as j:
            assert j.find("c", 0.0, 4.0) == ([1.0, 0.0],)
    with pytest.raises(ValueError, match="window was 4.0, is 2.0"):
        Journal(path, {"window": 2.0, "hop": None}, resume=True)
    assert path.stat().st_size > 100
    with Journal(path, {"window": 2.0}) as journal:
        assert len(journal) == 0


def test_an_answer_of_a_changed_recording_is_not_used(tmp_path):
    path = tmp_path / "a.wav"
    for number, seed in enumerate((0, 0, 1)):
        if number != 1:
            soundfile.write(path, sound(1.0, seed=seed), RATE)
            os.utime(path, (number, number))
        model = Level()
        with Journal(tmp_path / "j", {}, resume=True) as journal:
            list(model.iter_files([path], journal=journal))
        assert model.heard == (number != 1)


@pytest.fixture
def listen(tmp_path, monkeypatch):
    """listen(model, *words) -> code; in a folder."""
    monkeypatch.chdir(tmp_path)

    def run(model, *words):
        monkeypatch.setattr(recordings, "_load", lambda *_: model)
        return main(["diarize", "--model", "m", *map(str, words)])

    return run


@pytest.mark.parametrize("name", ["a.wav", "a.mp3"])
def test_an_interrupted_hour_goes_on(listen, stream_of, capsys, name):
    if name == "a.wav":
        soundfile.write(name, sound(20.0), RATE)
    else:
        stream_of(20.0)
    words = (name, "--window", 1, "--hop", 1, "--batch-size", 3, "--json")
    whole = Level()
    assert listen(whole, *words, "-o", "whole") == 0
    assert listen(Level(after=9), *words, "-o", "out") == 130
    assert "out.resume keeps what is done" in capsys.readouterr().err
    rest = Level()
    assert listen(rest, *words, "-o", "out", "--resume") == 0
    assert 0 < rest.heard == whole.heard - 9
    first, second = (json.loads(open(n).read()) for n in ("whole", "out"))
    for record in (first, second):
        assert [w["start"] for w in record["windows"]] == sorted(
            w["start"] for w in record["windows"]
        )
    assert second == first
    assert not os.path.exists("out.resume")


def test_other_settings_do_not_go_on(listen, capsys):
    soundfile.write("a.wav", sound(5.0), RATE)
    words = ("a.wav", "--batch-size", 1, "-o", "out")
    assert listen(Level(after=1), *words, "--window", 1) == 130
    capsys.readouterr()
    assert listen(Level(), *words, "--window", 2, "--resume") == 2
    assert "window was 1.0, is 2.0" in capsys.readouterr().err
    assert listen(Level(), *words[:-2], "--resume") == 2
    assert "give -o" in capsys.readouterr().err


def test_a_failure_is_tried_again(listen):
    soundfile.write("a.wav", sound(1.0), RATE)
    open("b.wav", "w").close()
    words = ("a.wav", "b.wav", "--json", "-o", "out", "--resume")
    assert listen(Level(), *words) == 1
    soundfile.write("b.wav", sound(1.0), RATE)
    model = Level()
    assert listen(model, *words) == 0 and model.heard == 1
    with open("out") as file:
        assert [json.loads(line)["path"] for line in file] == ["a.wav", "b.wav"]


PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
from test_long_recordings import Level
from speechbrain_c2ser.cli import main, recordings
class Slow(Level):
    def classify_batch(self, wavs, wav_lens=None):
        time.sleep(0.02)
        return super().classify_batch(wavs, wav_lens)
recordings._load = lambda *_: Slow()
sys.exit(main(["classify", "--model", "m", *sys.argv[2:]]))
"""


def test_a_killed_run_loses_nothing_and_does_nothing_twice(listen, tmp_path):
    names = []
    for number in range(40):
        name = f"{number:02}.wav"
        if number % 10 == 3:
            (tmp_path / name).write_text("no audio")
        else:
            soundfile.write(name, sound(0.2, seed=number), RATE)
        names.append(name)
    words = [*names, "--json", "-o", "out", "--batch-size", "1"]
    here = os.path.dirname(__file__)
    killed = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, here, *words],
        stderr=subprocess.DEVNULL,
    )
    for _ in range(6000):
        if os.path.exists("out.resume") and os.path.getsize("out.resume") > 900:
            break
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not os.path.exists("out")
    with open("out.resume", "rb") as file:
        done = file.read().count(b"\n") - 1
    assert 0 < done < 36
    model = Level()
    words = ["--resume", *words]
    monkey = recordings._load
    try:
        recordings._load = lambda *_: model
        assert main(["classify", "--model", "m", *words]) == 1
    finally:
        recordings._load = monkey
    assert model.heard == 36 - done
    with open("out") as file:
        paths = [json.loads(line)["path"] for line in file]
    assert paths == [n for i, n in enumerate(names) if i % 10 != 3]


def test_how_far_a_long_recording_is(tmp_path):
    from speechbrain_c2ser.inference import recordings as module

    path, shares = tmp_path / "a.wav", []
    soundfile.write(path, sound(10.0), RATE)
    bar = module.Progress

    class Told(bar):
        def move(self, number, share):
            super().move(number, share)
            shares.append(self.done)

    module.Progress = Told
    try:
        list(
            for_each_recording(
                [path, path],
                lambda wavs, lens: [0] * len(wavs),
                len,
                batch_size=2,
                window=1.0,
            )
        )
    finally:
        module.Progress = bar
    assert shares == sorted(shares) and shares[-1] == pytest.approx(2.0)
    assert len({round(share, 1) for share in shares}) > 10
