"""C2SER's stages: every yaml and overlay, kills, two processes, bad items."""

import importlib
import json
import logging
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from device import needs_processes
from safetensors.torch import load_file
from train_log import read_log

from speechbrain_c2ser.checkpoints.c2ser_folder import load_c2ser
from speechbrain_c2ser.data import pools
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import (
    read_manifest,
    write_manifest,
)
from speechbrain_c2ser.training.experiment import load_experiment
from speechbrain_c2ser.training.sharding import SHARDS_ON_CPU

ROOT = Path(__file__).parents[2]
HPARAMS = ROOT / "hparams" / "c2ser"
TINY = HPARAMS / "sizes" / "tiny.yaml"
ABLATIONS = sorted(
    [*HPARAMS.glob("ablations/*.yaml"), *HPARAMS.glob("terms/*.yaml")]
)
SHARDED = HPARAMS / "training" / "sharded.yaml"
LINEAR = HPARAMS / "ablations" / "linear_connector.yaml"
RECIPES = ROOT / "recipes" / "C2SER"
DEBUG = ("--debug", "--debug_batches=1", "--debug_epochs=1")
STAGES = {
    "explicit": ("train_explicit", "ExplicitBrain"),
    "implicit": ("train_implicit", "ImplicitBrain"),
}


@pytest.fixture
def train(recipe, corpus, models, options):
    """train(stage, output, yaml, *arguments, **changes) -> Brain."""

    def run(stage, output, yaml, *arguments, **changes):
        argv = [str(yaml), *options(corpus, output, models, **changes)]
        script, brain = STAGES[stage]
        module = recipe(script)
        loaded = load_experiment([*argv, *arguments])
        return module.train(getattr(module, brain), *loaded)

    return run


@pytest.mark.parametrize(
    "name, stage", [("sizes/base", "explicit"), ("full", "implicit")]
)
def test_published_settings_run(train, name, stage, tmp_path):
    brain = train(
        stage,
        tmp_path,
        HPARAMS / f"{name}.yaml",
        *DEBUG,
        num_workers=0,
        precision="bf16",  # by name: else it is fp32 where bf16 is imitated
        number_of_epochs=None,
    )
    settings = (HPARAMS / "full.yaml").read_text(encoding="utf-8")
    assert "precision: bf16" in settings
    assert brain.grad_accumulation_factor == 4 and brain.max_grad_norm == 5.0
    assert brain.precision == "bf16"
    trained = trained_parts(brain)
    assert trained == {"semantic_encoder", "connector", "lora", "boundaries"}
    assert all_trained_move(brain)
    for optimizer in brain.optimizers_dict.values():
        group = optimizer.param_groups[0]
        assert tuple(group["betas"]) == (0.9, 0.99) and group["eps"] == 1e-6
        assert group["weight_decay"] == 0.01
        # the first update of the warm-up's 8000
        assert group["lr"] == pytest.approx(5e-5 / 8000)
    lm = brain.hparams.language_model
    assert lm.gradient_checkpointing == (name == "full")
    # the published checkpoint was trained on lower-cased answers
    model = load_c2ser(tmp_path / "c2ser")["model"]
    for each in (brain.hparams.model, model):
        assert each.answer_ids("Sad") == each.answer_ids("sad")


def trained_parts(brain):
    """Which parts of a model are trained."""
    places = {
        "perception.semantic_encoder": "semantic_encoder",
        "perception.acoustic_encoder": "acoustic_encoder",
        "perception.connector": "connector",
        "speech_boundaries": "boundaries",
        "language_model": "llm",
    }
    parts = set()
    for name, parameter in brain.hparams.model.named_parameters():
        if parameter.requires_grad:
            part = next(v for k, v in places.items() if name.startswith(k))
            parts.add("lora" if "lora_" in name else part)
    return parts


def all_trained_move(brain):
    """Whether every trained parameter has had a gradient (DDP needs it)."""
    moved = {
        id(parameter)
        for optimizer in brain.optimizers_dict.values()
        for parameter in optimizer.state
    }
    model = brain.hparams.model
    return all(id(p) in moved for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("overlay", ABLATIONS, ids=lambda path: path.stem)
def test_ablation_runs(train, overlay, tmp_path):
    first = overlay.stem in ("label_first", "frozen_whisper")
    brain = train(
        "explicit" if first else "implicit",
        tmp_path,
        TINY,
        f"--overlay={overlay}",
        *DEBUG,
    )
    assert all_trained_move(brain)
    perception = brain.hparams.perception
    rows = read_manifest(brain.hparams.train_manifest)
    row = next(row for row in rows.values() if row["language"] == "en")
    if overlay.stem == "no_semantic":
        assert perception.semantic_encoder is None
    elif overlay.stem == "no_acoustic":
        assert perception.acoustic_encoder is None and brain.cache is None
    elif overlay.stem == "mean_frames":
        assert brain.cache.lookup([row]).shape[1] == 1
    elif overlay.stem == "frozen_whisper":
        assert "semantic_encoder" not in trained_parts(brain)
    elif overlay.stem == "label_first":
        _, (answer,) = brain.hparams.answers([row], ["explicit"])
        assert answer.startswith(f"The speaker sounds {row['emotion']}.")
    elif overlay.stem.startswith("no_c"):
        modes = brain.hparams.curriculum.modes(["a", "b"], 0.0)
        assert modes == ["implicit"] * 2


@pytest.mark.parametrize("absent", ["no_semantic", "no_acoustic"])
def test_a_linear_connector_has_no_idle_weight(train, absent, tmp_path):
    """DDP stops at a weight without gradient."""
    brain = train(
        "explicit",
        tmp_path,
        TINY,
        f"--overlay={LINEAR}",
        f"--overlay={LINEAR.with_stem(absent)}",
        *DEBUG,
    )
    assert all_trained_move(brain)


def test_wavlm_hears_the_acoustics(train, ssl_folder, tmp_path):
    source = ssl_folder("wavlm_layer")
    brain = train(
        "explicit",
        tmp_path,
        TINY,
        f"--overlay={HPARAMS / 'encoders' / 'acoustic_wavlm.yaml'}",
        f"--acoustic_encoder={{source: {source}}}",
        *DEBUG,
    )
    assert all_trained_move(brain) and brain.hparams.connector.utterance_size
    model = load_c2ser(tmp_path / "c2ser")["model"]
    again, first = (
        m.perception.utterance_vectors(torch.ones(1, 8000))
        for m in (model, brain.hparams.model.cpu().eval())
    )
    assert again.shape == (1, 1, 16)
    torch.testing.assert_close(again, first)


@pytest.mark.parametrize(
    "name, role",
    [("layer_mix", "semantic"), ("acoustic_layer_mix", "acoustic")],
)
def test_layers_are_mixed(train, name, role, tmp_path):
    overlay = HPARAMS / "encoders" / f"{name}.yaml"
    brain = train(
        "explicit",
        tmp_path,
        TINY,
        f"--overlay={overlay}",
        f"--overlay={HPARAMS / 'ablations' / 'frozen_whisper.yaml'}",
        *DEBUG,
        feature_folder=None,  # as the yaml has it
    )
    # of Whisper, frozen, and of Emotion2Vec-S: the mix alone is trained
    assert all_trained_move(brain)
    encoder = getattr(brain.hparams.perception, f"{role}_encoder")
    trained = {n for n, p in encoder.named_parameters() if p.requires_grad}
    assert trained == {"mix.scores"}
    if role == "semantic":
        assert encoder.mix.scores.any()
        again = load_c2ser(tmp_path / "c2ser")["model"]
        assert torch.equal(
            again.perception.semantic_encoder.mix.scores,
            encoder.mix.scores.cpu(),
        )


def test_vectors_of_a_trained_encoder_are_not_kept(train, tmp_path):
    overlay = HPARAMS / "encoders" / "acoustic_layer_mix.yaml"
    with pytest.raises(ValueError, match="set feature_folder to null"):
        train(
            "explicit",
            tmp_path,
            TINY,
            f"--overlay={overlay}",
            *DEBUG,
            feature_folder=tmp_path,
        )


FORGETFUL = """
from speechbrain_c2ser.lobes import LinearConnector
class Forgetful(LinearConnector):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.__dict__.pop("constructor_arguments")
"""


@pytest.mark.parametrize("stage", STAGES)
def test_connector_that_could_not_be_saved_fails_before_training(
    train, stage, tmp_path, monkeypatch
):
    (tmp_path / "my_connector.py").write_text(FORGETFUL)
    monkeypatch.syspath_prepend(tmp_path)
    overlay = LINEAR.read_text().replace(
        "speechbrain_c2ser.lobes.LinearConnector", "my_connector.Forgetful"
    )
    (tmp_path / "overlay.yaml").write_text(overlay)
    with pytest.raises(ValueError, match="connector is a Forgetful, which"):
        train(
            stage,
            tmp_path / "run",
            TINY,
            f"--overlay={tmp_path / 'overlay.yaml'}",
            *DEBUG,
            feature_folder=tmp_path / "features",
        )
    assert not list((tmp_path / "run" / "save").iterdir())
    made = {path.name for path in (tmp_path / "run").iterdir()}
    assert not made & {"c2ser", "train_log.jsonl"}
    assert not (tmp_path / "features").exists()


def test_curves_go_to_wandb(train, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    overlay = ROOT / "hparams" / "loggers" / "wandb.yaml"
    brain = train("explicit", tmp_path, TINY, f"--overlay={overlay}", *DEBUG)
    brain.hparams.train_logger.run.finish()
    (written,) = tmp_path.glob("curves/wandb/offline-run*/*.wandb")
    assert b"valid_ua" in written.read_bytes()


@pytest.mark.parametrize("name", ["distil_kl", "distil_hidden"])
def test_an_implicit_stage_learns_from_its_explicit_states(
    name, train, tmp_path
):
    overlay = HPARAMS / "ablations" / f"{name}.yaml"
    at_once = "--curriculum={start: 0.0}"  # implicit answers from the first
    train("implicit", tmp_path, TINY, f"--overlay={overlay}", at_once, *DEBUG)
    (line,) = (tmp_path / "train_log.jsonl").read_text().splitlines()
    terms = {k: v for k, v in json.loads(line).items() if "distil" in k}
    assert terms and all(value > 0 for value in terms.values()), line


STREAMED = "{batch_seconds: 12.0, num_buckets: 2}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_of_a_stream_ends_with_the_weights_of_json(
    stage, train, corpus, streams, models, options, kill_after, tmp_path,
    monkeypatch,
):  # fmt: skip
    """The whole run reads JSON, the killed one row by row from Arrow."""
    more = [
        "--grad_accumulation_factor=2",
        "--ckpt_interval_steps=1",
        f"--overlay={HPARAMS / 'ablations' / 'distil_kl.yaml'}",
    ]
    changes = {
        "precision": "bf16",
        "ckpt_interval_minutes": 0,
    }
    brain = train(stage, tmp_path / "whole", TINY, *more, **changes)
    output = tmp_path / "killed"
    changes |= {**streams, "batching": STREAMED, "num_workers": 1}
    argv = [str(TINY), *options(corpus, output, models, **changes), *more]
    # in the second epoch, when labels have been scored once
    kill_after(brain.batches_per_epoch + 2, *STAGES[stage], argv)
    monkeypatch.setattr(pools, "read_pool", None)  # nothing is read whole
    train(stage, output, TINY, *more, **changes)
    one, two = (
        load_file(folder / "c2ser" / "model.safetensors")
        for folder in (tmp_path / "whole", output)
    )
    for key, tensor in one.items():
        torch.testing.assert_close(two[key], tensor, atol=1e-6, rtol=1e-5)
    whole = read_log(tmp_path / "whole")
    assert [line["epoch"] for line in whole] == [1, 2]
    assert whole == read_log(output)


# without what each rank draws on its own: dropout and masks
SAME = ["--semantic_encoder={spec_augment: null}", "--connector={dropout: 0.0}"]


def launch(argv, ranks=2):
    """train_implicit.py under torchrun on this machine's processor."""
    needs_processes()
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    done = subprocess.run(
        [
            *launcher,
            f"--nproc_per_node={ranks}",
            str(RECIPES / "train_implicit.py"),
            str(TINY),
            *argv,
            *SAME,
            "--distributed_backend=gloo",
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def one_process(corpus, models, options, recipe, tmp_path_factory):
    """Folder of a run in one process that two ranks have to repeat."""
    output = tmp_path_factory.mktemp("one")
    module = recipe("train_implicit")
    argv = [str(TINY), *options(corpus, output, models, **BATCHES), *SAME]
    argv += ["--grad_accumulation_factor=2"]
    module.train(module.ImplicitBrain, *load_experiment(argv))
    return output


# six batches an epoch: as many for each rank
BATCHES = {"batching": "{batch_seconds: 16.0}"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "sharded",
    [
        pytest.param(False, id="ddp"),
        pytest.param(
            True,
            id="fsdp",
            marks=pytest.mark.skipif(
                not SHARDS_ON_CPU, reason="this torch shards on GPUs alone"
            ),
        ),
    ],
)
def test_two_processes_train_as_one(
    one_process, sharded, corpus, streams, models, options, tmp_path
):
    """The one has read JSON, the two read row by row from Arrow."""
    features, output = tmp_path / "features", tmp_path / "two"
    changes = {"feature_folder": features, **streams, **BATCHES}
    argv = options(corpus, output, models, **changes)
    argv += [f"--overlay={SHARDED}"] * sharded
    launch(argv)
    one, two = read_log(one_process), read_log(output)
    assert [line["epoch"] for line in two] == [1, 2]
    for ours, theirs in zip(one, two, strict=True):
        for name in ("train_loss", "valid_loss", "valid_ua"):
            assert theirs[name] == pytest.approx(ours[name], rel=1e-4)
    # every rank computed a part of the features, and one run read them all
    assert len(list(features.rglob("*.safetensors"))) >= 2
    if sharded:
        check_whole_model(one_process, output)


def check_whole_model(one, two):
    """A sharded run's folder and checkpoint are those of one process."""
    states = [load_c2ser(f / "c2ser")["model"].state_dict() for f in (one, two)]
    for key, tensor in states[0].items():
        torch.testing.assert_close(
            states[1][key], tensor, atol=2e-4, rtol=1e-3, msg=key
        )
    for name in ("trained", "optimizer_rest"):
        files = [next(f.glob(f"save/*/{name}.ckpt")) for f in (one, two)]
        if name == "trained":
            ours, theirs = map(load_file, files)
        else:
            ours, theirs = (
                {
                    (number, moment): value
                    for number, values in torch.load(f)["state"].items()
                    for moment, value in values.items()
                }
                for f in files
            )
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():
            assert theirs[key].shape == tensor.shape, key


def changed_corpus(corpus, folder, change):
    """Manifests whose training items went through ``change(id, item)``."""
    items = read_manifest(corpus / "train.json")
    kept = {k: v for k, v in items.items() if change(k, v) is not False}
    write_manifest(kept, folder / "train.json")
    return folder / "train.json"


def test_item_without_emotion_is_named(train, corpus, tmp_path):
    name = sorted(read_manifest(corpus / "train.json"))[0]

    def change(key, item):
        if key == name:
            del item["emotion"]

    manifest = changed_corpus(corpus, tmp_path, change)
    with pytest.raises(ManifestError, match=f"{name}.*no 'emotion'"):
        train("explicit", tmp_path / "out", TINY, train_manifest=manifest)


def test_training_on_a_valid_recording_is_refused(train, corpus, tmp_path):
    leaked = next(iter(read_manifest(corpus / "valid.json").items()))
    items = dict([*read_manifest(corpus / "train.json").items(), leaked])
    write_manifest(items, tmp_path / "train.json")
    with pytest.raises(ManifestError, match=f"Leakage: the id '{leaked[0]}'"):
        train(
            "explicit",
            tmp_path / "out",
            TINY,
            train_manifest=tmp_path / "train.json",
        )


def test_several_manifests_are_looked_through_together(train, corpus, tmp_path):
    write_manifest(
        read_manifest(corpus / "valid.json"), tmp_path / "b" / "train.json"
    )
    pool = f"[{corpus / 'train.json'}, {tmp_path / 'b' / 'train.json'}]"
    with pytest.raises(ManifestError, match="in both train and valid"):
        train("explicit", tmp_path / "out", TINY, train_manifest=pool)


def test_long_items_are_left_out_aloud(train, corpus, tmp_path, caplog):
    items = read_manifest(corpus / "train.json")
    name = sorted(items)[0]

    def change(key, item):
        if key == name:
            item["transcript"] = "word " * 300

    manifest = changed_corpus(corpus, tmp_path, change)
    with caplog.at_level(logging.WARNING):
        train(
            "explicit",
            tmp_path / "out",
            TINY,
            *DEBUG,
            train_manifest=manifest,
        )
    log = (tmp_path / "out" / "log.txt").read_text() + caplog.text
    assert f"1 of {len(items)} items are left out" in log
    assert f"answer over 200 tokens: {name}" in log


def test_a_class_or_language_that_is_missing_is_said(
    train, corpus, tmp_path, caplog
):
    def change(key, item):
        item["language"] = "de"
        return item["emotion"] != "sad"

    manifest = changed_corpus(corpus, tmp_path, change)
    with caplog.at_level(logging.WARNING):
        brain = train(
            "implicit",
            tmp_path / "out",
            TINY,
            *DEBUG,
            train_manifest=manifest,
        )
    log = (tmp_path / "out" / "log.txt").read_text() + caplog.text
    assert "no item for sad" in log
    assert "items are in 'de'" in log
    assert brain.hparams.answers.fallbacks["de"] > 0
    assert read_log(tmp_path / "out")[-1]["valid_ua"] >= 0


def test_full_checkpoint_is_small_beside_its_language_model(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    sizes = importlib.import_module("c2ser_training").checkpoint_size("full")
    # Whisper-medium's encoder, the connector, LoRA; Qwen2-7B in bf16
    assert sizes["language_model"] == pytest.approx(15.2e9, rel=0.01)
    assert sizes["trained"] < 0.1 * sizes["language_model"]
    assert sizes["parts"].keys() == {
        "semantic_encoder",
        "connector",
        "language_model",
        "speech_boundaries",
    }
    assert sizes["parts"]["language_model"] < 0.1 * sizes["trained"]


def test_ablations_keep_every_speaker(corpus, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    script = importlib.import_module("c2ser_ablations")
    options = SimpleNamespace(manifests=corpus, results=tmp_path, fraction=0.5)
    kept = read_manifest(script.manifests(options)["train"])
    items = read_manifest(corpus / "train.json")

    def counts(rows):
        return Counter(row["speaker"] for row in rows.values())

    assert all(kept[key]["wav"] == items[key]["wav"] for key in kept)
    assert counts(kept) == {
        speaker: round(count / 2) for speaker, count in counts(items).items()
    }
    assert script.manifests(options)["test"] == corpus / "test.json"
