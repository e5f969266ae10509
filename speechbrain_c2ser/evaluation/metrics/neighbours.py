"""Whether utterances that are alike are near each other."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import spearmanr

PAIRS = 200_000  # of distances that are ranked


def vector_metrics(
    truths: Sequence[dict], records: Sequence[dict]
) -> dict[str, float]:
    """Figures of vectors of utterances against their labels or numbers.

    Arguments
    ---------
    truths : sequence of dict
        {label: 1}, or dimension → number.
    records : sequence of dict
        ``vector``: of unit length, [D].

    Returns
    -------
    dict
        Of labels ``neighbour_ua``: how often the nearest other utterance has
        the same label, mean over labels; of numbers ``rank_correlation``:
        Spearman's, of distances between vectors and between numbers. Empty
        for fewer than three.

    Example
    -------
    >>> records = [{"vector": [1.0, x]} for x in (0.0, 0.1, 5.0, 5.1)]
    >>> truths = [{"sad": 1}, {"sad": 1}, {"angry": 1}, {"angry": 1}]
    >>> vector_metrics(truths, records)
    {'neighbour_ua': 1.0}
    """
    if len(records) < 3:
        return {}
    vectors = np.array([record["vector"] for record in records])
    if all(list(truth.values()) == [1] for truth in truths):
        nearness = vectors @ vectors.T - 0.5 * (vectors**2).sum(1)
        np.fill_diagonal(nearness, -np.inf)
        labels = np.array([next(iter(truth)) for truth in truths])
        right = labels[nearness.argmax(1)] == labels
        each = [right[labels == label].mean() for label in np.unique(labels)]
        return {"neighbour_ua": float(np.mean(each))}
    values = np.array([list(truth.values()) for truth in truths], float)
    pairs = np.stack(np.triu_indices(len(vectors), 1))
    if pairs.shape[1] > PAIRS:
        drawn = np.random.default_rng(0).permutation(pairs.shape[1])
        pairs = pairs[:, drawn[:PAIRS]]
    one, two = pairs
    # Rounded: ties of numbers must stay ties.
    near = np.linalg.norm(vectors[one] - vectors[two], axis=1).round(6)
    away = np.linalg.norm(values[one] - values[two], axis=1).round(6)
    if not (np.ptp(near) and np.ptp(away)):
        return {}
    return {"rank_correlation": float(spearmanr(near, away).statistic)}


def pair_metrics(
    records: Sequence[dict], names: tuple[str, str] = ("voice", "words")
) -> dict[str, float]:
    """How often the nearest words are those of a voice, and the reverse.

    Arguments
    ---------
    records : sequence of dict
        ``voice`` and ``words``, or other two: vectors of unit length, [D].
    names : tuple of str
        The two.

    Returns
    -------
    dict
        ``words_found`` and ``voice_found``: recall at 1 over the set.

    Example
    -------
    >>> records = [{"voice": [1, 0], "words": [1, 0]},
    ...            {"voice": [0, 1], "words": [0, 1]}]
    >>> pair_metrics(records)
    {'words_found': 1.0, 'voice_found': 1.0}
    """
    one, other = (
        np.array([record[name] for record in records]) for name in names
    )
    nearness = one @ other.T
    places = np.arange(len(records))
    return {
        f"{names[1]}_found": float((nearness.argmax(1) == places).mean()),
        f"{names[0]}_found": float((nearness.argmax(0) == places).mean()),
    }
