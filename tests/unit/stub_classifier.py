"""A classifier without a model, also for processes that tests start."""

import torch

from speechbrain_c2ser.inference.file_classifier import FileClassifier


class Stub(FileClassifier):
    """Loud, whatever it hears."""

    labels = ["loud", "quiet"]

    def __init__(self):
        super().__init__(torch.nn.Linear(1, 1), {}, {"device": "cpu"})

    def names_of(self):
        return self.labels

    def classify_batch(self, wavs, wav_lens=None):
        return (torch.tensor([[0.75, 0.25]] * len(wavs)),)
