"""Corpora as they are met: twice, in old encodings, with blank cells."""

import json
import shutil
from importlib import import_module

import numpy as np
import pytest
import soundfile
from miniatures import MINIATURES

from speechbrain_c2ser.data.corpora import esd, msp_podcast, ravdess
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import read_manifest


def write_wav(path, value=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(800, value), 16000)


def read_all(paths):
    items = {}
    for path in paths.values():
        items |= read_manifest(path)
    return items


def test_esd_texts_in_any_encoding(tmp_path):
    encodings = {
        "0011": "utf-8", "0012": "cp1252", "0013": "gb18030",
        "0014": "utf-16", "0015": "utf-16-le", "0016": None,
    }  # fmt: skip
    for speaker, encoding in encodings.items():
        lines = []
        for take, emotion in enumerate(("Angry", "Happy"), 1):
            name = f"{speaker}_{take:06}"
            write_wav(tmp_path / f"esd/{speaker}/{emotion}/{name}.wav")
            lines.append(f"{name}\tI’m late, she said.\t{emotion}\n")
        if encoding:
            path = tmp_path / f"esd/{speaker}/{speaker}.txt"
            path.write_bytes("".join(lines).encode(encoding))
    paths = esd.prepare(tmp_path / "esd", tmp_path / "out", folds=6)
    for item in read_all(paths).values():
        text = None if item["speaker"] == "0016" else "I’m late, she said."
        assert item.get("transcript") == text
    notes = json.loads((tmp_path / "out/corpus.json").read_text())["notes"]
    assert any("No transcripts of speaker 0016" in note for note in notes)


def make_ravdess(folder):
    for actor in (1, 2, 3):
        for emotion in (3, 4):
            name = f"03-01-0{emotion}-01-01-01-0{actor}.wav"
            write_wav(folder / f"Actor_0{actor}/{name}", emotion / 10)


def test_ravdess_as_kaggle_has_it(tmp_path, capsys):
    folder = tmp_path / "ravdess"
    make_ravdess(folder)
    shutil.copytree(folder, tmp_path / "copy")
    shutil.move(tmp_path / "copy", folder / "audio_speech_actors_01-24")
    paths = ravdess.prepare(folder, tmp_path / "out", folds=3)
    assert len(read_all(paths)) == 6
    said = capsys.readouterr().out
    assert "skipped 6: the same file once more" in said
    # Other bytes under the same name are another utterance.
    wav = folder / "audio_speech_actors_01-24/Actor_01/03-01-03-01-01-01-01.wav"
    write_wav(wav, 0.9)
    with pytest.raises(ManifestError, match="twice: .*Actor_01.* and .*give"):
        ravdess.prepare(folder, tmp_path / "no", folds=3)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("blank", ["", "NaN", "1,5", "high"])
def test_msp_podcast_with_a_blank_rating(tmp_path, blank):
    lines = ["FileName;EmoClass;EmoAct;EmoVal;EmoDom;SpkrID;Gender;Split_Set"]
    for index in range(6):
        name = f"MSP-PODCAST_000{index}.wav"
        write_wav(tmp_path / f"msp/Audios/{name}")
        split = ("Train", "Development", "Test1")[index // 2]
        act = blank if index == 1 else "4.2"
        lines.append(
            f"{name};{'AS'[index % 2]};{act};3.1;4;{index};Male;{split}"
        )
    labels = tmp_path / "msp/Labels/labels_consensus.csv"
    labels.parent.mkdir()
    labels.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    if blank == "high":
        with pytest.raises(
            ManifestError, match="MSP-PODCAST_0001': the EmoAct 'high'"
        ):
            msp_podcast.prepare(tmp_path / "msp", tmp_path / "out")
        return
    items = read_all(msp_podcast.prepare(tmp_path / "msp", tmp_path / "out"))
    value = 1.5 if blank == "1,5" else None
    assert items["MSP-PODCAST_0001"]["vad"] == [3.1, value, 4.0]
    assert items["MSP-PODCAST_0000"]["vad"] == [3.1, 4.2, 4.0]


@pytest.mark.parametrize("name", ["casia", "nemo", "esd"])
@pytest.mark.parametrize("how", ["capitals", "one folder deeper"])
def test_corpora_as_archives_are_unpacked(tmp_path, name, how):
    folder = tmp_path / "data"
    inner = folder / "corpus" if how == "one folder deeper" else folder

    def put(path):
        wav = inner / path
        if how == "capitals":
            wav = wav.with_suffix(".WAV")
        write_wav(wav)

    inner.mkdir(parents=True)
    (folder / "__MACOSX").mkdir()
    (folder / ".DS_Store").touch()
    MINIATURES[name](inner, put)
    module = import_module(f"speechbrain_c2ser.data.corpora.{name}")
    paths = module.prepare(folder, tmp_path / "out")
    items = read_all(paths)
    assert len(items) > 10
    notes = json.loads((tmp_path / "out/corpus.json").read_text())["notes"]
    told = any("Read from corpus" in note for note in notes)
    assert told == (how == "one folder deeper")
