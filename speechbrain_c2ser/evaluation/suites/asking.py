"""Asking a system in Python: audio in, a label, probabilities or text out.

A system is any callable ``wave -> answer``; what else it can do, it has as
methods. An error on one item is counted and named, and the rest goes on.
"""

import math
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Protocol

import numpy as np

AT_ONCE = 16
# Signs of an error that are told.
MOST_SAID = 200
# What is kept of an answer that is a dict.
KEPT = ("text", "label", "probabilities", "style", "content")


class System(Protocol):
    """What the suites ask of a system; all but the call may be missing.

    An answer is a text (or a label), or label -> probability, or a dict of
    text, label and probabilities, or None where it decides nothing.

    - ``many(waves)``: a list of answers, quicker than one by one.
    - ``read(text, language)``: the answer to a transcript without audio.
    - ``ask(wave, question)``: the answer to another question.
    - ``go_on(wave, beginning)``: the answer that the system gives when its
      own text begins so; only what decides is needed, not the whole text.
    """

    def __call__(self, wave: np.ndarray) -> str | dict | None:
        """Answer to one waveform [T], float32, 16 kHz."""


def as_row(key: str, answer: str | dict | None) -> dict:
    """An answer as a prediction.

    Arguments
    ---------
    key : str
        Id of the utterance.
    answer : str | dict | None
        See :class:`System`.

    Returns
    -------
    dict
        As :mod:`speechbrain_c2ser.evaluation.predictions` wants it.

    Raises
    ------
    ValueError
        If it is none of these.

    Example
    -------
    >>> as_row("a", {"sad": 0.75, "happy": 0.25})["label"]
    'sad'
    >>> as_row("a", "She sounds sad.")
    {'id': 'a', 'text': 'She sounds sad.'}
    """
    if answer is None:
        return {"id": key, "label": None}
    if isinstance(answer, str):
        return {"id": key, "text": _encodable(answer)}
    if isinstance(answer, dict) and answer:
        if not answer.keys() & {"text", "label", "probabilities"}:
            answer = {"probabilities": answer}
        row = {"id": key, **{k: answer[k] for k in KEPT if k in answer}}
        for field in ("text", "label"):
            if not isinstance(row.get(field), str | None):
                raise ValueError(
                    f"its {field} is {type(row[field]).__name__}, no text"
                )
            if row.get(field):
                row[field] = _encodable(row[field])
        if row.get("probabilities") is None:
            row.pop("probabilities", None)
            return row
        if not isinstance(row["probabilities"], dict):
            raise ValueError("its probabilities are not label -> number")
        probabilities = {
            str(label): float(p) for label, p in row["probabilities"].items()
        }
        if not all(map(math.isfinite, probabilities.values())):
            raise ValueError(f"its probabilities are {probabilities}")
        row["probabilities"] = probabilities
        if not row.keys() & {"text", "label"}:
            row["label"] = max(probabilities, key=probabilities.get)
        return row
    raise ValueError(
        f"it answered {type(answer).__name__}: an answer is a text, a dict "
        "of probabilities, or a dict of text, label and probabilities"
    )


def ask_all(
    ask: Callable,
    questions: Iterable[tuple],
    many: Callable | None = None,
) -> tuple[list[dict], dict]:
    """Ask of each item; what fails is told, and the rest goes on.

    Arguments
    ---------
    ask : callable
        ``(*arguments) -> answer`` of one item.
    questions : iterable of tuple
        (id, function that gives the arguments as a tuple), so that audio is
        read only when its turn comes.
    many : callable | None
        ``list of first arguments -> answers``; where it fails, each item of
        that batch is asked by itself.

    Returns
    -------
    rows : list of dict
        Predictions, of failed items too: without a label, with "error".
    errors : dict
        Id -> what went wrong.

    Example
    -------
    >>> def ask(wave):
    ...     return {"sad": 1 / wave}
    >>> rows, errors = ask_all(ask, [("a", lambda: (1,)), ("b", lambda: (0,))])
    >>> rows[0]["label"], errors
    ('sad', {'b': 'ZeroDivisionError: division by zero'})
    """
    rows, errors, batch = [], {}, []

    def fail(key, error):
        said = " ".join(str(error).split())[:MOST_SAID]
        errors[key] = f"{type(error).__name__}: {said}"
        rows.append({"id": key, "label": None, "error": errors[key]})

    def finish():
        answers = None
        if many is not None and len(batch) > 1:
            try:
                answers = list(many([given[0] for _, given in batch]))
            except Exception:  # each is asked by itself, and named
                answers = None
            if answers is not None and len(answers) != len(batch):
                answers = None
        for number, (key, given) in enumerate(batch):
            try:
                answer = ask(*given) if answers is None else answers[number]
                rows.append(as_row(key, answer))
            except (Exception, SystemExit) as error:
                fail(key, error)
        batch.clear()

    for key, arguments in questions:
        try:
            batch.append((key, arguments()))
        except Exception as error:  # audio that cannot be read
            fail(key, error)
        if len(batch) >= (AT_ONCE if many is not None else 1):
            finish()
    finish()
    return rows, errors


def _encodable(text):
    """A text that can be written: half of a pair of UTF-16 as its escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def import_system(name: str) -> System:
    """The callable that a name such as ``my_module:my_system`` means.

    Arguments
    ---------
    name : str
        Module, colon, attribute. The module is imported, that is, run.

    Raises
    ------
    ValueError
        If there is none, or it cannot be called.
    """
    module, _, attribute = name.partition(":")
    try:
        system = import_module(module)
        for part in attribute.split("."):
            system = getattr(system, part)
    except Exception as error:  # whatever the module does when it is run
        raise ValueError(
            f"There is no system {name!r}: {type(error).__name__}: {error}. "
            "Give module:callable of a module that Python finds (PYTHONPATH)."
        ) from error
    if not callable(system):
        raise ValueError(f"The system {name!r} cannot be called.")
    return system
