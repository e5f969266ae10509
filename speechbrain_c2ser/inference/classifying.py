"""Many files through one batch classifier; a bad one never costs the others."""

from collections.abc import Callable, Sequence

import torch

from speechbrain_c2ser.audio import AudioError
from speechbrain_c2ser.inference.results import Classification, FileResult
from speechbrain_c2ser.inference.segments import cut, run, summarise


def classify_recordings(
    paths: Sequence[str],
    rows: Callable[[torch.Tensor, torch.Tensor], list[torch.Tensor]],
    labels: Sequence[str],
    window: float = 30.0,
    hop: float | None = None,
    batch_size: int = 8,
    progress: bool = False,
) -> list[Classification | Exception]:
    """A Classification or an exception for each file.

    Arguments
    ---------
    paths : sequence of str
        The files.
    rows : callable
        wavs [B, T], wav_lens [B] -> B probabilities [L].
    labels : sequence of str
        Their names.
    window : float
        Longer recordings are cut into windows of so many seconds.
    hop : float | None
        Seconds from window to window; None = ``window``.
    batch_size : int
        Windows that are run together.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    list of Classification | Exception
        In the order of the paths.
    """
    segments, files = [], []
    outcomes = [None] * len(paths)
    for number, path in enumerate(paths):
        try:
            parts = cut(path, window, hop)
        except AudioError as error:
            outcomes[number] = error
            continue
        segments += parts
        files += [number] * len(parts)
    results = dict(run(segments, rows, batch_size, progress))
    windows = {}
    for index, (number, segment) in enumerate(
        zip(files, segments, strict=True)
    ):
        row = results[index]
        if isinstance(row, Exception):
            outcomes[number] = row
            continue
        windows.setdefault(number, []).append((segment, row))
    for number, path in enumerate(paths):
        if outcomes[number] is None:
            outcomes[number] = summarise(path, windows[number], labels)
    return outcomes


def as_results(
    paths: Sequence[str], outcomes: Sequence[Classification | Exception]
) -> list[FileResult]:
    """Outcomes of :func:`classify_recordings` as one row a file."""
    return [
        FileResult(path, error=str(outcome))
        if isinstance(outcome, Exception)
        else FileResult(path, outcome.label, outcome.score.item(), outcome)
        for path, outcome in zip(paths, outcomes, strict=True)
    ]
