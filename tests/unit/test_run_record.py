"""A run goes on with the seed and the data that it was begun with."""

import io
import json
import logging

import pytest

from speechbrain_c2ser.training.record import RECORD, write_record


@pytest.fixture
def run(tmp_path):
    """Write the record of a run: run(seed=2, train="other", lr=0.1)."""
    folder = tmp_path / "out"
    folder.mkdir()

    def write(seed=1, train="a", valid="b", place="", **settings):
        paths = {}
        for key, content in {"train": train, "valid": valid}.items():
            path = tmp_path / f"{place}{key}.json"
            path.write_text(content)
            paths[f"{key}_manifest"] = str(path)
        settings = {"seed": seed, **paths, **settings}
        text = "".join(f"{key}: {value}\n" for key, value in settings.items())
        write_record(folder, io.StringIO(text), ["a.yaml"], [], settings)
        return json.loads((folder / RECORD).read_text())

    write.folder = folder
    return write


def begin(run, **settings):
    run(**settings)
    (run.folder / "save" / "CKPT+1").mkdir(parents=True)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 2}, "begun with the seed 1, this one has 2"),
        ({"train": "other"}, "The train_manifest is not the one"),
        ({"valid": "other"}, "The valid_manifest is not the one"),
    ],
)
def test_a_run_that_was_begun_keeps_seed_and_data(run, changed, said):
    begin(run)
    before = {p.name: p.read_bytes() for p in run.folder.glob("*.*")}
    with pytest.raises(ValueError, match=said) as error:
        run(**changed)
    assert "choose another output_folder" in str(error.value)
    # the record tells of the run that was trained, still
    assert before == {p.name: p.read_bytes() for p in run.folder.glob("*.*")}


def test_a_run_without_checkpoints_is_begun_anew(run):
    run()
    assert run(seed=2, train="other")["begun_with"]["seed"] == 2


def test_the_same_data_may_lie_elsewhere(run):
    begin(run)
    moved = run(place="moved_", number_of_epochs=3)
    assert "moved_train" in (run.folder / "hyperparams.yaml").read_text()
    assert moved["seed"] == 1


@pytest.mark.parametrize(
    ("saved", "told"),
    [
        ('{"emotion": ["angry", "sad"]}', ""),
        ('{"emotion": ["happy"]}', "its labels: happy; now: angry, sad"),
        ('{"vad": []}', ""),
    ],
)
def test_other_labels_are_told(run, saved, told):
    row = '"{}": {{"wav": "{}.wav", "emotion": "{}"}}'
    rows = ", ".join(
        row.format(i, i, e) for i, e in enumerate(("sad", "angry"))
    )
    begin(run)
    (run.folder / "save" / "CKPT+1" / "labels.ckpt").write_text(saved)
    with pytest.raises(ValueError, match="train_manifest is not") as error:
        run(train=f"{{{rows}}}")
    assert (told or "begun with:") in str(error.value)


@pytest.mark.parametrize("form", ["list", "mapping", "shards"])
def test_several_manifests_are_compared_by_what_is_in_them(
    form, run, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shards").mkdir()
    file = tmp_path / ("shards/0.arrow" if form == "shards" else "a.json")
    file.write_text("abc")

    def given(place):
        path = f"{place}{'shards' if form == 'shards' else 'a.json'}"
        if form == "shards":
            return path
        return [path] if form == "list" else {"manifest": path, "share": 1}

    begin(run, train_manifest=given(""))
    run(train_manifest=given(f"{tmp_path}/"))  # the same by another spelling
    file.write_text("abcd")
    with pytest.raises(ValueError, match="train_manifest is not the one"):
        run(train_manifest=given(""))


def test_other_numbers_are_told(run, caplog):
    begin(run, lr=0.1, number_of_epochs=2, shuffle=True)
    with caplog.at_level(logging.WARNING):
        run(lr=0.1, number_of_epochs=3, shuffle=True)
        assert not caplog.records
        run(lr=0.5, number_of_epochs=3, shuffle=True)
    assert "(lr 0.1 -> 0.5)" in caplog.text


@pytest.mark.parametrize("name", [RECORD, "hyperparams.yaml"])
@pytest.mark.parametrize("content", [None, "{", "a: b: c"])
def test_a_run_of_which_nothing_is_known_goes_on(run, name, content):
    begin(run)
    path = run.folder / name
    path.unlink() if content is None else path.write_text(content)
    assert run()["begun_with"]


def test_an_older_record_says_nothing_of_data(run):
    begin(run)
    path = run.folder / RECORD
    record = json.loads(path.read_text())
    del record["begun_with"]
    path.write_text(json.dumps(record))
    assert run(seed=2)["begun_with"]["seed"] == 2
