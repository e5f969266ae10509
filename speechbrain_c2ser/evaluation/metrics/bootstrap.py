"""Uncertainty of scores: the bootstrap over utterances.

Over speakers, whose utterances resemble each other:
``evaluation/suites/resampling.py``.
"""

from collections.abc import Sequence

import numpy as np

from speechbrain_c2ser.evaluation.metrics.classification import (
    count_confusions,
    label_indices,
    score_confusions,
)


def bootstrap_intervals(
    targets,
    predictions,
    labels,
    metrics: Sequence[str] = ("wa", "ua", "macro_f1", "weighted_f1"),
    confidence: float = 0.95,
    samples: int = 1000,
    seed: int = 0,
) -> dict:
    """Intervals of scores by resampling utterances with replacement.

    Arguments
    ---------
    targets, predictions, labels
        As in :func:`~.classification.classification_metrics`.
    metrics : sequence of str
        "ua", "wa", "macro_f1" or "weighted_f1".
    confidence : float
        Probability inside the interval.
    samples : int
        Resamples, the same for all scores.
    seed : int
        Of the resampling.

    Returns
    -------
    dict
        Metric -> [low, high].

    Raises
    ------
    ValueError
        As :func:`~.classification.classification_metrics`, or for an unknown
        metric.

    Example
    -------
    >>> bootstrap_intervals(["a", "b"] * 9, ["a", "b"] * 9, ["a", "b"])["wa"]
    [1.0, 1.0]
    """
    true, guess = label_indices(targets, predictions, labels)
    scores = _resampled(true, [guess], len(labels), metrics, samples, seed)
    return {
        metric: interval(value, confidence)
        for metric, value in zip(metrics, scores[0], strict=True)
    }


def paired_bootstrap(
    targets,
    first: Sequence[str | None],
    second: Sequence[str | None],
    labels,
    metric="ua",
    confidence=0.95,
    samples=1000,
    seed=0,
) -> dict:
    """Whether a second system differs from a first on the same utterances.

    Arguments
    ---------
    targets, labels
        As in :func:`~.classification.classification_metrics`.
    first, second : sequence[str] | None
        Predictions of the two systems.
    metric, confidence, samples, seed
        As in :func:`bootstrap_intervals`.

    Returns
    -------
    dict
        difference (second - first), interval [low, high] of it, p_value
        (two-sided: how often resampling turns the sign round or levels it).

    Example
    -------
    >>> targets = ["a", "b"] * 20
    >>> wrong = ["b", "b"] * 20
    >>> paired_bootstrap(targets, wrong, targets, ["a", "b"])["difference"]
    0.5
    """
    true, one = label_indices(targets, first, labels)
    _, two = label_indices(targets, second, labels)
    scores = _resampled(true, [one, two], len(labels), [metric], samples, seed)
    differences = scores[1, 0] - scores[0, 0]
    both = [
        score_confusions(
            count_confusions(true[None], guess[None], len(labels)), metric
        )[0]
        for guess in (one, two)
    ]
    return {
        "difference": float(both[1] - both[0]),
        "interval": interval(differences, confidence),
        "p_value": sign_p_value(differences),
    }


def interval(scores: np.ndarray, confidence: float = 0.95) -> list[float]:
    """The middle share of resampled scores, as [low, high].

    Example
    -------
    >>> interval(np.arange(101.0), 0.5)
    [25.0, 75.0]
    """
    tail = (1 - confidence) / 2
    return [float(v) for v in np.quantile(scores, [tail, 1 - tail])]


def sign_p_value(differences: np.ndarray) -> float:
    """Two-sided: how often resampling turns a difference round or levels it.

    One is added to both tails: zero cannot be told from finite resamples.

    Example
    -------
    >>> sign_p_value(np.array([1.0, 2.0, -1.0]))
    1.0
    """
    tails = [(differences <= 0).sum() + 1, (differences >= 0).sum() + 1]
    return float(min(1.0, 2 * min(tails) / (len(differences) + 1)))


def _resampled(true, guesses, size, metrics, samples, seed):
    """Scores over the same resamples: [systems, metrics, samples].

    Which utterance is drawn does not matter, only how many of each kind
    (target and every system's answer) are: their counts are multinomial.
    """
    rng = np.random.default_rng(seed)
    kinds, counts = np.unique(
        np.stack([true, *guesses]), axis=1, return_counts=True
    )
    drawn = rng.multinomial(len(true), counts / len(true), samples)
    scores = []
    for answers in kinds[1:]:
        cells = np.eye(size * (size + 1), dtype=np.int64)[
            kinds[0] * (size + 1) + answers
        ]
        confusions = (drawn @ cells).reshape(samples, size, size + 1)
        scores.append(
            [score_confusions(confusions, metric) for metric in metrics]
        )
    return np.array(scores)
