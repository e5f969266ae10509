"""Scores of one label of several, against a label or divided votes."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import jensenshannon

from speechbrain_c2ser.evaluation.metrics.classification import (
    classification_metrics,
)
from speechbrain_c2ser.evaluation.metrics.multi_label import sets_f1


def category_metrics(
    truths: Sequence[dict[str, float]],
    records: Sequence[dict],
    labels: Sequence[str],
) -> dict[str, float]:
    """Agreement with labels, or with distributions of votes.

    Arguments
    ---------
    truths : sequence of dict
        Label → share; {label: 1.0} is one label.
    records : sequence of dict
        ``label`` and ``probabilities`` (label → number).
    labels : sequence of str
        The closed set.

    Returns
    -------
    dict
        ua, wa and macro_f1 over the items whose truth has one label that is
        above the others. Where some truth is divided: js, the mean
        Jensen-Shannon divergence (bits, 0 to 1), and votes_f1, the macro F1
        of the sets of labels with a share over 1 / L (as EMO-SUPERB's, but
        over the whole set).

    Example
    -------
    >>> guess = {"label": "a", "probabilities": {"a": 1.0, "b": 0.0}}
    >>> category_metrics([{"a": 1.0}], [guess], ["a", "b"])["ua"]
    1.0
    >>> votes = [{"a": 0.6, "b": 0.4}]
    >>> category_metrics(votes, [guess], ["a", "b"])["votes_f1"]
    1.0
    """
    figures = {}
    tops = [majority(truth) for truth in truths]
    clear = [i for i, top in enumerate(tops) if top is not None]
    if clear:
        metrics = classification_metrics(
            [tops[i] for i in clear],
            [records[i]["label"] for i in clear],
            labels,
        )
        figures = {name: metrics[name] for name in ("ua", "wa", "macro_f1")}
    if any(len(truth) > 1 for truth in truths):
        true = np.array([[t.get(k, 0.0) for k in labels] for t in truths])
        guess = np.array(
            [[r["probabilities"][k] for k in labels] for r in records]
        )
        figures["js"] = float(divergences(true, guess).mean())
        over = 1 / len(labels) + 1e-6  # a third of three votes is not over
        figures["votes_f1"] = sets_f1(true > over, guess > over)
    return figures


def majority(truth: dict[str, float] | None) -> str | None:
    """The label with the largest share; None where two have it, or none.

    Arguments
    ---------
    truth : dict | None
        Label → share.

    Returns
    -------
    str | None

    Example
    -------
    >>> majority({"sad": 0.6, "angry": 0.4}), majority({"sad": 1, "angry": 1})
    ('sad', None)
    """
    if not truth:
        return None
    best = max(truth.values())
    names = [name for name, share in truth.items() if share == best]
    return names[0] if len(names) == 1 else None


def divergences(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence of each pair of distributions, in bits.

    Arguments
    ---------
    p, q : np.ndarray
        [N, L].

    Returns
    -------
    np.ndarray
        [N], 0 to 1.

    Example
    -------
    >>> divergences(np.eye(2), np.array([[1.0, 0.0], [1.0, 0.0]])).round(3)
    array([0., 1.])
    """
    # the root of a rounding error below 0 is no number
    return np.nan_to_num(jensenshannon(p, q, base=2, axis=1)) ** 2
