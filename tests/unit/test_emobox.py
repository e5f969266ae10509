"""EmoBox metadata: its folds as they are, and clear errors."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechbrain_c2ser.data.corpora.emobox import LANGUAGE, prepare, read_folds
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.writing import count_table
from speechbrain_c2ser.data.manifest import (
    check_leakage,
    read_manifest,
)

SHARED = Path(__file__).resolve().parents[3] / "shared/data/emobox"
# Utterances in train and test of every fold, as published.
PUBLISHED = {
    "aesdd": (1, 604),
    "asvpesd": (1, 13963),
    "cafe": (3, 936),
    "casia": (4, 1200),
    "emodb": (5, 535),
    "emovo": (6, 588),
    "iemocap": (5, 5531),
    "meld": (1, 13706),
    "mesd": (1, 862),
    "oreau": (1, 434),
    "polish": (5, 450),
    "savee": (4, 480),
}
LABELS = {"ang": "Angry", "exc": "Happy", "hap": "Happy", "Neu": "Neutral"}


def row(key, emotion, **more):
    return {
        "wav": f"downloads/x/{key}.wav",
        "length": 0.5,
        "emo": emotion,
        "dataset": "x",
        "channel": 1,
        **more,
    }


@pytest.fixture
def metadata(tmp_path):
    """Two folds of a corpus "x": {path: rows}, and how to write them."""
    rows = {
        f"x-{index}{emotion}": row(f"{index}{emotion}", emotion)
        for index in range(8)
        for emotion in ("ang", "exc", "neu")
    }
    files = {}
    for number, first in ((1, "0123"), (2, "4567")):
        test = {k: v for k, v in rows.items() if k[2] in first}
        train = {k: dict(v) for k, v in rows.items() if k not in test}
        for split, part in (("train", train), ("test", test)):
            files[f"fold_{number}/x_{split}_fold_{number}.json"] = part
    folder = tmp_path / "EmoBox/data/x"

    def write(labels="label_map.json"):
        for name, part in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = part if isinstance(part, str) else json.dumps(part)
            path.write_text(text, encoding="utf-8")
        if labels:
            (folder / labels).write_text(json.dumps(LABELS))
        return folder

    return files, write


def run(folder, target, **options):
    paths = prepare(folder, target, **{"check_audio": False, **options})
    text = (target / "corpus.json").read_text(encoding="utf-8")
    return {k: read_manifest(p) for k, p in paths.items()}, json.loads(text)


@pytest.mark.parametrize("labels", ["label_map.json", "label_dict.json"])
def test_folds_and_drawn_valid_sets(metadata, tmp_path, labels):
    files, write = metadata
    splits, corpus = run(write(labels), tmp_path / "out")
    assert corpus["counts"] == {
        "fold_1/train": 9,
        "fold_1/valid": 3,
        "fold_1/test": 12,
        "fold_2/train": 9,
        "fold_2/valid": 3,
        "fold_2/test": 12,
    }
    assert corpus["classes"]["fold_1/valid"] == {
        "angry": 1,
        "happy": 1,
        "neutral": 1,
    }
    item = splits["fold_1/test"]["x-0exc"]
    assert item["emotion"] == "happy" and item["emotion_raw"] == "exc"
    assert item["duration"] == 0.5 and item["dataset"] == "x"
    # The map says "Neu", the rows "neu", as in EmoBox's emodb.
    assert splits["fold_1/test"]["x-0neu"]["emotion"] == "neutral"
    assert "fold_2/test       4      4        4   12" in count_table(corpus)
    again, _ = run(write(None), tmp_path / "again")
    assert again == splits
    other, _ = run(write(None), tmp_path / "other", seed=2)
    assert other["fold_1/valid"] != splits["fold_1/valid"]


def test_audio_segments_and_valid_file(metadata, tmp_path):
    files, write = metadata
    for name in [name for name in files if "fold_2" in name]:
        del files[name]
    train = files["fold_1/x_train_fold_1.json"]
    taken = [key for key in train if key.startswith("x-7")]
    files["fold_1/x_valid_fold_1.json"] = {k: train.pop(k) for k in taken}
    train["x-4ang"] |= {"start_time": 0.2, "end_time": 0.3}
    # A clip of video, of which there is the sound.
    train["x-4exc"]["wav"] = "downloads/x/4exc.mp4"
    folder = write()
    audio = folder.parents[1] / "downloads/x"
    audio.mkdir(parents=True)
    for part in files.values():
        for key in part:
            soundfile.write(audio / f"{key[2:]}.wav", np.zeros(6400), 16000)
    splits, corpus = run(folder, tmp_path / "out", check_audio=True)
    assert corpus["counts"] == {"train": 9, "valid": 3, "test": 12}
    segment = splits["train"]["x-4ang"]
    assert (segment["start"], segment["stop"]) == (0.2, 0.3)
    assert segment["duration"] == 0.1
    # From the header, not from the metadata.
    assert splits["train"]["x-4neu"]["duration"] == 0.4
    assert splits["train"]["x-4exc"]["wav"].endswith("4exc.wav")
    with pytest.raises(ManifestError, match="audio of .* missing"):
        run(
            folder,
            tmp_path / "no",
            check_audio=True,
            audio_folder=tmp_path / "elsewhere",
        )


def test_several_test_sets(metadata, tmp_path):
    files, write = metadata
    for number in (1, 2):
        test = files[f"fold_{number}/x_test_fold_{number}.json"]
        files[f"fold_{number}/x_test2_fold_{number}.json"] = {
            key: test.pop(key) for key in list(test)[:6]
        }
    folder = write()
    splits, corpus = run(folder, tmp_path / "out", test="test2")
    assert corpus["counts"]["fold_1/test"] == 6
    assert "Tested on test2; there are test, test2." in corpus["notes"]
    with pytest.raises(ManifestError, match="Fold 1 .* has no test9"):
        run(folder, tmp_path / "no", test="test9")


TRAIN, TEST = "fold_1/x_train_fold_1.json", "fold_1/x_test_fold_1.json"


def without(files, split, emotion):
    files[split] = {
        k: v for k, v in files[split].items() if not k.endswith(emotion)
    }


@pytest.mark.parametrize(
    "damage, message",
    [
        (
            lambda f: f[TRAIN]["x-4ang"].update(emotion="ang"),
            "'x-4ang' of .*unknown key 'emotion'",
        ),
        (lambda f: f[TRAIN]["x-4ang"].pop("wav"), "'x-4ang'.* no 'wav'"),
        (lambda f: f[TRAIN]["x-4ang"].update(emo="fru"), "emotion 'fru'"),
        (lambda f: f[TRAIN]["x-4ang"].update(length="x"), "'x-4ang'.*number"),
        (
            lambda f: f[TRAIN]["x-4ang"].update(start_time=3, end_time=2),
            "'x-4ang'.*not after start_time",
        ),
        (
            lambda f: f.update(
                {TRAIN: '{"a": ' + json.dumps(row("a", "ang")) + ", "
                 '"a": ' + json.dumps(row("a", "ang")) + "}"}
            ),
            "item 'a' is there twice",
        ),
        (lambda f: f.update({TRAIN: "[1]"}), "not a JSON object"),
        (lambda f: f.update({TRAIN: "{"}), "cannot be read"),
        (lambda f: f.pop(TRAIN), "Fold 1 .* no train file"),
        (
            lambda f: f.update({"fold_1/train.json": {}}),
            "train.json is not named like",
        ),
        (
            lambda f: f[TRAIN].update(dict(list(f[TEST].items())[:1])),
            "Leakage: the id 'x-0ang'.*train and test",
        ),
        (
            lambda f: f[TRAIN].update(
                {"x-new": dict(f[TEST]["x-0ang"])}
            ),
            "Leakage: the wav .*0ang.wav",
        ),
        (
            lambda f: without(f, TEST, "neu"),
            "test has no neutral, which the training set has: drop",
        ),
        (
            lambda f: without(f, TRAIN, "neu"),
            "'neutral' .4 in test. fell into another split than the training",
        ),
    ],
)  # fmt: skip
def test_bad_metadata_is_named(metadata, tmp_path, damage, message):
    files, write = metadata
    for name in [name for name in files if "fold_2" in name]:
        del files[name]
    damage(files)
    folder = write()
    with pytest.raises(ManifestError, match=message) as caught:
        run(folder, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_folds_that_disagree(metadata, tmp_path):
    files, write = metadata
    files[TRAIN]["x-4ang"]["emo"] = "exc"
    with pytest.raises(ManifestError, match="'x-4ang'.*differs between folds"):
        run(write(), tmp_path / "out")


def test_missing_classes_can_be_allowed_or_dropped(metadata, tmp_path):
    files, write = metadata
    without(files, TEST, "neu")
    folder = write()
    _, corpus = run(folder, tmp_path / "out", allow_missing=True)
    assert any("has no neutral" in note for note in corpus["notes"])
    _, corpus = run(folder, tmp_path / "drop", drop=["neutral"])
    assert corpus["labels"] == ["angry", "happy"]
    assert corpus["skipped"] == {"emotion Neu left out": 8}


def test_wrong_folders(tmp_path, metadata):
    with pytest.raises(ManifestError, match="nowhere is missing"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match="looked for fold_.*empty"):
        prepare(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(ManifestError, match="looked for label_map.json"):
        prepare(metadata[1](labels=None), tmp_path / "out")


def test_languages_of_the_corpora():
    # asvpesd and esd are of several.
    assert len(LANGUAGE) == 30


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="EmoBox metadata (../shared) is not here"
)
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_metadata(name, tmp_path):
    name_found, folds = read_folds(SHARED / name)
    number, total = PUBLISHED[name]
    assert name_found == name and len(folds) == number
    splits, corpus = run(SHARED / name, tmp_path)
    tested = Counter()
    for k in range(1, number + 1):
        prefix = f"fold_{k}/" if number > 1 else ""
        fold = {s: splits[f"{prefix}{s}"] for s in ("train", "valid", "test")}
        check_leakage(fold, ("id", "wav"))
        # Every utterance is in every fold, but one unknown sound of ASVP-ESD.
        assert sum(map(len, fold.values())) == total
        tested.update(list(fold["test"]))
    assert set(tested.values()) == {1}
    table = count_table(corpus)
    print(f"{name}\n{table}")
    assert len(table.splitlines()) == 1 + 3 * number
