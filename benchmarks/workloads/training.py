"""An epoch of a recipe on random weights, useful operations counted."""

import importlib.util
import io
import sys
from pathlib import Path

import c2ser_training
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.epoch_loop import EpochCounter

from speechbrain_c2ser.data.dataset import (
    loader_options,
    sample_waveforms,
    speech_dataset,
)
from speechbrain_c2ser.data.manifest import write_manifest
from speechbrain_c2ser.training.experiment import merge_yaml
from workloads.counting import host_reads, operations

ROOT = Path(__file__).resolve().parents[2]


class Training:
    """An epoch of a recipe, without validation; frozen parts' features kept.

    Arguments
    ---------
    name : str
        "stage_0", "stage_1", "stage_2" or "classifier".
    size : str
        "tiny" or "base" (the classifier from scratch has one size).
    folder : Path
        For all that is written; is made.
    device, precision : str
        Of the run.
    **overrides
        Of the yaml: name -> value.
    """

    def __init__(
        self, name, size, folder, device="cpu", precision="fp32", **overrides
    ):
        folder.mkdir(parents=True)
        self.name, self.size, self.folder = name, size, folder
        self.device, self.precision = device, precision
        self.overrides = overrides

    def open(self, seconds):
        """Build the Brain and its data; returns itself."""
        rows = c2ser_training.write_corpus(self.folder, seconds)
        if self.name == "stage_0":
            self._open_stage_0(rows)
        elif self.name == "classifier":
            self._open_classifier(rows)
        else:
            self._open_c2ser(rows)
        return self

    def _brain(self, brain_class, hparams):
        self.hparams = hparams
        self.brain = c2ser_training.brain_of(
            brain_class, hparams, self.device, self.precision
        )

    def _load(self, yaml, rows, **overrides):
        """A recipe's yaml on these rows."""
        manifest = self.folder / "rows.json"
        write_manifest(rows, manifest)
        overrides |= self.overrides | {
            "output_folder": self.folder / "output",
            "train_manifest": manifest,
        }
        lines = "".join(f"{name}: {at}\n" for name, at in overrides.items())
        stream = io.StringIO(merge_yaml(ROOT / "hparams" / yaml, (), lines))
        stream.name = str(ROOT / "hparams" / yaml)
        return load_hyperpyyaml(stream)

    def _open_stage_0(self, rows):
        recipe = recipe_of("Emotion2VecS/pretrain.py")
        hparams = self._load(
            f"emotion2vec_s/{self.size}.yaml",
            rows,
            valid_manifest=self.folder / "rows.json",
            num_workers=0,
        )
        data, loaders = recipe.prepare_data(hparams)
        spectrum = hparams["model"].encoder.front_end.spectrum
        if spectrum is not None:
            spectrum.fit(sample_waveforms(data["train"]))
        self._brain(recipe.PretrainingBrain, hparams)
        self.dataset, self.loader = data["train"], loaders["train"]

    def _open_classifier(self, rows):
        recipe = recipe_of("EmotionRecognition/train.py")
        hparams = self._load("emotion_recognition/from_scratch.yaml", rows)
        self.dataset = recipe.read_splits(hparams)["train"]
        self._brain(recipe.EmotionBrain, hparams)
        self.brain.fill_cache([self.dataset])
        self.loader = recipe.train_loader(self.dataset, hparams)

    def _open_c2ser(self, rows):
        stage = {"stage_1": "Explicit", "stage_2": "Implicit"}[self.name]
        recipe = recipe_of(f"C2SER/train_{stage.lower()}.py")
        hparams = c2ser_training.load(
            self.size, self.folder, self.device, **self.overrides
        )
        self.dataset = speech_dataset(rows)
        self._brain(getattr(recipe, f"{stage}Brain"), hparams)
        self.brain.fill_cache(self.dataset)
        self.loader = loader_options(
            self.dataset, **hparams["batching"] | {"num_workers": 0}
        )

    def __call__(self, clips=None):
        """Train an epoch."""
        torch.manual_seed(0)
        self._fit(self.loader)

    def done(self, clips=None):
        """Operations of an epoch."""
        return operations(self)[0]

    def host_reads(self):
        """How often Python waits for a tensor's values, in a step."""
        reads = sum(host_reads(self, within="fit_batch").values())
        return reads / self.brain.batches_per_epoch

    def useful(self, clips=None):
        """The same without padding, nothing computed twice."""
        for part in ("language_model", "semantic_encoder"):
            module = self.hparams.get(part)
            if module is not None:  # recomputing is computing twice
                module = getattr(module, "model", None) or module.encoder
                module.gradient_checkpointing_disable()
        pairs = {"batch_sampler": [[n, n] for n in self._drawn()]}
        if "collate_fn" in self.loader:
            pairs["collate_fn"] = self.loader["collate_fn"]
        torch.manual_seed(0)
        return operations(lambda: self._fit(pairs))[0] / 2

    def _drawn(self):
        """Items of an epoch: balanced sampling takes some more than once."""
        batches = self.loader["batch_sampler"]
        if hasattr(batches, "set_epoch"):
            batches.set_epoch(1)
        return [number for batch in batches for number in batch]

    def _fit(self, loader):
        self.brain.optimizer_step = 0
        self.brain.fit(
            EpochCounter(1), self.dataset, train_loader_kwargs=dict(loader)
        )


def recipe_of(path):
    """A recipe's script as a module; its neighbours can be imported."""
    script = ROOT / "recipes" / path
    if str(script.parent) not in sys.path:
        sys.path.insert(0, str(script.parent))
    spec = importlib.util.spec_from_file_location(script.stem, script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
