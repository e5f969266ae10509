"""Scores of predicted labels.

Rates are fractions. A prediction of None is an answer that named no label:
it counts as wrong, and apart.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
)


def classification_metrics(
    targets: Sequence[str],
    predictions: Sequence[str | None],
    labels: Sequence[str],
) -> dict:
    """Scores of predicted labels.

    Arguments
    ---------
    targets : sequence of str
        True labels.
    predictions : sequence[str] | None
        Predicted labels; None is unparsed.
    labels : sequence of str
        The closed set.

    Returns
    -------
    dict
        wa (accuracy), ua (mean recall of the classes that occur among the
        targets), macro_f1 (over the classes that occur among targets or
        predictions) and weighted_f1, as scikit-learn's; unparsed_rate, n,
        per_class (label -> precision, recall, f1, n), labels, confusion
        (rows: targets; columns: labels, then "unparsed").

    Raises
    ------
    ValueError
        If there is nothing to score, the lengths differ or a label is
        outside the set.

    Example
    -------
    >>> scores = classification_metrics(
    ...     ["sad", "sad", "happy"], ["sad", None, "happy"], ["happy", "sad"]
    ... )
    >>> scores["ua"], round(scores["wa"], 3), scores["confusion"]
    (0.75, 0.667, [[1, 0, 0], [0, 1, 1]])
    """
    labels = list(labels)
    true, guess = label_indices(targets, predictions, labels)
    classes = range(len(labels))
    precision, recall, f1, support = precision_recall_fscore_support(
        true, guess, labels=classes, zero_division=0
    )
    present = support > 0
    seen = present | np.isin(classes, guess)
    confusion = confusion_matrix(true, guess, labels=range(len(labels) + 1))
    return {
        "wa": float(accuracy_score(true, guess)),
        "ua": float(recall[present].mean()),
        "macro_f1": float(f1[seen].mean()),
        "weighted_f1": float(np.average(f1, weights=support)),
        "unparsed_rate": float((guess == len(labels)).mean()),
        "n": len(true),
        "per_class": {
            label: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "n": int(support[i]),
            }
            for i, label in enumerate(labels)
        },
        "labels": labels,
        "confusion": confusion[:-1].tolist(),
    }


def label_indices(
    targets: Sequence[str],
    predictions: Sequence[str | None],
    labels: Sequence[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions as indices; unparsed is ``len(labels)``.

    Arguments
    ---------
    targets, predictions, labels
        As in :func:`classification_metrics`.

    Returns
    -------
    targets, predictions : np.ndarray
        [N].

    Raises
    ------
    ValueError
        As :func:`classification_metrics`.

    Example
    -------
    >>> label_indices(["sad", "sad"], ["sad", None], ["happy", "sad"])
    (array([1, 1]), array([1, 2]))
    """
    targets, predictions = list(targets), list(predictions)
    if not targets or len(targets) != len(predictions):
        raise ValueError(
            f"There are {len(targets)} targets and {len(predictions)} "
            "predictions; give equally many, at least one."
        )
    places = {label: i for i, label in enumerate(labels)}
    for name in (*targets, *predictions):
        if name not in places and name is not None:
            raise ValueError(
                f"Unknown label {name!r} (known: {', '.join(labels)})."
            )
    if None in targets:
        raise ValueError("A target has no label.")
    true = np.array([places[name] for name in targets])
    known: dict = places  # an unparsed answer (None) has no place in it
    guess = np.array([known.get(p, len(places)) for p in predictions])
    return true, guess


def score_confusions(confusions: np.ndarray, metric: str) -> np.ndarray:
    """A score of each of many confusion matrices.

    Arguments
    ---------
    confusions : np.ndarray
        Counts [S, L, L + 1]; rows are targets, the last column is unparsed.
    metric : str
        "ua", "wa", "macro_f1" or "weighted_f1", as in
        :func:`classification_metrics`.

    Returns
    -------
    np.ndarray
        [S].

    Raises
    ------
    ValueError
        For an unknown metric.

    Example
    -------
    >>> score_confusions(np.array([[[3, 1, 0], [0, 2, 2]]]), "ua").tolist()
    [0.625]
    """
    size = confusions.shape[1]
    hits = np.diagonal(confusions[:, :, :size], axis1=1, axis2=2)
    support = confusions.sum(axis=2)
    claimed = confusions[:, :, :size].sum(axis=1)
    if metric == "wa":
        return hits.sum(axis=1) / support.sum(axis=1)
    if metric == "ua":
        values = hits / np.maximum(support, 1)
        weights = support > 0
    elif metric in ("macro_f1", "weighted_f1"):
        values = 2 * hits / np.maximum(support + claimed, 1)
        seen = (support + claimed) > 0
        weights = seen if metric == "macro_f1" else support
    else:
        raise ValueError(
            f"There is no metric {metric!r} (known: ua, wa, macro_f1, "
            "weighted_f1)."
        )
    return (values * weights).sum(axis=1) / weights.sum(axis=1)


def count_confusions(
    true: np.ndarray, guess: np.ndarray, size: int
) -> np.ndarray:
    """Confusion matrices of many draws.

    Arguments
    ---------
    true, guess : np.ndarray
        Of :func:`label_indices`, [S, N].
    size : int
        Number of labels, L.

    Returns
    -------
    np.ndarray
        Counts [S, L, L + 1].

    Example
    -------
    >>> count_confusions(np.array([[0, 1]]), np.array([[0, 2]]), 2).tolist()
    [[[1, 0, 0], [0, 0, 1]]]
    """
    runs, width = len(true), size * (size + 1)
    cells = true * (size + 1) + guess + np.arange(runs)[:, None] * width
    counts = np.bincount(cells.ravel(), minlength=runs * width)
    return counts.reshape(runs, size, size + 1)
