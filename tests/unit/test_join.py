"""Joined recordings for emotion diarization, and the silence around speech."""

import numpy as np
import pytest
import soundfile
import torch
from waves import RATE, tone

from speechbrain_c2ser.audio.trimming import trim_silence
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.join import prepare
from speechbrain_c2ser.data.manifest import (
    read_manifest,
    write_manifest,
)


@pytest.fixture
def corpus(tmp_path):
    """Two speakers of two splits; the emotion is a pitch, between silences."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for split, speaker in (("train", "s0"), ("test", "s1")):
        items = {}
        for number in range(24):
            emotion = ("neutral", "sad", "angry")[number % 3]
            pitch = {"neutral": 200, "sad": 400, "angry": 800}[emotion]
            wave = np.concatenate(
                [
                    np.zeros(4000),
                    tone(pitch, 0.2 + 0.02 * number, 0.1 + 0.01 * number),
                    np.zeros(3200),
                ]
            )
            path = folder / f"{split}{number}.wav"
            soundfile.write(path, wave, RATE)
            items[f"{split}{number}"] = {
                "wav": str(path),
                "duration": len(wave) / RATE,
                "emotion": emotion,
                "speaker": speaker,
            }
        write_manifest(items, folder / f"{split}.json")
    return folder


def pitch_of(wave):
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return spectrum.argmax() * RATE / len(wave)


def test_segments_are_where_the_emotions_are(corpus, tmp_path):
    paths = prepare(corpus, tmp_path / "out")
    rows = read_manifest(paths["train"])
    assert len(rows) == 16  # each emotional utterance once
    ways = set()
    for row in rows.values():
        wave, rate = soundfile.read(row["wav"])
        assert len(wave) / rate == pytest.approx(row["duration"])
        ends = [0.0]
        for start, end, emotion in row["segments"]:
            assert start == ends[-1] and end > start
            ends.append(end)
            # The margins of silence stay out of the spectrum.
            part = wave[int((start + 0.08) * rate) : int((end - 0.08) * rate)]
            wanted = {"neutral": 200, "sad": 400, "angry": 800}[emotion]
            assert pitch_of(part) == pytest.approx(wanted, rel=0.1)
            inner = np.abs(part).max()
            assert inner == pytest.approx(np.abs(wave).max(), rel=0.2)
        assert ends[-1] == pytest.approx(row["duration"])
        names = [label for *_, label in row["segments"]]
        ways.add(tuple(n == "neutral" for n in names))
        assert row["emotion"] in names and row["emotion"] != "neutral"
        assert row["speaker"] == "s0"
    assert ways == {(True, False), (False, True), (True, False, True), (False,)}
    test = read_manifest(paths["test"])
    assert {row["speaker"] for row in test.values()} == {"s1"}


def test_the_same_seed_joins_the_same(corpus, tmp_path):
    one, two, other = (
        {
            key: row["joined"]
            for key, row in read_manifest(
                prepare(corpus, tmp_path / str(n), seed=seed)["train"]
            ).items()
        }
        for n, seed in enumerate((1, 1, 2))
    )
    assert one == two != other


def test_what_cannot_be_joined_is_counted_or_refused(corpus, tmp_path, capsys):
    rows = read_manifest(corpus / "train.json")
    rows["odd"] = {**rows["train1"], "speaker": "alone"}
    (corpus / "train4.wav").write_bytes(b"no sound")
    write_manifest(rows, corpus / "train.json")
    paths = prepare(corpus, tmp_path / "out", emotions=["sad"])
    told = capsys.readouterr().out
    assert "skipped 1: speaker without neutral" in told
    assert "emotion angry left out" in told
    assert "train4.wav" in told
    assert len(read_manifest(paths["train"])) == 7
    with pytest.raises(ManifestError, match="has no train.json"):
        prepare(tmp_path, tmp_path / "out")
    with pytest.raises(ManifestError, match="both 'calm' and"):
        prepare(corpus, tmp_path / "no", neutral="calm")
    with pytest.raises(ManifestError, match="another folder"):
        prepare(corpus, corpus)


def test_trimming_keeps_the_speech_and_a_margin():
    wave = torch.zeros(RATE)
    wave[6400:9600] = torch.tensor(tone(200, 0.2, 0.3)).float()
    assert len(trim_silence(wave)) == 3200 + 1600
    assert torch.equal(trim_silence(wave, margin=0.0), wave[6400:9600])
    # Quiet speech stays, and what is too short or silent is as it was.
    wave[9600:12800] = torch.tensor(tone(200, 0.2, 0.01)).float()
    assert len(trim_silence(wave, margin=0.0)) == 6400
    assert len(trim_silence(torch.zeros(500))) == 500
    assert len(trim_silence(torch.zeros(5000))) == 5000
