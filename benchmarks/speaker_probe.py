#!/usr/bin/env python3
"""How well a linear probe tells speakers by classifiers' utterance vectors.

> python benchmarks/speaker_probe.py test.json FOLDER [FOLDER ...]

For each classifier: UA of its emotions on the manifest, and the accuracy of a
logistic regression that learns the manifest's speakers from four fifths of the
standardised utterance vectors and is asked of the rest, in turn (each emotion
of each speaker is in all fifths alike). Prints a line of JSON for each.
"""

import argparse
import json
import warnings

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from speechbrain_c2ser.data.dataset import read_item
from speechbrain_c2ser.data.manifest import read_manifest
from speechbrain_c2ser.inference import EmotionClassifier


@torch.no_grad()
def vectors_of(classifier, rows):
    """Utterance vectors [n, C] and the emotions that are told."""
    model, vectors, emotions = classifier.mods.model, [], []
    for row in rows:
        features = model.features(read_item(row)[None])
        vectors.append(model.utterance_vectors(features)[0])
        decided = model.classify(features)[classifier.heads.main]
        emotions.append(classifier.labels[int(decided[0].argmax())])
    return torch.stack(vectors).numpy(), emotions


def main():
    """Probe each folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("manifest")
    parser.add_argument("folders", nargs="+")
    options = parser.parse_args()
    rows = list(read_manifest(options.manifest).values())
    speakers = np.array([row["speaker"] for row in rows])
    emotions = [row["emotion"] for row in rows]
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    # of a rare emotion a speaker may have fewer than five
    warnings.simplefilter("ignore", UserWarning)
    parts = folds.split(
        rows, [f"{s} {e}" for s, e in zip(speakers, emotions, strict=True)]
    )
    parts = list(parts)
    for folder in options.folders:
        classifier = EmotionClassifier.from_hparams(
            folder, run_opts={"device": "cpu"}
        )
        vectors, told = vectors_of(classifier, rows)
        probe = make_pipeline(
            StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)
        )
        found = cross_val_score(probe, vectors, speakers, cv=parts)
        figures = {
            "folder": folder,
            "ua": round(recall_score(emotions, told, average="macro"), 3),
            "speaker": round(float(found.mean()), 3),
            "speakers": len(set(speakers)),
        }
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
