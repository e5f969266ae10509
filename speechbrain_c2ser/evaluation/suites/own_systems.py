"""Model folders of ours as systems that the suites can ask."""

from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from speechbrain_c2ser.chain_of_thought.answer_parsing import CHINESE
from speechbrain_c2ser.chain_of_thought.answers import (
    explicit_answer,
    label_answers,
    split_before_emotion,
)
from speechbrain_c2ser.evaluation.suites.disturbances import RATE, silence


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
        return [
            _row(description)
            for description in self._describe(waves, self.mode)
        ]

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
        c2ser = self.c2ser
        language = "zh" if CHINESE.search(beginning) else "en"
        candidates = label_answers(
            c2ser.hparams.label_space, "explicit", language
        )
        wavs, wav_lens = _batch([wave])
        with torch.no_grad(), c2ser.inference_ctx:
            model = c2ser.mods.model
            probabilities = model.score_labels(
                model.listen(wavs.to(c2ser.device), wav_lens.to(c2ser.device)),
                [c2ser.prompt("explicit")],
                candidates,
                answer_prefixes=[beginning],
            )
        return dict(zip(candidates, probabilities[0].tolist(), strict=True))

    def _describe(self, waves, mode, **options):
        return self.c2ser.describe_batch(*_batch(waves), mode=mode, **options)


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


def load_own(
    source: str | Path, mode: str = "explicit", device: str | None = None
) -> DescribingSystem | ClassifyingSystem:
    """A folder of ours as a system.

    Arguments
    ---------
    source : str or Path
        A C2SER or classifier folder.
    mode : str
        How a C2SER model answers: "explicit" or "implicit".
    device : str | None
        "cpu", "cuda" ...

    Raises
    ------
    ValueError
        If it holds nothing that classifies; says what.
    """
    # Not at the top: who scores predictions alone must not wait for it.
    from speechbrain_c2ser.inference.classifier import EmotionClassifier
    from speechbrain_c2ser.inference.opening import open_classifier

    run_opts = {"device": device} if device else None
    model = open_classifier(source, run_opts=run_opts)
    if isinstance(model, EmotionClassifier):
        return ClassifyingSystem(model)
    return DescribingSystem(model, mode)


def _row(description):
    return {
        "text": description.text,
        "label": description.text_emotion,
        "probabilities": description.probabilities,
        "style": description.style,
        "content": description.content,
    }


def _batch(waves):
    """Waveforms padded [B, T], and their relative lengths [B]."""
    waves = [torch.as_tensor(np.asarray(w, dtype=np.float32)) for w in waves]
    lengths = torch.tensor([len(wave) for wave in waves])
    padded = pad_sequence(waves, batch_first=True)
    return padded, lengths / padded.shape[1]
