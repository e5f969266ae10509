"""Model folders of ours as systems that the suites can ask."""

from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from speechbrain_c2ser.chain_of_thought.answers import (
    explicit_answer,
    split_before_emotion,
)
from speechbrain_c2ser.chain_of_thought.languages import answer_language
from speechbrain_c2ser.evaluation.suites.disturbances import RATE, silence

MAX_NEW_TOKENS = 100


class DescribingSystem:
    """A C2SER folder: answers in words, reads, goes on from a reasoning.

    Arguments
    ---------
    c2ser : speechbrain_c2ser.inference.C2SER
        The model.
    mode : str
        "explicit" or "implicit".
    """

    def __init__(self, c2ser, mode: str = "explicit"):
        self.c2ser = c2ser
        self.mode = mode

    def __call__(self, wave: np.ndarray) -> dict:
        """Text, label and probabilities."""
        return self.many([wave])[0]

    def many(self, waves: list[np.ndarray]) -> list[dict]:
        """Answers to several waveforms."""
        return [_row(said) for said in self._describe(waves, self.mode)]

    def ask(self, wave: np.ndarray, question: str) -> dict:
        """The answer to another question."""
        return _row(self._describe([wave], "implicit", prompt=question)[0])

    def read(self, text: str, language: str) -> dict:
        """The emotion of quoted words, spoken by no one.

        Near silence is heard, and the model goes on from a reasoning that
        calls everything normal and quotes the transcript.
        """
        item = {
            "emotion": self.c2ser.labels[0],
            "language": language,
            "transcript": text,
            "style": dict.fromkeys(("speed", "pitch", "volume"), "normal"),
        }
        space = self.c2ser.hparams.label_space
        beginning = split_before_emotion(explicit_answer(item, None, space))
        wave = silence(RATE, np.random.default_rng(0)).astype(np.float32)
        return self.go_on(wave, beginning)

    def go_on(self, wave: np.ndarray, beginning: str) -> dict:
        """Probabilities of the labels behind a reasoning."""
        return self.c2ser.weigh(wave, beginning)

    def _describe(self, waves, mode, **options):
        return self.c2ser.describe_batch(
            *_batch(waves), mode=mode, max_new_tokens=MAX_NEW_TOKENS, **options
        )


class ClassifyingSystem:
    """A classifier's folder: probabilities.

    Arguments
    ---------
    classifier : speechbrain_c2ser.inference.EmotionClassifier
        The model.
    """

    def __init__(self, classifier):
        self.classifier = classifier

    def __call__(self, wave: np.ndarray) -> dict:
        """Label -> probability."""
        return self.many([wave])[0]

    def many(self, waves: list[np.ndarray]) -> list[dict]:
        """Answers to several waveforms."""
        probabilities, *_ = self.classifier.classify_batch(*_batch(waves))
        return [
            dict(zip(self.classifier.labels, row, strict=True))
            for row in probabilities.tolist()
        ]
