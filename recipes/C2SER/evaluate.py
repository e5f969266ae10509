#!/usr/bin/env python3
"""Evaluate a C2SER folder on a manifest of unseen speakers.

> python recipes/C2SER/evaluate.py hparams/c2ser/evaluate.yaml \
      --c2ser_folder=FOLDER --test_manifest=test.json --mode=implicit

Uses the public interface, as a user would. The label is what the free text
says, read back by rule (what names no single emotion is unparsed and counts
as wrong); beside it stand the probabilities of the closed label set. Writes
one JSON file: metrics and every prediction.
"""

import json
import time

import numpy as np
from speechbrain.dataio.batch import PaddedBatch
from torch.utils.data import DataLoader
from tqdm import tqdm

from speechbrain_c2ser.corpora.dataset import loader_options, speech_dataset
from speechbrain_c2ser.corpora.manifest import write_atomic
from speechbrain_c2ser.experiment import load_experiment
from speechbrain_c2ser.inference.c2ser import C2SER
from speechbrain_c2ser.metrics import (
    bootstrap_interval,
    classification_metrics,
    edit_rate,
    expected_calibration_error,
    style_accuracy,
)

KNOWN = ("id", "emotion", "transcript", "language", "speaker")


def predict(c2ser, dataset, mode, batching, max_new_tokens):
    """Predictions of a whole dataset, and seconds spent on each utterance."""
    loader = DataLoader(
        dataset,
        collate_fn=PaddedBatch,
        **loader_options(dataset, **batching, shuffle=False),
    )
    predictions, seconds = [], 0.0
    with tqdm(total=len(dataset), desc=f"{mode} answers") as bar:
        for batch in loader:
            started = time.perf_counter()
            said = c2ser.describe_batch(
                *batch.sig, mode=mode, max_new_tokens=max_new_tokens
            )
            seconds += time.perf_counter() - started
            predictions += [
                prediction(item, description)
                for item, description in zip(batch.item, said, strict=True)
            ]
            bar.update(len(said))
    return predictions, seconds / len(dataset)


def prediction(item, said):
    """What is true and what was said of an utterance, as plain data."""
    return {
        **{key: item[key] for key in KNOWN if key in item},
        "true_style": item.get("style"),
        "label": said.text_emotion,
        "scored_label": said.emotion,
        "probabilities": said.probabilities,
        "text": said.text,
        "content": said.content,
        "style": said.style,
    }


def summarise(predictions, labels, mode):
    """Every figure of a list of predictions; fractions, not percent."""
    metrics = classify(predictions, labels)
    true = [row["emotion"] for row in predictions]
    said = [row["label"] for row in predictions]
    scored = [row["scored_label"] for row in predictions]
    metrics["interval"] = {"ua": bootstrap_interval(true, said, labels)}
    metrics["scored_ua"] = classification_metrics(true, scored, labels)["ua"]
    metrics["agreement"] = float(np.mean(np.equal(said, scored)))
    probabilities = [
        [row["probabilities"][name] for name in labels] for row in predictions
    ]
    metrics["ece"] = expected_calibration_error(
        probabilities, [labels.index(name) for name in true]
    )
    metrics["per_language"] = {
        language: classify(
            [row for row in predictions if row.get("language") == language],
            labels,
        )
        for language in sorted({row.get("language", "") for row in predictions})
    }
    if mode == "explicit":
        spoken = [row for row in predictions if row.get("transcript")]
        metrics["content_error_rate"] = edit_rate(
            [row["transcript"] for row in spoken],
            [row["content"] for row in spoken],
            [row.get("language", "en") for row in spoken],
        )
        metrics["style_accuracy"] = style_accuracy(
            [row["true_style"] for row in predictions],
            [row["style"] for row in predictions],
        )["mean"]
    return metrics


def classify(rows, labels):
    """WA, UA, F1 and the like of what the texts name."""
    return classification_metrics(
        [row["emotion"] for row in rows], [row["label"] for row in rows], labels
    )


def main():
    """Predict, summarise, write."""
    hparams, run_opts = load_experiment()
    c2ser = C2SER.from_hparams(
        hparams["c2ser_folder"], run_opts={"device": run_opts["device"]}
    )
    dataset = speech_dataset(
        hparams["test_manifest"], ["emotion"], c2ser.hparams.label_space
    )
    mode = hparams["mode"]
    predictions, seconds = predict(
        c2ser, dataset, mode, hparams["batching"], hparams["max_new_tokens"]
    )
    metrics = summarise(predictions, c2ser.labels, mode)
    metrics["seconds_per_utterance"] = seconds
    result = {"metrics": metrics, "predictions": predictions}
    write_atomic(
        json.dumps(result, ensure_ascii=False, indent=1), hparams["result_file"]
    )
    shown = {k: v for k, v in metrics.items() if isinstance(v, float)}
    print(f"{mode}: " + ", ".join(f"{k} {v:.3f}" for k, v in shown.items()))


if __name__ == "__main__":
    main()
