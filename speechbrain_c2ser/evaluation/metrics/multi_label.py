"""Scores of any number of labels at once."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score


def multi_label_metrics(
    truths: Sequence[Sequence[str]],
    records: Sequence[dict],
    labels: Sequence[str],
) -> dict[str, float]:
    """Agreement of sets of labels.

    Arguments
    ---------
    truths : sequence of sequence of str
        True labels of each item.
    records : sequence of dict
        ``labels`` (list) and ``each`` (label → probability).
    labels : sequence of str
        The set.

    Returns
    -------
    dict
        macro_f1 and micro_f1 of the sets, and what needs no threshold: map
        (mean average precision) and auc (area under the ROC curve). macro_f1
        and map are means over the labels that occur among the truths, auc over
        those that do not always occur either; missing where there is none.

    Example
    -------
    >>> record = {"labels": ["a"], "each": {"a": 0.9, "b": 0.1}}
    >>> multi_label_metrics([["a"], ["b"]], [record, record], ["a", "b"])
    {'macro_f1': 0.333..., 'micro_f1': 0.5, 'map': 0.5, 'auc': 0.5}
    """
    true = np.array([[name in truth for name in labels] for truth in truths])
    guess = np.array([[k in r["labels"] for k in labels] for r in records])
    each = np.array([[r["each"][k] for k in labels] for r in records])
    figures = {
        "macro_f1": sets_f1(true, guess),
        "micro_f1": float(f1_score(true.ravel(), guess.ravel())),
    }
    occur = [i for i in range(len(labels)) if true[:, i].any()]
    split = [i for i in occur if not true[:, i].all()]
    for name, function, places in (
        ("map", average_precision_score, occur),
        ("auc", roc_auc_score, split),
    ):
        if places:
            areas = [function(true[:, i], each[:, i]) for i in places]
            figures[name] = float(np.mean(areas))
    return figures


def sets_f1(true: np.ndarray, guess: np.ndarray) -> float:
    """Macro F1 of sets of labels, over the labels that occur.

    Arguments
    ---------
    true, guess : np.ndarray
        Booleans [N, L].

    Returns
    -------
    float
        0 where no label occurs.

    Example
    -------
    >>> sets_f1(np.array([[True, False]]), np.array([[True, True]]))
    1.0
    """
    scores = [
        f1_score(true[:, i], guess[:, i], zero_division=0.0)
        for i in range(true.shape[1])
        if true[:, i].any()
    ]
    return float(np.mean(scores)) if scores else 0.0
