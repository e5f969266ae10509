"""Emotion2Vec-S for users: features of any recording, or of a corpus."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from speechbrain_c2ser.audio.objects import as_list
from speechbrain_c2ser.checkpoints.emotion2vec_folder import load_emotion2vec
from speechbrain_c2ser.checkpoints.folder import find_folder
from speechbrain_c2ser.checkpoints.kinds import check_kind
from speechbrain_c2ser.data.atomic import written_beside
from speechbrain_c2ser.data.lists import read_list
from speechbrain_c2ser.inference.options import check_batch
from speechbrain_c2ser.inference.pretrained import PretrainedModel
from speechbrain_c2ser.inference.recordings import (
    for_each_recording,
    least_samples,
    value_of,
)
from speechbrain_c2ser.inference.results import FileResult
from speechbrain_c2ser.lobes.padding import masked_mean

GRANULARITIES = ("frame", "utterance", "mean")


class Emotion2VecSEncoder(PretrainedModel):
    """Features that carry emotion: per frame of 20 ms, or per utterance.

    Granularities: ``frame`` [T, C]; ``utterance`` [10, C], the learned
    utterance tokens (what C2SER uses); ``mean`` [C], the frames' mean.

    Example
    -------
    >>> encoder = Emotion2VecSEncoder.from_hparams(
    ...     "emotion2vec_s"
    ... )  # doctest: +SKIP
    >>> encoder.encode_file("call.wav", "utterance").shape  # doctest: +SKIP
    torch.Size([10, 768])
    """

    @classmethod
    def from_hparams(cls, source, savedir=None, run_opts=None):
        """Load an Emotion2Vec-S folder; a local one needs no network.

        Arguments
        ---------
        source : str | Path
            Folder, or id of a model on the Hugging Face hub.
        savedir : str | Path | None
            Where a hub model is put.
        run_opts : dict | None
            SpeechBrain's, such as ``{"device": "cuda"}``.

        Returns
        -------
        Emotion2VecSEncoder
        """
        folder = find_folder(source, savedir)
        check_kind(folder, "Emotion2VecS", "EmotionClassifier")
        hparams = load_emotion2vec(folder)
        return cls(hparams["encoder"], hparams, run_opts)

    def forward(self, wavs, wav_lens=None):
        """Same as :meth:`encode_batch`."""
        return self.encode_batch(wavs, wav_lens)

    def encode_batch(self, wavs, wav_lens=None, granularity="utterance"):
        """Features of a batch of waveforms.

        Arguments
        ---------
        wavs : torch.Tensor
            [B, T] waveforms at 16 kHz.
        wav_lens : torch.Tensor | None
            [B] relative lengths; None = all full.
        granularity : str
            "frame", "utterance" or "mean".

        Returns
        -------
        torch.Tensor
            [B, T, C], zeros where padded; [B, 10, C]; or [B, C].
        """
        features, _ = self._encode(wavs, wav_lens, granularity)
        return features

    def encode_file(self, path, granularity="utterance", window=30.0):
        """Features of an audio file of any format, rate and length.

        Arguments
        ---------
        path : str | Path
            The file.
        granularity : str
            "frame", "utterance" or "mean".
        window : float
            A longer recording is encoded in stretches of so many seconds:
            frames are joined, utterance features averaged.

        Returns
        -------
        torch.Tensor
            [T, C], [10, C] or [C].

        Raises
        ------
        AudioError
            When the file cannot be used.
        """
        (row,) = self.encode_files([path], granularity, window=window)
        return value_of(row)

    def encode_files(
        self,
        audios,
        granularity: str = "utterance",
        batch_size: int = 8,
        window: float = 30.0,
        progress: bool = False,
    ) -> Iterator[FileResult]:
        """Features of many recordings, each as soon as it is there.

        Arguments
        ---------
        audios : iterable
            Files, or other recordings as in :meth:`encode_file`.
        granularity : str
            "frame", "utterance" or "mean".
        batch_size : int
            Recordings (or stretches) that are encoded together.
        window : float
            As in :meth:`encode_file`.
        progress : bool
            Whether to show a progress bar.

        Returns
        -------
        iterator of FileResult
            One per recording, in the order given.
        """
        _check_granularity(granularity)
        audios = as_list(audios)
        self.lay_out(len(audios))

        def rows(wavs, wav_lens):
            features, lengths = self._encode(wavs, wav_lens, granularity)
            if granularity == "mean":
                return list(features)
            return [f[:n] for f, n in zip(features, lengths, strict=True)]

        def join(parts):
            features = [feature for _, _, feature in parts]
            if len(features) == 1:
                return features[0]
            if granularity == "frame":
                return torch.cat(features)
            return torch.stack(features).mean(0)

        return for_each_recording(
            audios,
            rows,
            join,
            batch_size,
            window,
            least=least_samples(self.mods.model),
            progress=progress,
            skip_silence=False,
        )

    def write_features(
        self,
        source,
        folder,
        granularity="frame",
        batch_size=8,
        window=30.0,
        progress=True,
    ):
        """Write ``folder/ID.npy`` for each utterance of a list.

        An id with slashes makes a tree, as the published extraction does.

        Arguments
        ---------
        source : str | Path
            A manifest (JSON; EmoBox's too) or Kaldi's wav.scp, whose lines
            are ``ID PATH``.
        folder : str | Path
            Where the features go.
        granularity : str
            "frame", "utterance" or "mean".
        batch_size : int
            Utterances that are encoded together.
        window : float
            As in :meth:`encode_file`.
        progress : bool
            Whether to show a progress bar.

        Returns
        -------
        dict
            Id -> message, for each utterance that has no features.

        Raises
        ------
        FileNotFoundError
            When there is no such list.
        ValueError
            When the list cannot be read.
        """
        folder, failures, targets = Path(folder), {}, {}
        items = read_list(source)
        for key in items:
            try:
                target = _target(folder, key)
                if target in targets.values():
                    raise ValueError(f"{key!r} and another id name {target}.")
                targets[key] = target
            except ValueError as error:
                failures[key] = str(error)
        rows = [items[key] for key in targets]
        results = self.encode_files(
            rows, granularity, batch_size, window, progress
        )
        for (key, target), row in zip(targets.items(), results, strict=True):
            try:
                _save(value_of(row).cpu().numpy(), target)
            except (OSError, ValueError) as error:
                failures[key] = str(error)
        return failures

    def _encode(self, wavs, wav_lens, granularity):
        """(features, number of valid rows of each item)."""
        _check_granularity(granularity)
        wavs, wav_lens = check_batch(wavs, wav_lens)
        with torch.no_grad(), self.inference_ctx:
            frames, lengths, tokens, _ = self.mods.model.extract(
                wavs.to(self.device), wav_lens.to(self.device)
            )
        if granularity == "frame":
            return frames, lengths
        if granularity == "utterance":
            return tokens, torch.full_like(lengths, tokens.shape[1])
        return masked_mean(frames, lengths), torch.ones_like(lengths)


def _check_granularity(granularity):
    if granularity not in GRANULARITIES:
        raise ValueError(
            f"granularity must be one of {GRANULARITIES}, not {granularity!r}."
        )


def _target(folder, key):
    """The file of an id, below the folder; absolute paths are laid there."""
    name = key.removeprefix(Path(key).anchor)
    target = (folder / f"{name}.npy").resolve()
    if folder.resolve() not in target.parents:
        raise ValueError(f"The id {key!r} leads out of {folder}.")
    return target


def _save(array, path):
    """Whole or not at all."""
    with written_beside(path) as part, open(part, "wb") as file:
        np.save(file, array)
