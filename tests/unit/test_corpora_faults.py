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


def prepare(name, folder):
    """Items of a corpus, and the notes and counts of its description."""
    module = import_module(f"speechbrain_c2ser.data.corpora.{name}")
    out = folder.parent / "out"
    items = read_all(module.prepare(folder, out))
    return items, json.loads((out / "corpus.json").read_text())


def miniature(name, folder):
    folder.mkdir()
    MINIATURES[name](folder, lambda path: write_wav(folder / path))
    return folder


def rewrite(path, change):
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


@pytest.mark.parametrize("inner", ["wav", ""])
def test_emodb_as_its_archive_lies(tmp_path, inner):
    folder = miniature("emodb", tmp_path / "emodb")
    before, _ = prepare("emodb", folder)
    for wav in sorted(folder.rglob("*.wav")):
        label = folder / "lablaut" / f"{wav.stem}.lablaut"
        label.parent.mkdir(exist_ok=True)
        label.touch()
    items, _ = prepare("emodb", folder / inner)
    assert items == before


def test_iemocap_with_ratings_that_are_no_numbers(tmp_path):
    folder = miniature("iemocap", tmp_path / "iemocap")
    before, _ = prepare("iemocap", folder)
    path = sorted(folder.rglob("EmoEvaluation/*.txt"))[0]
    lines = path.read_text().splitlines()
    heads = [i for i, line in enumerate(lines) if line.startswith("[")]
    first, last = heads[0], heads[-1]
    key = lines[first].split("\t")[1]
    lines[first] = lines[first].rpartition("[")[0] + "[nan, 2.5, 2.5]"
    lines[last] = lines[last].replace("\t", "  ")
    path.write_text("\n".join(lines))
    items, about = prepare("iemocap", folder)
    assert items[key]["vad"] == [None, 2.5, 2.5]
    assert about["skipped"]["evaluation line not understood"] == 1


@pytest.mark.parametrize("turn", ["0.0", ""])
def test_meld_as_pandas_saves_it(tmp_path, turn):
    folder = miniature("meld", tmp_path / "meld")
    before, _ = prepare("meld", folder)
    for path in folder.rglob("*_sent_emo.csv"):
        head, *rows = path.read_text().splitlines()
        columns = head.split(",")
        place = columns.index("Utterance_ID") - len(columns)
        cells = [row.split(",") for row in rows]
        for row in cells:
            row[place] = f"{row[place]}.0" if turn else ""
        lines = [head.upper(), *map(",".join, cells)]
        path.write_text("\n".join(lines))
    if turn:
        assert prepare("meld", folder)[0] == before
        return
    with pytest.raises(ManifestError, match="1 of train_.*Utterance_ID '' is"):
        prepare("meld", folder)


@pytest.mark.parametrize(
    "emotion, problem",
    [
        (None, "'a' of zed: .* missing .*KeyError"),
        (3, "'a' of zed"),
        ([{"emo": "sad", "start": None, "end": 1}], "'a' of zed"),
        ([{"emo": "sad", "start": "soon", "end": 1}], "'a' of zed.*soon"),
        ([{"emo": "odd", "start": 0, "end": 1}], "'a' of zed.*odd"),
        ("list", "ZED.json is no JSON object"),
    ],
)
def test_descriptions_of_another_kind_are_named(tmp_path, emotion, problem):
    folder = tmp_path / "zed"
    write_wav(folder / "a.wav")
    rows = {"a": {"wav": "datafolder/a.wav", "emotion": emotion}}
    if emotion is None:
        del rows["a"]["emotion"]
    rows = [rows] if emotion == "list" else rows
    (folder / "ZED.json").write_text(json.dumps(rows))
    with pytest.raises(ManifestError, match=problem):
        prepare("zed", folder)


@pytest.mark.parametrize(
    "name, path, old",
    [
        ("m3ed", "annotation.json", "final_main_emo"),
        ("m3ed", "annotation.json", "SpeakerInfo"),
        ("thai_ser", "emotion_label.json", "majority_emo"),
        ("thai_ser", "actor_demography.json", "Actor's ID"),
    ],
)
def test_indexes_without_a_field_are_named(tmp_path, name, path, old):
    folder = miniature(name, tmp_path / "data")
    rewrite(folder / path, lambda text: text.replace(old, "x"))
    with pytest.raises(ManifestError, match=f"Item .*missing.*{old}"):
        prepare(name, folder)


@pytest.mark.parametrize("age", ["20-30", None])
def test_cremad_without_ages(tmp_path, age):
    folder = miniature("cremad", tmp_path / "cremad")
    before, _ = prepare("cremad", folder)
    table = folder / "VideoDemographics.csv"
    head, *rows = table.read_text().splitlines()
    place = head.split(",").index("Age")
    cells = [row.split(",") for row in rows]
    cells[0][place] = str(age)
    table.write_text("\n".join([head.lower(), *map(",".join, cells)]))
    if age is None:
        table.unlink()
    items, about = prepare("cremad", folder)
    assert items.keys() == before.keys()
    said = "no VideoDemographics.csv" if age is None else "No age of 1001"
    assert any(said in note for note in about["notes"])
    assert any("age" in item for item in items.values()) == (age is not None)


@pytest.mark.parametrize("turn", ["x", ""])
def test_cped_with_an_id_that_is_none(tmp_path, turn):
    folder = miniature("cped", tmp_path / "cped")
    table = sorted(folder.rglob("train_split.csv"))[0]
    head, first, *rows = table.read_text(encoding="utf-8").splitlines()
    cells = first.split(",")
    place = head.split(",").index("Utterance_ID")
    cells[place] = turn and cells[place].rpartition("_")[0] + "_x"
    table.write_text("\n".join([head, ",".join(cells), *rows]), "utf-8")
    problem = "_x': the turn 'x' is" if turn else "'1 of train_.*turn '' is no"
    with pytest.raises(ManifestError, match=problem):
        prepare("cped", folder)


def test_esd_in_small_letters_beside_a_read_me(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    miniature("esd", folder / "esd")
    before, _ = prepare("esd", folder)
    (folder / "ReadMe.txt").touch()
    (folder / "esd.zip").touch()
    for emotion in sorted(folder.glob("esd/*/*/")):
        emotion.rename(emotion.with_name(f"{emotion.name}_"))
        emotion.with_name(f"{emotion.name}_").rename(
            emotion.with_name(emotion.name.lower())
        )
    items, _ = prepare("esd", folder)
    assert items.keys() == before.keys()
