"""Emotion2Vec-S for users: features of any recording, or of a corpus."""

import json
import os
from pathlib import Path

import numpy as np
import torch

from speechbrain_c2ser.checkpoints.emotion2vec_folder import load_emotion2vec
from speechbrain_c2ser.checkpoints.folder import find_folder
from speechbrain_c2ser.checkpoints.kinds import check_kind
from speechbrain_c2ser.inference.pretrained import PretrainedModel
from speechbrain_c2ser.inference.segments import Segment, check_batch, cut, run
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
        result = self._encode_all({path: cut(path, window)}, granularity)
        feature = next(iter(result))[1]
        if isinstance(feature, Exception):
            raise feature
        return feature

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
        folder, failures, segments = Path(folder), {}, {}
        for key, item in _read_list(Path(source)).items():
            try:
                target = folder / f"{key}.npy"
                if folder.resolve() not in target.resolve().parents:
                    raise ValueError(f"The id {key!r} leads out of {folder}.")
                segments[key] = _cut_item(item, window)
            except ValueError as error:
                failures[key] = str(error)
        features = self._encode_all(segments, granularity, batch_size, progress)
        for key, feature in features:
            if isinstance(feature, Exception):
                failures[key] = str(feature)
            else:
                _save(feature.cpu().numpy(), folder / f"{key}.npy")
        return failures

    def _encode(self, wavs, wav_lens, granularity):
        """(features, number of valid rows of each item)."""
        if granularity not in GRANULARITIES:
            raise ValueError(
                f"granularity must be one of {GRANULARITIES}, not "
                f"{granularity!r}."
            )
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

    def _encode_all(self, segments, granularity, batch_size=8, progress=False):
        """Yield (key, feature | exception) of key -> its segments."""

        def rows(wavs, wav_lens):
            features, lengths = self._encode(wavs, wav_lens, granularity)
            if granularity == "mean":
                return list(features)
            return [f[:n] for f, n in zip(features, lengths, strict=True)]

        flat = [(key, s) for key, parts in segments.items() for s in parts]
        waiting = {key: {} for key in segments}
        results = run(
            [segment for _, segment in flat],
            rows,
            batch_size,
            progress,
            skip_silence=False,
        )
        for index, result in results:
            key = flat[index][0]
            waiting[key][index] = result
            if len(waiting[key]) == len(segments[key]):
                yield key, _joined(waiting.pop(key), granularity)


def _joined(parts, granularity):
    """One feature of a recording's stretches, in their order."""
    parts = [parts[index] for index in sorted(parts)]
    broken = [p for p in parts if isinstance(p, Exception)]
    if broken:
        return broken[0]
    if len(parts) == 1:
        return parts[0]
    if granularity == "frame":
        return torch.cat(parts)
    return torch.stack(parts).mean(0)


def _read_list(path):
    """Id -> {"wav", ...} of a manifest or wav.scp."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no list {path}.")
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        try:
            items = json.loads(text)
            return {
                key: {
                    **item,
                    "wav": item["wav"].replace("{data_root}", str(path.parent)),
                }
                for key, item in items.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path} is no manifest: each id needs a wav ({error!r})."
            ) from error
    items = {}
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split(maxsplit=1)
        if len(parts) == 1:
            raise ValueError(f"{path}:{number} is not `ID PATH`: {line!r}.")
        if parts:
            items[parts[0]] = {"wav": parts[1].strip()}
    return items


def _cut_item(item, window):
    start = item.get("start", item.get("start_time"))
    stop = item.get("stop", item.get("end_time"))
    if start is None or stop is None:
        return cut(item["wav"], window)
    return [Segment(str(item["wav"]), float(start), float(stop), False)]


def _save(array, path):
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        np.save(file, array)
    os.replace(part, path)
