"""Thresholds of weak labels, fitted to a wanted precision."""

import math
from collections.abc import Iterable
from statistics import NormalDist


def fit_thresholds(
    examples: Iterable[tuple[str, float, str]],
    precision: float,
    certainty: float = 0.84,
    least: int = 10,
) -> dict[str, dict]:
    """For each label the lowest share at which it is right often enough.

    Right often enough means: the lower bound of the precision of all
    validation items that would be given the label (Wilson's, one-sided; Wilson
    1927, JASA 22) reaches the wanted one. A bound in place of the precision
    itself, since the best of many thresholds flatters.

    Arguments
    ---------
    examples : iterable of (str, float, str)
        Label that models agree on, share that the least sure gives it, and
        true label, of validation items.
    precision : float
        Wanted, between 0 and 1.
    certainty : float
        Of the lower bound; 0.5 is the measured precision itself.
    least : int
        Validation items that a threshold must let through.

    Returns
    -------
    dict
        Label -> ``threshold`` (None where none reaches the precision: the
        label is never given), ``precision`` measured at it, ``items`` that it
        lets through, and ``of`` how many.

    Raises
    ------
    ValueError
        For a precision outside of (0, 1), or without examples.

    Example
    -------
    >>> examples = [("sad", 0.9, "sad")] * 40 + [("sad", 0.4, "angry")] * 20
    >>> fitted = fit_thresholds(examples, 0.9)["sad"]
    >>> fitted["threshold"], fitted["precision"], fitted["items"]
    (0.9, 1.0, 40)
    """
    if not 0 < precision < 1:
        raise ValueError(f"The precision {precision} is not between 0 and 1.")
    by_label: dict[str, list[tuple[float, bool]]] = {}
    for label, share, truth in examples:
        by_label.setdefault(label, []).append((share, label == truth))
    if not by_label:
        raise ValueError(
            "No validation item got a label: there is nothing to fit "
            "thresholds on."
        )
    z = NormalDist().inv_cdf(certainty)
    return {
        label: _lowest(sorted(pairs, reverse=True), precision, z, least)
        for label, pairs in sorted(by_label.items())
    }


def lower_bound(right: int, number: int, z: float) -> float:
    """Wilson's lower bound of a share.

    Arguments
    ---------
    right, number : int
        So many of so many.
    z : float
        Standard deviations of the bound.

    Returns
    -------
    float

    Example
    -------
    >>> round(lower_bound(9, 10, 0.0), 3), round(lower_bound(9, 10, 1.0), 3)
    (0.9, 0.766)
    """
    share, more = right / number, z * z / number
    spread = z * math.sqrt(share * (1 - share) / number + more / (4 * number))
    return (share + more / 2 - spread) / (1 + more)


def _lowest(pairs, precision, z, least):
    """The last place, from the surest down, at which the bound holds."""
    best: dict = {"threshold": None, "precision": None, "items": 0}
    right = 0
    for number, (share, is_right) in enumerate(pairs, 1):
        right += is_right
        # Items of one share stand or fall together.
        if number < len(pairs) and pairs[number][0] == share:
            continue
        if number >= least and lower_bound(right, number, z) >= precision:
            best = {
                "threshold": share,
                "precision": right / number,
                "items": number,
            }
    return {**best, "of": len(pairs)}
