#!/usr/bin/env python3
"""openSMILE features and a support vector machine: the classic baseline.

> python recipes/Baselines/opensmile_svm.py corpus.jsonl predictions.jsonl \
      --features egemaps --leave-one-speaker-out

Set-ups are fixed beforehand, nothing is tuned: eGeMAPSv02 with an RBF kernel
and C 1, ComParE_2016 with a linear kernel and C 0.01, features standardised
on the training part of each split, classes weighted to count alike. Three
ways to split: leave one speaker out, a fold file (a list of {"train", "test"}
of ids), or lists of their own to test on. Features are kept beside the
predictions and computed once.
"""

import argparse
from pathlib import Path

import numpy as np
import opensmile
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm import tqdm

from speechbrain_c2ser.data.atomic import written_beside
from speechbrain_c2ser.data.dataset import read_item
from speechbrain_c2ser.data.importers import fold_files
from speechbrain_c2ser.evaluation.predictions import (
    prediction_of,
    some,
    write_predictions,
)
from speechbrain_c2ser.evaluation.references import read_references
from speechbrain_c2ser.evaluation.scoring import print_scores
from speechbrain_c2ser.training.one_line import errors_in_one_line

SET_UPS = {
    "egemaps": ("eGeMAPSv02", {"kernel": "rbf", "C": 1.0}),
    "compare": ("ComParE_2016", {"kernel": "linear", "C": 0.01}),
}
SAMPLE_RATE = 16000


def extract(items, feature_set, cache=None):
    """Functionals [N, D] of utterances, in their order.

    Arguments
    ---------
    items : dict
        Id -> fields with wav, perhaps start and stop (s).
    feature_set : str
        Name of an openSMILE set.
    cache : Path | None
        NPZ of an earlier run; recordings that changed are computed anew.

    Returns
    -------
    np.ndarray
    """
    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet[feature_set],
        feature_level=opensmile.FeatureLevel.Functionals,
    )
    states = {key: _state(item) for key, item in items.items()}
    known = {}
    if cache is not None and cache.is_file():
        with np.load(cache) as arrays:
            stored = zip(arrays["states"], arrays["vectors"], strict=True)
            known = {str(state): vector for state, vector in stored}
    for key, item in tqdm(items.items(), feature_set):
        if states[key] not in known:
            wave = read_item(item)
            descriptors = smile.process_signal(wave.numpy(), SAMPLE_RATE)
            known[states[key]] = descriptors.to_numpy(np.float64)[0]
    vectors = np.stack([known[states[key]] for key in items])
    if cache is not None:
        with written_beside(cache) as part, open(part, "wb") as file:
            np.savez(file, states=list(states.values()), vectors=vectors)
    # Not a number where a voice has no voiced frame.
    return np.nan_to_num(vectors)


def _state(item):
    """What the features of an item depend on, as text."""
    path = Path(item["wav"])
    if not path.is_file():
        raise ValueError(f"The recording {path} is missing.")
    seen = path.stat()
    segment = item.get("start"), item.get("stop")
    return f"{path.resolve()}|{seen.st_size}|{seen.st_mtime_ns}|{segment}"


def leave_one_speaker_out(items):
    """(speaker, train ids, test ids) of every speaker."""
    unknown = [key for key, item in items.items() if not item.get("speaker")]
    if unknown:
        raise ValueError(
            f"{len(unknown)} utterances name no speaker ({some(unknown)}): "
            "give a fold file instead."
        )
    for speaker in sorted({item["speaker"] for item in items.values()}):
        of_speaker = [
            k for k, item in items.items() if item["speaker"] == speaker
        ]
        rest = [k for k in items if items[k]["speaker"] != speaker]
        yield speaker, rest, of_speaker


def read_folds(path, items):
    """(fold, train ids, test ids) of every fold of a file."""
    tested = set()
    for number, fold in enumerate(fold_files.read_folds(path, items)):
        where = f"Fold {number} of {path}"
        for part in ("train", "test"):
            if not fold.get(part):
                raise ValueError(f"{where} has no {part} part.")
            unknown = set(fold[part]) - set(items)
            if unknown:
                raise ValueError(
                    f"{where}: its {part} part names {some(sorted(unknown))}, "
                    "not listed."
                )
        again = set(fold["test"]) & (tested | set(fold["train"]))
        if again:
            raise ValueError(
                f"{where} tests {some(sorted(again))}, which it trains on or "
                "an earlier fold tested."
            )
        tested |= set(fold["test"])
        yield str(number), fold["train"], fold["test"]


def classify(vectors, items, splits, machine):
    """A prediction of every utterance that a split tests on."""
    places = {key: i for i, key in enumerate(items)}
    rows = []
    for name, train, test in splits:
        model = make_pipeline(
            StandardScaler(), SVC(class_weight="balanced", **machine)
        )
        model.fit(
            vectors[[places[key] for key in train]],
            [items[key]["emotion"] for key in train],
        )
        answers = model.predict(vectors[[places[key] for key in test]])
        for key, label in zip(test, answers, strict=True):
            rows.append(
                prediction_of(key, items[key], label=str(label), split=name)
            )
    return rows


def main(argv=None):
    """Extract, classify, write, and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("list", nargs="+", help="manifests or lists, then the")
    parser.add_argument("predictions", help="file that is written")
    parser.add_argument("--features", choices=SET_UPS, default="egemaps")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--leave-one-speaker-out", action="store_true")
    how.add_argument("--folds", help="JSON: a list of folds")
    how.add_argument("--test", nargs="+", help="manifests to test on")
    options = parser.parse_args(argv)
    items = read_references(options.list)
    if options.test:
        tested = read_references(options.test)
        both = set(items) & set(tested)
        if both:
            raise ValueError(f"{some(both)} is in training and test.")
        splits = [("test", list(items), list(tested))]
        items = {**items, **tested}
    elif options.folds:
        splits = list(read_folds(options.folds, items))
    else:
        splits = list(leave_one_speaker_out(items))
    feature_set, machine = SET_UPS[options.features]
    target = Path(options.predictions)
    cache = target.parent / f"{feature_set}.npz"
    vectors = extract(items, feature_set, cache)
    rows = classify(vectors, items, splits, machine)
    write_predictions(rows, target)
    if len(rows) < len(items) and options.folds:
        print(f"{len(items) - len(rows)} utterances are tested in no fold.")
    tested = {row["id"]: items[row["id"]] for row in rows}
    print_scores(rows, tested, f"{feature_set} + SVM {machine}")


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
