#!/usr/bin/env python3
"""Evaluate a C2SER folder on a manifest of unseen speakers.

> python recipes/C2SER/evaluate.py hparams/c2ser/evaluate.yaml \
      --c2ser_folder=FOLDER --test_manifest=test.json --mode=implicit

Uses the public interface, as a user would: free text, read back into a
label, beside the probabilities of the closed label set. Writes
``<mode>.json``: metrics and every prediction.
"""

import json
import time
from pathlib import Path

import torch
from tqdm import tqdm

from speechbrain_c2ser.corpora.dataset import speech_dataset
from speechbrain_c2ser.corpora.manifest import write_atomic
from speechbrain_c2ser.experiment import load_experiment
from speechbrain_c2ser.inference.c2ser import C2SER
from speechbrain_c2ser.metrics import (
    bootstrap_interval,
    classification_metrics,
    edit_rate,
    expected_calibration_error,
)


def predict(c2ser, batch, mode, max_new_tokens):
    """One row per utterance of a batch, in the prediction format."""
    wavs, wav_lens = batch.sig
    descriptions = c2ser.describe_batch(
        wavs, wav_lens, mode=mode, max_new_tokens=max_new_tokens
    )
    for item, said in zip(batch.item, descriptions, strict=True):
        yield {
            "id": item["id"],
            "emotion": item["emotion"],
            "label": said.text_emotion,
            "scored_label": said.emotion,
            "probabilities": said.probabilities,
            "text": said.text,
            "content": said.content,
            "style": said.style,
            "true_style": item.get("style"),
            "transcript": item.get("transcript"),
            "language": item.get("language"),
            "speaker": item.get("speaker"),
        }
