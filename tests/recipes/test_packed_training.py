"""A training whose items share rows of the language model, in its recipe."""

from pathlib import Path

import pytest
from train_log import read_log

from speechbrain_c2ser.lobes.speech_llm import packing
from speechbrain_c2ser.lobes.speech_llm.packing import RowPacking
from speechbrain_c2ser.training.experiment import load_experiment

ROOT = Path(__file__).parents[2]
TINY = ROOT / "hparams" / "c2ser" / "sizes" / "tiny.yaml"
# short and long answers beside each other: an item's length is not its audio's
SETTINGS = {"batching": "{batch_seconds: 16.0, num_buckets: 1}"}


@pytest.fixture
def train(recipe, corpus, models, options):
    """train(output, *arguments): stage 2; its log."""

    def run(output, *arguments):
        argv = [str(TINY), *options(corpus, output, models, **SETTINGS)]
        module = recipe("train_implicit")
        module.train(
            module.ImplicitBrain, *load_experiment([*argv, *arguments])
        )
        return read_log(output)

    return run


# Attention costs so small a model the most: here positions count alone. In a
# file of its own, as the killed process has to read it, too.
PACKED = """
from speechbrain_c2ser.lobes.speech_llm import packing
packing._cost = lambda rows, length, breadth: rows * length
"""


@pytest.fixture
def shared(monkeypatch, tmp_path):
    """Whether items of each batch shared rows; the file that lets them."""
    shared, read = [], RowPacking.read

    def noted(self, merged):
        states = read(self, merged)
        shared.append(states is not None)
        return states

    monkeypatch.setattr(RowPacking, "read", noted)
    monkeypatch.setattr(packing, "_cost", lambda rows, length, _: rows * length)
    (tmp_path / "packed.py").write_text(PACKED)
    return shared, f"--user_modules={tmp_path / 'packed.py'}"


def test_packed_training_has_the_losses_of_a_padded_one(
    train, shared, tmp_path, monkeypatch
):
    shared, module = shared
    packed = train(tmp_path / "packed", module)
    assert sum(shared) > len(shared) / 4, shared
    monkeypatch.setattr(RowPacking, "keeps_apart", False)
    padded = train(tmp_path / "padded", module)
    assert len(packed) == len(padded) == 2
    for ours, theirs in zip(packed, padded, strict=True):
        assert ours == pytest.approx(theirs, rel=0, abs=1e-5)


def test_killed_packed_training_ends_with_the_same_losses(
    train, shared, corpus, models, options, kill_after, tmp_path
):
    shared, module = shared
    more = [module, "--ckpt_interval_steps=1", "--ckpt_interval_minutes=0"]
    whole = train(tmp_path / "whole", *more)
    assert any(shared)
    output = tmp_path / "killed"
    argv = [str(TINY), *options(corpus, output, models, **SETTINGS), *more]
    kill_after(6, "train_implicit", "ImplicitBrain", argv)
    assert train(output, *more) == whole
