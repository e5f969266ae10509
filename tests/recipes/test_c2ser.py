"""The C2SER recipes, from a corpus to figures, on models of a few kilobytes."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch
from device import DEVICE
from safetensors.torch import load_file
from speechbrain.utils.epoch_loop import EpochCounter

from speechbrain_c2ser.data.manifest import read_manifest, write_manifest
from speechbrain_c2ser.data.synthetic import corpus as synthetic
from speechbrain_c2ser.inference import C2SER
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes.speech_llm.language_model import LanguageModel
from speechbrain_c2ser.training.brain import NonFiniteLossError
from speechbrain_c2ser.training.checkpointer import SafeCheckpointer
from speechbrain_c2ser.training.experiment import load_experiment
from speechbrain_c2ser.training.logs import EpochLog

ROOT = Path(__file__).parents[2]
TINY = str(ROOT / "hparams" / "c2ser" / "sizes" / "tiny.yaml")


@pytest.fixture(scope="module")
def explicit(recipe, corpus, models, options, tmp_path_factory):
    """Output folder of a finished stage 1."""
    output = tmp_path_factory.mktemp("explicit")
    stage = recipe("train_explicit")
    argv = [TINY, *options(corpus, output, models)]
    stage.train(stage.ExplicitBrain, *load_experiment(argv))
    return output


def test_explicit_writes_folder_log_and_record(explicit):
    log = (explicit / "train_log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == [1, 2]
    last = json.loads(log[-1])
    assert 0 <= last["valid_ua"] <= 1
    assert last["valid_ece_calibrated"] <= last["valid_ece"] + 0.05
    record = json.loads((explicit / "run.json").read_text())
    assert record["seed"] == 1986 and record["versions"]["torch"]
    assert (explicit / "c2ser" / "model.safetensors").is_file()


def test_the_temperature_is_that_of_the_epoch_kept(explicit):
    log = (explicit / "train_log.jsonl").read_text().splitlines()
    best = min(map(json.loads, log), key=lambda line: line["valid_loss"])
    c2ser = C2SER.from_hparams(explicit / "c2ser")
    assert c2ser.hparams.temperature == pytest.approx(best["temperature"])
    assert best["temperature"] != 1


@pytest.mark.parametrize(
    "name, epoch", [("ExplicitBrain", 2), ("ImplicitBrain", 1)]
)
def test_the_epoch_that_is_kept(recipe, tmp_path, name, epoch):
    """Stage 1: the lowest loss (all words); stage 2: the highest UA."""
    brain_class = getattr(recipe("train_implicit"), name)
    checkpointer = SafeCheckpointer(
        tmp_path / "save", {"epoch_counter": EpochCounter(3)}
    )
    hparams = SimpleNamespace(
        label_space=LabelSpace(["angry", "sad"]),
        epoch_log=EpochLog(tmp_path / "log.jsonl"),
        train_logger=SimpleNamespace(log_stats=lambda *_, **__: None),
    )
    right, wrong = [[0.9, 0.1], [0.1, 0.9]], [[0.1, 0.9], [0.1, 0.9]]
    probabilities = [right, wrong, wrong]
    for number, loss in enumerate((0.5, 0.3, 0.4)):
        brain = SimpleNamespace(
            true=["angry", "sad"],
            probabilities=probabilities[number],
            train_figures={"train_loss": 1.0},
            losses=[],
            hparams=hparams,
            checkpointer=checkpointer,
            best=brain_class.best,
        )
        brain_class.on_stage_end(brain, sb.Stage.VALID, loss, number + 1)
    best = checkpointer.find_checkpoint(**brain_class.best)
    assert best.meta["valid_loss"] == (0.5, 0.3, 0.4)[epoch - 1]


def test_checkpoint_holds_trained_tensors_only(explicit):
    saved = load_file(next((explicit / "save").glob("CKPT*/trained.ckpt")))
    assert not [k for k in saved if "acoustic_encoder.blocks" in k]
    assert [k for k in saved if k.startswith("language_model")]


def test_implicit_starts_from_stage_one(
    recipe, explicit, corpus, models, options, tmp_path
):
    stage = recipe("train_implicit")
    start = explicit / "c2ser"
    named = [o for o in models if not o.startswith("--llm_source")]
    changes = {"start_from": start, "llm_source": start / "llm"}
    argv = [
        TINY,
        *options(corpus, tmp_path, named, number_of_epochs=1, **changes),
    ]
    hparams, run_opts = load_experiment(argv)
    before = load_file(explicit / "c2ser" / "model.safetensors")
    stage.train(stage.ImplicitBrain, hparams, run_opts)
    after = load_file(tmp_path / "c2ser" / "model.safetensors")
    assert before.keys() == after.keys()
    frozen = [k for k in before if "acoustic_encoder" in k]
    assert all(torch.equal(before[k], after[k]) for k in frozen)
    assert any(not torch.equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize("mode", ["explicit", "implicit"])
def test_evaluation(
    recipe, explicit, corpus, mode, tmp_path, monkeypatch, caplog
):
    argv = [
        "evaluate.py",
        str(ROOT / "hparams" / "c2ser" / "evaluate.yaml"),
        f"--output_folder={tmp_path}",
        f"--c2ser_folder={explicit / 'c2ser'}",
        f"--test_manifest={corpus}/test.json",
        f"--mode={mode}",
        "--max_new_tokens=8",
        f"--device={DEVICE}",
    ]
    monkeypatch.setattr(sys, "argv", argv)
    recipe("evaluate").main()
    result = json.loads((tmp_path / f"{mode}.json").read_text())
    cut = [row["cut"] for row in result["predictions"]]
    told = f"{sum(cut)} of {len(cut)} answers were cut at the length limit"
    log = (tmp_path / "log.txt").read_text() + caplog.text
    assert log.count(told) == any(cut)
    labels = set(synthetic.EMOTIONS)
    assert len(result["predictions"]) == len(
        read_manifest(corpus / "test.json")
    )
    for row in result["predictions"]:
        assert row["scored_label"] in labels
        assert row["label"] is None or row["label"] in labels
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert ("content_error_rate" in result["metrics"]) == (mode == "explicit")


def test_the_decoding_asked_for_reaches_the_language_model(
    recipe, explicit, corpus, tmp_path, monkeypatch
):
    argv = [
        "evaluate.py",
        str(ROOT / "hparams" / "c2ser" / "evaluate.yaml"),
        f"--output_folder={tmp_path}",
        f"--c2ser_folder={explicit / 'c2ser'}",
        f"--test_manifest={corpus}/test.json",
        f"--device={DEVICE}",
    ]
    decoding = {
        "max_new_tokens": 3,
        "num_beams": 2,
        "repetition_penalty": 1.05,
    }
    asked, generate = [], LanguageModel.generate
    monkeypatch.setattr(
        LanguageModel,
        "generate",
        lambda self, *inputs, **options: (
            asked.append(options) or generate(self, *inputs, **options)
        ),
    )
    monkeypatch.setattr(
        sys, "argv", [*argv, *(f"--{k}={v}" for k, v in decoding.items())]
    )
    recipe("evaluate").main()
    assert asked and all(
        options.items() >= decoding.items() for options in asked
    )


@pytest.mark.parametrize("asked", ["bf16", "fp32"])
def test_evaluation_is_in_the_precision_asked_for(
    recipe, explicit, tmp_path, monkeypatch, asked
):
    argv = [
        "evaluate.py",
        str(ROOT / "hparams" / "c2ser" / "evaluate.yaml"),
        f"--output_folder={tmp_path}",
        f"--c2ser_folder={explicit / 'c2ser'}",
        "--test_manifest=any.json",
        f"--precision={asked}",
        f"--device={DEVICE}",
    ]
    monkeypatch.setattr(sys, "argv", argv)
    stage, models = recipe("evaluate"), []
    monkeypatch.setattr(stage, "evaluate_c2ser", lambda m, *_: models.append(m))
    stage.main()
    lm = models[0].mods.model.language_model
    kinds = {"bf16": torch.bfloat16, "fp32": torch.float32}
    assert {p.dtype for p in lm.parameters()} == {kinds[asked]}


def test_warm_up_spells_what_it_cannot_pronounce(recipe, caplog):
    pronounce = recipe("warm_up_whisper").pronounce
    text = {"transcript": "Blue hat", "language": "en"}
    assert pronounce(text) == ["b", "l", "uː", "h", "æ", "t"]
    assert not caplog.records
    assert pronounce({**text, "language": "xx-none"}) == list("blue hat")
    assert "Letters for phonemes of 'blue hat'" in caplog.text


# DataLoader refuses it without workers: so it was asked.
READY_BATCHES = "--dataloader_opts={prefetch_factor: 3}"


def test_warm_up_writes_a_whisper_folder(
    recipe, corpus, tiny_whisper, options, tmp_path
):
    stage = recipe("warm_up_whisper")
    yaml = str(ROOT / "hparams" / "c2ser" / "warm_up_tiny.yaml")
    argv = [
        yaml,
        *options(corpus, tmp_path, number_of_epochs=1, feature_folder=None),
        f"--whisper_source={tiny_whisper}",
    ]
    with pytest.raises(ValueError, match="num_phonemes"):
        stage.train(*load_experiment([*argv, "--num_phonemes=5"]))
    with pytest.raises(ValueError, match="prefetch_factor"):
        stage.train(*load_experiment([*argv, READY_BATCHES]))
    hparams, run_opts = load_experiment(argv)
    stage.train(hparams, run_opts)
    tensors = load_file(tmp_path / "whisper" / "model.safetensors")
    trained = hparams["encoder"].encoder.state_dict()
    assert tensors.keys() == {f"encoder.{name}" for name in trained}
    first = load_file(tiny_whisper / "model.safetensors")
    key = "encoder.conv1.weight"
    assert not torch.equal(tensors[key], first[key])


def test_killed_run_ends_with_the_same_weights(
    explicit, recipe, corpus, models, options, kill_after, tmp_path
):
    argv = [
        TINY,
        *options(corpus, tmp_path, models),
        "--ckpt_interval_steps=1",
        "--ckpt_interval_minutes=0",
    ]
    kill_after(2, "train_explicit", "ExplicitBrain", argv)
    stage = recipe("train_explicit")
    stage.train(stage.ExplicitBrain, *load_experiment(argv))
    one, two = (
        load_file(folder / "c2ser" / "model.safetensors")
        for folder in (explicit, tmp_path)
    )
    for key, tensor in one.items():
        torch.testing.assert_close(two[key], tensor, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("script", ["train_explicit", "train_connector"])
def test_the_yaml_reaches_the_dataloader(
    script, recipe, corpus, models, options, tmp_path
):
    stage = recipe(script)
    argv = [TINY, *options(corpus, tmp_path, models), READY_BATCHES]
    given = load_experiment(argv)
    if script == "train_explicit":
        given = [stage.ExplicitBrain, *given]
    with pytest.raises(ValueError, match="prefetch_factor"):
        stage.train(*given)


def test_nan_loss_names_the_batch(recipe, corpus, models, options, tmp_path):
    stage = recipe("train_explicit")
    hparams, run_opts = load_experiment(
        [TINY, *options(corpus, tmp_path, models)]
    )
    with torch.no_grad():
        hparams["connector"].projection.weight.fill_(float("nan"))
    with pytest.raises(NonFiniteLossError, match="espeak_"):
        stage.train(stage.ExplicitBrain, hparams, run_opts)


def test_item_without_transcript_is_named(
    recipe, corpus, models, options, tmp_path
):
    items = read_manifest(corpus / "train.json")
    name = sorted(items)[0]
    del items[name]["transcript"]
    write_manifest(items, tmp_path / "train.json")
    stage = recipe("train_explicit")
    manifest = tmp_path / "train.json"
    argv = [
        TINY,
        *options(corpus, tmp_path / "out", models, train_manifest=manifest),
    ]
    hparams, run_opts = load_experiment(argv)
    with pytest.raises(ValueError, match=name):
        stage.train(stage.ExplicitBrain, hparams, run_opts)
