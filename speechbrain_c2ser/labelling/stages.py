"""Stages of labelling: callables that are given many items at once.

A stage changes the items in place: it adds what it knows, leaves an item out,
or lets it fail. It loads a model when it is opened, once in each process, and
can be sent to another process before that.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.audio import is_silent, load_audio
from speechbrain_c2ser.checkpoints.identity import identity_of
from speechbrain_c2ser.data.weak import top_label
from speechbrain_c2ser.inference.opening import open_classifier
from speechbrain_c2ser.inference.options import check_number
from speechbrain_c2ser.inference.pretrained import find_device
from speechbrain_c2ser.labelling.items import Item
from speechbrain_c2ser.labelling.weak_labels import (
    answer_of,
    ask_words,
    same_folder,
    sureness,
    weak_of,
)
from speechbrain_c2ser.labels import LabelSpace

RATE = 16000


class Stage:
    """A step of labelling."""

    asks_model = False  # whether its failures may be the machine's
    name = ""  # of what it asks, in the answers

    def open(self) -> None:
        """Load what it needs, once in a process; errors end the run."""

    def __call__(self, items: list[Item]) -> None:
        """Change items that are on their way, in place."""
        raise NotImplementedError

    def describe(self) -> dict:
        """What its answers depend on, as plain as JSON.

        Returns
        -------
        dict
        """
        ignored = ("device", "batch_size")
        return {
            "stage": type(self).__name__,
            **{
                name: value
                for name, value in self.constructor_arguments.items()
                if name not in ignored
            },
        }

    def __getstate__(self):
        # Models are loaded where they are used.
        return {**self.__dict__, "model": None}


@remember_arguments
class Decode(Stage):
    """Audio as a waveform of 16 kHz, with its true duration.

    Arguments
    ---------
    tolerance : float
        Seconds by which it may be shorter than its row says: MP3 has frames
        of 26 ms. What is shorter was cut, and fails.

    Example
    -------
    >>> item = Item("a", {"duration": 9.0}, ([0.1, -0.1] * 8000, 16000))
    >>> Decode()([item])
    >>> item.outcome, item.reason
    ('failed', 'holds 1.00 s of the 9.00 s that are told')
    """

    def __init__(self, tolerance: float = 0.3):
        self.tolerance = tolerance

    def __call__(self, items):
        """Read each; one that cannot be read fails."""
        for item in items:
            try:
                wave = load_audio(item.audio, f"The audio of {item.id}")
            except Exception as error:  # one bad item never costs the others
                item.fail(error)
                continue
            seconds, told = len(wave) / RATE, item.row.get("duration")
            if isinstance(told, (int, float)):
                if seconds < told - self.tolerance:
                    item.fail(
                        f"holds {seconds:.2f} s of the {told:.2f} s that are "
                        "told"
                    )
                    continue
            item.wave = wave
            item.row["duration"] = round(seconds, 4)


@remember_arguments
class Limits(Stage):
    """Leaves out what is too short, too long, too quiet, or in no language.

    Arguments
    ---------
    shortest, longest : float | None
        Seconds; None does not limit, here and below.
    quietest : float | None
        Least level over the whole recording, in dB below full scale (rms).
    languages : sequence of str | None
        Those that are taken, as the rows name them; None takes all.

    Example
    -------
    >>> item = Item("a", {"duration": 0.2}, wave=torch.ones(3200))
    >>> Limits(shortest=1.0)([item])
    >>> item.reason
    'shorter than 1.0 s'
    """

    def __init__(
        self,
        shortest: float | None = 1.0,
        longest: float | None = 30.0,
        quietest: float | None = -60.0,
        languages: Sequence[str] | None = None,
    ):
        self.shortest, self.longest = shortest, longest
        self.quietest = quietest
        self.languages = None if languages is None else set(languages)

    def __call__(self, items):
        """Compare each with the limits."""
        for item in items:
            reason = self._reason(item)
            if reason:
                item.leave_out(reason)

    def _reason(self, item):
        if self.languages is not None:
            language = item.row.get("language")
            if language is None:
                return "its language is not told"
            if language not in self.languages:
                return f"in {language}"
        shortest, longest = self.shortest, self.longest
        if shortest is not None and item.row["duration"] < shortest:
            return f"shorter than {shortest} s"
        if longest is not None and item.row["duration"] > longest:
            return f"longer than {longest} s"
        if self.quietest is None:
            return None
        if is_silent(item.wave) or level_of(item.wave) < self.quietest:
            return f"quieter than {self.quietest} dB"
        return None


def level_of(wave: torch.Tensor) -> float:
    """Root mean square of a waveform in dB of full scale.

    Example
    -------
    >>> round(level_of(torch.full((100,), 0.1)), 3)
    -20.0
    """
    power = float(wave.double().square().mean())
    return -math.inf if power == 0 else 10 * math.log10(power)


class ModelStage(Stage):
    """Base of what asks a model, told by its name and size, wherever it lies.

    Arguments
    ---------
    source : str
        Its folder.
    name : str | None
        In the answers; None = the folder's name.
    device : str | None
        "cpu", "cuda:0" ...; None takes a GPU where there is one.
    """

    asks_model = True

    def __init__(
        self, source: str, name: str | None = None, device: str | None = None
    ):
        self.source, self.device = str(source), device
        self.name = name or same_folder(source)
        self.model: Any = None

    def open(self):
        """Load the model."""
        if self.model is None:
            if self.device:
                find_device(self.device)
            self.model = self.load()

    def load(self) -> Any:
        """The model."""
        raise NotImplementedError

    def describe(self):
        """Its name and what its folder holds."""
        return {
            "stage": type(self).__name__,
            "name": self.name,
            "folder": identity_of(self.source),
        }


@remember_arguments
class SpeechEmotion(ModelStage):
    """What a classifier, an emotion2vec+ or C2SER hears.

    Arguments
    ---------
    source : str
        Its folder.
    name : str | None
        In the answers; None = the folder's name.
    device : str | None
        "cpu", "cuda:0" ...; None takes a GPU where there is one.
    batch_size : int
        Recordings, alike in length, that are run together.
    precision : str
        Of the computation: "fp32", "bf16", "fp16" or "int8".
    """

    def __init__(
        self,
        source: str,
        name: str | None = None,
        device: str | None = None,
        batch_size: int = 16,
        precision: str = "fp32",
    ):
        super().__init__(source, name, device)
        check_number("batch_size", batch_size, 1, whole=True)
        self.batch_size, self.precision = batch_size, precision

    def load(self):
        """The classifier; its labels are known from then on."""
        options = {"precision": self.precision}
        if self.device:
            options["device"] = self.device
        model = open_classifier(self.source, run_opts=options)
        model.lay_out()  # now: what is labelled is the same in a run resumed
        return model

    def describe(self):
        """As of the base, and a precision that changes what it says."""
        settings = super().describe()
        if self.precision != "fp32":
            settings["precision"] = self.precision
        return settings

    @property
    def labels(self) -> list[str]:
        """Of the model, which is loaded for it."""
        self.open()
        return list(self.model.labels or ())

    def __call__(self, items):
        """Let the model hear them; one that it cannot hear fails."""
        self.open()
        rows = [
            {
                **{k: v for k, v in item.row.items() if k not in BOUNDS},
                "id": item.id,
                "path": item.id,
                "array": item.wave,
                "sampling_rate": RATE,
            }
            for item in items
        ]
        results = self.model.iter_files(rows, self.batch_size)
        for item, result in zip(items, results, strict=True):
            answer = answer_of(result, self.model.labels)
            if "error" in answer:
                item.fail(f"{self.name}: {answer['error']}")
            else:
                item.answers[self.name] = answer


# A row's bounds are those in its file; the waveform is the stretch itself.
BOUNDS = ("wav", "start", "stop", "channel", "audio", "file", "bytes", "raw")


@remember_arguments
class WordEmotion(ModelStage):
    """What a language model reads in the transcript, scored over a closed set.

    An item without transcript has no answer of it.

    Arguments
    ---------
    source : str
        The model's folder.
    labels : sequence of str
        The set.
    name : str | None
        In the answers; None = the folder's name.
    device : str | None
        As of :class:`SpeechEmotion`.
    """

    def __init__(
        self,
        source: str,
        labels: Sequence[str],
        name: str | None = None,
        device: str | None = None,
    ):
        super().__init__(source, name, device)
        self.space = LabelSpace(list(labels))

    def load(self):
        """The language model."""
        from speechbrain_c2ser.inference.text_llm import TextLLM

        return TextLLM(self.source, self.device, progress=False)

    def __call__(self, items):
        """Let the model read them; one that it cannot read fails."""
        self.open()
        by_id = {item.id: item for item in items}
        rows = ({**item.row, "id": key} for key, item in by_id.items())
        for key, answer in ask_words(rows, self.model, self.space):
            if "error" in answer:
                by_id[key].fail(f"{self.name}: {answer['error']}")
            else:
                by_id[key].answers[self.name] = answer

    def describe(self):
        """As of the base, and the set."""
        return {**super().describe(), "labels": self.space.names}


@remember_arguments
class Agreement(Stage):
    """The weak label: all models' mean, where they agree and are sure.

    Arguments
    ---------
    labels : sequence of str
        The set that all answers are brought to.
    agree : bool
        Whether all models must have the same most probable label.
    least : float
        Share that the label must have in any case.
    models : int
        Answers that an item needs.
    thresholds : dict | None
        Label -> share that every model must give it (None: it is never
        given), of
        :func:`~speechbrain_c2ser.labelling.thresholds.fit_thresholds`.

    Example
    -------
    >>> item = Item("a", answers={"m": {"labels": {"sad": 0.7, "angry": 0.3}}})
    >>> Agreement(["angry", "sad"])([item])
    >>> item.row["weak"]["labels"]["sad"], item.outcome
    (0.7, '')
    >>> Agreement(["angry", "sad"], thresholds={"angry": 0.2, "sad": 0.8})(
    ...     [item]
    ... )
    >>> item.reason
    'below the threshold of sad'
    """

    def __init__(
        self,
        labels: Sequence[str],
        agree: bool = True,
        least: float = 0.0,
        models: int = 1,
        thresholds: dict | None = None,
    ):
        self.space = LabelSpace(list(labels))
        self.agree, self.least, self.models = agree, least, models
        self.thresholds = thresholds

    def __call__(self, items):
        """Give each its label, or leave it out."""
        for item in items:
            item.row.pop("weak", None)
            if len(item.answers) < self.models:
                item.leave_out(f"fewer than {self.models} models answer")
                continue
            weak, reason = weak_of(
                item.answers, self.space, self.agree, self.least
            )
            if weak is None:
                item.leave_out(reason)
                continue
            label = top_label(weak)
            if self.thresholds is not None and label is not None:
                threshold = self.thresholds.get(label)
                sure = sureness(item.answers, self.space, label)
                if threshold is None or sure < threshold:
                    item.leave_out(f"below the threshold of {label}")
                    continue
            item.row["weak"] = weak

    def describe(self):
        """Thresholds too: they decide what is given."""
        return {
            "stage": "Agreement",
            "labels": self.space.names,
            "agree": self.agree,
            "least": self.least,
            "models": self.models,
            "thresholds": self.thresholds,
        }
