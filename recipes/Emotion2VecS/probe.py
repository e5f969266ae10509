#!/usr/bin/env python3
"""What a linear classifier finds in frozen utterance embeddings.

> python recipes/Emotion2VecS/probe.py results/emotion2vec_s_tiny/1986/encoder \
    --train train.json --test test.json --picture map.png

Embeddings are the mean of the utterance tokens. The encoder is a folder that
pretrain.py wrote, an official checkpoint, or `random:BLOCK.yaml`. Prints one
line of JSON: UA and WA on the test set (logistic regression on standardised
embeddings), and the mean cosine of two test utterances of the same emotion
and of different ones (embeddings centred).
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from hyperpyyaml import load_hyperpyyaml
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from speechbrain_c2ser.checkpoints.converters.emotion2vec import load_encoder
from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.dataset import (
    read_item,
    sample_waveforms,
    speech_dataset,
)
from speechbrain_c2ser.data.manifest import check_manifest, read_manifest
from speechbrain_c2ser.evaluation.report.pictures import embedding_maps
from speechbrain_c2ser.training.one_line import errors_in_one_line


def encoder_of(source, manifest, seed=0):
    """The encoder of a folder, an official file or ``random:BLOCK.yaml``.

    What random weights hear is standardised on the manifest, as it is before
    a pre-training: they alone make the difference.
    """
    if not source.startswith("random:"):
        return load_encoder(source, freeze=True)
    torch.manual_seed(seed)
    block = Path(source.removeprefix("random:"))
    text = f"encoder: !include:{block.resolve()}\n"
    encoder = load_hyperpyyaml(text)["encoder"].eval()
    if encoder.front_end.spectrum is not None:
        waveforms = sample_waveforms(speech_dataset(manifest))
        encoder.front_end.spectrum.fit(waveforms)
    return encoder


@torch.no_grad()
def embed(encoder, manifest, batch_size=16):
    """Utterance embeddings [N, C] and emotions [N] of a manifest."""
    items = read_manifest(manifest)
    check_manifest(items)
    rows = sorted(items.values(), key=lambda row: row["duration"])
    vectors = []
    for start in tqdm(
        range(0, len(rows), batch_size), desc=Path(manifest).name
    ):
        wavs = [read_item(row) for row in rows[start : start + batch_size]]
        lengths = torch.tensor([len(wav) for wav in wavs])
        padded = pad_sequence(wavs, batch_first=True)
        tokens = encoder.extract(padded, lengths / padded.shape[1]).tokens
        vectors.append(tokens.mean(1).numpy())
    return np.concatenate(vectors), [row["emotion"] for row in rows]


def cosines(vectors, emotions):
    """Mean cosine of pairs of one emotion and of pairs of two."""
    vectors = vectors - vectors.mean(0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = vectors @ vectors.T
    emotions = np.asarray(emotions)
    same = emotions[:, None] == emotions[None]
    pairs = ~np.eye(len(emotions), dtype=bool)
    return similarity[same & pairs].mean(), similarity[~same].mean()


def main():
    """Embed, fit, score, and draw on request."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("encoder")
    parser.add_argument("--train", required=True, help="manifest to fit on")
    parser.add_argument("--test", required=True, help="manifest to score")
    parser.add_argument("--picture", help="PNG: a map of the test set")
    parser.add_argument("--save", help="NPZ: the test set's embeddings")
    parser.add_argument(
        "--no-classifier",
        action="store_true",
        help="fit none: only cosines and embeddings of the test set",
    )
    parser.add_argument("--json", type=Path, help="file for the figures too")
    parser.add_argument("--seed", type=int, default=0, help="of random:")
    arguments = parser.parse_args()
    encoder = encoder_of(arguments.encoder, arguments.train, arguments.seed)
    vectors, emotions = embed(encoder, arguments.test)
    same, other = cosines(vectors, emotions)
    figures = {
        "cosine_same_emotion": float(same),
        "cosine_other_emotion": float(other),
    }
    if not arguments.no_classifier:
        probe = make_pipeline(
            StandardScaler(), LogisticRegression(C=0.1, max_iter=5000)
        ).fit(*embed(encoder, arguments.train))
        answers = probe.predict(vectors)
        figures["ua"] = balanced_accuracy_score(emotions, answers)
        figures["wa"] = accuracy_score(emotions, answers)
    if arguments.save:
        np.savez(arguments.save, vectors=vectors, emotions=emotions)
    if arguments.picture:
        title = Path(arguments.encoder).name
        embedding_maps({title: (vectors, emotions)}, arguments.picture)
    if arguments.json:
        write_atomic(json.dumps(figures), arguments.json)
    print(json.dumps(figures))


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
