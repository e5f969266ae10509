"""Folders of recordings become manifests, whole or not at all."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.fold_files import read_folds
from speechbrain_c2ser.data.importers.generic import prepare
from speechbrain_c2ser.data.manifest import (
    check_leakage,
    read_manifest,
)
from speechbrain_c2ser.labels import LabelSpace

SHARED = Path(__file__).resolve().parents[3] / "shared/data/emodb_2s"


def make_rows(folder, speakers=6, takes=4):
    (folder / "wav").mkdir(parents=True, exist_ok=True)
    rows = []
    for speaker in range(speakers):
        for take in range(takes):
            wav = f"wav/{speaker}_{take}.wav"
            soundfile.write(folder / wav, np.zeros(1600 * (take + 1)), 16000)
            rows.append(
                {
                    "index": f"EN_{speaker}_{take}",
                    "emotion": "Happy" if take % 2 else "sad",
                    "wav": f"./{wav}",
                    "speaker": speaker,
                    "gender": "F",
                    "text": "Hello.",
                }
            )
    return rows


def write_rows(folder, rows, name="corpus.jsonl"):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / name).write_text(text)


def run(folder, target, **options):
    paths = prepare(folder, target, **options)
    splits = {split: read_manifest(path) for split, path in paths.items()}
    return splits, json.loads((target / "corpus.json").read_text())


def test_jsonl_is_split_by_speaker(tmp_path):
    write_rows(tmp_path, make_rows(tmp_path))
    splits, corpus = run(tmp_path, tmp_path / "out")
    check_leakage(splits)
    assert sum(map(len, splits.values())) == 24
    assert min(map(len, splits.values())) >= 4
    assert corpus["split"] == "drawn, speaker-independent"
    assert corpus["labels"] == ["happy", "sad"] and not corpus["synthetic"]
    item = next(v for s in splits.values() for v in s.values())
    assert item["language"] == "en" and item["gender"] == "female"
    assert item["transcript"] == "Hello."
    again, _ = run(tmp_path, tmp_path / "again")
    assert again == splits
    other, _ = run(tmp_path, tmp_path / "other", seed=2)
    assert other != splits


def test_durations_come_from_the_audio(tmp_path):
    write_rows(tmp_path, make_rows(tmp_path))
    splits, _ = run(tmp_path, tmp_path / "out")
    durations = {
        k: v["duration"] for s in splits.values() for k, v in s.items()
    }
    assert durations["EN_0_3"] == 0.4


def test_unknown_speakers_are_said_and_files_kept_apart(tmp_path):
    rows = make_rows(tmp_path)
    for row in rows:
        del row["speaker"]
    # Two segments of every file.
    rows = [
        {**row, "index": f"{row['index']}_{part}", "start": 0.05 * part,
         "stop": 0.05 * (part + 1)}
        for row in rows
        for part in (0, 1)
    ]  # fmt: skip
    write_rows(tmp_path, rows)
    splits, corpus = run(tmp_path, tmp_path / "out")
    assert corpus["split"].startswith("random")
    assert "not known" in corpus["notes"][0]
    files = [{i["wav"] for i in items.values()} for items in splits.values()]
    assert not files[0] & files[1] and not files[0] & files[2]
    assert splits["train"][next(iter(splits["train"]))]["duration"] == 0.05


def test_folds(tmp_path):
    rows = make_rows(tmp_path)
    write_rows(tmp_path, rows)
    keys = [row["index"] for row in rows]
    folds = [
        {"train": keys[8:], "test": keys[:8]},
        {"train": keys[:12], "valid": keys[12:16], "test": keys[16:20]},
    ]
    (tmp_path / "folds_2.json").write_text(json.dumps(folds))
    splits, corpus = run(tmp_path, tmp_path / "out")
    assert set(splits["test"]) == set(keys[:8])
    assert len(splits["valid"]) == 4
    check_leakage(splits)
    splits, corpus = run(tmp_path, tmp_path / "out1", fold=1)
    assert set(splits["valid"]) == set(keys[12:16])
    assert corpus["notes"] == ["4 utterances are in no split of the fold."]
    with pytest.raises(ManifestError, match="no fold 2"):
        prepare(tmp_path, tmp_path / "out2", fold=2)
    folds[0]["test"] = ["nobody"]
    (tmp_path / "folds_2.json").write_text(json.dumps(folds))
    with pytest.raises(ManifestError, match="'nobody'"):
        prepare(tmp_path, tmp_path / "out2")
    folds[0]["test"] = keys[7:9]
    (tmp_path / "folds_2.json").write_text(json.dumps(folds))
    with pytest.raises(ManifestError, match="Leakage"):
        prepare(tmp_path, tmp_path / "out2")
    assert not (tmp_path / "out2").exists()


def test_csv_and_manifests(tmp_path):
    rows = make_rows(tmp_path / "csv")
    lines = [
        ",".join(row)
        for row in ([*rows[0]], *[map(str, r.values()) for r in rows])
    ]
    (tmp_path / "csv/corpus.csv").write_text("\n".join(lines) + "\n")
    splits, _ = run(tmp_path / "csv", tmp_path / "csv_out")
    assert sum(map(len, splits.values())) == 24
    # Its own output is one of the accepted forms.
    again, corpus = run(tmp_path / "csv_out", tmp_path / "again")
    assert corpus["split"] == "as the folder gives it"
    assert {k: list(v) for k, v in again.items()} == {
        k: list(v) for k, v in splits.items()
    }


def test_label_space_maps(tmp_path):
    rows = make_rows(tmp_path)
    rows[0]["emotion"] = "sadness"
    write_rows(tmp_path, rows)
    space = LabelSpace(["happy", "sad"])
    splits, _ = run(tmp_path, tmp_path / "out", label_space=space)
    first = next(s["EN_0_0"] for s in splits.values() if "EN_0_0" in s)
    assert first["emotion"] == "sad" and first["emotion_raw"] == "sadness"
    with pytest.raises(ManifestError, match="unknown emotion 'Happy'"):
        prepare(tmp_path, tmp_path / "no", label_space=LabelSpace(["sad"]))


def damage_wav(rows, folder, content):
    (folder / rows[5]["wav"]).write_bytes(content)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda r, f: (f / r[5]["wav"]).unlink(), "'EN_1_1'.*missing"),
        (lambda r, f: damage_wav(r, f, b""), "'EN_1_1'.*empty"),
        (lambda r, f: damage_wav(r, f, b"noise"), "'EN_1_1'.*cannot be read"),
        (
            lambda r, f: soundfile.write(f / r[5]["wav"], np.zeros(0), 16000),
            "'EN_1_1'.*no samples",
        ),
        (lambda r, f: r[5].pop("emotion"), "'EN_1_1'.*no 'emotion'"),
        (lambda r, f: r[5].pop("wav"), "'EN_1_1'.*no 'wav'"),
        (lambda r, f: r[5].update(index="EN_0_0"), "'EN_0_0' twice"),
        (lambda r, f: r[5].update(wav=r[4]["wav"]), "'EN_1_0' and 'EN_1_1'"),
        (lambda r, f: r[5].update(start=0.1, stop=9), "'EN_1_1'.*not within"),
        (lambda r, f: r[5].update(start=0, stop=1600), "are no seconds"),
        (lambda r, f: r[5].update(duration="long"), "'EN_1_1'.*no number"),
        (lambda r, f: r.clear(), "is empty"),
        (lambda r, f: r.__delitem__(slice(1, None)), "would be empty"),
    ],
)
def test_bad_input_is_named_and_nothing_left(tmp_path, damage, message):
    rows = make_rows(tmp_path)
    damage(rows, tmp_path)
    write_rows(tmp_path, rows)
    with pytest.raises(ManifestError, match=message) as caught:
        prepare(tmp_path, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_emotion_that_only_the_test_set_has(tmp_path):
    rows = make_rows(tmp_path)
    rows[0]["emotion"] = "bored"
    write_rows(tmp_path, rows)
    keys = [row["index"] for row in rows]
    folds = [{"train": keys[8:], "valid": keys[4:8], "test": keys[:4]}]
    (tmp_path / "folds.json").write_text(json.dumps(folds))
    with pytest.raises(
        ManifestError, match="'bored' \\(1, of speaker 0, in test\\)"
    ):
        prepare(tmp_path, tmp_path / "out")


def test_what_one_speaker_acts_is_trained_on(tmp_path):
    rows = make_rows(tmp_path)
    for row in rows:
        if row["speaker"] == 3:
            row["emotion"] = "bored"
    write_rows(tmp_path, rows)
    for seed in range(1, 9):
        splits, _ = run(tmp_path, tmp_path / f"out{seed}", seed=seed)
        speakers = {row["speaker"] for row in splits["train"].values()}
        assert "3" in speakers and len(splits["test"]) >= 4


def test_a_class_that_no_split_can_train_on_is_told(tmp_path):
    rows = make_rows(tmp_path, speakers=4)
    for row in rows:
        row["emotion"] = ("angry", "happy", "sad", "bored")[row["speaker"]]
    write_rows(tmp_path, rows)
    with pytest.raises(ManifestError, match="All utterances that .* another"):
        prepare(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_folders(tmp_path):
    with pytest.raises(ManifestError, match="nowhere is missing"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(ManifestError, match="holds no train.json"):
        prepare(tmp_path, tmp_path / "out")
    write_rows(tmp_path, [{"a": 1}], "one.jsonl")
    write_rows(tmp_path, [{"a": 1}], "two.jsonl")
    with pytest.raises(ManifestError, match="holds 2 files"):
        prepare(tmp_path, tmp_path / "out")


@pytest.mark.skipif(not SHARED.is_dir(), reason="EMO-DB copy is not here")
def test_emodb_copy(tmp_path):
    splits, corpus = run(SHARED, tmp_path)
    assert corpus["counts"] == {"train": 292, "valid": 55, "test": 188}
    assert len(corpus["labels"]) == 7
    check_leakage(splits)


def test_splits_that_the_table_names_in_a_column(tmp_path):
    rows = make_rows(tmp_path)
    for row in rows:
        row["Split"] = "Test" if row["speaker"] == 2 else "train"
    write_rows(tmp_path, rows)
    (tmp_path / "._corpus.jsonl").write_bytes(b"\0\5\x16\7")  # macOS's
    splits, corpus = run(tmp_path, tmp_path / "out")
    assert {row["speaker"] for row in splits["test"].values()} == {"2"}
    assert corpus["split"] == "as the folder gives it"


def write_table(folder, name, rows, column, values):
    lines = [f"wav,emotion,{column}"]
    for row, value in zip(rows, values, strict=True):
        lines.append(f"{row['wav']},{row['emotion']},{value}")
    (folder / name).write_text("\n".join(lines) + "\n")


def test_a_split_that_is_none_is_refused_and_not_drawn(tmp_path):
    rows = make_rows(tmp_path)
    values = ["train", "train", "Dev", "TEST "] * 6
    write_table(tmp_path, "list.csv", rows, "Subset", values)
    splits, about = run(tmp_path, tmp_path / "out")
    assert {k: len(v) for k, v in splits.items()} == {
        "train": 12, "valid": 6, "test": 6}  # fmt: skip
    assert not any("Subset" in note for note in about["notes"])
    values[3] = "unlabeled"
    write_table(tmp_path, "list.csv", rows, "Subset", values)
    with pytest.raises(ManifestError, match="'Subset' holds 'unlabeled'"):
        prepare(tmp_path, tmp_path / "no")


def test_tables_of_splits_without_ids(tmp_path):
    rows = make_rows(tmp_path)
    write_table(tmp_path, "train.csv", rows[:16], "x", range(16))
    write_table(tmp_path, "test.csv", rows[16:], "x", range(8))
    splits, _ = run(tmp_path, tmp_path / "out")
    assert "test-1" in splits["test"] and len(splits["test"]) == 8


def test_a_split_out_of_the_names_of_folders(tmp_path):
    for split in ("train", "test"):
        for emotion in ("happy", "sad"):
            (tmp_path / split / emotion).mkdir(parents=True)
            for n in range(4):
                wav = tmp_path / split / emotion / f"{n}.wav"
                wave = np.full(1600 + n, 0.1 * (split == "test"))
                soundfile.write(wav, wave, 16000)
    with pytest.raises(ManifestError, match="or give a pattern"):
        prepare(tmp_path, tmp_path / "no")
    pattern = "(?P<split>[a-z]+)/(?P<emotion>[a-z]+)/.*"
    splits, _ = run(tmp_path, tmp_path / "out", pattern=pattern)
    assert all(key.startswith("test/") for key in splits["test"])
    assert len(splits["test"]) == 8


def test_tables_of_splits_in_capitals(tmp_path):
    rows = make_rows(tmp_path)
    write_rows(tmp_path, rows[:16], "train.jsonl")
    write_rows(tmp_path, rows[16:], "Test.JSONL")
    splits, _ = run(tmp_path, tmp_path / "out")
    assert {row["speaker"] for row in splits["test"].values()} == {"4", "5"}


@pytest.mark.parametrize(
    "field, value, problem",
    [
        ("start_frame", 100, "start_frame look like a segm.*divided by"),
        ("emotion", "3", "'3' is no name .give classes by their names"),
        ("emotion", "-", "has no 'emotion'"),
    ],
)
def test_what_is_no_bound_and_no_label_is_refused(
    tmp_path, field, value, problem
):
    rows = make_rows(tmp_path)
    write_rows(tmp_path, [{**row, field: value} for row in rows])
    with pytest.raises(ManifestError, match=problem):
        run(tmp_path, tmp_path / "out")


def test_a_data_folder_by_its_relative_name(tmp_path, monkeypatch):
    write_rows(tmp_path / "data", make_rows(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    splits, _ = run(Path("data"), tmp_path / "out")
    wavs = [row["wav"] for row in splits["train"].values()]
    assert wavs and all(Path(wav).is_absolute() for wav in wavs)


def write_twice(folder, emotions=("happy", "sad")):
    """Recordings in folders of their emotion, and the same a level deeper."""
    for top in (folder, folder / folder.name):
        for number, emotion in enumerate(emotions):
            (top / emotion).mkdir(parents=True)
            for take in range(10):
                wave = np.full(1600, (10 * number + take) / 100)
                soundfile.write(top / emotion / f"{take}.wav", wave, 16000)


def test_a_recording_in_two_folders_is_taken_once(tmp_path):
    folder = tmp_path / "set"
    write_twice(folder)
    options = {"pattern": "(?:.*/)?(?P<emotion>[a-z]+)/[^/]+"}
    splits, about = run(folder, tmp_path / "out", **options)
    assert sum(map(len, splits.values())) == 20
    assert any("20 recordings that are there twice" in n
               for n in about["notes"])  # fmt: skip
    # Of one name and size, and other bytes: two recordings.
    soundfile.write(folder / "set/sad/3.wav", np.full(1600, 0.7), 16000)
    splits, _ = run(folder, tmp_path / "more", **options)
    assert sum(map(len, splits.values())) == 21


def test_a_recording_in_two_folders_and_two_splits_is_refused(tmp_path):
    folder = tmp_path / "set"
    write_twice(folder)
    rows = ["wav,emotion,split"]
    for top, split in (("", "train"), ("set/", "test")):
        for emotion in ("happy", "sad"):
            rows += [f"{top}{emotion}/{t}.wav,{emotion},{split}"
                     for t in range(10)]  # fmt: skip
    (folder / "list.csv").write_text("\n".join(rows))
    with pytest.raises(ManifestError, match="Leakage: the recording .*take"):
        prepare(folder, tmp_path / "out")


@pytest.mark.parametrize("code", [0, "01", 2.0])
def test_classes_by_number_that_the_user_names(tmp_path, code):
    rows = make_rows(tmp_path)
    for row in rows:
        row["emotion"] = code if row["emotion"] == "sad" else 7
    write_rows(tmp_path, rows)
    with pytest.raises(ManifestError, match="no name .*--labels="):
        prepare(tmp_path, tmp_path / "no")
    labels = {code: "sad", 7: "happy"}
    splits, about = run(tmp_path, tmp_path / "out", labels=labels)
    assert about["labels"] == ["happy", "sad"]
    assert splits["train"]
    for wrong, problem in ((["sad"], "as {theirs"), ({7: 1}, "is no name")):
        with pytest.raises(ManifestError, match=problem):
            prepare(tmp_path, tmp_path / "no", labels=wrong)


@pytest.mark.parametrize(
    "number, words",
    [("label", "label_text"), ("emotion", "emotion_name"),
     ("label", "emotion_label"), ("emotion", "label")],
)  # fmt: skip
def test_the_words_beside_classes_by_number_count(tmp_path, number, words):
    rows = make_rows(tmp_path)
    for row in rows:
        word = row.pop("emotion")
        row |= {number: int(word == "sad"), words: word}
    write_rows(tmp_path, rows)
    _, about = run(tmp_path, tmp_path / "out")
    assert about["labels"] == ["happy", "sad"]
    assert not any(words in note for note in about["notes"])


def test_names_of_splits_in_a_column_and_in_folds(tmp_path):
    rows = make_rows(tmp_path)
    values = ["train", "train", "devel", "test"] * 6
    write_table(tmp_path, "list.csv", rows, "split", values)
    splits, _ = run(tmp_path, tmp_path / "out")
    assert len(splits["valid"]) == 6
    values[4] = ""
    write_table(tmp_path, "list.csv", rows, "split", values)
    with pytest.raises(ManifestError, match="holds '' .first at the item '5'"):
        prepare(tmp_path, tmp_path / "no")
    folds = [{"Train": list(range(1, 17)), "dev": [17, 18], "eval": ["19"]}]
    text = json.dumps(folds)
    (tmp_path / "folds.json").write_text(text, encoding="utf-16")
    splits, _ = run(tmp_path, tmp_path / "folded")
    assert set(splits["valid"]) == {"17", "18"} and set(splits["test"]) == {
        "19"}  # fmt: skip


@pytest.mark.parametrize("key", [["a"], {"a": 1}, None])
def test_what_is_no_id_in_a_fold_is_told(tmp_path, key):
    path = tmp_path / "folds.json"
    path.write_text(json.dumps([{"train": ["a", 3.0]}, {"dev": ["b", key]}]))
    with pytest.raises(
        ManifestError, match="^Fold 2 of .* valid part is no id"
    ):
        read_folds(path, {"a", "b"})
