"""From ``classify_batch`` to files: windows, batches, one bad file of many."""

from collections.abc import Callable

import torch

from speechbrain_c2ser.audio.objects import as_list
from speechbrain_c2ser.inference.pretrained import PretrainedModel
from speechbrain_c2ser.inference.recordings import (
    for_each_recording,
    least_samples,
    value_of,
)
from speechbrain_c2ser.inference.results import (
    Classification,
    FileResult,
    Window,
)
from speechbrain_c2ser.lobes.heads.base import mean_over_time


class FileClassifier(PretrainedModel):
    """A trained model that gives every recording an emotion.

    What has ``classify_batch`` and ``names_of`` classifies files by it.
    """

    # An answer of :meth:`answers` as plain data, for a journal, and back.
    codec: tuple[Callable, Callable] = (torch.Tensor.tolist, torch.tensor)

    def names_of(self, **options) -> list[str]:
        """Names of the emotions that :meth:`classify_batch` tells apart.

        Arguments
        ---------
        **options
            Of :meth:`classify_batch`; refused here when they cannot be.

        Returns
        -------
        list of str
        """
        raise NotImplementedError

    def classify_file(
        self,
        audio: object,
        window: float = 30.0,
        hop: float | None = None,
        **options,
    ) -> Classification:
        """Emotion of a recording of any format, rate, channels and length.

        Arguments
        ---------
        audio : str | Path | object
            A file, or anything of
            :func:`~speechbrain_c2ser.audio.objects.open_recording`:
            ``(samples, rate)``, a row of a data set, bytes ...
        window : float
            A longer recording is classified in windows of so many seconds,
            and as a whole by their mean; silent ones do not count.
        hop : float | None
            Seconds from window to window; None = ``window``.
        **options
            Of ``classify_batch``.

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
        (row,) = self.iter_files([audio], 8, window, hop, **options)
        return value_of(row)

    def classify_files(
        self,
        audios,
        batch_size: int = 8,
        window: float = 30.0,
        hop: float | None = None,
        progress: bool = True,
        **options,
    ) -> list[FileResult]:
        """Emotions of many recordings, batched by length.

        Arguments
        ---------
        audios : iterable
            Files, or other recordings as in :meth:`classify_file`; one alone
            is a list of one.
        batch_size : int
            Recordings (or windows) that are run together.
        window : float
            As in :meth:`classify_file`.
        hop : float | None
            As in :meth:`classify_file`.
        progress : bool
            Whether to show a progress bar.
        **options
            Of ``classify_batch``.

        Returns
        -------
        list[FileResult]
            One per recording, in the order given; a bad one's has ``error``.
        """
        return list(
            self.iter_files(
                audios, batch_size, window, hop, progress, **options
            )
        )

    def iter_files(
        self,
        audios,
        batch_size: int = 8,
        window: float = 30.0,
        hop: float | None = None,
        progress: bool = False,
        speech=None,
        journal=None,
        **options,
    ):
        """:meth:`classify_files`, each result as soon as it is there.

        Arguments
        ---------
        audios, batch_size, window, hop, progress, **options
            As in :meth:`classify_files`.
        speech : callable | None
            ``(recording, window) -> [(start, stop), ...]``:
            stretches of speech in place of windows everywhere, such as
            :class:`~speechbrain_c2ser.audio.speech.SpeechFinder`.
        journal : Journal | None
            Where the answers are kept; those of a run before are not asked
            for again.

        Yields
        ------
        FileResult
        """
        self.names_of(**options)
        audios = as_list(audios)
        self.lay_out(len(audios))
        return for_each_recording(
            audios,
            lambda wavs, lens, **told: self.answers(
                wavs, lens, **told, **options
            ),
            lambda parts: self.join(parts, **options),
            batch_size,
            window,
            hop,
            least_samples(self.mods.model),
            progress,
            speech=speech,
            journal=journal,
            codec=self.codec,
            items=self.items_of(audios),
        )

    def items_of(self, audios: list) -> list[dict] | None:
        """What ``classify_batch`` is told of each recording as ``items``.

        Arguments
        ---------
        audios : list
            The recordings.

        Returns
        -------
        list of dict | None
            None = nothing; a model that needs it overrides this.
        """
        return None

    def answers(
        self, wavs: torch.Tensor, wav_lens: torch.Tensor, **options
    ) -> list:
        """What :meth:`join` takes of each waveform of a batch.

        Arguments
        ---------
        wavs : torch.Tensor
            [B, T] waveforms at 16 kHz.
        wav_lens : torch.Tensor
            [B] relative lengths.
        **options
            Of ``classify_batch``.

        Returns
        -------
        list
            Probabilities [L] of each.
        """
        return list(self.classify_batch(wavs, wav_lens, **options)[0].cpu())

    def join(self, parts: list[tuple], **options) -> Classification:
        """A recording's classification from the answers to its windows.

        Arguments
        ---------
        parts : list of (float, float, object | None)
            Start and stop of each window (s) and its answer; None where it is
            silent.
        **options
            Of ``classify_batch``.

        Returns
        -------
        Classification
        """
        return mean_of_windows(parts, self.names_of(**options))


def check_finite(probabilities: torch.Tensor) -> None:
    """Refuse an answer that is none.

    Arguments
    ---------
    probabilities : torch.Tensor
        [..., L].

    Raises
    ------
    ValueError
        If a model of damaged weights gave NaN.

    Example
    -------
    >>> check_finite(torch.tensor([0.5, 0.5]))
    """
    if not torch.isfinite(probabilities).all():
        raise ValueError(
            "the model's probabilities are no numbers (NaN): its weights are "
            "damaged, or its precision is too low; try fp32, or train or "
            "download it again"
        )


def mean_of_windows(parts: list[tuple], names: list[str]) -> Classification:
    """A whole recording's classification from its windows'.

    Arguments
    ---------
    parts : list of (float, float, torch.Tensor | None)
        Start and stop of each window (s) and its probabilities [L]; None
        where it is silent.
    names : list of str
        The L labels.

    Returns
    -------
    Classification
        The mean over the windows that are not silent, by their length.

    Example
    -------
    >>> parts = [(0.0, 1.0, torch.tensor([0.2, 0.8])), (1.0, 2.0, None)]
    >>> mean_of_windows(parts, ["sad", "happy"]).label
    'happy'
    """
    windows = tuple(
        Window(start, stop, row, None if row is None else names[row.argmax()])
        for start, stop, row in parts
    )
    mean = mean_over_time(parts)
    check_finite(mean)
    score, index = mean.max(-1)
    return Classification(mean, score, index, names[index], windows)
