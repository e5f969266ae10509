"""What the tests of the C2SER recipes share: a corpus, models, options."""

import importlib
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import speechbrain
from device import DEVICE, needs_processes
from scripts import scripts_in

from speechbrain_c2ser.chain_of_thought.prosody import annotate
from speechbrain_c2ser.checkpoints.emotion2vec_folder import save_emotion2vec
from speechbrain_c2ser.data.arrow_writing import write_arrow_manifest
from speechbrain_c2ser.data.manifest import read_manifest, write_manifest
from speechbrain_c2ser.data.synthetic import corpus as synthetic

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes" / "C2SER"
# For the models of tests/conftest.py.
CONNECTOR = """connector:
    num_heads: 2
    ffn_size: 32
"""


@pytest.fixture(scope="session", autouse=True)
def no_environment_description():
    """Runs of a second do not list every installed package first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            speechbrain.utils.logger, "get_environment_description", str
        )
        yield


@contextmanager
def scripts_of(folder, names):
    """importlib.import_module, for the scripts of a recipe's folder.

    Other recipes have scripts of the same names, too.
    """
    others = {name: sys.modules.pop(name, None) for name in names}
    with scripts_in(folder) as imported:
        yield imported
    for name, module in others.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


@pytest.fixture(scope="module")
def classifier_scripts():
    """name -> the script of recipes/EmotionRecognition as a module."""
    folder = ROOT / "recipes" / "EmotionRecognition"
    names = ("train", "folds", "cross_validate", "closed_form", "splits")
    with scripts_of(folder, names) as imported:
        yield imported


@pytest.fixture(scope="session")
def recipe():
    """recipe(name) -> the script of recipes/C2SER as a module."""
    with scripts_in(RECIPES) as imported:
        yield imported


@pytest.fixture(scope="module")
def benchmark():
    """benchmark(name) -> the script of benchmarks as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        # they add folders of their own
        patch.setattr(sys, "path", list(sys.path))
        yield importlib.import_module


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Four synthetic voices with their speaking styles."""
    folder = tmp_path_factory.mktemp("corpus")
    paths = synthetic.prepare(
        folder,
        train_voices=2,
        valid_voices=1,
        test_voices=1,
        train_repeats=1,
        valid_repeats=1,
        test_repeats=1,
        num_workers=1,
    )
    thresholds = None
    for path in paths.values():
        items = read_manifest(path)
        thresholds = annotate(items, thresholds, workers=1, progress=False)
        write_manifest(items, path)
    return folder


@pytest.fixture(scope="session")
def streams(corpus, tmp_path_factory):
    """The same training and validation sets as Arrow, the first in shards."""
    folder = tmp_path_factory.mktemp("streams")
    (folder / "train").mkdir()
    pairs = list(read_manifest(corpus / "train.json").items())
    for name, part in {"a": pairs[:9], "b": pairs[9:]}.items():
        write_arrow_manifest(part, folder / "train" / f"{name}.arrow")
    valid = read_manifest(corpus / "valid.json")
    write_arrow_manifest(valid, folder / "valid.arrow")
    return {
        "train_manifest": folder / "train",
        "valid_manifest": folder / "valid.arrow",
    }


@pytest.fixture(scope="session")
def models(tiny_llm, tiny_whisper, build_emotion2vec, tmp_path_factory):
    """Command-line options that name tiny models."""
    folder = tmp_path_factory.mktemp("models")
    encoder, overlay = folder / "encoder", folder / "overlay.yaml"
    save_emotion2vec(build_emotion2vec(), encoder)
    overlay.write_text(CONNECTOR)
    return [
        f"--whisper_source={tiny_whisper}",
        f"--llm_source={tiny_llm}",
        f"--emotion2vec_source={encoder}",
        f"--overlay={overlay}",
    ]


@pytest.fixture(scope="session")
def options(tmp_path_factory):
    """options(corpus, output, more=(), **changes) -> arguments.

    Of a short run on the processor; what `changes` sets to None is left as
    the yaml has it.
    """

    features = tmp_path_factory.mktemp("features")

    def build(corpus, output, more=(), **changes):
        settings = {
            "output_folder": output,
            "feature_folder": features,
            "train_manifest": corpus / "train.json",
            "valid_manifest": corpus / "valid.json",
            "batching": "{batch_seconds: 12.0, num_buckets: 2}",
            "number_of_epochs": 2,
            "precision": "fp32",
            "device": DEVICE,
            **changes,
        }
        given = [f"--{k}={v}" for k, v in settings.items() if v is not None]
        return [*given, "--noprogressbar", *more]

    return build


# Runs a stage and kills it, as an outage would, after so many batches.
KILLED = """
import importlib, os, signal, sys
folder, batches, script, brain = sys.argv[1:5]
del sys.argv[1:5]
sys.path.insert(0, folder)
batches, stage = int(batches), importlib.import_module(script)
brain = getattr(stage, brain)
fit_batch = brain.fit_batch
def counted(self, batch):
    global batches
    if batches == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    batches -= 1
    return fit_batch(self, batch)
brain.fit_batch = counted
stage.train(brain, *stage.load_experiment())
"""


@pytest.fixture(scope="session")
def kill_after():
    """kill_after(batches, script, brain, argv): a run that is killed."""

    def run(batches, script, brain, argv):
        needs_processes()
        command = [sys.executable, "-c", KILLED, str(RECIPES), str(batches)]
        killed = subprocess.run(
            [*command, script, brain, *argv],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]

    return run
