"""Whether a model's confidence means what it says."""

from collections.abc import Sequence

import numpy as np


def reliability_bins(
    probabilities, targets: Sequence[int], bins: int = 10
) -> list[dict]:
    """Confidence against accuracy.

    Arguments
    ---------
    probabilities : array
        [N, L]; rows sum to 1.
    targets : sequence of int
        True indices [N].
    bins : int
        Bins of equal width over [0, 1].

    Returns
    -------
    list of dict
        low, high, n, confidence and accuracy of each bin; the latter two are
        None where the bin is empty.

    Raises
    ------
    ValueError
        If shapes do not match or rows are no probabilities.

    Example
    -------
    >>> bins = reliability_bins([[0.8, 0.2], [0.7, 0.3]], [0, 1], bins=2)
    >>> bins[1]["n"], bins[1]["confidence"], bins[1]["accuracy"]
    (2, 0.75, 0.5)
    """
    confidence, correct = _confidence(probabilities, targets)
    edges = np.linspace(0.0, 1.0, bins + 1)
    # A bin holds its upper edge, so that certainty falls into the last one.
    place = np.clip(np.searchsorted(edges, confidence) - 1, 0, bins - 1)
    rows = []
    for i in range(bins):
        inside = place == i
        rows.append(
            {
                "low": float(edges[i]),
                "high": float(edges[i + 1]),
                "n": int(inside.sum()),
                "confidence": _mean(confidence[inside]),
                "accuracy": _mean(correct[inside]),
            }
        )
    return rows


def expected_calibration_error(probabilities, targets, bins=10) -> float:
    """Mean distance of confidence and accuracy over bins (ECE).

    Arguments
    ---------
    probabilities, targets, bins
        As in :func:`reliability_bins`.

    Returns
    -------
    float

    Example
    -------
    >>> expected_calibration_error([[0.75, 0.25]] * 4, [0, 0, 0, 1])
    0.0
    """
    rows = [r for r in reliability_bins(probabilities, targets, bins) if r["n"]]
    gaps = [r["n"] * abs(r["confidence"] - r["accuracy"]) for r in rows]
    return sum(gaps) / sum(r["n"] for r in rows)


def selective_accuracy(probabilities, targets) -> dict:
    """Accuracy on the most confident share of the utterances.

    Arguments
    ---------
    probabilities, targets
        As in :func:`reliability_bins`.

    Returns
    -------
    dict
        coverage and accuracy: lists from the single most confident utterance
        to all (ties in confidence come in together), and area: the mean
        accuracy over the utterances' coverages.

    Example
    -------
    >>> selective_accuracy([[0.9, 0.1], [0.6, 0.4]], [0, 1])
    {'coverage': [0.5, 1.0], 'accuracy': [1.0, 0.5], 'area': 0.75}
    """
    confidence, correct = _confidence(probabilities, targets)
    order = np.argsort(-confidence, kind="stable")
    confidence = confidence[order]
    counts = np.arange(1, len(order) + 1)
    last = np.append(confidence[1:] != confidence[:-1], True)
    # Utterances of equal confidence share the figure of their last.
    group = np.searchsorted(counts[last], counts)
    accuracy = (np.cumsum(correct[order]) / counts)[last]
    return {
        "coverage": (counts[last] / len(order)).tolist(),
        "accuracy": accuracy.tolist(),
        "area": float(accuracy[group].mean()),
    }


def _confidence(probabilities, targets):
    """Highest probability [N], and whether it is the target's [N]."""
    probabilities = np.asarray(probabilities, dtype=np.float64)
    targets = np.asarray(targets, dtype=np.int64)
    if probabilities.ndim != 2 or len(probabilities) != len(targets):
        raise ValueError(
            f"Probabilities of shape {probabilities.shape} do not match "
            f"{len(targets)} targets."
        )
    sums = probabilities.sum(axis=1)
    if not len(targets) or not np.allclose(sums, 1.0, atol=1e-3):
        raise ValueError("Each row of probabilities must sum to 1.")
    best = probabilities.argmax(axis=1)
    return probabilities.max(axis=1), (best == targets).astype(np.float64)


def _mean(values):
    return float(values.mean()) if len(values) else None
