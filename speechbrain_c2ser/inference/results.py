"""What the interfaces answer."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Window:
    """The emotion of a stretch of a recording.

    Arguments
    ---------
    start : float
        Seconds.
    stop : float
        Seconds.
    probabilities : torch.Tensor | None
        [L]; None where it is silent.
    label : str | None
        The most probable emotion; None where it is silent.
    """

    start: float
    stop: float
    probabilities: torch.Tensor | None
    label: str | None


@dataclass(frozen=True)
class Classification:
    """The emotion of a recording; unpacks to its first four fields.

    Arguments
    ---------
    probabilities : torch.Tensor | None
        Of the labels, [L]; None where no head of the model decides on one.
    score : torch.Tensor | None
        The largest of them.
    index : torch.Tensor | None
        Its place.
    label : str | None
        Its name.
    windows : tuple of Window
        The stretches of the recording.
    heads : dict
        Name → what each head of the model records, where it has other heads
        than the one of the label.
    """

    probabilities: torch.Tensor | None = None
    score: torch.Tensor | None = None
    index: torch.Tensor | None = None
    label: str | None = None
    windows: tuple[Window, ...] = ()
    heads: dict[str, dict] = field(default_factory=dict)

    def __iter__(self) -> Iterator:
        """SpeechBrain's order: probabilities, score, index, label."""
        yield from (self.probabilities, self.score, self.index, self.label)


@dataclass(frozen=True)
class FileResult:
    """What became of one recording of many.

    Arguments
    ---------
    path : str
        The file, or "recording N" of samples.
    result : Classification | Description | torch.Tensor | None
        None after an error.
    error : str | None
        Why there is no result: one sentence that names the recording.
    exception : Exception | None
        What was caught.
    """

    path: str
    result: "Classification | Description | torch.Tensor | None" = None
    error: str | None = None
    exception: Exception | None = field(default=None, repr=False)

    @property
    def label(self) -> str | None:
        """The most probable emotion; None after an error."""
        return getattr(self.result, "label", None) or getattr(
            self.result, "emotion", None
        )

    @property
    def score(self) -> float | None:
        """The label's probability; None after an error."""
        if isinstance(self.result, Description):
            return self.result.probabilities[self.result.emotion]
        score = getattr(self.result, "score", None)
        return None if score is None else float(score)


@dataclass(frozen=True)
class Description:
    """What C2SER says about a recording.

    Arguments
    ---------
    text : str
        The explicit chain of thought, whole.
    style : dict | None
        Speed, pitch and volume in words, as read from the text.
    content : str | None
        What is said, as read from the text.
    emotion : str
        The most probable label.
    probabilities : dict
        Label -> probability, given style and content.
    text_emotion : str | None
        The label that the text itself names; None if it names none.
    language : str | None
        Language of the text.
    windows : tuple of DescribedWindow
        The stretches of the recording, in one or in more.
    cut : bool
        Whether the length limit ended the text: it may lack the emotion.
    """

    text: str
    style: dict | None
    content: str | None
    emotion: str
    probabilities: dict
    text_emotion: str | None = None
    language: str | None = None
    windows: "tuple[DescribedWindow, ...]" = field(default=(), repr=False)
    cut: bool = False


@dataclass(frozen=True)
class DescribedWindow:
    """The description of a stretch of a recording.

    Arguments
    ---------
    start : float
        Seconds.
    stop : float
        Seconds.
    description : Description
        What is said about it.
    """

    start: float
    stop: float
    description: Description
