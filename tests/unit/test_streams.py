"""Training sets that are read row by row: as from JSON, at any place."""

import pickle

import numpy as np
import pytest
from torch.utils.data import DataLoader

from speechbrain_c2ser.data.arrow_manifest import ArrowManifest
from speechbrain_c2ser.data.arrow_writing import write_arrow_manifest
from speechbrain_c2ser.data.dataset import (
    loader_options,
    read_item,
    speech_dataset,
)
from speechbrain_c2ser.data.difficulty import EasyFirst
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import (
    read_manifest,
    write_manifest,
)
from speechbrain_c2ser.data.pools import read_pools
from speechbrain_c2ser.data.selection import (
    describe_training_set,
    within_limits,
)
from speechbrain_c2ser.data.streams import (
    StreamedDataset,
    codes_of,
    durations_of,
    open_stream,
    rows_of,
)
from speechbrain_c2ser.labels import LabelSpace

pytest.importorskip("pyarrow")


@pytest.fixture
def rows(tmp_path, write_wav):
    wav = str(write_wav(tmp_path / "a.wav", 0.5))
    emotions = ["sad", None, "angry", "sad"]
    return {
        f"u{n}": {
            "wav": wav,
            "duration": 0.5 + n % 7 / 10,
            **({"emotion": emotion} if emotion else {}),
            **({"votes": {"sad": n}} if n % 3 else {}),
            "transcript": "Yes.",
        }
        for n, emotion in enumerate(emotions * 5)
    }


@pytest.fixture
def shards(rows, tmp_path):
    """A folder of two shards."""
    pairs, folder = list(rows.items()), tmp_path / "shards"
    folder.mkdir()
    for name, part in {"a": pairs[:8], "b": pairs[8:]}.items():
        write_arrow_manifest(part, folder / f"{name}.arrow")
    return folder


def test_a_stream_is_the_set_that_its_rows_are(rows, shards):
    stream, whole = speech_dataset(shards), speech_dataset(rows)
    assert isinstance(stream, StreamedDataset)
    assert read_manifest(shards) == rows
    assert list(stream.data_ids) == whole.data_ids
    assert dict(stream.data.items()) == whole.data
    assert stream.data["u9"] == whole.data["u9"]
    for number in (0, 8, -1):
        ours, theirs = stream[number], whole[number]
        assert (ours.pop("sig") == theirs.pop("sig")).all() and ours == theirs
    assert (durations_of(stream) == durations_of(whole)).all()
    for field in ("emotion", "transcript", "speaker"):
        ours, theirs = codes_of(stream, field), codes_of(whole, field)
        assert ours[0] == theirs[0] and (ours[1] == theirs[1]).all()
    options = [
        loader_options(each, 2.0, num_buckets=3)["batch_sampler"]
        for each in (stream, whole)
    ]
    assert list(options[0]) == list(options[1])
    few = stream.filtered_sorted(select_n=2)
    assert [few[n]["id"] for n in range(2)] == ["u0", "u1"]


def test_a_row_holds_the_fields_that_were_asked_for(shards):
    dataset = speech_dataset(shards, fields=["emotion"])
    dataset.set_output_keys(["item"])
    assert set(dataset[2]["item"]) == {"id", "wav", "duration", "emotion"}
    asked = ArrowManifest(shards, fields=["votes"])["u1"]
    assert asked["votes"] == {"sad": 1} and "transcript" not in asked


def test_workers_that_are_spawned_open_the_files_themselves(shards):
    dataset = speech_dataset(shards)
    assert len(pickle.dumps(dataset)) < 4000  # no row goes with it
    options = loader_options(dataset, 2.0, num_buckets=2, num_workers=1)
    loader = DataLoader(dataset, multiprocessing_context="spawn", **options)
    ids = [name for batch in loader for name in batch.id]
    assert sorted(ids) == sorted(dataset.data_ids)


def test_rows_are_left_out_and_the_others_stay(rows, shards):
    gone = {"u0", "u9", "u19"}
    manifest = ArrowManifest(shards).without(["u0", "u9"]).without(["u19"])
    left = {key: row for key, row in rows.items() if key not in gone}
    assert dict(manifest.items()) == left and list(manifest) == list(left)
    assert len(manifest) == 17 and manifest["u10"] == rows["u10"]
    assert "u9" not in manifest and manifest.row(8)["id"] == "u10"
    again = pickle.loads(pickle.dumps(manifest))
    assert dict(again.items()) == left
    stream, whole = speech_dataset(manifest), speech_dataset(left)
    assert (durations_of(stream) == durations_of(whole)).all()


@pytest.mark.parametrize(
    ("change", "need", "message"),
    [
        ({"duration": float("nan")}, (), "'u9': the duration nan"),
        ({"duration": -1.0}, (), "'u9': the duration -1.0"),
        ({"emotion": "bored"}, (), "unknown emotion 'bored'"),
        ({"transcript": ""}, ["transcript"], "'u9' has no 'transcript'"),
        ({}, ["style"], "'u0' has no 'style'"),
    ],
)
def test_the_first_bad_row_is_named(rows, tmp_path, change, need, message):
    rows["u9"] |= change
    path = tmp_path / "bad.arrow"
    write_arrow_manifest(rows, path)
    for manifest in (path, rows):
        with pytest.raises(ManifestError, match=message):
            speech_dataset(manifest, need, ["sad", "angry"])


def test_what_is_no_stream_is_read_whole(rows, shards, tmp_path):
    assert open_stream(tmp_path / "train.json") is None
    assert open_stream(tmp_path) is None  # a folder without shards
    assert open_stream([str(shards)]) is None
    rows["u1"] |= {"dialogue": "d", "turn": 1}
    rows["u2"] |= {"dialogue": "d", "turn": 2}
    path = tmp_path / "talk.arrow"
    write_arrow_manifest(rows, path)
    assert open_stream(path) is None
    (item,) = [i["item"] for i in speech_dataset(path) if i["id"] == "u2"]
    assert [turn["id"] for turn in item["before"]] == ["u1"]
    (shards / "c.arrow").write_bytes(b"ARROW1")
    with pytest.raises(ManifestError, match="c.arrow cannot be read"):
        open_stream(shards)
    write_arrow_manifest({"u3": rows["u3"]}, shards / "c.arrow")
    with pytest.raises(ManifestError, match="'u3' twice"):
        open_stream(shards)


def test_what_c2ser_checks_and_counts_is_that_of_the_rows(rows, shards):
    stream = ArrowManifest(shards)
    assert dict(rows_of(stream).items()) == rows_of(rows)
    assert len(rows_of(stream).values()) == 20
    assert rows_of(stream)["u3"] == {"id": "u3", **rows["u3"]}

    def limited(items):
        kept, left_out = within_limits(
            items, lambda row: [row["transcript"] * 9], len, 70, None, False
        )
        return dict(kept.items()), left_out, kept

    ours, theirs = limited(stream), limited(rows)
    assert ours[:2] == theirs[:2] and 0 < len(ours[1]) < 20
    assert isinstance(ours[2], ArrowManifest)
    space = LabelSpace(["angry", "sad"])
    named = {k: row for k, row in rows.items() if "emotion" in row}
    without = stream.without(set(rows) - set(named))
    told = [describe_training_set(each, space) for each in (without, named)]
    assert told[0] == told[1] == {
        "emotions": {"angry": 5, "sad": 10}, "languages": {"unknown": 15},
    }  # fmt: skip


def test_a_split_of_a_stream_is_apart_from_another(rows, shards, tmp_path):
    held = tmp_path / "valid.json"
    row = {"wav": "b.wav", "duration": 1.0}

    def pools(valid, apart=("id",)):
        write_manifest(valid, held)
        sources = {"train": shards, "valid": held}
        return read_pools(sources, apart, row_by_row=True)

    train, valid = pools({"v": row}, ("id", "wav")).values()
    assert isinstance(train, ArrowManifest) and list(valid) == ["v"]
    assert train["u2"] == rows["u2"]
    with pytest.raises(ManifestError, match="id 'u7'.* both train and valid"):
        pools({"u7": row})
    with pytest.raises(ManifestError, match="wav .*a.wav' of item 'u0'"):
        pools({"v": {**row, "wav": rows["u0"]["wav"]}}, ("wav",))


def test_easy_rows_of_a_stream_come_first(rows, tmp_path):
    for n, row in enumerate(rows.values()):
        row["noise"] = n % 4
    write_arrow_manifest(rows, tmp_path / "a.arrow")
    easy = EasyFirst(groups=2, by="noise")
    orders = [
        list(
            loader_options(speech_dataset(each), 2.0, 2, easy_first=easy)[
                "batch_sampler"
            ]
        )
        for each in (tmp_path / "a.arrow", rows)
    ]
    assert orders[0] == orders[1]
    assert [n % 4 < 2 for n in sum(orders[0], [])] == [True] * 10 + [False] * 10


def test_weak_labels_are_labels_where_that_is_asked_for(rows, tmp_path, caplog):
    for n, row in enumerate(rows.values()):
        if n % 5:
            shares = {"happy": 0.3 + n / 50, "angry": 0.4}
            row["weak"] = {"labels": shares, "source": ["probe"]}
    path, whole = tmp_path / "a.arrow", tmp_path / "a.json"
    write_arrow_manifest(rows, path)
    write_manifest(rows, whole)
    expected = {
        key: None if not n % 5 else "happy" if n >= 6 else "angry"
        for n, key in enumerate(rows)
    }
    assert speech_dataset(path).data["u1"]["row"].get("emotion") is None
    caplog.clear()
    for place in (path, whole):
        source = {"manifest": place, "label": "weak"}
        dataset = speech_dataset(source, fields=["emotion"])
        told = {k: r.get("emotion") for k, r in rows_of(dataset).items()}
        assert told == expected
        names, codes = codes_of(dataset, "emotion")
        assert names == ["angry", "happy"]
        assert [names[c] if c >= 0 else None for c in codes] == list(
            told.values()
        )
        assert dataset.data["u3"]["row"]["emotion_raw"] == "sad"
        assert "16 of 20 rows are labelled by models (probe)" in caplog.text
        assert "15 have an emotion of their own" in caplog.text
        caplog.clear()
    stream = speech_dataset({"manifest": path, "label": "weak"})
    again = pickle.loads(pickle.dumps(stream))
    assert again.manifest.row(7)["emotion"] == "happy"
    manifest = stream.manifest.without(["u0"])
    assert codes_of(manifest, "emotion")[1].tolist() == codes.tolist()[1:]
    with pytest.raises(ManifestError, match="'votes' .*is none: give emotion"):
        speech_dataset({"manifest": path, "label": "votes"})
    with pytest.raises(ManifestError, match="'u0' has no 'emotion'"):
        speech_dataset({"manifest": path, "label": "weak"}, ["emotion"])


def test_an_epoch_is_entered_without_reading_what_came_before(
    shards, monkeypatch
):
    from speechbrain.dataio.dataloader import SaveableDataLoader

    from speechbrain_c2ser.data import dataset as module

    read = []

    def counted(row):
        read.append(row["id"])
        return read_item(row)

    monkeypatch.setattr(module, "read_item", counted)
    stream = speech_dataset(shards)
    options = loader_options(stream, 2.0, num_buckets=2, seed=1)
    options["batch_sampler"].set_epoch(4)
    batches = [batch.id for batch in SaveableDataLoader(stream, **options)]
    read.clear()
    resumed = SaveableDataLoader(stream, **options)
    resumed._speechbrain_recovery_skip_to = 3
    assert [batch.id for batch in resumed] == batches[3:]
    assert read == sum(batches[3:], [])
    assert np.concatenate(batches).size == len(stream)
