"""Results as plain dictionaries, the same for commands and servers."""

from speechbrain_c2ser import __version__
from speechbrain_c2ser.inference.results import (
    Classification,
    Description,
    FileResult,
)
from speechbrain_c2ser.timelines.schema import VERSION
from speechbrain_c2ser.timelines.segments import follow_windows, merge_windows


def record_of(
    row: FileResult,
    model: str,
    labels: list[str],
    calibrated: bool,
    recording: object = None,
) -> dict:
    """What JSON says about a recording, as of ``result_schema``.

    Arguments
    ---------
    row : FileResult
        Of a classification or description that has no error.
    model : str
        Name of the model.
    labels : list of str
        Its labels.
    calibrated : bool
        Whether a temperature was fitted on validation data.
    recording : object
        What was asked for: of a row of a list, its ``id``, ``channel`` and
        ``start`` are told, and times are those in the file.

    Returns
    -------
    dict

    Example
    -------
    >>> import torch
    >>> from speechbrain_c2ser.inference.file_classifier import mean_of_windows
    >>> heard = mean_of_windows([(0.0, 1.5, torch.tensor([0.25, 0.75]))],
    ...     ["sad", "happy"])
    >>> record = record_of(FileResult("a.wav", heard), "m", ["sad", "happy"],
    ...     calibrated=False)
    >>> record["label"], record["end"], record["segments"][0]["end"]
    ('happy', 1.5, 1.5)
    """
    given = recording if isinstance(recording, dict) else {}
    offset = float(given.get("start") or 0.0)
    result = row.result
    described = isinstance(result, Description)
    windows = [
        {
            "start": window.start + offset,
            "end": window.stop + offset,
            **(
                _described(window.description)
                if described
                else _classified(window, labels)
            ),
        }
        for window in result.windows
    ]
    whole = _described(result) if described else _classified(result, labels)
    return {
        "schema": VERSION,
        "version": __version__,
        "model": model,
        "path": row.path,
        **({"id": str(given["id"])} if given.get("id") is not None else {}),
        **({"channel": given["channel"]} if "channel" in given else {}),
        "start": offset,
        "end": max((w["end"] for w in windows), default=offset),
        "labels": list(labels),
        "label": whole.pop("label"),
        "score": row.score,
        "calibrated": calibrated,
        **whole,
        **({"heads": result.heads} if getattr(result, "heads", None) else {}),
        "windows": windows,
        "segments": (
            follow_windows(windows)
            if described
            else merge_windows(windows, labels)
        ),
    }


def is_calibrated(model: object) -> bool:
    """Whether a temperature was fitted for the model's own labels.

    Arguments
    ---------
    model : PretrainedModel
        Of any folder.

    Returns
    -------
    bool

    Example
    -------
    >>> from types import SimpleNamespace
    >>> is_calibrated(SimpleNamespace(hparams=SimpleNamespace(temperature=2)))
    True
    """
    # a model may say that what it tells is not what was calibrated
    told = getattr(model, "calibrated", None)
    if told is not None:
        return told
    return getattr(model.hparams, "temperature", 1.0) != 1.0


def _classified(heard: Classification, labels: list[str]) -> dict:
    row = heard.probabilities
    names = None
    if row is not None:
        names = dict(zip(labels, row.tolist(), strict=True))
    return {"label": heard.label, "probabilities": names}


def _described(said: Description) -> dict:
    return {
        "label": said.emotion,
        "probabilities": said.probabilities,
        "text": said.text,
        "style": said.style,
        "content": said.content,
    }
