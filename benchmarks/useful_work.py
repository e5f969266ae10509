#!/usr/bin/env python3
"""How much of the work is useful, and how near to the machine it is done.

    python benchmarks/useful_work.py --sizes tiny base --json FILE
    python benchmarks/useful_work.py --sizes tiny --against FILE

Two ratios of every workload, which hold on any machine:

useful / done
    Operations (torch.utils.flop_counter) without padding and with nothing
    computed twice, over those that were done. What a clip needs is half of
    what a batch of it and its copy takes: such a batch has no padding, and
    shares what the clips of a batch share. Taken off are what a question
    costs that each item reads again, and what the scoring of a written
    answer reads again; for these two, a position counts as every other.
done / machine
    Operations per second of the processor's time, over those of plain matrix
    products just before and after; the median of the repeats.

Random weights, noise. `short` has clips of 2 to 8 s, `long_tail` of 0.5 to
30 s, most of them short. ``--against`` ends with an error where a ratio is
lower than the stored one: by more than 0.01 (useful) or a fifth (machine).
"""

import argparse
import importlib.util
import io
import json
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.epoch_loop import EpochCounter
from torch.utils.flop_counter import FlopCounterMode

from speechbrain_c2ser.data.dataset import (
    loader_options,
    sample_waveforms,
    speech_dataset,
)
from speechbrain_c2ser.data.manifest import write_manifest
from speechbrain_c2ser.inference.emotion2vec import Emotion2VecSEncoder
from speechbrain_c2ser.training.experiment import merge_yaml
from speechbrain_c2ser.training.memory import keep_freed_memory

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "benchmarks")]

import c2ser_speed  # noqa: E402
import c2ser_training  # noqa: E402

INFERENCE = ["features", "classify", "describe"]
TRAINING = ["stage_0", "stage_1", "stage_2", "classifier"]
SIZES, CLIPS = ["tiny", "base"], ["short", "long_tail"]
NEW_TOKENS = 20  # of a described clip
MATRICES = 1024, 768, 3072  # rows, inputs and outputs of the plain products
USEFUL_LESS, MACHINE_LESS = 0.01, 0.2  # of the stored ratio


def lengths_of(clips, count, seed=0):
    """Seconds of each clip.

    Arguments
    ---------
    clips : str
        "short" or "long_tail".
    count : int
        Number of clips.
    seed : int
        Of the draw.

    Returns
    -------
    list of float
    """
    rng = np.random.default_rng(seed)
    if clips == "short":
        return rng.uniform(2.0, 8.0, count).round(2).tolist()
    drawn = np.exp(rng.normal(np.log(4.0), 1.0, count))
    return drawn.clip(0.5, 30.0).round(2).tolist()


def operations(function):
    """Operations that a call takes, and what it returns."""
    with FlopCounterMode(display=False) as counter:
        result = function()
    return counter.get_total_flops(), result


def machine_rate(seconds=0.3):
    """Operations per second of this process's time in plain products."""
    rows, inputs, outputs = MATRICES
    left, right = torch.randn(rows, inputs), torch.randn(inputs, outputs)
    left @ right
    done, started = 0, time.process_time()
    while time.process_time() - started < seconds:
        left @ right
        done += 2 * rows * inputs * outputs
    return done / (time.process_time() - started)


class ReadAgain:
    """Operations on what a language model has read before, while it describes.

    Generating, each item reads the question; scoring what was written, all but
    the endings. A position counts as every other.

    Arguments
    ---------
    language_model : speechbrain_c2ser.lobes.LanguageModel
        Is watched until :meth:`stop`.
    counter : FlopCounterMode
        Counts meanwhile.
    question : int
        Positions of the question.
    """

    def __init__(self, language_model, counter, question):
        self.operations = 0.0
        self._lm, self._counter = language_model, counter
        self._question, self._score = question, language_model.score
        language_model.score = self._scored
        decoder = language_model.model.get_decoder()
        self._scoring = False
        self._hooks = [
            decoder.register_forward_pre_hook(self._started),
            decoder.register_forward_hook(self._read),
        ]

    def stop(self):
        """Watch no longer."""
        self._lm.score = self._score
        for hook in self._hooks:
            hook.remove()

    def _scored(self, merged, endings, prompt=None):
        self._scoring, before = True, self._counter.get_total_flops()
        scores = self._score(merged, endings, prompt)
        self._scoring = False
        done = self._counter.get_total_flops() - before
        old = int(merged.attention_mask.sum())
        new = sum(len(each) - 1 for item in endings for each in item)
        self.operations += done * old / (old + new)
        return scores

    def _started(self, module, args):
        self._before = self._counter.get_total_flops()

    def _read(self, module, args, output):
        positions = output.last_hidden_state.shape[1]
        if self._scoring or positions <= self._question:
            return  # a further token
        done = self._counter.get_total_flops() - self._before
        self.operations += done * self._question / positions


class Inference:
    """``features``, ``classify`` and ``describe`` of files.

    Arguments
    ---------
    name : str
        Which of them.
    c2ser : speechbrain_c2ser.inference.C2SER
        Random weights.
    batch_size : int
        As of the three.
    """

    def __init__(self, name, c2ser, batch_size=8):
        self.name, self.batch_size = name, batch_size
        self.c2ser = c2ser
        encoder = c2ser.mods.model.perception.acoustic_encoder
        self.encoder = Emotion2VecSEncoder(encoder, {})

    def __call__(self, paths, batch_size=None):
        """Answer all files."""
        options = {"batch_size": batch_size or self.batch_size}
        if self.name == "features":
            rows = self.encoder.encode_files(paths, **options)
        elif self.name == "classify":
            rows = self.c2ser.iter_files(paths, **options)
        else:
            rows = self.c2ser.describe_files(
                paths, **options, max_new_tokens=NEW_TOKENS
            )
        rows = list(rows)
        errors = [row.error for row in rows if row.error is not None]
        if errors:
            raise RuntimeError(errors[0])
        return rows

    def done(self, paths):
        """Operations of all files, from a question that nobody has read."""
        self.c2ser.mods.model.eval()  # forgets
        return operations(lambda: self(paths))[0]

    def useful(self, paths):
        """The same without padding, nothing computed twice."""
        model = self.c2ser.mods.model
        mode = "implicit" if self.name == "classify" else "explicit"
        question = model.language_model.tokenize(self.c2ser.prompt(mode))
        model.eval()
        first, _ = operations(lambda: self([paths[0]] * 2, 2))
        total = 0.0
        for number, path in enumerate(paths):
            with FlopCounterMode(display=False) as counter:
                again = ReadAgain(model.language_model, counter, len(question))
                self([path] * 2, 2)
                again.stop()
            total += counter.get_total_flops() / 2
            if self.name == "describe":  # what is written is then scored
                total -= again.operations / 2
            if number == 0:  # the question, once
                total += first - counter.get_total_flops()
        return total


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
    """

    def __init__(self, name, size, folder):
        folder.mkdir(parents=True)
        self.name, self.size, self.folder = name, size, folder

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
        self.brain = brain_class(
            modules=hparams["modules"],
            opt_class=hparams["opt_class"],
            hparams=hparams,
            run_opts={
                "device": "cpu",
                "precision": "fp32",
                "noprogressbar": True,
                "max_grad_norm": hparams.get("max_grad_norm", 5.0),
                "ckpt_interval_minutes": 0,
            },
            checkpointer=hparams["checkpointer"],
        )

    def _load(self, yaml, rows, **overrides):
        """A recipe's yaml on these rows."""
        manifest = self.folder / "rows.json"
        write_manifest(rows, manifest)
        overrides |= {
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
            spectrum.fit(sample_waveforms(rows))
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
        hparams = c2ser_training.load(self.size, self.folder)
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

    def useful(self, clips=None):
        """The same without padding, nothing computed twice."""
        for part in ("language_model", "semantic_encoder"):
            module = self.hparams.get(part)
            if module is not None:  # recomputing is computing twice
                module = getattr(module, "model", None) or module.encoder
                module.gradient_checkpointing_disable()
        pairs = {"batch_sampler": [[n, n] for n in range(len(self.dataset))]}
        if "collate_fn" in self.loader:
            pairs["collate_fn"] = self.loader["collate_fn"]
        torch.manual_seed(0)
        return operations(lambda: self._fit(pairs))[0] / 2

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


def measure(workload, clips=None, repeats=5):
    """Both ratios of a workload, and the process's figures.

    Arguments
    ---------
    workload : Inference | Training
        What is done with the clips.
    clips : list of Path | None
        Of inference.
    repeats : int
        Timed runs, each between two of plain products; 0: none.

    Returns
    -------
    dict
    """
    done = workload.done(clips)  # warms up
    shares, processor, wall = [], [], []
    for _ in range(repeats):
        before = machine_rate()
        started, clock = time.process_time(), time.perf_counter()
        workload(clips)
        processor.append(time.process_time() - started)
        wall.append(time.perf_counter() - clock)
        rate = (before + machine_rate()) / 2
        shares.append(done / processor[-1] / rate)
    figures = {"done": done, "useful": workload.useful(clips)}
    figures["useful_share"] = figures["useful"] / done
    if repeats:
        figures["machine_share"] = statistics.median(shares)
        figures["machine_shares"] = [round(each, 4) for each in shares]
        figures["processor_seconds"] = statistics.median(processor)
        figures["wall_seconds"] = statistics.median(wall)
    return figures


def regressions(figures, stored):
    """A sentence for each ratio that is lower than the stored one.

    Arguments
    ---------
    figures : dict
        Workload -> what :func:`measure` gave.
    stored : dict
        The same of an earlier run.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        Where both have no workload in common.
    """
    common = [name for name in figures if name in stored]
    if not common:
        raise ValueError(
            "No workload was measured that is stored: give the same --sizes, "
            "--workloads and --clips."
        )
    worse = []
    for name in common:
        for ratio, least in (
            ("useful_share", lambda old: old - USEFUL_LESS),
            ("machine_share", lambda old: old * (1 - MACHINE_LESS)),
        ):
            now, before = figures[name].get(ratio), stored[name].get(ratio)
            if None not in (now, before) and now < least(before):
                worse.append(f"{name}: {ratio} {now:.3f}, was {before:.3f}")
    return worse


def workloads(size, options, folder):
    """(name, workload, its clips) one after the other."""
    for name in options.workloads:
        for clips in options.clips:
            seconds = lengths_of(clips, options.count)
            key = f"{size}/{name}/{clips}/{options.count}"
            place = folder / key.replace("/", "_")
            if name in INFERENCE:
                place.mkdir()
                rows = c2ser_training.write_corpus(place, seconds)
                c2ser = c2ser_speed.build(size, "cpu", "float32")
                paths = [row["wav"] for row in rows.values()]
                yield key, Inference(name, c2ser), paths
            else:
                yield key, Training(name, size, place).open(seconds), None


def main():
    """Measure, report, compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument(
        "--workloads", nargs="+", choices=INFERENCE + TRAINING,
        default=INFERENCE + TRAINING,
    )  # fmt: skip
    parser.add_argument("--clips", nargs="+", choices=CLIPS, default=CLIPS)
    parser.add_argument("--count", type=int, default=32, help="clips")
    parser.add_argument(
        "--repeats", type=int, default=5, help="timed runs; 0: count only"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="added to, if there")
    parser.add_argument("--against", metavar="FILE", help="of an earlier run")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            for key, workload, clips in workloads(size, options, Path(folder)):
                figures[key] = measure(workload, clips, options.repeats)
                share = figures[key].get("machine_share", float("nan"))
                print(
                    f"{key}: useful {figures[key]['useful_share']:.3f}, "
                    f"of the machine {share:.3f}",
                    flush=True,
                )
                if options.json:
                    store(figures, options.json)
    if options.against:
        stored = json.loads(Path(options.against).read_text())["workloads"]
        if worse := regressions(figures, stored):
            sys.exit("\n".join(["Lower than before:", *worse]))
        print("No ratio is lower than before.")


def store(figures, path):
    """Write figures over those that a file has of the same workloads."""
    path = Path(path)
    old = json.loads(path.read_text())["workloads"] if path.exists() else {}
    report = {
        "workloads": old | figures,
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        },
    }
    path.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
