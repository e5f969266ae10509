"""Each corpus, on a miniature of its real layout."""

import importlib
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from miniatures import MINIATURES

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import (
    check_leakage,
    check_manifest,
    read_manifest,
)
from speechbrain_c2ser.labels import LabelSpace

THREE = ("train", "valid", "test")
SHARED = Path(__file__).resolve().parents[3] / "shared/data/emodb_2s"


def folds(number):
    return {f"fold_{k}/{s}" for k in range(1, number + 1) for s in THREE}


# Manifests, utterances, whether speakers are apart, and an item.
EXPECTED = {
    "asvp_esd": (
        set(THREE),
        8 * 12 + 1,
        True,
        "03-01-11-01-02-101-02-02-01-09-66",
        {"emotion": "pained", "language": "zh", "gender": "female"},
    ),
    "cameo": (
        {"test"},
        16,
        True,
        "crema_d-a_anger",
        {"emotion": "angry", "language": "en", "dataset": "cameo/crema_d"},
    ),
    "casia": (
        folds(4),
        24,
        True,
        "wangzhe-fear-201",
        {"emotion": "fearful", "emotion_raw": "fear", "language": "zh"},
    ),
    "cped": (
        set(THREE),
        39,
        True,
        "32_000_002",
        {
            "emotion": "depressed",
            "emotion_raw": "depress",
            "speaker": "32_戴娜",
            "gender": "female",
            "age_group": "young",
            "knowledge": "女性，青年，神经质低，外向性高，开放性高，宜人性低",
            "dialogue": "32_000",
            "turn": 2,
            "intent": "question",
            "language": "zh",
        },
    ),
    "cremad": (
        folds(5),
        60,
        True,
        "1001_DFA_ANG_XX",
        {"gender": "male", "age": 30, "transcript": "Don't forget a jacket."},
    ),
    "emodb": (
        folds(10),
        70,
        True,
        "03a01La",
        {"emotion": "bored", "speaker": "03", "gender": "male"},
    ),
    "emotion_talk": (
        set(THREE),
        21,
        True,
        "G00002_02_01_001",
        {
            "caption": "一位女性语速很快",
            "votes": {"angry": 1, "neutral": 1},
            "ratings": [{"emotion": "angry"}, {"emotion": "neutral"}],
            "dialogue": "G00002_02",
            "turn": 1,
        },
    ),
    "emov_db": (
        folds(4),
        18,
        True,
        "bea-sleepy_1-15_0001",
        {"emotion": "sleepy", "transcript": "Author of the danger."},
    ),
    "emovo": (
        folds(6),
        42,
        True,
        "gio-f2-b1",
        {"emotion": "happy", "speaker": "f2", "gender": "female"},
    ),
    "esd": (
        folds(5),
        75,
        True,
        "0011_000351",
        {"emotion": "angry", "language": "en", "transcript": "打远一看"},
    ),
    "iemocap": (
        folds(5),
        25,
        True,
        "Ses01F_impro01_F002",
        {
            "emotion": "happy",
            "emotion_raw": "exc",
            "speaker": "Ses01F",
            "vad": [2.5, 3.0, 4.0],
            "votes": {"excited": 2, "neutral": 1},
            "transcript": "Excuse me.",
            "turn": 2,
        },
    ),
    "m3ed": (
        set(THREE),
        21,
        True,
        "甲_1_0",
        {
            "votes": {"angry": 2, "neutral": 1},
            "speaker": "甲_小明",
            "gender": "male",
            "turn": 0,
        },
    ),
    "meld": (
        set(THREE),
        21,
        False,
        "train_dia0_utt3",
        {"emotion": "happy", "speaker": "Chandler", "turn": 3},
    ),
    "mesd": (
        set(THREE),
        36,
        False,
        "Anger_C_A_tal_vez",
        {"transcript": "tal vez", "age_group": "child"},
    ),
    "msp_podcast": (
        set(THREE),
        32,
        True,
        "MSP-PODCAST_0001_0001",
        {"vad": [3.5, 4.5, 5.0], "transcript": "Well, yes.", "emotion": "sad"},
    ),
    "nemo": (
        folds(9),
        54,
        True,
        "WR0_surprised_1",
        {"speaker": "WR0", "transcript": "Lubię czytać przed snem."},
    ),
    "ravdess": (
        folds(6),
        96,
        True,
        "03-01-06-01-02-01-12",
        {"emotion": "fearful", "gender": "female", "intensity": "normal"},
    ),
    "shemo": (
        folds(5),
        60,
        True,
        "F01A01",
        {"transcript": "سلام", "gender": "female", "speaker": "F01"},
    ),
    "thai_ser": (
        folds(2),
        20,
        True,
        "s001_actor001_impro1_1",
        {
            "emotion": "frustrated",
            "votes": {"frustrated": 2, "neutral": 1},
            "speaker": "001",
            "gender": "female",
        },
    ),
    "zed": (
        {"test"},
        3,
        False,
        "z0",
        {
            "segments": [
                [0.0, 0.02, "neutral"],
                [0.02, 0.06, "angry"],
                [0.06, 0.1, "neutral"],
            ]
        },
    ),
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.wav"
    soundfile.write(path, np.zeros(1600), 16000)
    return path


@pytest.fixture
def miniature(clip, tmp_path):
    """miniature(name) -> its folder."""

    def build(name):
        if name == "cameo":
            pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        folder = tmp_path / name
        folder.mkdir()

        def put(path):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            # soundfile goes by the content, so a .flac may be this as well.
            return Path(shutil.copyfile(clip, target))

        MINIATURES[name](folder, put)
        return folder

    return build


def prepare(name, *arguments, **options):
    module = importlib.import_module(f"speechbrain_c2ser.data.corpora.{name}")
    return module.prepare(*arguments, **options)


def read(paths):
    """Fold -> split -> items, and the description."""
    divisions = {}
    for key, path in paths.items():
        fold, _, split = key.rpartition("/")
        divisions.setdefault(fold, {})[split] = read_manifest(path)
    top = next(iter(paths.values())).parent
    top = top.parent if next(iter(divisions)) else top
    text = (top / "corpus.json").read_text(encoding="utf-8")
    return divisions, json.loads(text)


@pytest.mark.parametrize("name", MINIATURES)
def test_prepare(name, miniature, tmp_path):
    folder = miniature(name)
    before = sorted(folder.rglob("*"))
    paths = prepare(name, folder, tmp_path / "out")
    manifests, total, apart, key, fields = EXPECTED[name]
    assert set(paths) == manifests
    assert sorted(folder.rglob("*")) == before
    divisions, description = read(paths)
    tested = Counter()
    for splits in divisions.values():
        check_leakage(splits, ("id", "wav", *["speaker"] * apart))
        for split, items in splits.items():
            check_manifest(items, ["dataset"])
            assert {item["duration"] for item in items.values()} == {0.1}
            tested.update(list(items) if split == "test" else ())
    if len(divisions) > 1 and name != "thai_ser":
        # Every utterance is tested once.
        assert len(tested) == total and set(tested.values()) == {1}
    items = {
        k: v
        for s in divisions.values()
        for i in s.values()
        for k, v in i.items()
    }
    assert len(items) == total
    assert {k: items[key].get(k) for k in fields} == fields
    assert description["counts"] == {
        k: len(read_manifest(path)) for k, path in paths.items()
    }
    # The same again, and a smaller set of emotions where there is the option.
    assert prepare(name, folder, tmp_path / "again").keys() == paths.keys()
    if name not in ("zed", "iemocap"):
        paths = prepare(name, folder, tmp_path / "four", label_space=4)
        assert set(read(paths)[1]["labels"]) <= set(LabelSpace.from_name(4))


@pytest.mark.parametrize("name", MINIATURES)
def test_wrong_layout_says_what_and_where(name, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(ManifestError, match="looked for .*elsewhere") as caught:
        prepare(name, tmp_path / "elsewhere", tmp_path / "out")
    assert "\n" not in str(caught.value)
    with pytest.raises(ManifestError, match="nowhere.* is missing"):
        prepare(name, tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_iemocap_classes(miniature, tmp_path):
    folder = miniature("iemocap")

    def counts(**options):
        paths = prepare("iemocap", folder, tmp_path / "out", **options)
        divisions, description = read(paths)
        items = divisions["fold_2"]
        assert {i["session"] for i in items["test"].values()} == {"Session2"}
        return Counter(
            item["emotion"] for part in items.values() for item in part.values()
        )

    assert counts() == {"angry": 5, "happy": 10, "neutral": 5, "sad": 5}
    assert counts(merge_excited=False)["happy"] == 5
    assert counts(classes=5)["frustrated"] == 5
    # The published protocols validate on a part of the training sessions.
    paths = prepare("iemocap", folder, tmp_path / "out", valid="random")
    splits = read(paths)[0]["fold_1"]
    sessions = {i["session"] for i in splits["valid"].values()}
    assert sessions <= {i["session"] for i in splits["train"].values()}
    with pytest.raises(ManifestError, match="3 classes"):
        counts(classes=3)


def test_esd_official_and_one_language(miniature, tmp_path):
    folder = miniature("esd")
    paths = prepare("esd", folder, tmp_path / "out", split="official")
    divisions, description = read(paths)
    assert description["counts"] == {"train": 25, "valid": 25, "test": 25}
    assert any("Not speaker-independent" in n for n in description["notes"])
    paths = prepare("esd", folder, tmp_path / "zh", language="zh", folds=3)
    assert read(paths)[1]["skipped"] == {"not in zh": 30}
    with pytest.raises(ManifestError, match="no split 'odd'"):
        prepare("esd", folder, tmp_path / "no", split="odd")


def test_options_of_others(miniature, tmp_path):
    ravdess = miniature("ravdess")
    paths = prepare("ravdess", ravdess, tmp_path / "a", song=True, folds=3)
    assert read(paths)[1]["counts"]["fold_1/test"] == 36
    thai = miniature("thai_ser")
    with pytest.raises(ManifestError, match="looked for utterances"):
        prepare("thai_ser", thai, tmp_path / "b", min_agreement=0.9)
    wavs = {
        Path(item["wav"]).parent.name
        for path in prepare(
            "thai_ser", thai, tmp_path / "c", microphone="clip"
        ).values()
        for item in read_manifest(path).values()
    }
    assert wavs == {"clip"}
    msp = miniature("msp_podcast")
    paths = prepare("msp_podcast", msp, tmp_path / "d", test="Test2")
    assert read(paths)[1]["counts"]["test"] == 1
    asvp = miniature("asvp_esd")
    paths = prepare("asvp_esd", asvp, tmp_path / "e", speech_only=True)
    assert read(paths)[1]["skipped"]["not speech"] == 1


def test_cameo_speakers_and_parts(miniature, tmp_path):
    folder = miniature("cameo")
    paths = prepare(
        "cameo", folder, tmp_path / "out", datasets="nemo", split="speaker"
    )
    divisions, description = read(paths)
    assert sum(description["counts"].values()) == 8
    check_leakage(divisions[""])
    assert (tmp_path / "out/audio/nemo/a_anger.wav").is_file()
    with pytest.raises(ManifestError, match="no corpus x .it has: crema_d"):
        prepare("cameo", folder, tmp_path / "no", datasets=["CREMA-D", "x"])
    # What a model saw as CREMA-D is not foreign, however it is spelt.
    paths = prepare("cameo", folder, tmp_path / "all")
    seen = {"x": {"wav": "x.wav", "duration": 1.0, "dataset": "CREMA-D"}}
    with pytest.raises(ManifestError, match="dataset 'cameo/crema_d'"):
        check_leakage(
            {"train": seen, "test": read_manifest(paths["test"])}, ["dataset"]
        )


def test_missing_audio_is_counted_or_refused(miniature, tmp_path, capsys):
    folder = miniature("emodb")
    (folder / "wav/03a01Wa.wav").write_bytes(b"")
    paths = prepare("emodb", folder, tmp_path / "out")
    assert read(paths)[1]["skipped"]["audio missing or unusable"] == 1
    assert "03a01Wa.wav is empty" in capsys.readouterr().out
    for path in (folder / "wav").glob("*a01F*"):
        path.write_bytes(b"")
    with pytest.raises(ManifestError, match="audio of 11 of 70 utterances"):
        prepare("emodb", folder, tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_unknown_labels_and_odd_names(miniature, tmp_path):
    folder = miniature("nemo")
    table = folder / "data.tsv"
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace("\tfear\t", "\tdread\t"), encoding="utf-8")
    with pytest.raises(ManifestError, match="unknown emotion 'dread' of nemo"):
        prepare("nemo", folder, tmp_path / "out")
    table.write_text(text.replace("speaker_id", "voice"), encoding="utf-8")
    with pytest.raises(ManifestError, match="no column 'speaker_id'"):
        prepare("nemo", folder, tmp_path / "out")
    table.write_text(text + text.splitlines()[1] + "\n", encoding="utf-8")
    with pytest.raises(ManifestError, match="holds the item .* twice"):
        prepare("nemo", folder, tmp_path / "out")


def test_another_division_leaves_no_stale_folds(miniature, tmp_path):
    folder = miniature("emodb")
    prepare("emodb", folder, tmp_path / "out", folds=10)
    prepare("emodb", folder, tmp_path / "out", folds=3)
    found = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert found == ["corpus.json", "fold_1", "fold_2", "fold_3"]
    with pytest.raises(ManifestError, match="11 folds cannot be made of 10"):
        prepare("emodb", folder, tmp_path / "out", folds=11)


def test_dealt_folds_mix_genders(miniature, tmp_path):
    paths = prepare("emodb", miniature("emodb"), tmp_path / "out", folds=5)
    for splits in read(paths)[0].values():
        assert len({i["gender"] for i in splits["test"].values()}) == 2


@pytest.mark.skipif(not SHARED.is_dir(), reason="EMO-DB copy is not here")
def test_emodb_on_real_recordings(tmp_path):
    divisions, description = read(prepare("emodb", SHARED, tmp_path))
    listed = [
        json.loads(line)
        for line in (SHARED / "emodb_2s.jsonl").read_text().splitlines()
    ]
    items = {k: v for f in divisions.values() for k, v in f["test"].items()}
    assert len(divisions) == 10 and len(items) == len(listed) == 535
    for row in listed:
        item = items[row["index"]]
        assert item["emotion"] == row["emotion"]
        assert item["speaker"] == row["speaker"]
        assert item["gender"] == row["gender"]
        assert item["transcript"] == row["text"]
        assert item["duration"] == pytest.approx(row["duration"], abs=1e-3)
