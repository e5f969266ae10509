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

import torch
from speechbrain.dataio.batch import PaddedBatch
from torch.utils.data import DataLoader
from tqdm import tqdm

from speechbrain_c2ser.chain_of_thought.answers import parse_answer
from speechbrain_c2ser.corpora.dataset import loader_options, speech_dataset
from speechbrain_c2ser.corpora.manifest import write_atomic
from speechbrain_c2ser.experiment import load_experiment
from speechbrain_c2ser.inference.c2ser import C2SER
from speechbrain_c2ser.metrics import (
    bootstrap_interval,
    classification_metrics,
    edit_rate,
    expected_calibration_error,
)

ATTRIBUTES = ("speed", "pitch", "volume")


def explicit_rows(c2ser, wavs, wav_lens, limit):
    """Style, content and emotion in words; probabilities given the words."""
    for said in c2ser.describe_batch(wavs, wav_lens, max_new_tokens=limit):
        yield {
            "label": said.text_emotion,
            "scored_label": said.emotion,
            "probabilities": said.probabilities,
            "text": said.text,
            "content": said.content,
            "style": said.style,
        }


def implicit_rows(c2ser, wavs, wav_lens, limit):
    """The emotion at once, in words and as probabilities."""
    probabilities, _, _, labels = c2ser.classify_batch(wavs, wav_lens)
    texts = c2ser.mods.model.generate(
        wavs.to(c2ser.device),
        wav_lens.to(c2ser.device),
        [c2ser.prompt("implicit")] * len(wavs),
        max_new_tokens=limit,
    )
    space = c2ser.hparams.label_space
    for text, label, row in zip(texts, labels, probabilities, strict=True):
        yield {
            "label": parse_answer(text, space).emotion,
            "scored_label": label,
            "probabilities": dict(zip(space.names, row.tolist(), strict=True)),
            "text": text,
        }


ROWS = {"explicit": explicit_rows, "implicit": implicit_rows}


def predict(c2ser, dataset, mode, batching, limit):
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
            rows = list(ROWS[mode](c2ser, *batch.sig, limit))
            seconds += time.perf_counter() - started
            for item, row in zip(batch.item, rows, strict=True):
                known = ("id", "emotion", "transcript", "language", "speaker")
                facts = {key: item[key] for key in known if key in item}
                if "style" in item:
                    facts["true_style"] = item["style"]
                predictions.append({**facts, **row})
            bar.update(len(rows))
    return predictions, seconds / len(dataset)


def summarise(predictions, labels):
    """Every figure of a list of predictions; fractions, not percent."""
    metrics = classify(predictions, labels)
    true = [row["emotion"] for row in predictions]
    metrics["interval"] = {"ua": bootstrap_interval(true, said(predictions))}
    scored = [row["scored_label"] for row in predictions]
    metrics["scored_ua"] = classification_metrics(true, scored, labels)["ua"]
    agreed = [row["label"] == row["scored_label"] for row in predictions]
    metrics["agreement"] = sum(agreed) / len(agreed)
    probabilities = torch.tensor(
        [[row["probabilities"][name] for name in labels] for row in predictions]
    )
    metrics["ece"] = expected_calibration_error(
        probabilities.numpy(), [labels.index(name) for name in true]
    )
    languages = sorted({row.get("language") or "?" for row in predictions})
    groups = {
        language: [r for r in predictions if r.get("language", "?") == language]
        for language in languages
    }
    metrics["per_language"] = {
        language: classify(rows, labels) for language, rows in groups.items()
    }
    if "content" in predictions[0]:
        metrics["content_error_rate"] = content_error_rate(groups)
        metrics["style_accuracy"] = style_accuracy(predictions)
    return metrics


def said(predictions):
    """Labels that the texts name, None where they name none."""
    return [row["label"] for row in predictions]


def classify(rows, labels):
    """WA, UA, F1 and the like of some predictions."""
    true = [row["emotion"] for row in rows]
    return classification_metrics(true, said(rows), labels)


def content_error_rate(groups):
    """Mean over languages' utterances of the edits against the transcript."""
    errors = total = 0
    for language, rows in groups.items():
        rows = [row for row in rows if row.get("transcript")]
        if rows:
            truth = [row["transcript"] for row in rows]
            heard = [row["content"] or "" for row in rows]
            errors += edit_rate(truth, heard, language) * len(rows)
            total += len(rows)
    return errors / total if total else None


def style_accuracy(predictions):
    """Share of style words (speed, pitch, volume) that match the measured."""
    right = [
        (row["style"] or {}).get(attribute) == row["true_style"][attribute]
        for row in predictions
        if "true_style" in row
        for attribute in ATTRIBUTES
    ]
    return sum(right) / len(right) if right else None


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
    metrics = summarise(predictions, c2ser.labels)
    metrics["seconds_per_utterance"] = seconds
    result = {"metrics": metrics, "predictions": predictions}
    write_atomic(
        json.dumps(result, ensure_ascii=False, indent=1), hparams["result_file"]
    )
    shown = {k: v for k, v in metrics.items() if isinstance(v, float)}
    print(f"{mode}: " + ", ".join(f"{k} {v:.3f}" for k, v in shown.items()))


if __name__ == "__main__":
    main()
