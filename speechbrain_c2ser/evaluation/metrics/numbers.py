"""Scores of predicted numbers, such as valence, and of tracks of them."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata


def number_metrics(
    targets: Sequence[float], predictions: Sequence[float]
) -> dict[str, float]:
    """Agreement of predicted and true numbers.

    Arguments
    ---------
    targets : sequence of float
        True numbers, at least two.
    predictions : sequence of float
        Predicted ones.

    Returns
    -------
    dict
        ccc (concordance, Lin 1989; 0 where nothing varies), pearson and
        spearman (0 where one of them does not vary), and mae.

    Raises
    ------
    ValueError
        If there are fewer than two, or the lengths differ.

    Example
    -------
    >>> number_metrics([0.0, 1.0], [0.0, 0.5])
    {'ccc': 0.6666666666666666, 'pearson': 1.0, 'spearman': 1.0, 'mae': 0.25}
    """
    true = np.asarray(targets, dtype=np.float64)
    guess = np.asarray(predictions, dtype=np.float64)
    if true.shape != guess.shape or len(true) < 2:
        raise ValueError(
            f"There are {len(true)} targets and {len(guess)} predictions; "
            "give equally many, at least two."
        )
    spread = true.var() + guess.var() + (true.mean() - guess.mean()) ** 2
    ccc = 2 * _covariance(true, guess) / spread if spread > 0 else 0.0
    return {
        "ccc": float(ccc),
        "pearson": _correlation(true, guess),
        "spearman": _correlation(rankdata(true), rankdata(guess)),
        "mae": float(np.abs(true - guess).mean()),
    }


def dimension_metrics(
    truths: Sequence[dict[str, float | None]],
    records: Sequence[dict[str, float]],
) -> dict[str, float]:
    """Figures of several dimensions over a whole set.

    Arguments
    ---------
    truths : sequence of dict
        Dimension → number; None where unknown.
    records : sequence of dict
        Dimension → predicted number.

    Returns
    -------
    dict
        Of :func:`number_metrics` the mean over dimensions ("ccc"), and where
        there are several each one's ("ccc_valence"). A dimension that fewer
        than two items have is left out.

    Example
    -------
    >>> truths = [{"valence": 0.0}, {"valence": 1.0}]
    >>> dimension_metrics(truths, truths)["ccc"]
    1.0
    """
    each = {}
    for name in records[0]:
        pairs = [
            (truth[name], record[name])
            for truth, record in zip(truths, records, strict=True)
            if truth.get(name) is not None
        ]
        if len(pairs) > 1:
            each[name] = number_metrics(*zip(*pairs, strict=True))
    return _means(each)


def track_metrics(
    truths: Sequence[dict], records: Sequence[dict]
) -> dict[str, float]:
    """Figures of numbers that change over time, all recordings' as one.

    Arguments
    ---------
    truths : sequence of dict
        ``rate`` (numbers per second) and ``tracks`` (dimension → numbers, the
        first at 0 s).
    records : sequence of dict
        The same, predicted; read at the times of the true numbers.

    Returns
    -------
    dict
        As of :func:`dimension_metrics`.

    Example
    -------
    >>> track = {"rate": 2.0, "tracks": {"valence": [0.0, 1.0, 0.5]}}
    >>> track_metrics([track], [track])["mae"]
    0.0
    """
    each = {}
    for name in records[0]["tracks"]:
        true, guess = [], []
        for truth, record in zip(truths, records, strict=True):
            numbers, given = truth["tracks"].get(name), record["tracks"][name]
            if not numbers or not given:
                continue
            times = np.arange(len(numbers)) / truth["rate"]
            known = np.arange(len(given)) / record["rate"]
            true += list(numbers)
            guess += list(np.interp(times, known, given))
        if len(true) > 1:
            each[name] = number_metrics(true, guess)
    return _means(each)


def _covariance(x, y):
    return ((x - x.mean()) * (y - y.mean())).mean()


def _correlation(x, y):
    spread = x.std() * y.std()
    return float(_covariance(x, y) / spread) if spread > 0 else 0.0


def _means(each):
    """Dimension → figures, as one dict: the means, then each where several."""
    figures = {}
    for name in next(iter(each.values()), {}):
        numbers = {label: own[name] for label, own in each.items()}
        figures[name] = sum(numbers.values()) / len(numbers)
        if len(numbers) > 1:
            figures |= {f"{name}_{label}": n for label, n in numbers.items()}
    return figures
