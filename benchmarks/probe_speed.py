#!/usr/bin/env python3
"""Seconds of an epoch of EmoBox's probe on kept features.

> python benchmarks/probe_speed.py --utterances 5000 --seconds 3

Random features of an encoder of 768 channels and 50 frames per second stand
in for a corpus; they are kept on disk as a recipe keeps them, and read, padded
and trained on by the recipe's own Brain. Prints one line of JSON.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import soundfile
import torch
from speechbrain import Stage

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "recipes" / "EmotionRecognition"))

from train import EmotionBrain, train_loader  # noqa: E402

from speechbrain_c2ser.data.dataset import speech_dataset  # noqa: E402
from speechbrain_c2ser.lobes import (  # noqa: E402
    CategoryHead,
    EmotionClassifier,
    FrameProjection,
    MaskedMean,
    MultiHead,
    UtteranceTokens,
)
from speechbrain_c2ser.lobes.encoders.features import (  # noqa: E402
    SpeechEncoder,
    SpeechFeatures,
)

LABELS = ["angry", "happy", "neutral", "sad"]


class RandomFrames(SpeechEncoder):
    """An encoder that costs nothing: what is measured is the probe."""

    def __init__(self, channels):
        super().__init__()
        self.output_size, self.num_tokens = channels, 10

    def extract(self, wavs, wav_lens=None, all_layers=False):
        """Noise at 50 frames per second, with ten tokens."""
        lengths = (wav_lens * wavs.shape[1] / 320).long().clamp_min(1)
        frames = torch.randn(len(wavs), int(lengths.max()), self.output_size)
        tokens = torch.randn(len(wavs), 10, self.output_size)
        return SpeechFeatures(frames, lengths, tokens)


def corpus(folder, count, seconds):
    """Manifest rows of quiet recordings, a third of a second apart."""
    items = {}
    for number in range(count):
        duration = seconds * (0.5 + number % 7 / 6)
        path = folder / f"{number}.wav"
        # another sample in each: the key of what is kept is the content
        wave = torch.zeros(round(duration * 16000))
        wave[:32] = torch.tensor([(number >> i & 1) / 2 for i in range(32)])
        soundfile.write(path, wave.numpy(), 16000)
        items[str(number)] = {
            "wav": str(path),
            "duration": duration,
            "emotion": LABELS[number % len(LABELS)],
        }
    return items


def main():
    """Make a corpus, keep its features, time epochs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--utterances", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--pooling", choices=("mean", "tokens"), default="mean")
    options = parser.parse_args()
    hidden = FrameProjection(768, 256) if options.pooling == "mean" else None
    pool = MaskedMean(256) if hidden else UtteranceTokens(768)
    heads = {"emotion": CategoryHead(pool.output_size, LABELS)}
    model = EmotionClassifier(
        RandomFrames(768), MultiHead(heads), pool, frame_network=hidden
    )
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        items = corpus(folder, options.utterances, options.seconds)
        hparams = {
            "seed": 1,
            "model": model,
            "mixup": None,
            "augmentation": None,
            "batch_size": 32,
            "sampling": "random",
            "dataloader_opts": {},
            "draws_per_epoch": None,
            "feature_folder": folder / "features",
        }
        brain = EmotionBrain({"model": model}, hparams=hparams)
        dataset = speech_dataset(items)
        brain.fill_cache([dataset])
        loader = brain.make_dataloader(
            dataset, Stage.TRAIN, **train_loader(dataset, hparams)
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        times = []
        for _ in range(2):
            started = time.perf_counter()
            for batch in loader:
                outputs = brain.compute_forward(batch, Stage.TRAIN)
                loss = brain.compute_objectives(outputs, batch, Stage.TRAIN)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            times.append(round(time.perf_counter() - started, 1))
    print(json.dumps({**vars(options), "seconds_per_epoch": times}))


if __name__ == "__main__":
    main()
