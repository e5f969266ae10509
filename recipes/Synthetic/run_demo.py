#!/usr/bin/env python3
"""The main job end to end: corpus → stages → evaluation → report.

> python recipes/Synthetic/run_demo.py
> python recipes/Synthetic/run_demo.py --data FOLDER

Every step is a recipe script that a full-size run uses too, called with its
``tiny`` yaml. A finished step leaves a stamp: run again after Ctrl-C and the
work goes on where it stopped. A step whose command, yaml or earlier step
changed is done anew.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from ruamel.yaml import YAML
from steps import ROOT, Step, StepFailed, run_steps

from speechbrain_c2ser.chain_of_thought.answers import answer_language
from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.manifest import SPLITS, read_manifest

DEMO_UTTERANCES = 4760
MOST_REPEATS = 3
# Published: trained in both stages. Here that would cost half a minute.
FROZEN_WHISPER = ["--overlay", "hparams/c2ser/ablations/frozen_whisper.yaml"]
IMPLICIT_SHARE = 2 / 3  # of the epochs: the second stage starts from the first


def corpus_steps(output, data):
    """The corpus (synthetic, or a user's folder) and its speaking styles."""
    if data is None:
        yaml, source = "hparams/synthetic/corpus.yaml", []
    else:
        yaml = "hparams/synthetic/recordings.yaml"
        source = [f"--data_folder={Path(data).resolve()}"]
    corpus, style = output / "corpus", output / "style"
    prepare = ["recipes/Synthetic/prepare.py", yaml]
    return [
        Step("corpus", corpus, [*prepare, f"--save_folder={corpus}", *source]),
        Step(
            "style", style, ["recipes/C2SER/annotate_style.py", corpus, style]
        ),
    ]


def model_steps(output):
    """Pre-training, both stages and the evaluation, on a prepared corpus."""
    corpus = json.loads((output / "corpus/corpus.json").read_text())
    items = read_manifest(output / "style/train.json")
    languages = sorted(
        {answer_language(item.get("language")) for item in items.values()}
    )
    content = all(item.get("transcript") for item in items.values())
    models, encoder = output / "models", output / "emotion2vec_s/encoder"
    manifest = {split: output / f"style/{split}.json" for split in SPLITS}
    manifests = [f"--{s}_manifest={manifest[s]}" for s in ("train", "valid")]

    def train(name, script, yaml, *options, share=1.0):
        folder = output / name
        number = round(share * epochs(yaml, len(items)))
        command = [
            script,
            yaml,
            f"--output_folder={folder}",
            *manifests,
            f"--number_of_epochs={number}",
        ]
        return Step(name, folder, [*command, *options])

    def stage(name, *options, share=1.0):
        return train(
            name,
            f"recipes/C2SER/train_{name}.py",
            "hparams/c2ser/tiny.yaml",
            f"--label_names={json.dumps(corpus['labels'])}",
            f"--languages={json.dumps(languages)}",
            f"--content={content}",
            f"--whisper_source={whisper}",
            f"--emotion2vec_source={encoder}",
            f"--feature_folder={output / 'features'}",
            *options,
            share=share,
        )

    def embed(name, source):
        return Step(
            f"embeddings_{name}",
            output / f"embeddings_{name}",
            [
                "recipes/Emotion2VecS/probe.py",
                source,
                f"--train={manifest['train']}",
                f"--test={manifest['test']}",
                f"--save={output / f'embeddings_{name}.npz'}",
                "--no-classifier",  # the report has a probe of its own
            ],
        )

    def evaluate(mode):
        folder = output / f"evaluation_{mode}"
        return Step(
            f"evaluation_{mode}",
            folder,
            [
                "recipes/C2SER/evaluate.py",
                "hparams/c2ser/evaluate.yaml",
                f"--output_folder={folder}",
                f"--result_file={output / mode}.json",
                f"--c2ser_folder={output / mode / 'c2ser'}",
                f"--test_manifest={manifest['test']}",
                f"--mode={mode}",
            ],
        )

    whisper = models / "tiny_whisper"
    warm_up = []
    if content:  # without transcripts there is nothing to warm up on
        whisper = output / "whisper_warm_up/whisper"
        warm_up = [
            train(
                "whisper_warm_up",
                "recipes/C2SER/warm_up_whisper.py",
                "hparams/c2ser/warm_up_tiny.yaml",
                f"--whisper_source={models / 'tiny_whisper'}",
            )
        ]
    make = ["recipes/Synthetic/make_tiny_models.py", manifest["train"], models]
    return [
        Step("models", models, [*make, "--languages", *languages]),
        train(
            "emotion2vec_s",
            "recipes/Emotion2VecS/pretrain.py",
            "hparams/emotion2vec_s/tiny.yaml",
        ),
        embed("before", "random:hparams/blocks/emotion2vec_s_tiny.yaml"),
        embed("after", encoder),
        *warm_up,
        stage("explicit", f"--llm_source={models / 'tiny_llm'}"),
        stage(
            "implicit",
            *FROZEN_WHISPER,
            f"--llm_source={output / 'explicit/c2ser/llm'}",
            f"--start_from={output / 'explicit/c2ser'}",
            share=IMPLICIT_SHARE,
        ),
        evaluate("explicit"),
        evaluate("implicit"),
    ]


def epochs(yaml, utterances):
    """Epochs of a tiny yaml, more of them on a corpus smaller than the demo's.

    The yamls are made for the synthetic corpus; a small one would else see
    too few updates to learn anything.
    """
    settings = YAML().load((ROOT / yaml).read_text(encoding="utf-8"))
    more = min(max(DEMO_UTTERANCES / utterances, 1), MOST_REPEATS)
    return settings["number_of_epochs"] * more


def describe_run(output, times):
    """Facts of the run beside its figures, for the report."""
    corpus = json.loads((output / "corpus/corpus.json").read_text())
    run = json.loads((output / "implicit/run.json").read_text())
    evaluation = {**corpus, "versions": run["versions"], "seed": run["seed"]}
    write_atomic(json.dumps(evaluation, indent=1), output / "evaluation.json")
    write_atomic(json.dumps(times, indent=1), output / "times.json")


def main():
    """Read the command line and run what is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help="a folder of recordings")
    parser.add_argument("--output", type=Path, help="results/demo[_NAME]")
    options = parser.parse_args()
    output = options.output
    if output is None:
        name = "demo" if options.data is None else f"demo_{options.data.name}"
        output = ROOT / "results" / name
    output = output.resolve()
    try:
        times, key = run_steps(corpus_steps(output, options.data))
        more, key = run_steps(model_steps(output), key)
        times.update(more)
        describe_run(output, times)
        shutil.copytree(
            output / "implicit/c2ser", output / "c2ser", dirs_exist_ok=True
        )
        report = ["recipes/Synthetic/report.py", output]
        run_steps([Step("report", output / "report", report)], key)
    except StepFailed:
        sys.exit(1)  # the script has said what is wrong
    except KeyboardInterrupt:
        sys.exit("\nmake demo: stopped; run it again to go on from here.")


if __name__ == "__main__":
    main()
