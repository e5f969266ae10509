#!/usr/bin/env python3
"""Which losses of the pre-training help? A linear probe on unseen speakers.

> python recipes/Emotion2VecS/compare_losses.py FOLDS OUTPUT --seeds 1 2

FOLDS holds ``fold_k/{train,valid,test}.json``. Of each fold, the training
speakers alone are pre-trained and probed on; the test speakers are scored.
Finished runs are kept: started again, the rest is done. Writes
``losses.json``, prints a table, and draws the first fold's embeddings before
and after.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from speechbrain_c2ser.corpora.manifest import write_atomic
from speechbrain_c2ser.report.pictures import embedding_maps

HERE = Path(__file__).resolve().parent
BLOCK = HERE.parents[1] / "hparams/blocks/emotion2vec_s_tiny.yaml"
YAML = HERE.parents[1] / "hparams/emotion2vec_s/tiny.yaml"
WEIGHTS = {
    "random": None,
    "frame, utterance": {"category": 0.0, "head": 0.0},
    "frame, utterance, category": {"head": 0.0},
    "the three and the head": {},
}
MAPPED = "random", "frame, utterance, category"


def call(script, *arguments):
    """Run a recipe; its last line, or its complaint."""
    command = [sys.executable, HERE / script, *arguments]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{script} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout.strip().split("\n")[-1]


def run(fold, folder, name, seed, epochs):
    """Pre-train on a fold with some losses and probe; its figures."""
    result = folder / "probe.json"
    if result.is_file():
        return json.loads(result.read_text())
    weights, source = WEIGHTS[name], f"random:{BLOCK}"
    if weights is not None:
        call(
            "pretrain.py",
            YAML,
            f"--output_folder={folder}",
            f"--train_manifest={fold / 'train.json'}",
            f"--valid_manifest={fold / 'valid.json'}",
            f"--seed={seed}",
            f"--number_of_epochs={epochs}",
            "--labelled_fraction=1.0",
            f"--weights={json.dumps(weights)}",
        )
        source = folder / "encoder"
    folder.mkdir(parents=True, exist_ok=True)
    line = call(
        "probe.py",
        source,
        f"--train={fold / 'train.json'}",
        f"--test={fold / 'test.json'}",
        f"--save={folder / 'test.npz'}",
        f"--seed={seed}",
    )
    write_atomic(line, result)
    return json.loads(line)


def main():
    """All folds, seeds and losses; then the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folds", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    folds = sorted(options.folds.glob("fold_*"))
    if not folds:
        sys.exit(f"There is no fold_1/train.json and so on in {options.folds}.")
    plan = [(n, s, f) for n in WEIGHTS for s in options.seeds for f in folds]
    found = {name: {seed: [] for seed in options.seeds} for name in WEIGHTS}
    place = {}
    for name, seed, fold in tqdm(plan, desc="losses"):
        losses = options.output / name.replace(", ", "_")
        folder = losses / str(seed) / fold.name
        place.setdefault(name, folder / "test.npz")
        found[name][seed].append(run(fold, folder, name, seed, options.epochs))
    write_atomic(json.dumps(found, indent=1), options.output / "losses.json")

    print("| losses | UA | cosine, same emotion | cosine, other |")
    print("| --- | --- | --- | --- |")
    for name, seeds in found.items():
        cells = []
        for key in ("ua", "cosine_same_emotion", "cosine_other_emotion"):
            means = [np.mean([fold[key] for fold in s]) for s in seeds.values()]
            cells.append(f"{np.mean(means):.3f} ± {np.std(means, ddof=1):.3f}")
        print(f"| {name} | {' | '.join(cells)} |")
    maps = {}
    for name in MAPPED:
        kept = np.load(place[name])
        maps[name] = kept["vectors"], kept["emotions"].tolist()
    embedding_maps(maps, options.output / "embeddings.png")


if __name__ == "__main__":
    main()
