"""Archives labelled in shards: exactly once, whatever breaks."""

import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile

import numpy as np
import pytest
import soundfile
import torch
from tiny_classifier import uneven_classifier

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

from speechbrain_c2ser.audio import AudioError, load_audio
from speechbrain_c2ser.audio.stored import stored_of
from speechbrain_c2ser.chain_of_thought.thresholds import StyleThresholds
from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.cli import main
from speechbrain_c2ser.cli.inputs import find_recordings
from speechbrain_c2ser.data.arrow_manifest import ArrowManifest
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.arrow_tables import read_rows
from speechbrain_c2ser.data.manifest import (
    read_manifest,
    write_manifest,
)
from speechbrain_c2ser.data.weak import top_label
from speechbrain_c2ser.labelling.items import Item
from speechbrain_c2ser.labelling.run import label_shards
from speechbrain_c2ser.labelling.shards import check_versions, run_stages
from speechbrain_c2ser.labelling.sources import plan_shards, read_shard
from speechbrain_c2ser.labelling.stages import (
    Agreement,
    Decode,
    Limits,
    SpeechEmotion,
    Stage,
)
from speechbrain_c2ser.labelling.thresholds import fit_thresholds
from speechbrain_c2ser.labels import LabelSpace

LABELS = ["angry", "happy", "sad"]
TARS, EACH = 3, 40


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A classifier whose answers differ from recording to recording."""
    model = uneven_classifier(LABELS)
    folder = tmp_path_factory.mktemp("models") / "one"
    save_classifier(model, folder, label_space=LabelSpace(LABELS))
    return str(folder)


def mp3(number, seconds=1.2):
    """A coloured noise of its own, as MP3."""
    rng = np.random.default_rng(number)
    wave = 0.1 * rng.standard_normal(int(16000 * seconds))
    wave = np.convolve(wave, rng.uniform(-1, 1, 8), "same")
    file = io.BytesIO()
    soundfile.write(file, 0.3 * wave / abs(wave).max(), 16000, format="MP3")
    return file.getvalue()


def add(archive, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def about(key, language="en", duration=1.2, **fields):
    """An object as Emilia has it."""
    fields = {"id": key, "wav": f"{key}.mp3", "speaker": "s1", **fields}
    return json.dumps(
        {"language": language, "duration": duration, "text": "oh no", **fields}
    ).encode()


# Key -> (outcome, words of its reason), of the made set.
BROKEN = {
    "t0_3": ("failed", "needs one JSON"),
    "t0_5": ("failed", "stands beside no audio"),
    "t0_7": ("failed", "JSON cannot be read"),
    "t0_9": ("failed", "is no object"),
    "t0_11": ("failed", "is empty"),
    "t0_13": ("failed", "of no audio format"),
    "t0_15": ("failed", "that are told"),
    "t1_3": ("failed", "several recordings"),
    "t1_5": ("left out", "in fr"),
    "t1_7": ("left out", "quieter than"),
    "t1_9": ("left out", "shorter than"),
    "t1_11": ("left out", "language is not told"),
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A set as Emilia's: three tars, broken in many ways; counts known."""
    folder = tmp_path_factory.mktemp("emilia")
    for tar in range(TARS):
        with tarfile.open(folder / f"EN-{tar}.tar", "w") as out:
            for number in range(EACH):
                key = f"t{tar}_{number}"
                parts = {
                    "mp3": mp3(100 * tar + number),
                    "json": about(key),
                }
                damage(key, parts)
                for suffix, content in parts.items():
                    add(out, f"{key}.{suffix}", content)
            if tar == 1:  # a key again, in its own tar and of another
                add(out, "t1_0.mp3", mp3(1))
                add(out, "t1_0.json", about("t1_0"))
            if tar == 2:
                add(out, "t0_0.mp3", mp3(2))
                add(out, "t0_0.json", about("t0_0"))
                whole = out.offset
                add(out, "t2_99.mp3", mp3(3))
    with open(folder / "EN-2.tar", "r+b") as file:
        file.truncate(whole + 1000)  # within the last recording
    return folder


def damage(key, parts):
    """Break an item in its own way."""
    if key == "t0_3":
        del parts["json"]
    elif key == "t0_5":
        del parts["mp3"]
    elif key == "t0_7":
        parts["json"] = b'{"id": '
    elif key == "t0_9":
        parts["json"] = b"[1, 2]"
    elif key == "t0_11":
        parts["mp3"] = b""
    elif key == "t0_13":
        parts["mp3"] = b"no sound at all" * 50
    elif key == "t0_15":
        parts["mp3"] = parts["mp3"][: len(parts["mp3"]) // 3]
    elif key == "t1_3":
        parts["wav"] = parts["mp3"]
    elif key == "t1_5":
        parts["json"] = about(key, "fr")
    elif key == "t1_7":
        silent = io.BytesIO()
        soundfile.write(silent, np.zeros(19200), 16000, format="MP3")
        parts["mp3"] = silent.getvalue()
    elif key == "t1_9":
        parts["mp3"], parts["json"] = mp3(1, 0.5), about(key, duration=0.5)
    elif key == "t1_11":
        parts["json"] = about(key, None)


def words_of(archive, out, model, *more):
    options = ["--languages", "en,zh", "--model", model, *more]
    return ["label", str(archive), str(out), *options]


def results(folder):
    """Every row of every shard, and what the run has written of it."""
    rows = [
        row
        for path in sorted((folder / "shards").glob("*.parquet"))
        for row in read_rows(path)
    ]
    failures = (folder / "failures.jsonl").read_text().splitlines()
    counts = json.loads((folder / "run.json").read_text())["counts"]
    manifest = dict(ArrowManifest(folder / "labelled.arrow").items())
    return rows, [json.loads(line) for line in failures], counts, manifest


@pytest.fixture(scope="module")
def labelled(archive, model_folder, tmp_path_factory):
    """An undisturbed run."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert main(words_of(archive, out, model_folder)) == 1  # some failed
    return out


def test_every_item_has_one_outcome_and_the_counts_add_up(labelled):
    rows, failures, counts, manifest = results(labelled)
    first = {}
    for row in rows:
        first.setdefault(row["id"], row)
    for key, (outcome, reason) in BROKEN.items():
        assert first[key]["outcome"] == outcome, key
        assert reason in first[key]["reason"], first[key]["reason"]
    # Two keys again, one that was cut, and the tar that breaks off.
    assert len(rows) == counts["items"] == TARS * EACH + 4
    names = ("labelled", "left out", "failed")
    assert sum(counts[name] for name in names) == counts["items"]
    for name in names[1:]:
        assert sum(counts["reasons"][name].values()) == counts[name]
    assert len(failures) == counts["failed"]
    assert len(manifest) == counts["labelled"]
    assert sum(counts["labels"].values()) == counts["labelled"]
    assert len(counts["labels"]) > 1  # the model tells recordings apart
    told = " ".join(f["reason"] for f in failures)
    assert "'t1_0' is there twice" in told and "breaks off" in told
    assert "the key 't0_0' is in shard EN-0 too" in told
    whole = {f"t{t}_{n}" for t in range(TARS) for n in range(EACH)}
    assert set(manifest) == whole - set(BROKEN)


def test_a_row_names_its_recording_inside_the_tar(labelled, archive):
    row = ArrowManifest(labelled / "labelled.arrow")["t1_20"]
    place = stored_of(row["wav"])
    assert place.member == "t1_20.mp3"
    content = mp3(120)
    with open(archive / "EN-1.tar", "rb") as file:
        file.seek(place.start)
        assert file.read(place.size) == content
    heard = load_audio(row["wav"])
    assert torch.equal(heard, load_audio(content))
    assert row["speaker"] == "s1" and row["transcript"] == "oh no"
    assert row["duration"] == pytest.approx(len(heard) / 16000, abs=1e-3)
    assert row["weak"]["source"] == ["one"]
    beyond = str(place._replace(start=10**9))
    with pytest.raises(AudioError, match="is not whole"):
        load_audio(beyond)


def test_an_answer_is_the_recordings_own(labelled, model_folder):
    manifest = ArrowManifest(labelled / "labelled.arrow")
    stage = SpeechEmotion(model_folder)
    for key in ("t0_0", "t1_20", "t2_30"):
        item = Item(key, audio=manifest[key]["wav"])
        run_stages([item], [Decode(), stage, Agreement(LABELS)])
        for label, share in item.row["weak"]["labels"].items():
            told = manifest[key]["weak"]["labels"][label]
            assert share == pytest.approx(told, abs=1e-5)


KILLED = """
import os, signal, sys
from speechbrain_c2ser.labelling import shards
from speechbrain_c2ser.cli import main
write, left = shards.write_result, [int(sys.argv[1])]
def killing(rows, path, state):
    if left[0] == 0:
        path.with_name(path.name + ".1.part").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return write(rows, path, state)
shards.write_result = killing
sys.exit(main(sys.argv[2:]))
"""


def test_a_killed_run_goes_on_to_the_same_result(
    labelled, archive, model_folder, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    words = words_of(archive, out, model_folder)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, "1", *words], capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [p.name for p in (out / "shards").glob("*.parquet")] == [
        "EN-0.parquet"
    ]
    read = []
    from speechbrain_c2ser.labelling import shards

    def reading(shard):
        read.append(shard.name)
        return read_shard(shard)

    monkeypatch.setattr(shards, "read_shard", reading)
    assert main(words) == 1
    assert read == ["EN-1", "EN-2"]
    assert results(out) == results(labelled)
    assert not list(out.rglob("*.part"))
    read.clear()
    assert main(words) == 1 and not read  # nothing is left to do


def test_a_full_disk_leaves_nothing_half_written(
    archive, model_folder, tmp_path, capsys
):
    out = tmp_path / "out"
    words = words_of(archive, out, model_folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        code = main(words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    told = capsys.readouterr().err
    assert code == 2 and told.count("\n") == 1
    assert "make room and start again" in told and "EN-0" in told
    assert not list((out / "shards").iterdir())
    assert main(words) == 1
    assert "items labelled" in capsys.readouterr().out


def test_folders_tables_and_parquet_are_sources_too(
    model_folder, tmp_path, write_wav
):
    import pyarrow
    from pyarrow import parquet

    rows = {}
    for number in range(5):
        wav = write_wav(tmp_path / "wavs" / f"u{number}.wav", 1.1)
        rows[f"u{number}"] = {"wav": str(wav), "duration": 1.1}
    (tmp_path / "wavs" / "u1.json").write_text('{"speaker": "s7"}')
    (tmp_path / "wavs" / "u2.json").write_text("{")
    write_manifest(rows, tmp_path / "pool.json")
    cells = [
        {
            "utt_id": key,
            "audio": {"bytes": (tmp_path / row["wav"]).read_bytes()},
        }
        for key, row in rows.items()
    ]
    cells[3]["audio"] = None
    parquet.write_table(
        pyarrow.Table.from_pylist(cells),
        tmp_path / "pool.parquet",
        row_group_size=2,
    )
    stages = [Decode(), SpeechEmotion(model_folder), Agreement(LABELS)]
    found = {}
    for name, rest in (
        ("wavs", {"u2"}), ("pool.json", set()), ("pool.parquet", {"u3"}),
    ):  # fmt: skip
        shards = plan_shards(tmp_path / name, rows=2)
        assert len(shards) == 3
        out = tmp_path / f"out_{name}"
        counts = label_shards(shards, stages, out)
        manifest = dict(ArrowManifest(out / "labelled.arrow").items())
        assert set(manifest) == set(rows) - rest
        assert counts["failed"] == len(rest)
        found[name] = manifest
    assert found["wavs"]["u1"]["speaker"] == "s7"
    for name in ("pool.json", "pool.parquet"):
        assert found[name]["u4"]["weak"] == found["wavs"]["u4"]["weak"]
    assert load_audio(found["pool.parquet"]["u0"]["wav"]).shape == (17600,)


def test_what_cannot_be_is_one_line_before_anything_is_loaded(
    archive, model_folder, tmp_path, capsys, labelled
):
    (tmp_path / "a.tar.gz").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "mixed").mkdir()
    shutil.copy(archive / "EN-0.tar", tmp_path / "mixed")
    (tmp_path / "mixed" / "EN-1.tar.gz").write_bytes(b"")
    (tmp_path / "d.json").mkdir()
    out = tmp_path / "out"
    for words, message in (
        (["nowhere", out, "--model", model_folder], "no nowhere to be"),
        ([tmp_path / "a.tar.gz", out, "--model", "x"], "is compressed"),
        ([tmp_path / "mixed", out, "--model", "x"], "1 compressed tars"),
        ([tmp_path / "empty", out, "--model", "x"], "holds no tar"),
        ([archive, "x.arrow", "--model", "x"], "neither NAME.json nor"),
        ([archive, out, "--model", "x", "--precision", "0.9"], "--validation"),
        ([archive, out], "nothing to label with"),
        ([archive, tmp_path / "d.json", "--model", "x"], "is a folder"),
        ([archive, out, "--model", "x", "--rows", "0"], "--rows must"),
        ([archive, out, "--model", "x", "--device", "cuda:7"], "cuda"),
        (
            [archive, labelled, "--model", model_folder, "--agree"],
            "stage 5 agree was False, is True)",
        ),
    ):
        assert main(["label", *map(str, words)]) == 2, words
        told = capsys.readouterr().err
        assert message in told and told.count("\n") == 1, told
        assert not out.exists()


def test_a_source_that_changed_is_told(archive, model_folder, tmp_path):
    source = tmp_path / "EN.tar"
    source.write_bytes((archive / "EN-1.tar").read_bytes())
    stages = [Decode(), SpeechEmotion(model_folder), Agreement(LABELS)]
    label_shards(plan_shards(source), stages, tmp_path / "out")
    os.utime(source, (1, 1))
    with pytest.raises(ValueError, match="has changed since"):
        label_shards(plan_shards(source), stages, tmp_path / "out")
    (tmp_path / "out" / "run.json").unlink()
    with pytest.raises(ValueError, match="unknown run"):
        label_shards(plan_shards(source), stages, tmp_path / "out")
    with pytest.raises(RuntimeError, match=r"torch .*\(the run has 0.1\)"):
        check_versions({"torch": "0.1"})


def test_a_folder_is_labelled_as_it_is_classified(tmp_path, caplog):
    """Every recording that the other commands hear; the rest is counted."""
    heard = ["a.wav", "b.oga", "c.caf", "d/e.w64", "f.mkv"]
    others = ["a.mov", "notes.txt", "d/more.txt", ".g.wav"]
    (tmp_path / "d").mkdir()
    for name in heard + others:
        (tmp_path / name).touch()
    (shard,) = plan_shards(tmp_path)
    assert sorted(shard.files) == sorted(heard)
    assert "2 .txt, 1 .mov of a recording's stem" in caplog.text
    found = find_recordings([str(tmp_path)])
    assert found == sorted(str(tmp_path / name) for name in heard)


def test_a_model_trained_anew_in_place_is_told(archive, model_folder, tmp_path):
    model = shutil.copytree(model_folder, tmp_path / "model")
    stages = [Decode(), SpeechEmotion(model), Agreement(LABELS)]
    shards = plan_shards(archive / "EN-1.tar")
    label_shards(shards, stages, tmp_path / "out")
    weights = model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1  # as large as before
    weights.write_bytes(content)
    with pytest.raises(ValueError, match="stage 2 folder changed"):
        label_shards(shards, stages, tmp_path / "out")


class Bad(Stage):
    """Cannot do with one item, or with any."""

    constructor_arguments: dict = {}

    def __init__(self, names, asks_model=False):
        self.names, self.asks_model = names, asks_model

    def __call__(self, items):
        for item in items:
            if item.id in self.names:
                raise RuntimeError(f"no {item.id}")
            item.answers["m"] = {"labels": {"sad": 1.0}}


def test_a_stage_that_breaks_costs_only_the_item_that_broke_it():
    items = [Item(f"i{n}") for n in range(20)]
    run_stages(items, [Bad({"i7"}), Agreement(LABELS)])
    assert [i.id for i in items if i.outcome == "failed"] == ["i7"]
    assert items[7].reason == "no i7"
    assert sum(i.outcome == "labelled" for i in items) == 19
    items = [Item(f"i{n}") for n in range(20)]
    with pytest.raises(RuntimeError, match="all of 20 items.*no i0"):
        run_stages(items, [Bad({i.id for i in items}, asks_model=True)])


def test_no_language_and_no_answer_is_no_agreement():
    items = [
        Item("a", {"duration": 2.0, "language": "de"}, None, torch.ones(9))
    ]
    Limits(languages=["en"])(items)
    assert items[0].reason == "in de"
    item = Item("a", answers={"m": {"labels": {"sad": 1.0}}})
    Agreement(LABELS, models=2)([item])
    assert item.reason == "fewer than 2 models answer"


def test_an_arrow_manifest_is_read_row_by_row(tmp_path):
    from speechbrain_c2ser.data.arrow_writing import write_arrow_manifest

    rows = {
        f"u{n}": {"wav": str(tmp_path / "w" / f"{n}.wav"), "duration": 1.0 + n}
        for n in range(2500)
    }
    rows["u7"] |= {"votes": {"sad": 2}, "start": 0.5, "emotion": "sad"}
    path = tmp_path / "pool.arrow"
    assert write_arrow_manifest(rows, path) == 2500
    manifest = ArrowManifest(path)
    assert len(manifest) == 2500 and "x" not in manifest
    assert list(manifest) == list(rows) and dict(manifest.items()) == rows
    assert read_manifest(path) == rows
    assert manifest["u7"] == rows["u7"] and manifest["u2499"] == rows["u2499"]
    import pickle

    again = pickle.loads(pickle.dumps(manifest))
    assert again["u7"] == rows["u7"]
    moved = tmp_path / "moved"
    moved.mkdir()
    path.rename(moved / "pool.arrow")
    there = ArrowManifest(moved / "pool.arrow")
    assert there["u7"]["wav"] == str(moved / "w" / "7.wav")
    twice = [("a", rows["u1"]), ("b", rows["u1"]), ("a", rows["u2"])]
    write_arrow_manifest(twice, path)
    with pytest.raises(ManifestError, match="'a' twice"):
        ArrowManifest(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ManifestError, match="cannot be read"):
        ArrowManifest(path)


def test_thresholds_reach_the_precision_they_were_fitted_for():
    rng = np.random.default_rng(5)

    def draw(number):
        for _ in range(number):
            share = rng.uniform(0.3, 1)
            truth = "sad" if rng.uniform() < share else "angry"
            yield "sad", share, truth

    fitted = fit_thresholds(draw(4000), 0.9)["sad"]
    assert fitted["precision"] >= 0.9 and fitted["items"] < fitted["of"]
    others = [t == "sad" for _, s, t in draw(4000) if s >= fitted["threshold"]]
    assert len(others) > 500 and np.mean(others) >= 0.89
    # Nine sure items prove nothing; a label without proof is never given.
    few = [("sad", 0.99, "sad")] * 9
    assert fit_thresholds(few, 0.9)["sad"]["threshold"] is None
    with pytest.raises(ValueError, match="between 0 and 1"):
        fit_thresholds(few, 1.0)


def test_thresholds_are_fitted_on_a_validation_set_and_kept(
    labelled, archive, model_folder, tmp_path, capsys
):
    """By construction the surest three quarters of a label are right."""
    manifest = dict(ArrowManifest(labelled / "labelled.arrow").items())
    scores = {
        key: (top_label(row["weak"]), row["weak"]["score"])
        for key, row in manifest.items()
    }
    rows = {}
    for key, (label, score) in scores.items():
        alike = [s for other, s in scores.values() if other == label]
        wrong = LABELS[LABELS.index(label) - 1]
        row = {k: v for k, v in manifest[key].items() if k != "weak"}
        is_sure = score >= np.quantile(alike, 0.25)
        rows[key] = {**row, "emotion": label if is_sure else wrong}
    write_manifest(rows, tmp_path / "valid.json")
    out, style = tmp_path / "out", tmp_path / "style.json"
    cuts = dict.fromkeys(("speed", "pitch", "volume"), {"all": [0.0, 1.0]})
    StyleThresholds(cuts).save(style)
    words = words_of(
        archive, out, model_folder, "--style", str(style), "--validation",
        str(tmp_path / "valid.json"), "--precision", "0.8",
    )  # fmt: skip
    assert main(words) == 1
    told = capsys.readouterr().out
    kept = json.loads((out / "thresholds.json").read_text())
    given = {k: v["threshold"] for k, v in kept["labels"].items()}
    assert kept["precision"] == 0.8 and "are right" in told
    found = dict(ArrowManifest(out / "labelled.arrow").items())
    expected = {
        key
        for key, (label, score) in scores.items()
        if given[label] is not None and score >= given[label]
    }
    assert set(found) == expected and 20 <= len(expected) < len(scores)
    assert all(row["style"]["volume"] == "low" for row in found.values())
    # What only a labelled item needs is measured there alone.
    assert not any("style" in str(row["more"]) for row in results(out)[0]
                   if row["outcome"] != "labelled")  # fmt: skip
    (valid,) = (out / "validation" / "shards").iterdir()
    assert not any("style" in str(row["more"]) for row in read_rows(valid))
    right = [
        rows[key]["emotion"] == top_label(row["weak"])
        for key, row in found.items()
    ]
    assert np.mean(right) >= 0.8
    assert main(words) == 1  # goes on with the thresholds that are there
    assert main([*words[:-1], "0.7"]) == 2
    assert "was fitted for 0.8" in capsys.readouterr().err
    # No label is right often enough: told before anything is labelled.
    for row in rows.values():
        row["emotion"] = "neutral"
    write_manifest(rows, tmp_path / "valid.json")
    words[2] = str(tmp_path / "never")
    assert main(words) == 2
    assert "No label reaches" in capsys.readouterr().err
    assert not (tmp_path / "never" / "shards").exists()


def test_stages_of_a_yaml(archive, model_folder, tiny_llm, tmp_path, root):
    out = tmp_path / "out"
    yaml = root / "hparams" / "labelling" / "agreement.yaml"
    words = ["label", str(archive / "EN-0.tar"), str(out)]
    words += ["--stages", str(yaml), "--set", "labels=[angry, happy, sad]"]
    words += ["--set", f"first_source={model_folder}"]
    words += ["--set", f"llm_source={tiny_llm}", "--set", "least=0.0"]
    assert main(words) == 2  # the second model is not named
    assert main([*words, "--set", f"second_source={model_folder}"]) == 2
    other = tmp_path / "two"
    shutil.copytree(model_folder, other)
    assert main([*words, "--set", f"second_source={other}"]) == 1
    rows, _, counts, _ = results(out)
    asked = {
        name for row in rows for name in json.loads(row["answers"] or "{}")
    }
    assert asked == {"one", "two", "llm"}
    assert counts["labelled"] or counts["reasons"]["left out"]


def test_a_damaged_header_ends_a_tar_aloud(archive, tmp_path):
    """A tar reader takes it for the end, in silence."""
    source = tmp_path / "EN.tar"
    content = bytearray((archive / "EN-1.tar").read_bytes())
    items = list(read_shard(plan_shards(archive / "EN-1.tar")[0]))
    place = stored_of(items[20].row["wav"]).start - 512
    content[place : place + 512] = b"x" * 512
    source.write_bytes(content)
    found = list(read_shard(plan_shards(source)[0]))
    assert [i.id for i in found[:20]] == [i.id for i in items[:20]]
    assert len(found) == 21 and "breaks off" in found[20].reason
    source.write_bytes(content[:place])  # cut between two members
    assert "breaks off" in list(read_shard(plan_shards(source)[0]))[20].reason
    source.write_bytes(b"no tar at all" * 100)
    (alone,) = read_shard(plan_shards(source)[0])
    assert alone.outcome == "failed" and "is no tar" in alone.reason


def test_a_copy_right_behind_its_item_costs_the_item_nothing(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("k.mp3", "k.json", "k.mp3", "k.json", "l.mp3", "l.json"):
            content = b"{}" if name.endswith("json") else b"sound"
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    (shard,) = plan_shards(tmp_path)
    told = [(i.id, i.outcome, i.reason) for i in read_shard(shard)]
    assert [key for key, *_ in told] == ["k", "k", "l"]
    assert [bool(outcome) for _, outcome, _ in told] == [False, True, False]
    assert told[1][2] == "the key 'k' is there twice"
