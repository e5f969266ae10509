"""The pre-training recipe: debug runs, a kill in mid-epoch, two processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from device import DEVICE, needs_processes
from ruamel.yaml import YAML
from safetensors.torch import load_file
from scripts import load_script
from train_log import read_log

from speechbrain_c2ser.data.arrow_writing import write_arrow_manifest
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import (
    read_manifest,
    write_manifest,
)

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "Emotion2VecS" / "pretrain.py"
TINY = ROOT / "hparams" / "emotion2vec_s" / "tiny.yaml"
BASE = ROOT / "hparams" / "emotion2vec_s" / "base.yaml"
TAPT = ROOT / "hparams" / "emotion2vec_s" / "tapt.yaml"

# Runs the recipe and kills it, as an outage would, after so many batches.
KILLED = """
import importlib.util, os, signal, sys
spec = importlib.util.spec_from_file_location("pretrain", sys.argv[1])
pretrain = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pretrain)
batches = int(sys.argv[2])
fit_batch = pretrain.PretrainingBrain.fit_batch
def counted(self, batch):
    global batches
    if batches == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    batches -= 1
    return fit_batch(self, batch)
pretrain.PretrainingBrain.fit_batch = counted
sys.argv = sys.argv[2:]
pretrain.main()
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Tones in noise; the pitch tells the emotion, one in three has none."""
    folder = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    items = {}
    for i in range(24):
        time = np.arange(int(16000 * random.uniform(0.3, 0.8))) / 16000
        wave = 0.1 * random.standard_normal(len(time))
        wave += np.sin(2 * np.pi * (200 + 200 * (i % 2)) * time)
        path = folder / f"{i}.wav"
        soundfile.write(path, wave.astype(np.float32) * 0.5, 16000)
        items[str(i)] = {"wav": str(path), "duration": len(time) / 16000}
        if i % 3:
            items[str(i)]["emotion"] = ("angry", "sad")[i % 2]
    splits = {"train": list(items)[:18], "valid": list(items)[18:]}
    for split, ids in splits.items():
        content = {name: items[name] for name in ids}
        (folder / f"{split}.json").write_text(json.dumps(content))
    # the same training set as shards
    (folder / "shards").mkdir()
    pairs = [(name, items[name]) for name in splits["train"]]
    for name, part in {"a": pairs[:7], "b": pairs[7:]}.items():
        write_arrow_manifest(part, folder / "shards" / f"{name}.arrow")
    return folder


def arguments(corpus, output, yaml=TINY):
    return [
        str(yaml),
        f"--train_manifest={corpus}/train.json",
        f"--valid_manifest={corpus}/valid.json",
        f"--output_folder={output}",
        "--labelled_fraction=1.0",
        "--number_of_epochs=2",
        "--max_batch_seconds=2.0",
        "--num_buckets=2",
        "--ckpt_interval_minutes=0",
        "--ckpt_interval_steps=2",
        f"--device={DEVICE}",
        "--noprogressbar",
    ]


def streamed(argv):
    """Arguments of the same training set, read row by row from shards."""
    return [each.replace("train.json", "shards") for each in argv]


def start(command):
    """Start Python on one thread: sums are then the same in every run."""
    needs_processes()
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(paths),
    }
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output[-3000:]
    return output


@pytest.mark.slow
def test_killed_in_mid_epoch_a_stream_resumes_as_json_goes_on(corpus, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    # two batches per update: the kill falls into an accumulation window
    accumulate = ["--grad_accumulation_factor=2"]
    whole_run = start([RECIPE, *arguments(corpus, whole), *accumulate])
    interrupted = [*streamed(arguments(corpus, broken)), *accumulate]
    interrupted.append("--num_workers=1")
    killed_run = start(["-c", KILLED, RECIPE, 9, *interrupted])
    killed_run.communicate(timeout=300)
    assert killed_run.returncode == -9
    assert len(read_log(broken)) == 1  # killed in the second epoch
    # the remains of a kill while saving must not be taken for a checkpoint
    (broken / "save" / "partial+CKPT+x").mkdir()
    finish(start([RECIPE, *interrupted]))
    finish(whole_run)
    assert read_log(broken) == read_log(whole)
    ours, theirs = (
        load_file(folder / "encoder" / "model.safetensors")
        for folder in (broken, whole)
    )
    assert all((ours[name] == theirs[name]).all() for name in theirs)
    assert not list((broken / "save").glob("partial*"))


@pytest.mark.slow
def test_two_nodes_are_two_processes_and_resume_exactly(corpus, tmp_path):
    one = [RECIPE, *arguments(corpus, tmp_path / "one")]
    backend = "--distributed_backend=gloo"
    launch = ["-m", "torch.distributed.run"]
    ddp = start([*launch, "--standalone", "--nproc_per_node=2", *one, backend])

    def nodes(batches=None):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        script = tmp_path / "killed.py"
        script.write_text(KILLED)
        recipe = [RECIPE] if batches is None else [script, RECIPE, batches]
        return [
            start(
                [
                    *launch,
                    "--nnodes=2",
                    "--nproc_per_node=1",
                    "--rdzv_backend=c10d",
                    f"--rdzv_endpoint=localhost:{port}",
                    *recipe,
                    *streamed(arguments(corpus, tmp_path / "nodes")),
                    backend,
                ]
            )
            for _ in range(2)
        ]

    for node in nodes(batches=5):
        node.communicate(timeout=300)
        assert node.returncode != 0
    for node in nodes():
        finish(node)
    finish(ddp)
    assert [line["epoch"] for line in read_log(tmp_path / "one")] == [1, 2]
    assert read_log(tmp_path / "nodes") == read_log(tmp_path / "one")


@pytest.mark.slow
def test_two_processes_and_the_other_yamls(corpus, tmp_path):
    launch = ["-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc_per_node=2", RECIPE]
    ddp = start(
        [
            *launch,
            *arguments(corpus, tmp_path / "ddp"),
            "--distributed_backend=gloo",
        ]
    )
    # the published settings around a small encoder
    base = start(
        [
            RECIPE,
            *arguments(corpus, tmp_path / "base", BASE),
            "--encoder=!include:../blocks/emotion2vec_s_tiny.yaml",
            "--model={average_top_k_layers: 1}",
            "--emotions=[angry, sad]",
            "--num_classes=2",
            "--debug",
        ]
    )
    finish(ddp)
    assert [line["epoch"] for line in read_log(tmp_path / "ddp")] == [1, 2]
    encoder = tmp_path / "ddp" / "encoder"
    continued = start(
        [
            RECIPE,
            *arguments(corpus, tmp_path / "tapt"),
            f"--overlay={TAPT}",
            f"--start_from={encoder}",
            "--debug",
        ]
    )
    finish(base)
    finish(continued)
    for name in ("base", "tapt"):
        (line,) = read_log(tmp_path / name)[:1]
        assert np.isfinite(line["valid_loss"])
    assert read_log(tmp_path / "base")[0]["valid_head_loss"] > 0


def test_the_yaml_reaches_the_dataloader(corpus, tmp_path):
    """Without workers none has batches ready: DataLoader says so."""
    output = tmp_path / "ready"
    ready = "--dataloader_opts={prefetch_factor: 3}"
    run = start([RECIPE, *arguments(corpus, output), ready])
    assert "prefetch_factor" in run.communicate(timeout=300)[0]
    assert run.returncode != 0


def test_an_unknown_emotion_is_named(corpus, tmp_path):
    output = tmp_path / "unknown"
    run = start([RECIPE, *arguments(corpus, output), "--emotions=[angry]"])
    message = run.communicate(timeout=300)[0]
    assert run.returncode != 0
    assert "'sad', which is none of angry" in message


@pytest.fixture
def comparison():
    """The script that compares losses, as a module."""
    return load_script(ROOT / "recipes/Emotion2VecS/compare_losses.py")


def test_further_items_are_pretrained_on(comparison, corpus, tmp_path):
    items = read_manifest(corpus / "train.json")
    names = iter(items)
    fold, further = tmp_path / "fold_1", tmp_path / "further.json"
    for split in ("train", "valid", "test"):
        name = next(names)
        row = {**items[name], "speaker": f"speaker of {split}"}
        write_manifest({name: row}, fold / f"{split}.json")
    assert comparison.pretraining_items(fold, None, tmp_path) == (
        fold / "train.json"
    )
    write_manifest({name: items[name] for name in names}, further)
    manifest = comparison.pretraining_items(fold, further, tmp_path)
    assert len(read_manifest(manifest)) == len(items) - 2
    write_manifest(read_manifest(fold / "test.json"), further)
    with pytest.raises(ManifestError, match="further items and test"):
        comparison.pretraining_items(fold, further, tmp_path)


def test_compare_losses_does_nothing_twice(
    comparison, corpus, tmp_path, monkeypatch
):
    script = comparison
    settings = YAML().load(Path(TINY).read_text(encoding="utf-8"))
    for changed in script.WEIGHTS.values():
        assert set(changed or ()) <= set(settings["weights"])

    items = json.loads((corpus / "train.json").read_text())
    named = {k: row for k, row in items.items() if "emotion" in row}
    fold = tmp_path / "folds/fold_1"
    fold.mkdir(parents=True)
    for split in ("train", "test"):
        (fold / f"{split}.json").write_text(json.dumps(named))
    monkeypatch.setattr(script, "WEIGHTS", {"random": None})
    monkeypatch.setattr(script, "MAPPED", ("random",))
    out = tmp_path / "out"
    command = ["x", str(fold.parent), str(out), "--seeds", "1", "2"]
    monkeypatch.setattr(sys, "argv", command)
    script.main()
    found = (out / "losses.json").read_text()
    assert set(json.loads(found)["random"]) == {"1", "2"}
    monkeypatch.setattr(script.Step, "run", None)  # whatever is done stays
    script.main()
    assert (out / "losses.json").read_text() == found
