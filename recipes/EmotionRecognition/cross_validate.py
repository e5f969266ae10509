#!/usr/bin/env python3
"""Cross-validate a classifier: all folds, all seeds, one table.

> python recipes/EmotionRecognition/cross_validate.py \
      hparams/emotion_recognition/functionals.yaml corpus.jsonl results/loso \
      --by speaker --seeds 1 2 3

Folds are one speaker (or session) each; of a file of ids; or of a folder of
fold_k/{train,valid,test}.json. With ``--by`` the next group, in the order of
names, is the valid part: its speakers are neither trained nor tested on. With
``--grid KEY=VALUE,VALUE`` every fold takes the settings with the best mean
figure (the yaml's ``select_by``) over the seeds, its test part unseen. The
probabilities of the seeds are averaged. Further arguments go to the yaml
(``--overlay``, ``--lr=0.01``).

A run that was stopped goes on where it was. Writes predictions.jsonl for
`c2ser evaluate` and result.json.
"""

import argparse
import itertools
import json
import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from folds import make_folds, write_folds
from train import train

from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.evaluation.metrics import (
    bootstrap_intervals,
    classification_metrics,
)
from speechbrain_c2ser.evaluation.predictions import write_predictions
from speechbrain_c2ser.evaluation.references import read_references
from speechbrain_c2ser.training.experiment import (
    find_base,
    load_experiment,
    merge_yaml,
)
from speechbrain_c2ser.training.one_line import errors_in_one_line


def jobs_of(options, passed, folds, folder):
    """What is to be run: a dict for each fold, setting and seed."""
    grid = [
        [f"--{name}={value}" for value in values.split(",")]
        for name, _, values in (entry.partition("=") for entry in options.grid)
    ]
    emotions = sorted({row["emotion"] for row in folds[0]["train"].values()})
    jobs = []
    settings = list(itertools.product(*grid))
    # a seed's folds first: one stopped early has whole results of some seeds
    for seed, setting, (number, fold) in itertools.product(
        options.seeds, settings, enumerate(folds, 1)
    ):
        place = folder / f"fold_{number}"
        name = "_".join(s.removeprefix("--") for s in setting)
        output = place / (name or "run") / f"seed_{seed}"
        arguments = [
            options.yaml,
            *passed,
            *setting,
            *(f"--{p}_manifest={place / p}.json" for p in sorted(fold)),
            f"--label_names=[{', '.join(emotions)}]",
            f"--seed={seed}",
            f"--output_folder={output}",
        ]
        if options.feature_folder:
            arguments.append(f"--feature_folder={options.feature_folder}")
        jobs.append(
            {
                "fold": number,
                "setting": name,
                "seed": seed,
                "arguments": arguments,
                "result": str(output / "result.json"),
            }
        )
    return jobs


def keeps_features(yaml, passed):
    """Whether the yaml, overlays on it, keeps an encoder's features."""
    overlays = [b for a, b in itertools.pairwise(passed) if a == "--overlay"]
    overlays += [
        argument.partition("=")[2]
        for argument in passed
        if argument.startswith("--overlay=")
    ]
    nothing = r"^feature_folder: *(null|~)? *(#.*)?$"
    text = merge_yaml(*find_base(yaml, overlays))
    return not re.search(nothing, text, re.MULTILINE)


def run(jobs, device=None):
    """Train what is not done yet, one after the other."""
    for count, job in enumerate(jobs, 1):
        result = Path(job["result"])
        if result.is_file():
            done = json.loads(result.read_text(encoding="utf-8"))
            if done["arguments"] != job["arguments"]:
                raise ValueError(
                    f"{result} is of a run with other arguments: choose "
                    "another output folder."
                )
            continue
        where = [f"--device={device}"] if device else []
        hparams, run_opts = load_experiment([*job["arguments"], *where])
        outcome = train(hparams, run_opts)
        if any("probabilities" not in row for row in outcome["test"]):
            raise ValueError(
                "Seeds are averaged by the probabilities of the head emotion, "
                "which this yaml has not: train it on one split by train.py."
            )
        result.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(
            json.dumps(
                {
                    "arguments": job["arguments"],
                    "select_by": hparams.get("select_by", "max valid_ua"),
                    **outcome,
                }
            ),
            result,
        )
        summary = ", ".join(
            f"{name} {value:.3f}"
            for name, value in outcome["valid"].items()
            if isinstance(value, float)
        )
        label = f"fold {job['fold']} {job['setting']} seed {job['seed']}"
        print(f"{count}/{len(jobs)} {label}: {summary}", flush=True)


def run_on(devices, jobs):
    """Divide the jobs among devices, a process each."""
    if len(devices) < 2:
        return run(jobs, *devices)
    with ProcessPoolExecutor(
        len(devices), mp_context=get_context("spawn")
    ) as pool:
        parts = [jobs[i :: len(devices)] for i in range(len(devices))]
        list(pool.map(run, parts, devices))


def choose(jobs):
    """Fold → (setting, its runs): the best mean figure over the seeds."""
    runs = {}
    for job in jobs:
        result = json.loads(Path(job["result"]).read_text(encoding="utf-8"))
        settings = runs.setdefault(job["fold"], {})
        settings.setdefault(job["setting"], []).append(result)
    chosen = {}
    for fold, settings in runs.items():
        best = max(settings, key=lambda name: worth(settings[name]))
        chosen[fold] = best, settings[best]
    return chosen


def worth(runs):
    """Mean over runs of the figure that chose their epochs; more is better."""
    signs = {"max": 1, "min": -1}
    numbers = []
    for found in runs:
        direction, figure = found.get("select_by", "max valid_ua").split()
        numbers.append(signs[direction] * found["valid"].get(figure, 0.0))
    return np.mean(numbers)


def average(runs, fold):
    """One prediction for each utterance from those of the seeds."""
    rows = []
    for same in zip(*(outcome["test"] for outcome in runs), strict=True):
        names = list(same[0]["probabilities"])
        mean = {
            name: float(np.mean([row["probabilities"][name] for row in same]))
            for name in names
        }
        rows.append(
            {
                "id": same[0]["id"],
                "emotion": same[0]["emotion"],
                "label": max(mean, key=mean.get),
                "probabilities": mean,
                "fold": fold,
            }
        )
    return rows


def score(rows, labels):
    """UA and WA of predictions."""
    metrics = classification_metrics(
        [row["emotion"] for row in rows],
        [row["label"] for row in rows],
        labels,
    )
    return {name: metrics[name] for name in ("ua", "wa", "macro_f1")}


def summarise(chosen, seeds):
    """Figures over folds (mean, deviation), pooled, and of single seeds."""
    averaged = {f: average(runs, f) for f, (_, runs) in chosen.items()}
    pooled = [row for rows in averaged.values() for row in rows]
    labels = list(pooled[0]["probabilities"])
    folds = {fold: score(rows, labels) for fold, rows in averaged.items()}
    single = []
    for place in range(len(seeds)):
        rows = [
            row
            for fold, (_, runs) in chosen.items()
            for row in average([runs[place]], fold)
        ]
        single.append(score(rows, labels))
    true, predicted = ([row[k] for row in pooled] for k in ("emotion", "label"))
    result = {
        "pooled": score(pooled, labels),
        "pooled_ua_interval": bootstrap_intervals(
            true, predicted, labels, ("ua",)
        )["ua"],
        "folds": folds,
        "fold_mean": _moments(folds.values(), np.mean),
        "fold_deviation": _moments(folds.values(), np.std),
        "single_seeds": dict(zip(map(str, seeds), single, strict=True)),
        "single_seed_mean": _moments(single, np.mean),
        "single_seed_deviation": _moments(single, np.std),
        "settings": {fold: name for fold, (name, _) in chosen.items()},
        "seeds": list(seeds),
        "n": len(pooled),
    }
    return result, pooled


def _moments(scores, moment):
    scores = list(scores)
    return {
        name: float(moment([score[name] for score in scores]))
        for name in scores[0]
    }


def show(result):
    """Print the table."""
    print("fold      UA     WA")
    for fold, scores in result["folds"].items():
        print(f"{fold:<6} {scores['ua']:6.3f} {scores['wa']:6.3f}")
    for title, key in (("folds", "fold"), ("seeds alone", "single_seed")):
        mean, spread = result[f"{key}_mean"], result[f"{key}_deviation"]
        print(
            f"{title}: UA {mean['ua']:.3f} ± {spread['ua']:.3f}, "
            f"WA {mean['wa']:.3f} ± {spread['wa']:.3f}"
        )
    pooled, (low, high) = result["pooled"], result["pooled_ua_interval"]
    print(
        f"pooled: UA {pooled['ua']:.3f} [{low:.3f}, {high:.3f}], "
        f"WA {pooled['wa']:.3f} of {result['n']}"
    )


def main(argv=None):
    """Make the folds, run, choose, average, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("yaml", help="a yaml of hparams/emotion_recognition")
    parser.add_argument("corpus", help="manifest or list, or a fold folder")
    parser.add_argument("output_folder")
    parser.add_argument("--by", default="speaker", help="speaker, session ...")
    parser.add_argument("--number", type=int, help="of folds, groups dealt out")
    parser.add_argument("--folds", help="JSON: a list of folds of ids")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1986])
    parser.add_argument("--grid", action="append", default=[], metavar="K=A,B")
    parser.add_argument(
        "--merge_valid",
        action="store_true",
        help="train on the valid part too, to the last epoch: for settings "
        "that an earlier run has chosen",
    )
    parser.add_argument("--devices", nargs="+", default=[], help="cuda:0 ...")
    parser.add_argument(
        "--feature_folder", help="kept features; default: in the output folder"
    )
    parser.add_argument("--result", help="JSON; default: in the output folder")
    options, passed = parser.parse_known_args(argv)
    if options.merge_valid and options.grid:
        raise ValueError(
            "Without a valid part there is nothing to choose settings by: "
            "give either --grid or --merge_valid."
        )
    folder = Path(options.output_folder)
    items = None
    if Path(options.corpus).is_dir():
        options.folds = options.corpus
    else:
        items = read_references(options.corpus)
    folds = make_folds(items, options)
    write_folds(folds, folder)
    if options.feature_folder is None and keeps_features(options.yaml, passed):
        options.feature_folder = folder / "features"
    jobs = jobs_of(options, passed, folds, folder)
    run_on(options.devices, jobs)
    result, predictions = summarise(choose(jobs), options.seeds)
    write_predictions(predictions, folder / "predictions.jsonl")
    target = options.result or folder / "result.json"
    write_atomic(json.dumps(result, indent=1), target)
    show(result)


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
