"""A timeline without overlaps from windows that may overlap."""

from collections.abc import Iterable, Sequence

import numpy as np


def merge_windows(windows: Iterable[dict], labels: Sequence[str]) -> list[dict]:
    """Segments of one emotion each, from the windows of a recording.

    Where windows overlap, the mean of those that are not silent counts;
    neighbours of the same emotion become one segment, whose probabilities
    are their mean by duration. Times are whole milliseconds.

    Arguments
    ---------
    windows : iterable of dict
        With ``start`` and ``end`` (s) and ``probabilities`` (label ->
        probability; None where it is silent).
    labels : sequence of str
        The labels, in their order.

    Returns
    -------
    list of dict
        ``start``, ``end``, ``label`` and ``probabilities``, in the order of
        time. Silence is a gap.

    Example
    -------
    >>> calm, cross = {"calm": 0.75, "cross": 0.25}, {"calm": 0, "cross": 1}
    >>> windows = [
    ...     {"start": 0.0, "end": 2.0, "probabilities": calm},
    ...     {"start": 1.0, "end": 3.0, "probabilities": calm},
    ...     {"start": 3.0, "end": 5.0, "probabilities": None},
    ...     {"start": 5.0, "end": 7.0, "probabilities": cross},
    ... ]
    >>> for segment in merge_windows(windows, ["calm", "cross"]):
    ...     print(segment["start"], segment["end"], segment["label"])
    0.0 3.0 calm
    5.0 7.0 cross
    """
    loud = [w for w in windows if w["probabilities"] is not None]
    rows = [[w["probabilities"][label] for label in labels] for w in loud]
    changes: dict[float, list] = {}
    for number, window in enumerate(loud):
        start, end = round(window["start"], 3), round(window["end"], 3)
        if start < end:
            changes.setdefault(start, []).append((1, number))
            changes.setdefault(end, []).append((-1, number))
    segments: list[dict] = []
    total, count, last = np.zeros(len(labels)), 0, 0.0
    for moment in sorted(changes):
        if count:
            _extend(segments, last, moment, total / count, labels)
        for sign, number in changes[moment]:
            total = total + sign * np.asarray(rows[number], np.float64)
            count += sign
        last = moment
    return [_named(segment, labels) for segment in segments]


def follow_windows(windows: Sequence[dict]) -> list[dict]:
    """Windows as segments, each until the next begins; none are merged.

    What has words of its own, such as a description, stays apart.

    Arguments
    ---------
    windows : sequence of dict
        With ``start``, ``end``, ``label`` and more.

    Returns
    -------
    list of dict
        The same without overlaps.

    Example
    -------
    >>> a = {"start": 0.0, "end": 2.0, "label": "sad"}
    >>> follow_windows([a, {**a, "start": 1.0, "end": 3.0}])[0]["end"]
    1.0
    """
    windows = [w for w in windows if w["label"] is not None]
    nexts = [w["start"] for w in windows[1:]]
    return [
        {
            **window,
            "start": round(window["start"], 3),
            "end": round(min(window["end"], following), 3),
        }
        for window, following in zip(
            windows, [*nexts, float("inf")], strict=True
        )
    ]


def _extend(segments, start, end, row, labels):
    label = labels[int(row.argmax())]
    previous = segments[-1] if segments else None
    if previous and previous["label"] == label and previous["end"] == start:
        previous["end"] = end
        previous["sum"] = previous["sum"] + (end - start) * row
        return
    segments.append(
        {"start": start, "end": end, "label": label, "sum": (end - start) * row}
    )


def _named(segment, labels):
    mean = segment.pop("sum") / (segment["end"] - segment["start"])
    mean = mean.clip(0.0, 1.0)
    names = dict(zip(labels, mean.tolist(), strict=True))
    return {**segment, "probabilities": names}
