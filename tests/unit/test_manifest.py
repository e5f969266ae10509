"""The manifest: kept whole, moved with its folder, and bad input named."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from speechbrain_c2ser.data import manifest
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import (
    check_leakage,
    check_manifest,
    read_manifest,
    write_manifest,
)
from speechbrain_c2ser.data.tables import read_table


@pytest.fixture
def items(tmp_path):
    wav = tmp_path / "corpus/wav/a.wav"
    wav.parent.mkdir(parents=True)
    soundfile.write(wav, np.zeros(8000), 16000)
    return {
        "a": {
            "wav": str(wav),
            "duration": 0.5,
            "emotion": "sad",
            "transcript": "你好",
            "extra": {"kept": [1]},
        }
    }


def test_round_trip_and_move(tmp_path, items):
    path = tmp_path / "corpus/train.json"
    write_manifest(items, path)
    assert read_manifest(path) == items
    assert json.loads(path.read_text())["a"]["wav"] == "{data_root}/wav/a.wav"
    shutil.move(tmp_path / "corpus", tmp_path / "moved")
    moved = read_manifest(tmp_path / "moved/train.json")
    assert moved["a"]["wav"] == str(tmp_path / "moved/wav/a.wav")
    check_manifest(moved)


def test_failed_write_leaves_the_old_file(tmp_path, items, monkeypatch):
    path = tmp_path / "train.json"
    write_manifest(items, path)
    before = path.read_text()

    def refuse(*_):
        raise OSError("disk full")

    monkeypatch.setattr(manifest.os, "replace", refuse)
    with pytest.raises(OSError):
        write_manifest({}, path)
    assert path.read_text() == before
    assert [p.name for p in tmp_path.glob("train*")] == ["train.json"]


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "no manifest"),
        ("{}", "is empty"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("5", "not a JSON object"),
        ('{"a": {', "cannot be read"),
        ('{"a": {"duration": 1}}', "'a'.*no wav"),
    ],
)
def test_bad_manifest(tmp_path, text, message):
    path = tmp_path / "train.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ManifestError, match=message) as caught:
        read_manifest(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"wav": "/nowhere/b.wav"}, "'a'.*b.wav is missing"),
        ({"duration": 0}, "'a'.*duration 0"),
        ({"duration": float("nan")}, "'a'.*duration nan"),
        ({"duration": None}, "'a' has no 'duration'"),
        ({"transcript": ""}, "'a' has no 'transcript'"),
        ({"emotion": "bored"}, "'a': unknown emotion 'bored'"),
        ({"start": 0.2, "stop": 0.9}, "'a'.*0.2 to 0.9 s is not within"),
    ],
)
def test_bad_item_is_named(items, change, message):
    need = ("emotion", "transcript")
    check_manifest(items, need, ["sad"])
    items["a"].update(change)
    with pytest.raises(ManifestError, match=message):
        check_manifest(items, need, ["sad"])


@pytest.mark.parametrize("content", [b"", b"no audio at all", "zero"])
def test_bad_audio_is_named(items, content):
    path = items["a"]["wav"]
    if content == "zero":
        soundfile.write(path, np.zeros(0), 16000)
    else:
        with open(path, "wb") as file:
            file.write(content)
    with pytest.raises(ManifestError, match="Item 'a'.*(empty|zero|read)"):
        check_manifest(items)
    check_manifest(items, check_audio=False)


def test_leakage():
    def item(wav, speaker, dataset="x", **more):
        return {"wav": wav, "speaker": speaker, "dataset": dataset, **more}

    train = {"a": item("a.wav", "1")}
    check_leakage({"train": train, "test": {"b": item("b.wav", "2")}})
    # Another data set has another speaker 1; segments are apart.
    check_leakage({"train": train, "test": {"b": item("b.wav", "1", "y")}})
    segments = [{s: item("a.wav", s, start=s)} for s in (0, 1)]
    check_leakage(dict(zip(("train", "test"), segments, strict=True)))
    with pytest.raises(ManifestError, match="speaker '1' of item 'b'.*train"):
        check_leakage({"train": train, "test": {"b": item("b.wav", "1")}})
    with pytest.raises(ManifestError, match="wav 'a.wav' of item 'b'"):
        check_leakage({"train": train, "test": {"b": item("a.wav", "2")}})
    with pytest.raises(ManifestError, match="dataset 'x'"):
        check_leakage(
            {"train": train, "test": {"b": item("b.wav", "2")}}, ["dataset"]
        )


def test_read_table(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"index": 1}\n\n{"index": 2}\n')
    assert read_table(tmp_path / "a.jsonl") == [{"index": 1}, {"index": 2}]
    (tmp_path / "a.csv").write_text("id,wav\nx,a.wav\n")
    assert read_table(tmp_path / "a.csv") == [{"id": "x", "wav": "a.wav"}]
    (tmp_path / "bad.jsonl").write_text('{"index": 1}\nno json\n')
    with pytest.raises(ManifestError, match="Line 2 of .*bad.jsonl"):
        read_table(tmp_path / "bad.jsonl")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(ManifestError, match="is empty"):
        read_table(tmp_path / "empty.jsonl")


def test_an_id_that_is_there_twice(tmp_path):
    path = tmp_path / "train.json"
    row = '{"wav": "a.wav", "duration": 1, "transcript": "\\"wav\\""}'
    path.write_text(f'{{"a": {row}, "b": {row}}}')
    assert list(read_manifest(path)) == ["a", "b"]
    path.write_text(f'{{"a": {row}, "a": {row}}}')
    with pytest.raises(ManifestError, match="'a' is there twice"):
        read_manifest(path)


@pytest.mark.parametrize(
    "blank", ["NaN", "null", '"nan"', '"N/A"', '"None"', '"-"', '" "', '""']
)
def test_what_says_that_there_is_no_value(tmp_path, blank):
    path = tmp_path / "train.json"
    path.write_text(
        f'{{"a": {{"wav": "a.wav", "duration": "0.25", "emotion": {blank}, '
        f'"speaker": {blank}, "transcript": ""}}}}'
    )
    items = read_manifest(path)
    assert set(items["a"]) == {"wav", "duration", "transcript"}
    assert items["a"]["duration"] == 0.25
    with pytest.raises(ManifestError, match="'a' has no 'emotion' .it has: w"):
        check_manifest(items, check_audio=False)


def test_a_blank_in_one_item_is_none_of_the_next(tmp_path):
    path = tmp_path / "train.json"
    rows = [f'"{i}": {{"wav": "a.wav", "duration": {d}}}' for i, d in
            enumerate(("null", '"0.25"', '""'))]  # fmt: skip
    path.write_text(f"{{{', '.join(rows)}}}")
    items = read_manifest(path).values()
    assert [item.get("duration") for item in items] == [None, 0.25, None]


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"start": 0.1, "end": 0.2}, "'b' of .* a stop under .* .end.: call"),
        ({"start_ms": 100, "end_ms": 200}, "'b'.*start and a stop under"),
        ({"seg_start": 0.1, "seg_end": "0.2 s"}, "'b'.*seg_start, seg_end.*or"),
        ({"start": 0.1, "end": 0.2, "duration": None}, "under .* .end.: call"),
        ({"duration": "long"}, "'b': the duration 'long' is no number"),
        ({"start": 0.1, "stop": 0.2, "end": 0.3, "duration": "1"}, None),
    ],
)
def test_bounds_that_are_not_read(tmp_path, fields, message):
    path = tmp_path / "train.json"
    first = {"wav": "a.wav", "duration": 1.0}
    path.write_text(json.dumps({"a": first, "b": {**first, **fields}}))
    if message is None:
        assert read_manifest(path)["b"]["duration"] == 1.0
        return
    with pytest.raises(ManifestError, match=message):
        read_manifest(path)


@pytest.mark.parametrize(
    "fields",
    [
        {"start_time": 12.0, "end_time": 14.0},  # of a film
        {"start_time": 0.0, "end_time": 2.0},  # its first sentence
        {"start": 1.0, "end": 3.0},
        {"turn_start": 0.5, "turn_end": 1.0},
        {"timestamp": [10, 12]},
        {"onset": 0.1, "offset": 0.3},
        {"begin": "scene 2"},
        {"begin": 0.5},
        {"begin_sample": 1, "end_sample": 9},
        {"start_date": "2020-01-01", "end_date": "2020-01-02"},
        {"left": 0.5, "right": 1.0},
        {"from": 0.5, "to": 1.0},
    ],
)
def test_times_of_what_a_file_was_cut_from_are_kept(tmp_path, fields):
    path = tmp_path / "train.json"
    item = {"wav": "a.wav", "duration": 2.0, **fields}
    path.write_text(json.dumps({"a": item}))
    assert read_manifest(path) == {"a": item}


def test_one_whole_file_hides_no_segments(tmp_path):
    path = tmp_path / "train.json"
    item = {"wav": "a.wav", "duration": 2.0, "start_time": 0.0}
    ends = {"a": {"end_time": 2.0}, "b": {"end_time": 1.0}}
    path.write_text(json.dumps({k: {**item, **e} for k, e in ends.items()}))
    with pytest.raises(ManifestError, match="'b' .*start_time, end_time"):
        read_manifest(path)


def test_nan_is_a_language(tmp_path):
    path = tmp_path / "train.json"
    item = {"wav": "a.wav", "duration": 1.0, "language": "nan"}
    blank = {**item, "language": " ", "emotion": "nan"}
    path.write_text(json.dumps({"a": item, "b": blank}))
    assert read_manifest(path) == {
        "a": item,
        "b": {"wav": "a.wav", "duration": 1.0},
    }
