"""The synthetic corpus: repeatable, resumable, fair, not trivial."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechbrain_c2ser.chain_of_thought.espeak import Espeak
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import (
    check_leakage,
    check_manifest,
    read_manifest,
)
from speechbrain_c2ser.data.synthetic import corpus as synthetic
from speechbrain_c2ser.data.synthetic import synthesis
from speechbrain_c2ser.data.synthetic.emotions import CUES, EMOTIONS, draw
from speechbrain_c2ser.data.synthetic.sentences import SENTENCES
from speechbrain_c2ser.data.synthetic.speakers import (
    FAMILIES,
    FEMALE,
    split_voices,
)

SMALL = {
    "train_voices": 2,
    "valid_voices": 1,
    "test_voices": 1,
    "train_repeats": 1,
    "valid_repeats": 1,
    "test_repeats": 1,
}


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "corpus"
    synthetic.prepare(folder, **SMALL, num_workers=1)
    return folder


def splits(folder):
    return {
        split: read_manifest(Path(folder) / f"{split}.json")
        for split in ("train", "valid", "test")
    }


def test_same_seed_same_corpus_with_any_workers(corpus, tmp_path):
    synthetic.prepare(tmp_path / "two", **SMALL, num_workers=2)
    assert contents(tmp_path / "two") == contents(corpus)
    synthetic.prepare(tmp_path / "seed", **SMALL, seed=2)
    assert splits(tmp_path / "seed").keys() == splits(corpus).keys()
    assert contents(tmp_path / "seed") != contents(corpus)


def test_manifests_are_complete(corpus):
    parts = splits(corpus)
    check_leakage(parts)
    need = "emotion language speaker gender transcript dataset condition"
    for split, items in parts.items():
        check_manifest(items, need.split(), list(EMOTIONS))
        cells = [(i["emotion"], i["language"]) for i in items.values()]
        assert len(set(cells)) == 14
        assert len(cells) == 14 * SMALL[f"{split}_voices"]
    first = next(iter(parts["train"].values()))
    assert set(CUES) < set(first["condition"])


def test_audio_is_whole_and_its_loudness_is_the_drawn_one(corpus):
    for item in splits(corpus)["train"].values():
        wave, rate = soundfile.read(item["wav"])
        assert rate == 16000 and len(wave) / rate == pytest.approx(
            item["duration"], abs=1e-3
        )
        assert 0.4 < item["duration"] < 4
        assert np.abs(wave).max() < 0.999
        # Neither noise nor the margins nor the limiter hide it.
        level = 20 * np.log10(wave.std())
        assert abs(level - item["condition"]["loudness"]) < 2.0


def test_finished_corpus_is_not_made_again(corpus, monkeypatch):
    before = contents(corpus)

    def refuse(*_):
        raise AssertionError("made again")

    monkeypatch.setattr(synthesis, "_make_one", refuse)
    synthetic.prepare(corpus, **SMALL)
    assert contents(corpus) == before


def test_killed_run_is_completed(corpus, tmp_path):
    folder = tmp_path / "killed"
    code = (
        "from speechbrain_c2ser.data.synthetic import corpus as synthetic\n"
        f"synthetic.prepare({str(folder)!r}, num_workers=1, **{SMALL!r})\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while len(list(folder.rglob("*.wav"))) < 3:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "train.json").exists()
    (next(folder.rglob("*.wav")).parent / "x.wav.1.part").write_bytes(b"cut")
    synthetic.prepare(folder, **SMALL)
    assert contents(folder) == contents(corpus)


def test_missing_files_are_made_again_and_other_settings_replace(
    corpus, tmp_path
):
    folder = tmp_path / "corpus"
    small = {**SMALL, "languages": ("en",)}
    synthetic.prepare(folder, **small)
    before = contents(folder)
    next(folder.rglob("*.wav")).unlink()
    (folder / "test.json").unlink()
    synthetic.prepare(folder, **small)
    assert contents(folder) == before
    synthetic.prepare(folder, **SMALL)
    assert contents(folder) == contents(corpus)


def test_foreign_audio_is_left_alone(tmp_path):
    (tmp_path / "wav").mkdir()
    (tmp_path / "wav/mine.wav").write_bytes(b"mine")
    with pytest.raises(ManifestError, match="unknown origin"):
        synthetic.prepare(tmp_path, **SMALL)
    assert contents(tmp_path) == {"wav/mine.wav": b"mine"}


def test_default_voices_are_disjoint_mixed_and_known():
    voices = split_voices(1, 68, 10, 10)
    flat = [voice for split in voices.values() for voice in split]
    assert len(flat) == len(set(flat)) == 88
    espeak = Espeak()
    for voice in flat:  # an unknown one is an error
        espeak.synthesize("a", f"en+{voice}")
    for split in voices.values():
        assert 2 <= len(set(split) & set(FEMALE)) < len(split) / 2
    # Relatives are not tested on.
    for split in ("valid", "test"):
        assert not any(v.startswith(FAMILIES) for v in voices[split])
    with pytest.raises(ValueError, match="only 88"):
        split_voices(1, 80, 10, 10)


def test_text_is_enough_and_none_is_repeated():
    for texts in SENTENCES.values():
        assert len(texts) == len(set(texts)) >= 20


def test_ceiling_is_neither_muddled_nor_trivial(tmp_path):
    for split, number in (("train", 200), ("test", 100)):
        rng = np.random.default_rng(number)
        items = {
            f"{emotion}_{i}": {
                "wav": "a.wav",
                "emotion": emotion,
                "condition": draw(emotion, rng),
            }
            for emotion in EMOTIONS
            for i in range(number)
        }
        (tmp_path / f"{split}.json").write_text(json.dumps(items))
    ua = synthetic.ceiling(tmp_path / "train.json", tmp_path / "test.json")
    assert 0.92 < ua < 0.98
