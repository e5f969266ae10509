"""Going on with a model that changed, beside another, from no journal."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from speechbrain_c2ser.checkpoints import user_modules
from speechbrain_c2ser.cli import main, recordings
from speechbrain_c2ser.inference.file_classifier import FileClassifier
from speechbrain_c2ser.inference.journal import Journal, fcntl


class Stopped(FileClassifier):
    """Hears one file, and is stopped; or all."""

    labels = ["loud", "quiet"]

    def __init__(self, stop):
        super().__init__(torch.nn.Linear(1, 1), {}, {"device": "cpu"})
        self.stop, self.heard = stop, 0

    def names_of(self):
        return self.labels

    def classify_batch(self, wavs, wav_lens=None):
        if self.stop and self.heard:
            raise KeyboardInterrupt
        self.heard += len(wavs)
        return (torch.tensor([[0.75, 0.25]] * len(wavs)),)


@pytest.fixture
def classify(tmp_path, monkeypatch):
    """classify(stop, *words) -> code; beside a model folder."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("m")
    tmp_path.joinpath("m/hyperparams.yaml").write_text("format: 1")
    tmp_path.joinpath("m/model.safetensors").write_bytes(b"trained")
    for name in ("a.wav", "b.wav"):
        soundfile.write(name, 0.3 * np.sin(np.arange(8000) / 7), 16000)

    def run(stop, *words):
        model = Stopped(stop)
        monkeypatch.setattr(recordings, "_load", lambda *_: model)
        words = ("a.wav", "b.wav", "--batch-size", "1", "-o", "out", *words)
        return main(["classify", "--model", "m", *words])

    return run


def train_anew():
    with open("m/model.safetensors", "wb") as file:
        file.write(b"trained anew")


def train_a_head():
    """One tensor of three, in the middle of a large file."""
    weights = {name: torch.zeros(99999) for name in "abc"}
    save_file(weights | {"b": torch.ones(99999)}, "m/model.safetensors")


def touch_and_copy():
    os.utime("m/hyperparams.yaml", (1, 1))
    shutil.copytree("m", "copy", copy_function=shutil.copyfile)
    shutil.rmtree("m")
    os.rename("copy", "m")


def change_module():
    user_modules._loaded["mine"] = ("mine.py", b"other = True")


@pytest.mark.parametrize(
    "change, told",
    [
        (train_anew, "the model's folder changed"),
        (train_a_head, "the model's folder changed"),
        (change_module, "user modules changed"),
    ],
)
def test_a_model_that_changed_does_not_go_on(
    classify, monkeypatch, capsys, change, told
):
    monkeypatch.setattr(user_modules, "_loaded", {})
    weights = {name: torch.zeros(99999) for name in "abc"}
    save_file(weights, "m/model.safetensors")
    assert classify(True) == 130
    capsys.readouterr()
    change()
    assert classify(False, "--resume") == 2
    assert told in capsys.readouterr().err
    assert classify(False) == 0 and not os.path.exists("out.resume")


def test_a_copy_of_the_model_goes_on(classify):
    assert classify(True) == 130
    touch_and_copy()
    assert classify(False, "--resume") == 0


def test_results_in_the_models_folder_do_not_change_it(classify):
    assert classify(True) == 130
    with open("m/out.json", "w") as file:
        file.write("{}")
    assert classify(False, "--resume") == 0


@pytest.mark.skipif(fcntl is None, reason="a system without such locks")
@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_two_commands_do_not_write_one_file(classify, capsys, resume):
    with Journal("out.resume", {}) as journal:
        journal.add("a.wav", 0.0, 1.0, [0.5])
        content = open("out.resume").read()
        assert classify(False, *resume) == 2
        told = capsys.readouterr().err
        assert "Another c2ser writes" in told and "wait, or give" in told
        assert open("out.resume").read() == content
    assert not os.path.exists("out")
    assert classify(False) == 0


@pytest.mark.skipif(fcntl is None, reason="a system without such locks")
def test_a_journal_that_ends_meanwhile_is_begun_anew(tmp_path, monkeypatch):
    before, lock = Journal(tmp_path / "j", {}), Journal._lock

    def ends_first(journal):
        if not before._file.closed:
            before.remove()
        lock(journal)

    monkeypatch.setattr(Journal, "_lock", ends_first)
    with Journal(tmp_path / "j", {}) as journal:
        journal.add("a.wav", 0.0, 1.0, [0.5])
    with Journal(tmp_path / "j", {}, resume=True) as journal:
        assert journal.find("a.wav", 0.0, 1.0) == ([0.5],)


@pytest.mark.skipif(fcntl is None, reason="a system without such locks")
def test_a_journal_is_removed_before_the_next_begins(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "j", {})
    unlink, held = Path.unlink, []

    def told(path, **words):
        held.append(not journal._file.closed)
        unlink(path, **words)

    monkeypatch.setattr(Path, "unlink", told)
    journal.remove()
    assert held == [True] and not os.path.exists(tmp_path / "j")


@pytest.mark.parametrize(
    "line", [5, [1, 2], {"a": 1}, [1, 0.0, 1.0, 2], ["a", [], 1.0, None]]
)
def test_lines_of_another_shape(tmp_path, line):
    path = tmp_path / "j"
    Journal(path, {}).__exit__()
    with open(path, "a") as file:
        file.write(json.dumps(line) + "\n")
    content = path.read_bytes()
    with pytest.raises(ValueError, match="j is no journal of a run: remove"):
        Journal(path, {}, resume=True)
    assert path.read_bytes() == content
