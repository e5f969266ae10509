#!/usr/bin/env python3
"""Which losses of the pre-training help? A linear probe on unseen speakers.

> python recipes/Emotion2VecS/compare_losses.py FOLDS OUTPUT --seeds 1 2

FOLDS holds ``fold_k/{train,valid,test}.json``. Of each fold, the training
speakers alone are pre-trained and probed on; the test speakers are scored.
``--also train.json`` pre-trains on further items, such as synthetic speech; the
probe never sees them. Finished steps are kept: started again, the rest is
done, and what was done with other settings is done anew. Writes
``losses.json``, prints a table, and draws the first fold's embeddings before
and after.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.manifest import (
    SPLITS,
    check_leakage,
    read_manifest,
    write_manifest,
)
from speechbrain_c2ser.evaluation.report.pictures import embedding_maps
from speechbrain_c2ser.training.one_line import errors_in_one_line

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "recipes/Synthetic"))

from steps import Step, StepFailed, run_steps  # noqa: E402

BLOCK = ROOT / "hparams/blocks/emotion2vec_s_tiny.yaml"
WEIGHTS = {
    "random": None,
    "frame, utterance": {"category": 0.0, "head": 0.0},
    "frame, utterance, category": {"head": 0.0},
    "the three and the head": {},
}
MAPPED = "random", "frame, utterance, category"


def run(fold, folder, name, seed, epochs, train_manifest):
    """Pre-train with some losses and probe on a fold; its figures."""
    weights, source, steps = WEIGHTS[name], f"random:{BLOCK}", []
    if weights is not None:
        output = folder / "pretraining"
        command = [
            "recipes/Emotion2VecS/pretrain.py",
            "hparams/emotion2vec_s/tiny.yaml",
            f"--output_folder={output}",
            f"--train_manifest={train_manifest}",
            f"--valid_manifest={fold / 'valid.json'}",
            f"--seed={seed}",
            f"--number_of_epochs={epochs}",
            "--labelled_fraction=1.0",
            f"--weights={json.dumps(weights)}",
        ]
        steps.append(Step(f"{name}, {fold.name}, seed {seed}", output, command))
        source = output / "encoder"
    output = folder / "probe"
    command = [
        "recipes/Emotion2VecS/probe.py",
        source,
        f"--train={fold / 'train.json'}",
        f"--test={fold / 'test.json'}",
        f"--save={output / 'test.npz'}",
        f"--json={output / 'figures.json'}",
        f"--seed={seed}",
    ]
    steps.append(Step(f"its probe, {name}", output, command))
    run_steps(steps)
    return json.loads((output / "figures.json").read_text())


def pretraining_items(fold, also, folder):
    """The manifest to pre-train on: the fold's, with further items or not."""
    path = fold / "train.json"
    if also is None:
        return path
    parts = {
        "further items": read_manifest(also),
        **{s: read_manifest(fold / f"{s}.json") for s in SPLITS},
    }
    check_leakage(parts)
    manifest = folder / f"{fold.name}_train.json"
    write_manifest({**parts["further items"], **parts["train"]}, manifest)
    return manifest


def main():
    """All folds, seeds and losses; then the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folds", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--also", type=Path, metavar="MANIFEST")
    parser.add_argument(
        "--losses", nargs="+", choices=WEIGHTS, default=list(WEIGHTS)
    )
    options = parser.parse_args()
    folds = sorted(options.folds.resolve().glob("fold_*"))
    if not folds:
        raise FileNotFoundError(
            f"There is no fold_1/train.json and so on in {options.folds}."
        )
    options.output = options.output.resolve()  # scripts run in the root
    manifests = {
        fold: pretraining_items(fold, options.also, options.output)
        for fold in folds
    }
    names, numbers = options.losses, options.seeds
    plan = [(n, s, f) for n in names for s in numbers for f in folds]
    results = {name: {seed: [] for seed in numbers} for name in names}
    place = {}
    for name, seed, fold in plan:
        losses = options.output / name.replace(", ", "_")
        folder = losses / str(seed) / fold.name
        place.setdefault(name, folder / "probe/test.npz")
        try:
            figures = run(
                fold, folder, name, seed, options.epochs, manifests[fold]
            )
        except StepFailed:
            sys.exit(1)  # the script has said what is wrong
        results[name][seed].append(figures)
    write_atomic(json.dumps(results, indent=1), options.output / "losses.json")

    print("| losses | UA | cosine, same emotion | cosine, other |")
    print("| --- | --- | --- | --- |")
    for name, seeds in results.items():
        cells = []
        for key in ("ua", "cosine_same_emotion", "cosine_other_emotion"):
            means = [np.mean([fold[key] for fold in s]) for s in seeds.values()]
            cell = f"{np.mean(means):.3f}"
            if len(means) > 1:
                cell += f" ± {np.std(means, ddof=1):.3f}"
            cells.append(cell)
        print(f"| {name} | {' | '.join(cells)} |")
    maps = {}
    for name in [name for name in MAPPED if name in place]:
        kept = np.load(place[name])
        maps[name] = kept["vectors"], kept["emotions"].tolist()
    if maps:
        embedding_maps(maps, options.output / "embeddings.png")


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
