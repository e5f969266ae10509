"""Emotion diarization for users: which emotion when, frame by frame."""

import torch

from speechbrain_c2ser.inference.classifier import EmotionClassifier
from speechbrain_c2ser.inference.recordings import value_of
from speechbrain_c2ser.inference.results import Classification, Window
from speechbrain_c2ser.lobes import FrameHead
from speechbrain_c2ser.lobes.heads.base import mean_over_time


class EmotionDiarizer(EmotionClassifier):
    """Which emotion when, by a model that has a head over frames.

    Answers as SpeechBrain's ``Speech_Emotion_Diarization`` does (Wang et al.
    2023). A recording's ``.windows`` are the stretches of one emotion each,
    with the mean probabilities of their frames; they are not calibrated.

    Example
    -------
    >>> diarizer = EmotionDiarizer.from_hparams(
    ...     "results/diarization/classifier"
    ... )  # doctest: +SKIP
    >>> diarizer.diarize_file("call.wav")  # doctest: +SKIP
    {'call.wav': [{'start': 0.0, 'end': 1.9, 'emotion': 'neutral'}, ...]}
    """

    # of the frames: no temperature is fitted for them
    calibrated = False

    def __init__(self, model, hparams, run_opts=None):
        super().__init__(model, hparams, run_opts)
        if frame_head_of(model) is None:
            raise ValueError(
                "This model has no head over frames, which would tell when "
                f"(it has {', '.join(self.heads.heads)}): train one with "
                "hparams/emotion_recognition/heads/diarization.yaml, or cut "
                "into windows by EmotionClassifier.classify_file(window=4)."
            )

    @property
    def head_name(self):
        """Name of the head over frames; the first of several."""
        return frame_head_of(self.mods.model)

    @property
    def labels(self):
        """Labels of the frames, in the order of probabilities."""
        return list(self.heads[self.head_name].labels)

    def diarize_file(self, path, window=30.0):
        """Emotions and their times in a recording of any length.

        Arguments
        ---------
        path : str | Path | object
            A file, or what else
            :func:`~speechbrain_c2ser.audio.objects.open_recording` takes.
        window : float
            A longer recording goes through the model in windows of so many
            seconds.

        Returns
        -------
        dict
            The path -> a list of ``{"start", "end", "emotion"}`` (s), in the
            order of time.

        Raises
        ------
        AudioError
            When the file cannot be used, or is silent.
        """
        (row,) = self.iter_files([path], window=window)
        return {row.path: _named(value_of(row).windows)}

    def diarize_batch(self, wavs, wav_lens=None, batch_id=None):
        """Emotions and their times in each waveform of a batch.

        Arguments
        ---------
        wavs : torch.Tensor
            [B, T] waveforms at 16 kHz.
        wav_lens : torch.Tensor | None
            [B] relative lengths; None = all full.
        batch_id : sequence of str | None
            Names of the waveforms; None = their numbers.

        Returns
        -------
        dict
            Name -> as of :meth:`diarize_file`.
        """
        if wav_lens is None:
            wav_lens = torch.ones(len(wavs))
        names = range(len(wavs)) if batch_id is None else batch_id
        seconds = (wav_lens * wavs.shape[1] / 16000).tolist()
        answers = self.answers(wavs, wav_lens)
        return {
            name: _named(self.join([(0.0, stop, answer)]).windows)
            for name, stop, answer in zip(names, seconds, answers, strict=True)
        }

    def join(self, parts):
        """A recording's stretches, as its windows, and all heads' records."""
        name, stop = self.head_name, parts[-1][1]
        frames = [
            (start, end, None if answer is None else answer[name])
            for start, end, answer in parts
        ]
        stretches = self.heads[name].stretches(frames)
        windows = [
            Window(start, min(end, stop), mean, self.labels[index])
            for start, end, index, mean in stretches
            if start < stop
        ]
        mean = mean_over_time(
            [(w.start, w.stop, w.probabilities) for w in windows]
        )
        score, index = mean.max(-1)
        records = super().join(parts).heads
        label = self.labels[index]
        return Classification(mean, score, index, label, (*windows,), records)


def frame_head_of(model: torch.nn.Module) -> str | None:
    """Name of a classifier's first head that labels frames.

    Arguments
    ---------
    model : EmotionClassifier
        The lobe.

    Returns
    -------
    str | None
        None where it has none.

    Example
    -------
    >>> from types import SimpleNamespace
    >>> head = FrameHead(4, ["neutral", "sad"])
    >>> frame_head_of(SimpleNamespace(heads=SimpleNamespace(
    ...     heads={"when": head})))
    'when'
    """
    for name, head in model.heads.heads.items():
        if isinstance(head, FrameHead):
            return name
    return None


def _named(windows):
    return [
        {"start": w.start, "end": w.stop, "emotion": w.label} for w in windows
    ]
