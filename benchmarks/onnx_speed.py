#!/usr/bin/env python3
"""Times of an exported model against torch, alternating, in one process.

> python benchmarks/onnx_speed.py [FOLDER ...] --threads 2

Exports each model folder (`c2ser export`; without any: Emotion2Vec-S at the
published size and a Whisper of base size with a head, of random weights), then
runs both on the same batches in turn. Prints a line of JSON for each shape: the
medians, and the median over rounds of torch's time divided by ONNX Runtime's
beside it.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import onnxruntime
import torch

from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.checkpoints.emotion2vec_folder import save_emotion2vec
from speechbrain_c2ser.inference import exporting
from speechbrain_c2ser.lobes import (
    CategoryHead,
    Emotion2VecS,
    EmotionClassifier,
    MaskedMean,
    MultiHead,
    WhisperEncoder,
)

SHAPES = ((1, 2.0), (1, 10.0), (8, 5.0))  # items, seconds of the longest


def own_folders(place):
    """Folders of models of random weights."""
    torch.manual_seed(0)
    save_emotion2vec(Emotion2VecS(freeze=True), place / "emotion2vec_s")
    encoder = WhisperEncoder(
        num_layers=6, size=512, num_heads=8, ffn_size=2048, freeze=True
    )
    heads = MultiHead({"emotion": CategoryHead(512, ["angry", "sad"])})
    model = EmotionClassifier(encoder, heads, MaskedMean(512))
    save_classifier(model, place / "whisper_base")
    return [place / "emotion2vec_s", place / "whisper_base"]


def seconds_of(function):
    """Of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


@torch.no_grad()
def measure(folder, path, threads, rounds):
    """A line for each shape of batches."""
    exporting.export_onnx(folder, path)
    model, outputs, function, _ = exporting._open(folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )
    for items, seconds in SHAPES:
        shares = torch.linspace(1.0, 0.6, items).tolist()
        wavs, wav_lens = exporting.trial(seconds, shares)
        feed = {"wavs": wavs.numpy(), "wav_lens": wav_lens.numpy()}

        def by_torch(batch=(wavs, wav_lens)):
            function(model, *batch)

        def by_onnx(batch=feed):
            session.run(outputs, batch)

        by_torch(), by_onnx()
        pairs = [
            (seconds_of(by_torch), seconds_of(by_onnx)) for _ in range(rounds)
        ]
        torch_time, onnx_time = (
            statistics.median(times) for times in zip(*pairs, strict=True)
        )
        ratio = statistics.median(a / b for a, b in pairs)
        line = {
            "model": folder.name,
            "items": items,
            "seconds": seconds,
            "torch": round(torch_time, 4),
            "onnx": round(onnx_time, 4),
            "ratio": round(ratio, 2),
        }
        print(json.dumps(line), flush=True)


def main():
    """Export and time."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as place:
        folders = options.folders or own_folders(Path(place))
        for folder in folders:
            path = Path(place) / "model.onnx"
            measure(folder, path, options.threads, options.rounds)


if __name__ == "__main__":
    main()
