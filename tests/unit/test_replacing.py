"""A model takes the place of an older model, and of no file of the user's."""

import multiprocessing
import os
import stat

import pytest

from speechbrain_c2ser.checkpoints.replacing import (
    fcntl,
    files_of,
    written_beside,
)
from speechbrain_c2ser.cli import main
from speechbrain_c2ser.evaluation.report.card import MARK

SETTINGS = """format: 1
model: !new:speechbrain_c2ser.lobes.EmotionClassifier
  encoder:
    source: !ref <folder>/encoder_0
"""


@pytest.fixture
def model(tmp_path):
    """A folder with all that a model may consist of."""
    folder = tmp_path / "model"
    for name in ("encoder_0", "user_modules"):
        (folder / name).mkdir(parents=True)
    (folder / "hyperparams.yaml").write_text(SETTINGS)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "encoder_0/config.json").write_text("{}")
    (folder / "user_modules/mine.py").write_text("")
    (folder / "README.md").write_text(f"{MARK}\nof the older model")
    return folder


def replace(folder):
    with written_beside(folder) as beside:
        (beside / "hyperparams.yaml").write_text("format: 1\nnew: true")


def content(folder):
    return {p: p.is_file() and p.read_bytes() for p in folder.rglob("*")}


def test_a_model_is_replaced_whole(model):
    around = [model.parent / "model.old", model.parent / "model.part"]
    for folder in around:
        folder.mkdir()
        (folder / "mine.txt").write_text("years of work")
    replace(model)
    assert [path.name for path in model.iterdir()] == ["hyperparams.yaml"]
    assert sorted(model.parent.iterdir()) == [model, *around]
    assert all((folder / "mine.txt").is_file() for folder in around)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(model.stat().st_mode) == 0o777 & ~umask


@pytest.mark.parametrize(
    "name", ["log.txt", "save/CKPT/model.ckpt", ".git/HEAD", "README.md"]
)
def test_what_is_no_part_of_a_model_is_kept(model, name):
    path = model / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    before = content(model.parent)
    with pytest.raises(ValueError, match=f"holds {name.split('/')[0]}, which"):
        replace(model)
    assert content(model.parent) == before


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store",
        "Thumbs.db",
        ".nfs01",
        ".gitattributes",
        ".cache/huggingface/x",
    ],
)
def test_what_nobody_wrote_goes_with_the_older_model(model, name):
    path = model / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    replace(model)
    assert [path.name for path in model.iterdir()] == ["hyperparams.yaml"]


def killed(folder, name):
    """In a process of its own: the end comes behind the rename to ``name``."""
    rename = type(folder).rename

    def renamed(path, target):
        rename(path, target)
        if os.path.basename(target) == name:
            os._exit(9)

    type(folder).rename = renamed
    with written_beside(folder) as beside:
        (beside / "hyperparams.yaml").write_text("format: 1")
        if name == "yield":
            os._exit(9)


needs_locks = pytest.mark.skipif(fcntl is None, reason="no such locks here")


@needs_locks
@pytest.mark.parametrize("name", ["yield", "old", "model"])
def test_what_a_kill_leaves_is_cleared(model, name):
    before, user = content(model), model.parent / ".model.mine_own"
    (user / "new").mkdir(parents=True)
    process = multiprocessing.get_context("fork").Process(
        target=killed, args=(model, name)
    )
    process.start()
    process.join()
    assert process.exitcode == 9 and len(list(model.parent.iterdir())) > 1
    with pytest.raises(KeyboardInterrupt), written_beside(model):
        assert name == "model" or content(model) == before
        raise KeyboardInterrupt
    assert name == "model" or content(model) == before
    assert sorted(model.parent.iterdir()) == [user, model]
    assert (user / "new").is_dir()


@needs_locks
def test_what_is_being_written_is_not_cleared(model):
    with written_beside(model) as first:
        (first / "hyperparams.yaml").write_text("format: 1\nfirst: true")
        replace(model)
        assert first.is_dir()
    assert "first" in (model / "hyperparams.yaml").read_text()


@pytest.mark.parametrize("settings", ["seed: 1\n", "model: !new:x.Y\n"])
def test_settings_of_a_run_make_no_model(tmp_path, settings):
    (tmp_path / "hyperparams.yaml").write_text(settings)
    with pytest.raises(ValueError, match="no model folder"):
        replace(tmp_path)
    assert (tmp_path / "hyperparams.yaml").read_text() == settings


def test_what_came_meanwhile_is_kept(model):
    with pytest.raises(ValueError, match="holds notes.md"):
        with written_beside(model):
            (model / "notes.md").write_text("mine")
    assert (model / "notes.md").is_file() and files_of(model)
    assert [path.name for path in model.parent.iterdir()] == ["model"]


def test_the_older_model_comes_back(model, monkeypatch):
    rename, before = type(model).rename, content(model)

    def fails(path, target):
        if path.name == "new":
            raise OSError("the disk is gone")
        return rename(path, target)

    monkeypatch.setattr(type(model), "rename", fails)
    with pytest.raises(OSError, match="is gone"):
        replace(model)
    assert content(model) == before
    assert [path.name for path in model.parent.iterdir()] == ["model"]


def test_files_of_a_model(model):
    (model / "out.jsonl").write_text("no part of it")
    with open(model / "hyperparams.yaml", "a") as file:
        file.write("x: [!ref <folder>/.., !ref <folder>/., !ref <folder>/]")
    assert [str(path.relative_to(model)) for path in files_of(model)] == [
        os.path.join("encoder_0", "config.json"),
        "hyperparams.yaml",
        "model.safetensors",
        os.path.join("user_modules", "mine.py"),
    ]


@pytest.mark.parametrize("kind", ["emotion2vec", "c2ser"])
def test_convert_keeps_its_checkpoint(tmp_path, capsys, kind):
    path = tmp_path / "pub" / "model.pt"
    path.parent.mkdir()
    path.write_bytes(b"published")
    words = ["--checkpoint", str(path)]
    if kind == "c2ser":
        words = ["--c2ser-checkpoint", str(path), "--llm", "x"]
        words += ["--emotion2vec-s", "y"]
    words += ["--output", str(path.parent)]
    assert main(["convert", kind, *words]) == 2
    assert "choose another name" in capsys.readouterr().err
    assert path.read_bytes() == b"published"
