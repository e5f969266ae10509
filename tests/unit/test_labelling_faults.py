"""Archives as luck would have them: nothing lost, doubled or half-written."""

import errno
import io
import json
import os
import tarfile

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

import pyarrow
from pyarrow import parquet

from speechbrain_c2ser.data.arrow_manifest import ArrowManifest
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.labelling import run as running
from speechbrain_c2ser.labelling.run import alone_in, label_shards
from speechbrain_c2ser.labelling.sources import plan_shards, read_shard
from speechbrain_c2ser.labelling.stages import Agreement, Stage


class Says(Stage):
    """The same of every item."""

    constructor_arguments: dict = {}

    def __call__(self, items):
        for item in items:
            item.row["duration"] = 1.0
            item.answers["m"] = {"labels": {"sad": 1.0}}


STAGES = [Says(), Agreement(["angry", "sad"])]


def write_tar(path, members):
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_table(path, rows, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path, **options)


def items_of(source):
    """Id -> item, of all shards."""
    return {i.id: i for s in plan_shards(source) for i in read_shard(s)}


def label(source, out):
    counts = label_shards(plan_shards(source), STAGES, out)
    names = ("labelled", "left out", "failed")
    assert sum(counts[name] for name in names) == counts["items"]
    assert (
        len((out / "failures.jsonl").read_text().splitlines())
        == (counts["failed"])
    )
    return counts


def pair(key, text=b"{}"):
    return {f"{key}.mp3": b"sound", f"{key}.json": text}


def test_a_dot_may_stand_in_a_key(tmp_path):
    names = ("clip_0.5-1.0", "clip_0.5-2.0", "über straße", "a/b.c", "d..")
    members = {k: v for name in names for k, v in pair(name).items()}
    # JSON of another kind belongs to the item that it follows.
    members |= {
        **pair("k"),
        "k.words.json": b"[]",
        "k.txt": b"",
        "LICENSE": b"",
    }
    found = items_of(write_tar(tmp_path / "a.tar", members))
    assert set(found) == {*names, "k"}
    assert not any(item.outcome for item in found.values())


def test_json_of_every_kind_costs_one_item_at_most(tmp_path):
    kinds = {
        "latin": '{"text": "Stra\u00dfe"}'.encode("latin-1"),
        "list": b"[1]",
        "deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "half": b'{"text": "\\ud800"}',
        "nan": b'{"duration": NaN, "dnsmos": Infinity}',
        "bare": b'{"text": null}',
        "numbers": b'{"text": 5, "speaker": 7}',
        "cut": b'{"start": 20.5, "end": 22.0}',
        "utf16": '{"text": "hi"}'.encode("utf-16"),
    }
    members = {k: v for n, t in kinds.items() for k, v in pair(n, t).items()}
    path = write_tar(tmp_path / "a.tar", members)
    counts = label(path, tmp_path / "out")
    assert counts["failed"] == 4 and counts["items"] == 9
    lines = (tmp_path / "out" / "failures.jsonl").read_text().splitlines()
    reasons = {f["id"]: f["reason"] for f in map(json.loads, lines)}
    assert "cannot be read: maximum recursion" in reasons["deep"]
    assert "text cannot be written" in reasons["half"]
    assert reasons["list"] == "its JSON is no object"
    rows = dict(ArrowManifest(tmp_path / "out" / "labelled.arrow").items())
    assert rows["numbers"]["transcript"] == "5"
    assert rows["numbers"]["speaker"] == "7"
    # Where it lay in a longer recording is no stretch of the clip.
    assert "start" not in rows["cut"] and rows["cut"]["source_stop"] == 22.0
    assert "dnsmos" not in rows["nan"] and rows["utf16"]["transcript"] == "hi"


def test_what_is_compressed_or_locked_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.tar").write_bytes(b"\x1f\x8b" + bytes(600))
    (item,) = items_of(tmp_path).values()
    assert "it is compressed, unpack it" in item.reason
    (tmp_path / "b.tgz").write_bytes(b"")
    with pytest.raises(ManifestError, match="1 compressed tars.*b.tgz"):
        plan_shards(tmp_path)
    (tmp_path / "b.tgz").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(ManifestError, match="a.tar may not be read"):
            plan_shards(tmp_path)

    def locked(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(ManifestError, match="read: Permission denied"):
        plan_shards(tmp_path)


def test_damaged_tables_cost_their_own_rows(tmp_path):
    rows = [
        {"id": f"u{n}", "audio": {"bytes": bytes([n]) * 900, "path": "a.mp3"}}
        for n in range(6)
    ]
    options = {"row_group_size": 2, "compression": "none"}
    write_table(tmp_path / "p" / "a.parquet", rows, **options)
    whole = (tmp_path / "p" / "a.parquet").read_bytes()
    about = parquet.read_metadata(tmp_path / "p" / "a.parquet")
    place = about.row_group(1).column(1).data_page_offset
    damaged = whole[:place] + b"\xff" * 60 + whole[place + 60 :]
    (tmp_path / "p" / "a.parquet").write_bytes(damaged)
    (tmp_path / "p" / "b.parquet").write_bytes(whole[: len(whole) // 2])
    counts = label(tmp_path / "p", tmp_path / "out")
    assert (counts["labelled"], counts["failed"]) == (4, 2 + 1)
    with pytest.raises(ManifestError, match="b.parquet cannot be read"):
        plan_shards(tmp_path / "p" / "b.parquet")


def test_columns_of_a_table_are_what_it_has(tmp_path):
    cell = {"bytes": b"sound", "path": None}
    for language in ("en", "zh%20tw"):
        folder = tmp_path / "hive" / f"language={language}" / "year=2024"
        write_table(folder / "part-0.parquet", [{"audio": cell}] * 2)
    found = items_of(tmp_path / "hive")
    assert len(found) == 4  # no id twice, though no row has one
    told = sorted(item.row["language"] for item in found.values())
    assert told == ["en", "en", "zh tw", "zh tw"]
    write_table(tmp_path / "raw.parquet", [{"id": "a", "flac": b"sound"}])
    assert items_of(tmp_path / "raw.parquet")["a"].audio["bytes"] == b"sound"
    write_table(tmp_path / "c.parquet", [{"foo": 1, "bar": "x"}])
    (item,) = items_of(tmp_path / "c.parquet").values()
    assert "has the columns foo, bar" in item.reason
    row = {"id": "a", "wav": "a.wav", "start": 1.0, "stop": 2.0}
    write_table(tmp_path / "s.parquet", [row])
    (item,) = items_of(tmp_path / "s.parquet").values()
    assert item.audio["start"] == 1.0 and item.row["start"] == 1.0


def test_audio_of_cells_moves_with_the_run(tmp_path, monkeypatch):
    cell = {"bytes": b"sound", "path": None}
    write_table(tmp_path / "a.parquet", [{"id": "a", "audio": cell}])
    monkeypatch.chdir(tmp_path)
    from pathlib import Path

    label("a.parquet", Path("out"))  # a folder by its relative name
    Path("out").rename("moved")
    (row,) = ArrowManifest("moved/labelled.arrow").values()
    assert Path(row["wav"]).is_absolute()
    assert Path(row["wav"]).read_bytes() == b"sound"


def test_a_shard_that_has_gone_is_told(tmp_path):
    for name in "ab":
        write_tar(tmp_path / "tars" / f"{name}.tar", pair(name))
    out = tmp_path / "out"
    label(tmp_path / "tars", out)
    (tmp_path / "tars" / "b.tar").rename(tmp_path / "b.tar")
    with pytest.raises(ValueError, match="1 of 2 shards .* such as b "):
        label(tmp_path / "tars", out)
    (tmp_path / "b.tar").rename(tmp_path / "tars" / "b.tar")
    write_tar(tmp_path / "tars" / "c.tar", pair("c"))  # one more is welcome
    assert label(tmp_path / "tars", out)["labelled"] == 3
    table = tmp_path / "t.jsonl"
    lines = [json.dumps({"id": f"u{n}", "wav": "a.wav"}) for n in range(4)]
    table.write_text("\n".join(lines) + "\n")
    label_shards(plan_shards(table, 1), STAGES, tmp_path / "t")
    with pytest.raises(ValueError, match="or --rows is another"):
        label_shards(plan_shards(table, 2), STAGES, tmp_path / "t")
    label_shards(plan_shards(table, 4), STAGES, tmp_path / "f")
    with pytest.raises(ValueError, match="has changed since"):
        label_shards(plan_shards(table, 2), STAGES, tmp_path / "f")


def test_one_run_at_a_time(tmp_path):
    path = write_tar(tmp_path / "a.tar", pair("a"))
    with alone_in(tmp_path / "out"):
        with pytest.raises(ValueError, match="Another run is at work"):
            label(path, tmp_path / "out")
    assert label(path, tmp_path / "out")["labelled"] == 1


def test_no_room_for_the_manifest_is_told(tmp_path, monkeypatch):
    path, out = write_tar(tmp_path / "a.tar", pair("a")), tmp_path / "out"

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(running, "write_batches", full)
        with pytest.raises(OSError, match="labelled.arrow cannot .*make room"):
            label(path, out)
    assert not (out / "labelled.arrow").exists()
    assert not list(out.rglob("*.part"))
    assert label(path, out)["labelled"] == 1
