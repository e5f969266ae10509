"""What C2SER returns."""

from collections import namedtuple
from dataclasses import dataclass, field

import torch


class Classification(
    namedtuple("Classification", "probabilities score index label")
):
    """Probabilities [L], their maximum, its index and label.

    ``windows`` has a :class:`Window` per stretch of the recording.
    """

    windows = ()


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
class FileResult:
    """A row of :meth:`C2SER.classify_files`.

    Arguments
    ---------
    path : str
        The file.
    label : str | None
        The most probable emotion; None after an error.
    score : float | None
        Its probability.
    classification : Classification | None
        All that is known.
    error : str | None
        Why there is no label.
    """

    path: str
    label: str | None = None
    score: float | None = None
    classification: Classification | None = None
    error: str | None = None


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
    windows : tuple
        (start, stop, Description) of the stretches of a long recording.
    """

    text: str
    style: dict | None
    content: str | None
    emotion: str
    probabilities: dict
    text_emotion: str | None = None
    language: str | None = None
    windows: tuple = field(default=(), repr=False)
