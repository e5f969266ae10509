"""A trained emotion classifier for users."""

from dataclasses import replace

import torch

from speechbrain_c2ser.checkpoints.classifier_folder import load_classifier
from speechbrain_c2ser.checkpoints.folder import find_folder
from speechbrain_c2ser.checkpoints.kinds import check_kind
from speechbrain_c2ser.inference.file_classifier import (
    FileClassifier,
    mean_of_windows,
)
from speechbrain_c2ser.inference.options import check_batch
from speechbrain_c2ser.inference.results import Classification, Window


class EmotionClassifier(FileClassifier):
    """Speech emotion recognition by an encoder and a head.

    Example
    -------
    >>> classifier = EmotionClassifier.from_hparams(
    ...     "results/probe/classifier"
    ... )  # doctest: +SKIP
    >>> probabilities, score, index, label = classifier.classify_file(
    ...     "call.wav"
    ... )  # doctest: +SKIP
    """

    @classmethod
    def from_hparams(cls, source, savedir=None, run_opts=None, allow=()):
        """Load a classifier's folder; a local one needs no network.

        Arguments
        ---------
        source : str | Path
            Folder, or id of a model on the Hugging Face hub.
        savedir : str | Path | None
            Where a hub model is put.
        run_opts : dict | None
            SpeechBrain's, such as ``{"device": "cuda"}``.
        allow : sequence of str
            Modules of your own lobes that the folder may build.

        Returns
        -------
        EmotionClassifier
        """
        folder = find_folder(source, savedir)
        check_kind(folder, "EmotionClassifier")
        hparams = load_classifier(folder, allow)
        return cls(hparams["model"], hparams, run_opts)

    @property
    def heads(self):
        """The model's named heads."""
        return self.mods.model.heads

    @property
    def labels(self):
        """Labels of the head that decides, in the order of probabilities.

        That head is "emotion", or the first of its kind; none = [].
        """
        main = self.heads.main
        return [] if main is None else list(self.heads[main].labels)

    def forward(self, wavs, wav_lens=None, items=None):
        """Same as :meth:`classify_batch`."""
        return self.classify_batch(wavs, wav_lens, items)

    def predict_batch(self, wavs, wav_lens=None, items=None):
        """What every head says of each waveform of a batch.

        Arguments
        ---------
        wavs : torch.Tensor
            [B, T] waveforms at 16 kHz.
        wav_lens : torch.Tensor | None
            [B] relative lengths; None = all full.
        items : sequence of dict | None
            What is known of each, such as ``transcript``: a model with a text
            encoder reads it.

        Returns
        -------
        dict
            Head's name → probabilities, or values such as valence.
        """
        wavs, wav_lens = check_batch(wavs, wav_lens)
        with torch.no_grad(), self.inference_ctx:
            return self.mods.model.predict(
                wavs.to(self.device),
                wav_lens.to(self.device),
                rows=items,
                temperature=getattr(self.hparams, "temperature", 1.0),
            )

    def classify_batch(self, wavs, wav_lens=None, items=None):
        """Emotion of each waveform of a batch.

        Arguments
        ---------
        wavs : torch.Tensor
            [B, T] waveforms at 16 kHz.
        wav_lens : torch.Tensor | None
            [B] relative lengths; None = all full.
        items : sequence of dict | None
            As of :meth:`predict_batch`.

        Returns
        -------
        tuple
            probabilities [B, L], score [B], index [B], list of B labels.

        Raises
        ------
        ValueError
            Where no head of the model decides on a label.
        """
        if self.heads.main is None:
            raise ValueError(
                f"No head of this model decides on a label (it has "
                f"{', '.join(self.heads.heads)}): ask predict_batch, or "
                "classify_file for .heads."
            )
        predicted = self.predict_batch(wavs, wav_lens, items)
        probabilities = predicted[self.heads.main]
        score, index = probabilities.max(-1)
        names = self.heads[self.heads.main].labels
        labels = [names[i] for i in index.tolist()]
        return probabilities, score, index, labels

    def items_of(self, audios):
        """Rows of recordings, for a model that reads words too."""
        if self.mods.model.text_encoder is None:
            return None
        return [audio if isinstance(audio, dict) else {} for audio in audios]

    def names_of(self):
        """Names of the emotions that :meth:`classify_batch` tells apart."""
        return self.labels

    codec = (
        lambda answer: {name: x.tolist() for name, x in answer.items()},
        lambda answer: {name: torch.tensor(x) for name, x in answer.items()},
    )

    def answers(self, wavs, wav_lens, items=None):
        """Of each waveform: head's name → probabilities or values."""
        predicted = self.predict_batch(wavs, wav_lens, items)
        predicted = {name: list(own.cpu()) for name, own in predicted.items()}
        return [
            dict(zip(predicted, item, strict=True))
            for item in zip(*predicted.values(), strict=True)
        ]

    def join(self, parts):
        """A recording's label and all heads' records, from its windows."""
        by_head = {
            name: [
                (start, stop, None if answer is None else answer[name])
                for start, stop, answer in parts
            ]
            for name in self.heads.heads
        }
        main = self.heads.main
        if main is None:
            windows = (
                Window(start, stop, None, None) for start, stop, _ in parts
            )
            said = Classification(windows=tuple(windows))
        else:
            said = mean_of_windows(by_head[main], self.heads[main].labels)
        if list(by_head) == [main]:
            return said
        records = {n: self.heads[n].join(own) for n, own in by_head.items()}
        return replace(said, heads=records)
