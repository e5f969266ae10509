#!/usr/bin/env python3
"""The main job end to end: corpus → stages → evaluation → report.

> python recipes/Synthetic/run_demo.py
> python recipes/Synthetic/run_demo.py --data FOLDER
> python recipes/Synthetic/run_demo.py --data FOLDER --size small_data

Every step is a recipe script that a full-size run uses too, called with its
``tiny`` yaml. A finished step leaves a stamp: run again after Ctrl-C and the
work goes on where it stopped. A step whose command, yaml or earlier step
changed is done anew. A step is a line on the terminal; what its script says
is in the log.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from pretrained_demo import PretrainedDemo
from ruamel.yaml import YAML
from steps import ROOT, Step, StepFailed, run_steps

from speechbrain_c2ser.chain_of_thought.answers import answer_language
from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.manifest import SPLITS, read_manifest

DEMO_UTTERANCES = 4760
MOST_REPEATS = 3
# What the warm-up makes of the synthetic corpus, kept to save its minutes.
WARM_WHISPER = ROOT / "recipes/Synthetic/tiny_whisper"
# Published: trained in both stages. Here that would cost half a minute.
FROZEN_WHISPER = ["--overlay", "hparams/c2ser/ablations/frozen_whisper.yaml"]
# Kept, so longer than the yaml's epochs: fewer wrong phonemes cost no demo.
WARM_UP_SHARE = 14 / 6
IMPLICIT_SHARE = 2 / 3  # of the epochs: the second stage starts from the first


def corpus_steps(
    output: Path,
    data: Path | None,
    check: Callable[[Path], None] | None = None,
) -> list[Step]:
    """The corpus (synthetic, or a user's folder) and its speaking styles.

    What ``check`` refuses is refused before the corpus is told as done.
    """
    if data is None:
        yaml, options, source = "hparams/synthetic/corpus.yaml", [], "synthetic"
        title = "synthesizes the voices"
    else:
        yaml, source = "hparams/synthetic/recordings.yaml", str(data.resolve())
        options, title = [f"--data_folder={source}"], "reads the recordings"
    corpus, style = output / "corpus", output / "style"
    prepare = ["recipes/Synthetic/prepare.py", yaml]
    return [
        Step(
            "corpus",
            corpus,
            [*prepare, f"--save_folder={corpus}", *options],
            title,
            checked(check) if check else corpus_figure,
            source,
        ),
        Step(
            "style",
            style,
            ["recipes/C2SER/annotate_style.py", corpus, style],
            "measures pitch, loudness and rate",
        ),
    ]


class Demo:
    """The steps on a prepared corpus, in order.

    Arguments
    ---------
    output : Path
        Folder of the run, with ``corpus`` and ``style`` in it.
    from_scratch : bool
        Whether the tiny Whisper is warmed up here rather than taken ready.
    """

    def __init__(self, output: Path, from_scratch: bool = False):
        self.output = output
        self.corpus = json.loads((output / "corpus/corpus.json").read_text())
        self.manifest = {s: output / f"style/{s}.json" for s in SPLITS}
        items = read_manifest(self.manifest["train"])
        self.utterances = len(items)
        self.languages = sorted(
            {answer_language(item.get("language")) for item in items.values()}
        )
        self.content = all(item.get("transcript") for item in items.values())
        self.encoder = output / "emotion2vec_s/encoder"
        self.synthetic = bool(self.corpus.get("synthetic"))
        self.warm_up = self.content and (from_scratch or not self.synthetic)
        self.cold_whisper = WARM_WHISPER
        if from_scratch:
            self.cold_whisper = output / "models/tiny_whisper"
        self.whisper = self.cold_whisper
        if self.warm_up:
            self.whisper = output / "whisper_warm_up/whisper"

    def steps(self) -> list[Step]:
        """Pre-training, both stages and the evaluation."""
        stage_one = self.output / "explicit/c2ser"
        return [
            self.models(),
            self.pretraining(),
            self.embeddings(
                "before", "random:hparams/blocks/emotion2vec_s_tiny.yaml"
            ),
            self.embeddings("after", self.encoder),
            *([self.warming_up()] if self.warm_up else []),
            self.stage(
                "explicit",
                "stage 1: style, content, then emotion",
                f"--llm_source={self.output / 'models/tiny_llm'}",
            ),
            self.stage(
                "implicit",
                "stage 2: the emotion at once",
                *FROZEN_WHISPER,
                f"--llm_source={stage_one / 'llm'}",
                f"--start_from={stage_one}",
                share=IMPLICIT_SHARE,
            ),
            self.evaluation("explicit"),
            self.evaluation("implicit"),
        ]

    def models(self) -> Step:
        folder = self.output / "models"
        script = "recipes/Synthetic/make_tiny_models.py"
        command = [script, self.manifest["train"], folder]
        return Step(
            "models",
            folder,
            [*command, "--languages", *self.languages],
            "makes a small language model",
        )

    def pretraining(self) -> Step:
        return self.training(
            "emotion2vec_s",
            "recipes/Emotion2VecS/pretrain.py",
            "hparams/emotion2vec_s/tiny.yaml",
            title="stage 0: pre-trains the acoustic encoder",
            figure=last_epoch("train_loss", "loss"),
        )

    def warming_up(self) -> Step:
        return self.training(
            "whisper_warm_up",
            "recipes/C2SER/warm_up_whisper.py",
            "hparams/c2ser/warm_up_tiny.yaml",
            f"--whisper_source={self.cold_whisper}",
            title="teaches the semantic encoder phonemes",
            figure=last_epoch(
                "valid_phoneme_error_rate", "phoneme error rate (valid)"
            ),
            share=WARM_UP_SHARE if self.synthetic else 1.0,
        )

    def stage(self, name: str, title: str, *options, share=1.0) -> Step:
        return self.training(
            name,
            f"recipes/C2SER/train_{name}.py",
            "hparams/c2ser/sizes/tiny.yaml",
            f"--label_names={json.dumps(self.corpus['labels'])}",
            f"--languages={json.dumps(self.languages)}",
            f"--content={self.content}",
            f"--whisper_source={self.whisper}",
            f"--emotion2vec_source={self.encoder}",
            f"--feature_folder={self.output / 'features'}",
            *options,
            title=title,
            figure=last_epoch("valid_ua", "UA (valid)"),
            share=share,
        )

    def training(
        self, name, script, yaml, *options, title, figure, share=1.0
    ) -> Step:
        folder = self.output / name
        number = round(share * epochs(yaml, self.utterances))
        command = [
            script,
            yaml,
            f"--output_folder={folder}",
            *(f"--{s}_manifest={self.manifest[s]}" for s in ("train", "valid")),
            f"--number_of_epochs={number}",
            *options,
        ]
        return Step(name, folder, command, title, figure)

    def embeddings(self, name: str, source) -> Step:
        """Vectors for the report's map; the report has a probe of its own."""
        return Step(
            f"embeddings_{name}",
            self.output / f"embeddings_{name}",
            [
                "recipes/Emotion2VecS/probe.py",
                source,
                f"--train={self.manifest['train']}",
                f"--test={self.manifest['test']}",
                f"--save={self.output / f'embeddings_{name}.npz'}",
                "--no-classifier",
            ],
            f"embeds the test voices {name} stage 0",
        )

    def evaluation(self, mode: str) -> Step:
        folder = self.output / f"evaluation_{mode}"
        return Step(
            f"evaluation_{mode}",
            folder,
            [
                "recipes/C2SER/evaluate.py",
                "hparams/c2ser/evaluate.yaml",
                f"--output_folder={folder}",
                f"--result_file={self.output / mode}.json",
                f"--c2ser_folder={self.output / mode / 'c2ser'}",
                f"--test_manifest={self.manifest['test']}",
                f"--mode={mode}",
            ],
            f"asks about the unseen voices, {mode} answers",
            lambda _: evaluation_figure(self.output / f"{mode}.json"),
        )


def epochs(yaml: str, utterances: int) -> float:
    """Epochs of a tiny yaml, more of them on a corpus smaller than the demo's.

    The yamls are made for the synthetic corpus; a small one would else see
    too few updates to learn anything.
    """
    settings = YAML().load((ROOT / yaml).read_text(encoding="utf-8"))
    more = min(max(DEMO_UTTERANCES / utterances, 1), MOST_REPEATS)
    return settings["number_of_epochs"] * more


def corpus_figure(folder: Path) -> str:
    """Utterances of each split."""
    counts = [len(read_manifest(folder / f"{split}.json")) for split in SPLITS]
    return "{} utterances to train on, {} to choose by, {} to test on".format(
        *counts
    )


def checked(check: Callable[[Path], None]) -> Callable[[Path], str]:
    """The figure of a corpus that a check lets pass."""

    def figure(folder: Path) -> str:
        check(folder)
        return corpus_figure(folder)

    return figure


def last_epoch(key: str, name: str):
    """A figure of the last epoch in a training's log."""

    def figure(folder: Path) -> str:
        lines = (folder / "train_log.jsonl").read_text().splitlines()
        return f"{name} {json.loads(lines[-1])[key]:.3f}"

    return figure


def evaluation_figure(result: Path) -> str:
    """UA on the test voices, and the content error where there is one."""
    metrics = json.loads(result.read_text())["metrics"]
    sentence = f"UA {metrics['ua']:.3f}"
    if metrics.get("content_error_rate") is not None:
        sentence += f", content error {metrics['content_error_rate']:.3f}"
    return sentence


def describe_run(output: Path, times: dict) -> None:
    """Facts of the run beside its figures, for the report."""
    corpus = json.loads((output / "corpus/corpus.json").read_text())
    run = json.loads((output / "implicit/run.json").read_text())
    evaluation = {**corpus, "versions": run["versions"], "seed": run["seed"]}
    write_atomic(json.dumps(evaluation, indent=1), output / "evaluation.json")
    write_atomic(json.dumps(times, indent=1), output / "times.json")


def run(
    output: Path,
    data: Path | None,
    from_scratch: bool,
    pretrained: PretrainedDemo | None = None,
) -> None:
    """Do what is not done yet, then write and print the report."""
    sources = corpus_steps(output, data, pretrained and pretrained.check)
    fresh = not output.exists()
    output.mkdir(parents=True, exist_ok=True)
    log = output / "log.txt"
    try:
        times, key = run_steps(sources[:1], log=log)
    except StepFailed as error:
        if not fresh:
            raise
        # Refused before anything was made: nothing is left, no log either.
        shutil.rmtree(output, ignore_errors=True)
        raise StepFailed(str(error).splitlines()[0]) from error
    print(f"   (what the scripts say is in {log})", flush=True)
    more, key = run_steps(sources[1:], key, log, 1)
    times.update(more)
    if pretrained is None:
        steps = Demo(output, from_scratch).steps()
    else:
        figure = last_epoch("valid_ua", "UA (valid)")
        steps = pretrained.steps(output, figure, evaluation_figure)
    more, key = run_steps(steps, key, log, len(sources))
    times.update(more)
    describe_run(output, times)
    shutil.copytree(
        output / "implicit/c2ser", output / "c2ser", dirs_exist_ok=True
    )
    if pretrained is None:
        report = ["recipes/Synthetic/report.py", output]
        run_steps([Step("report", output / "report", report)], key)
    else:
        print(f"Reports: {output}/evaluation_*/*/report.md")
    print(f"{sum(times.values()):.0f} s in all.")


def main() -> None:
    """Read the command line and run what is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help="a folder of recordings")
    parser.add_argument("--output", type=Path, help="results/demo[_NAME]")
    parser.add_argument(
        "--from-scratch",
        action="store_true",
        default=os.environ.get("FROM_SCRATCH") == "1",
        help="warm the tiny Whisper up here (ten minutes)",
    )
    parser.add_argument("--size", help="pre-trained parts: small_data")
    for part in ("whisper", "llm", "emotion2vec"):
        parser.add_argument(f"--{part}", help="with --size: folder or hub id")
    options = parser.parse_args()
    sources = {p: getattr(options, p) for p in ("whisper", "llm")}
    sources["emotion2vec"] = options.emotion2vec
    if options.size is None and any(sources.values()):
        parser.error("pre-trained parts go with --size (SIZE=small_data).")
    if options.size is not None and options.data is None:
        parser.error("--size needs recordings: --data (DATA=folder).")
    output = options.output
    if output is None:
        name = "demo" if options.size is None else f"demo_{options.size}"
        if options.data is not None:
            places = options.data.resolve().parts[1:]
            name = "_".join([name, *places[-2:]])
        output = ROOT / "results" / name
    try:
        pretrained = options.size and PretrainedDemo(options.size, sources)
        run(output.resolve(), options.data, options.from_scratch, pretrained)
    except StepFailed as error:
        sys.exit(f"make demo: {error}")
    except KeyboardInterrupt:
        sys.exit("\nmake demo: stopped; run it again to go on from here.")


if __name__ == "__main__":
    main()
