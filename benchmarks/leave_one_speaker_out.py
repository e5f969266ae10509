#!/usr/bin/env python3
"""Classifiers from openSMILE to frozen Whisper on one corpus: one table.

    python benchmarks/leave_one_speaker_out.py corpus.jsonl RESULTS \
        --whisper FOLDER_OR_HUB_NAME

Every speaker is tested by models of all the others, or the folds are those of
``--folds FILE``. Settings are fixed: recipes/EmotionRecognition/README.md says
how ours were chosen. The rows are recipe scripts; what is done stays done when
it is started again. RESULTS gets ``table.md``, ``table.json`` and each row's
predictions. Rows of openSMILE need ``pip install
'speechbrain_c2ser[baselines]'``, rows of Whisper ``--whisper``; what is left
out is said. Intervals are of speakers drawn again, 95 %.
"""

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.evaluation.metrics import (
    classification_metrics,
    expected_calibration_error,
)
from speechbrain_c2ser.evaluation.predictions import read_predictions
from speechbrain_c2ser.evaluation.references import read_references

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "recipes" / "Synthetic"))

from steps import Step, StepFailed, run_steps  # noqa: E402

SVM = "recipes/Baselines/opensmile_svm.py"
CROSS_VALIDATE = "recipes/EmotionRecognition/cross_validate.py"
HPARAMS = "hparams/emotion_recognition"


def rows_of(corpus, results, options):
    """Row → its step; each leaves predictions.jsonl in its folder."""
    folds = ["--by=speaker", "--merge_valid"]
    svm_folds = ["--leave-one-speaker-out"]
    if options.folds is not None:
        folds = svm_folds = [f"--folds={options.folds.resolve()}"]

    def machine(features):
        folder = results / features
        target = folder / "predictions.jsonl"
        command = [SVM, corpus, target, f"--features={features}", *svm_folds]
        return Step(features, folder, command)

    def network(name, yaml, *more):
        folder = results / name
        command = [CROSS_VALIDATE, f"{HPARAMS}/{yaml}.yaml", corpus, folder]
        return Step(name, folder, [*command, *folds, *more])

    rows = {}
    if find_spec("opensmile") is None:
        print("No openSMILE rows: it is not installed.", flush=True)
    else:
        rows["openSMILE eGeMAPS + SVM"] = machine("egemaps")
        rows["openSMILE ComParE + SVM"] = machine("compare")
    seeds = options.seeds
    rows[f"from scratch, {len(seeds)} seeds averaged"] = network(
        "network", "functionals", "--seeds", *seeds
    )
    if options.whisper is None:
        print("No rows of Whisper: give --whisper.", flush=True)
        return rows
    source = options.whisper
    if Path(source).is_dir():
        source = Path(source).resolve()
    whisper = [f"--encoder_source={source}"]
    # the layers that the recipe's encoder keeps share their features
    whisper.append(f"--feature_folder={results / 'features'}")
    for layer in range(4):
        rows[f"frozen Whisper, layer {layer}, no copies"] = network(
            f"layer_{layer}",
            "whisper_frozen",
            *whisper,
            f"--layers=[{layer}]",
            "--speeds=[]",
        )
    rows["frozen Whisper, whisper_frozen.yaml"] = network(
        "whisper_frozen", "whisper_frozen", *whisper
    )
    return rows


def figures_of(rows, speakers):
    """UA with its interval over speakers, WA, macro F1, ECE."""
    true, predicted = ([row[k] for row in rows] for k in ("emotion", "label"))
    labels = sorted(set(true))
    metrics = classification_metrics(true, predicted, labels)
    figures = {name: metrics[name] for name in ("ua", "wa", "macro_f1")}
    figures["ua_interval"] = speaker_interval(
        true, predicted, labels, [speakers[row["id"]] for row in rows]
    )
    if all(row.get("probabilities") for row in rows):
        figures["ece"] = expected_calibration_error(
            [[row["probabilities"][n] for n in labels] for row in rows],
            [labels.index(name) for name in true],
        )
    return figures


def speaker_interval(true, predicted, labels, speakers, samples=1000, seed=0):
    """95 % interval of UA, speakers drawn with replacement."""
    names = sorted(set(speakers))
    counts = np.zeros((len(names), len(labels), len(labels)))
    for t, p, speaker in zip(true, predicted, speakers, strict=True):
        counts[names.index(speaker), labels.index(t), labels.index(p)] += 1
    rng = np.random.default_rng(seed)
    scores = []
    for drawn in rng.integers(len(names), size=(samples, len(names))):
        table = counts[drawn].sum(0)
        sizes = table.sum(1)
        scores.append((table.diagonal() / sizes)[sizes > 0].mean())
    return [float(x) for x in np.quantile(scores, [0.025, 0.975])]


def line(name, figures):
    """One line of the table."""
    low, high = figures["ua_interval"]
    ece = f"{figures['ece']:.3f}" if "ece" in figures else ""
    return (
        f"| {name} | {figures['ua']:.3f} [{low:.3f}, {high:.3f}] | "
        f"{figures['wa']:.3f} | {figures['macro_f1']:.3f} | {ece} |"
    )


def main():
    """Run what is not done yet, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("corpus", type=Path, help="manifest or list")
    parser.add_argument("results", type=Path)
    parser.add_argument("--whisper", help="folder or hub name")
    parser.add_argument("--folds", type=Path, help="JSON: a list of folds")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    results = options.results.resolve()
    speakers = {
        key: str(item.get("speaker", key))
        for key, item in read_references(options.corpus).items()
    }
    lines = [
        "| | UA | WA | macro F1 | ECE |",
        "| --- | --- | --- | --- | --- |",
    ]
    table = {}
    rows = rows_of(options.corpus.resolve(), results, options)
    try:
        for name, step in rows.items():
            run_steps([step])
            predictions = read_predictions(step.folder / "predictions.jsonl")
            table[name] = figures_of(predictions, speakers)
            lines.append(line(name, table[name]))
    except StepFailed as error:
        sys.exit(f"leave_one_speaker_out: {error} failed; see above.")
    write_atomic("\n".join(lines) + "\n", results / "table.md")
    write_atomic(json.dumps(table, indent=1) + "\n", results / "table.json")
    print("\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
