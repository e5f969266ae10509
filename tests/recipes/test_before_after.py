"""Two states of the code, one beside the other."""

import importlib
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import before_after  # noqa: E402

OPTIONS = Namespace(precision="fp32", size="tiny", count=2, rounds=3, threads=1)


def test_a_state_against_itself_answers_alike():
    options = Namespace(**vars(OPTIONS) | {"rounds": 1})
    figures = before_after.compare(ROOT, "classify", "short", options)
    assert figures["answers_apart"] == 0
    (old,), (new,) = figures["seconds"].values()
    assert figures["ratio"] == old / new


def test_turns_are_compared_without_the_first(monkeypatch):
    asked = []

    class Told:
        def __init__(self, folder, arguments):
            self.old = folder != before_after.HERE

        def go(self):
            asked.append(self.old)
            seconds = (9.0, 2.0, 4.0, 9.0)[(len(asked) - 1) // 2]
            return {
                "seconds": seconds if self.old else seconds / (len(asked) // 2),
                "answers": [[0.5, 0.5]] if self.old else [[0.5, 0.75]],
            }

        def end(self):
            asked.append("end")

    monkeypatch.setattr(before_after, "Checkout", Told)
    figures = before_after.compare(Path("old"), "classify", "short", OPTIONS)
    assert asked == [True, False] * 4 + ["end"] * 2
    assert figures["seconds"]["before"] == [2.0, 4.0, 9.0]
    assert figures["ratio"] == 3 and figures["answers_apart"] == 0.25


def test_an_epoch_begins_with_the_same_weights_each_time(tmp_path):
    """And the first trains on batches that any state makes, without dropout."""
    first = before_after.stage_1([1.0, 1.5], "fp32", "tiny", tmp_path)
    second = before_after.stage_1([1.0, 1.5], "fp32", "tiny", tmp_path)
    one, again, once_more = (first()[1] for _ in range(3))
    assert len(one[0]) == 1 and one == second()[1]
    assert len(again[0]) == 2 and again == once_more  # padding parts these


def test_a_round_without_dropout_ends_with_it():
    layer = torch.nn.Dropout(0.5)
    x = torch.ones(64)
    with before_after.without_dropout(torch.nn.ModuleList([layer])):
        assert torch.equal(layer(x), x)
        assert torch.equal(torch.nn.functional.dropout(x, 0.5), x)
    assert layer.p == 0.5 and (layer(x) == 0).any()
    assert (torch.nn.functional.dropout(x, 0.5) == 0).any()


def test_both_states_train_the_same_weights(tmp_path, monkeypatch):
    """Another state's code may draw others: the first one's are taken."""
    c2ser_training = importlib.import_module("c2ser_training")
    load, shifts = c2ser_training.load, iter([0.0, 0.01])

    def load_shifted(*args, **changes):
        hparams, shift = load(*args, **changes), next(shifts)
        with torch.no_grad():
            for weight in hparams["model"].parameters():
                weight.add_(shift)
        return hparams

    monkeypatch.setattr(c2ser_training, "load", load_shifted)
    losses = [
        before_after.stage_1([1.0, 1.5], "fp32", "tiny", tmp_path)()[1]
        for _ in range(2)
    ]
    assert losses[0] == losses[1]


def test_both_states_classify_by_the_same_weights(tmp_path, monkeypatch):
    c2ser_speed = importlib.import_module("c2ser_speed")
    interface, shifts = c2ser_speed.C2SER, iter([0.0, 0.01])

    def built(size, device, dtype):
        """As a state that draws other weights would build it."""
        shift, make = next(shifts), c2ser_speed.C2SER

        def shifted(model, *settings):
            module = model["model"] if isinstance(model, dict) else model
            with torch.no_grad():
                for weight in module.parameters():
                    weight.add_(shift)
            return make(model, *settings)

        c2ser_speed.C2SER = shifted  # until it is put back behind the build
        return build(size, device, dtype)

    build = c2ser_speed.build
    monkeypatch.setattr(c2ser_speed, "build", built)
    answers = [
        before_after.classification([1.0, 1.5], "fp32", "tiny", tmp_path)()[1]
        for _ in range(2)
    ]
    assert answers[0] == answers[1] and c2ser_speed.C2SER is interface


def test_lora_is_put_beside_the_base_that_is_asked_for(tmp_path):
    answers = []
    for lora in (True, False):
        folder = tmp_path / str(lora)
        folder.mkdir()
        work = before_after.classification(
            [1.0], "fp32", "tiny", folder, lora=lora
        )
        answers.append(work()[1][0])
        names = torch.load(folder / "weights.pt", weights_only=True)
        assert lora == any("lora_B" in name for name in names)
    assert answers[0] != answers[1]


def test_a_folder_without_the_code_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["before_after.py", str(tmp_path)])
    with pytest.raises(SystemExit):
        before_after.main()
    assert "is no checkout of this repository" in capsys.readouterr().err
