"""A trained emotion classifier for users."""

import torch

from speechbrain_c2ser.checkpoints.classifier_folder import load_classifier
from speechbrain_c2ser.checkpoints.folder import find_folder
from speechbrain_c2ser.checkpoints.kinds import check_kind
from speechbrain_c2ser.inference.file_classifier import FileClassifier
from speechbrain_c2ser.inference.options import check_batch


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
    def labels(self):
        """Names of the emotions, in the order of the probabilities."""
        return list(self.mods.model.heads["emotion"].labels)

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
        """
        probabilities = self.predict_batch(wavs, wav_lens, items)["emotion"]
        score, index = probabilities.max(-1)
        labels = [self.labels[i] for i in index.tolist()]
        return probabilities, score, index, labels

    def items_of(self, audios):
        """Rows of recordings, for a model that reads words too."""
        if self.mods.model.text_encoder is None:
            return None
        return [audio if isinstance(audio, dict) else {} for audio in audios]

    def names_of(self):
        """Names of the emotions that :meth:`classify_batch` tells apart."""
        return self.labels
