"""Models that answer many users, one after the other."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from speechbrain_c2ser.inference.options import check_language
from speechbrain_c2ser.inference.recordings import check_windows, value_of
from speechbrain_c2ser.inference.records import is_calibrated, record_of
from speechbrain_c2ser.web.limits import Busy, Limits
from speechbrain_c2ser.web.uploads import plain_name, read_upload

SHORTEST_WINDOW = 0.5  # seconds: a window a stranger may ask for
BATCH = 8


class Listener:
    """Trained models, asked about one recording at a time.

    Arguments
    ---------
    models : dict
        Name -> C2SER or EmotionClassifier.
    limits : Limits | None
        What is taken; None = the defaults.

    Raises
    ------
    ValueError
        Without a model.
    """

    def __init__(self, models: dict[str, Any], limits: Limits | None = None):
        if not models:
            raise ValueError("A server needs a model: give --model FOLDER.")
        self.models = dict(models)
        self.limits = limits or Limits()
        # One thread, in which all that is computed takes turns: each thread
        # would keep the memory of its own largest batch.
        self._thread = ThreadPoolExecutor(1, "listener")
        self._count, self._waiting = Lock(), 0

    @property
    def names(self) -> list[str]:
        """Names of the models."""
        return list(self.models)

    def describes(self, model: str) -> bool:
        """Whether a model answers in words.

        Arguments
        ---------
        model : str
            Its name.

        Returns
        -------
        bool
        """
        return hasattr(self.models[model], "describe_files")

    def read(self, source: Any, name: str | None) -> tuple[str, torch.Tensor]:
        """A recording that is taken.

        Arguments
        ---------
        source : str | Path | BinaryIO
            The stored file.
        name : str | None
            Its name, as a stranger gives it.

        Returns
        -------
        tuple
            Its plain name, its waveform [T] at 16 kHz.

        Raises
        ------
        TooMuch, AudioError
            When it is not taken.
        """
        plain = plain_name(name)
        wave = self._in_turn(read_upload, source, plain, self.limits)
        return plain, wave

    def answer(
        self,
        wave: torch.Tensor,
        name: str,
        model: str | None = None,
        window: float = 4.0,
        hop: float | None = None,
        words: bool = False,
        language: str | None = None,
    ) -> dict:
        """What a model hears in a recording.

        Arguments
        ---------
        wave : torch.Tensor
            [T] at 16 kHz.
        name : str
            Its plain name.
        model : str | None
            Name of the model; None = the first.
        window : float
            Seconds that are heard at a time.
        hop : float | None
            Seconds from window to window; None = ``window``.
        words : bool
            Whether style, content and reasoning are asked for.
        language : str | None
            Of the answers.

        Returns
        -------
        dict
            As of ``result_schema``.

        Raises
        ------
        ValueError
            For a model or option that there is not.
        Busy
            When too many wait already.
        AudioError
            When the recording cannot be used.
        """
        model = self.names[0] if model is None else model
        self.check(model, window, hop, words, language)
        chosen = self.models[model]
        recording = {"array": wave, "sampling_rate": 16000, "path": name}
        options: dict[str, Any] = {"language": language} if language else {}
        ask = chosen.describe_files if words else chosen.iter_files
        (row,) = self._in_turn(
            lambda: list(ask([recording], BATCH, window, hop, **options))
        )
        value_of(row)
        return record_of(row, model, list(chosen.labels), is_calibrated(chosen))

    def check(self, model, window, hop, words, language):
        """Refuse what cannot be asked, before a recording is read.

        Arguments
        ---------
        model, window, hop, words, language
            As in :meth:`answer`.

        Raises
        ------
        ValueError
            Says what there is instead.
        """
        if model not in self.models:
            raise ValueError(
                f"There is no model {model!r} here: choose one of "
                f"{', '.join(self.names)}."
            )
        check_windows(window, hop)
        shortest = min(window, window if hop is None else hop)
        if shortest < SHORTEST_WINDOW:
            raise ValueError(
                f"A window or hop of {shortest:g} s is too short here: at "
                f"least {SHORTEST_WINDOW:g} s."
            )
        check_language(language)
        if (words or language) and not self.describes(model):
            raise ValueError(
                f"{model} is a classifier, which answers in no words: leave "
                "out words and language."
            )

    def _in_turn(self, work, *arguments):
        """One at a time, in the order asked; not without end."""
        with self._count:
            if self._waiting >= self.limits.waiting:
                raise Busy("Too many are waiting: try again in a minute.")
            self._waiting += 1
        try:
            return self._thread.submit(work, *arguments).result()
        finally:
            with self._count:
                self._waiting -= 1


def short_names(folders: Iterable[str]) -> list[str]:
    """Names of model folders that tell them apart and show no path.

    Arguments
    ---------
    folders : iterable of str
        Folders or hub ids.

    Returns
    -------
    list of str

    Example
    -------
    >>> short_names(["a/c2ser", "b/c2ser/", "probe"])
    ['c2ser', 'c2ser 2', 'probe']
    """
    names: list[str] = []
    for folder in folders:
        stem = name = Path(folder).name or "model"
        number = 1
        while name in names:
            number += 1
            name = f"{stem} {number}"
        names.append(name)
    return names
