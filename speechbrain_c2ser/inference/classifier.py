"""A trained emotion classifier for users."""

from collections.abc import Iterable
from pathlib import Path

import torch

from speechbrain_c2ser.checkpoints.classifier_folder import load_classifier
from speechbrain_c2ser.checkpoints.folder import find_folder
from speechbrain_c2ser.checkpoints.kinds import check_kind
from speechbrain_c2ser.inference.classifying import (
    as_results,
    classify_recordings,
)
from speechbrain_c2ser.inference.pretrained import PretrainedModel
from speechbrain_c2ser.inference.results import FileResult
from speechbrain_c2ser.inference.segments import check_batch


class EmotionClassifier(PretrainedModel):
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

    def forward(self, wavs, wav_lens=None):
        """Same as :meth:`classify_batch`."""
        return self.classify_batch(wavs, wav_lens)

    def predict_batch(self, wavs, wav_lens=None):
        """What every head says of each waveform of a batch.

        Arguments
        ---------
        wavs : torch.Tensor
            [B, T] waveforms at 16 kHz.
        wav_lens : torch.Tensor | None
            [B] relative lengths; None = all full.

        Returns
        -------
        dict
            Head's name → probabilities, or values such as valence.
        """
        wavs, wav_lens = check_batch(wavs, wav_lens)
        with torch.no_grad(), self.inference_ctx:
            return self.mods.model.predict(
                wavs.to(self.device), wav_lens.to(self.device)
            )

    def classify_batch(self, wavs, wav_lens=None):
        """Emotion of each waveform of a batch.

        Arguments
        ---------
        wavs : torch.Tensor
            [B, T] waveforms at 16 kHz.
        wav_lens : torch.Tensor | None
            [B] relative lengths; None = all full.

        Returns
        -------
        tuple
            probabilities [B, L], score [B], index [B], list of B labels.
        """
        probabilities = self.predict_batch(wavs, wav_lens)["emotion"]
        score, index = probabilities.max(-1)
        labels = [self.labels[i] for i in index.tolist()]
        return probabilities, score, index, labels

    def classify_file(self, path, window=30.0, hop=None):
        """Emotion of an audio file of any format, rate and length.

        Arguments
        ---------
        path : str | Path
            The file.
        window : float
            A longer recording is classified in windows of so many seconds,
            and as a whole by their mean; silent ones do not count.
        hop : float | None
            Seconds from window to window; None = ``window``.

        Returns
        -------
        Classification
            Unpacks to probabilities [L], score, index, label;
            ``.windows`` has the windows.

        Raises
        ------
        AudioError
            When the file cannot be used, or is silent.
        """
        outcome = self._classify([str(path)], window, hop, 8, False)[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def classify_files(
        self,
        paths: Iterable[str | Path],
        batch_size: int = 8,
        window: float = 30.0,
        hop: float | None = None,
        progress: bool = True,
    ) -> list[FileResult]:
        """Emotions of many files, batched by length.

        Arguments
        ---------
        paths : iterable of str | Path
            The files.
        batch_size : int
            Recordings (or windows) that are run together.
        window : float
            As in :meth:`classify_file`.
        hop : float | None
            As in :meth:`classify_file`.
        progress : bool
            Whether to show a progress bar.

        Returns
        -------
        list[FileResult]
            One per file, in the order given; a bad file's has ``error``.
        """
        paths = [str(path) for path in paths]
        outcomes = self._classify(paths, window, hop, batch_size, progress)
        return as_results(paths, outcomes)

    def _classify(self, paths, window, hop, batch_size, progress):
        def rows(wavs, wav_lens):
            return list(self.classify_batch(wavs, wav_lens)[0].cpu())

        return classify_recordings(
            paths, rows, self.labels, window, hop, batch_size, progress
        )
