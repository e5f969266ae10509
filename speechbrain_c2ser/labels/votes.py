"""Raters' votes in a set of labels that may be smaller than theirs."""

from collections.abc import Mapping

from speechbrain_c2ser.labels.emotion_words import concept_of
from speechbrain_c2ser.labels.space import LabelSpace


def place_votes(
    votes: Mapping[str, float], space: LabelSpace
) -> tuple[dict[str, float], dict[str, float]]:
    """Votes, or shares, by the labels of a set.

    Arguments
    ---------
    votes : mapping
        Raters' label -> number.
    space : LabelSpace
        What they are mapped to: a synonym or a narrower emotion counts for
        its label ("excited" for happy where there is no excited).

    Returns
    -------
    placed : dict
        Label of the set -> number.
    left_out : dict
        Emotions without a place in the set -> number, such as "other".

    Raises
    ------
    ValueError
        For a label that is neither of the set nor any known emotion.

    Example
    -------
    >>> space = LabelSpace(["happy", "sad"])
    >>> place_votes({"excited": 2, "happy": 1, "fearful": 1}, space)
    ({'happy': 3}, {'fearful': 1})
    >>> place_votes({"hapy": 1}, space)
    Traceback (most recent call last):
    ValueError: unknown label 'hapy' (known: happy, sad).
    """
    placed: dict[str, float] = {}
    left_out: dict[str, float] = {}
    for label, number in votes.items():
        own = label if label in space else space.map(label)
        if own is None and concept_of(str(label)) is None:
            raise ValueError(
                f"unknown label {label!r} (known: {', '.join(space.names)})."
            )
        counts, name = (left_out, label) if own is None else (placed, own)
        counts[name] = counts.get(name, 0) + number
    return placed, left_out
