"""Whether emotions are found when they happen."""

from collections.abc import Sequence
from itertools import pairwise


def recording_error_rates(
    references: Sequence,
    hypotheses: Sequence,
    durations: Sequence[float],
    neutral: str = "neutral",
) -> dict:
    """Share of the time with a wrong emotion (EDER, of the ZED benchmark).

    As SpeechBrain's recipe computes it, and over all time. What a hypothesis
    leaves uncovered counts as wrong; time outside of all reference segments
    is neutral.

    Arguments
    ---------
    references, hypotheses : sequence
        For each recording a list of (start, end, emotion), in seconds;
        hypotheses name neutral stretches too.
    durations : sequence of float
        Seconds.
    neutral : str
        What is true outside of all reference segments.

    Returns
    -------
    dict
        eder (mean over recordings) and eder_pooled (over all time).

    Example
    -------
    >>> said = [(0, 2, "sad"), (2, 4, "neutral")]
    >>> recording_error_rates([[(0, 2, "sad")]], [said], [4.0])
    {'eder': 0.0, 'eder_pooled': 0.0}
    """
    wrong = []
    for reference, hypothesis, duration in zip(
        references, hypotheses, durations, strict=True
    ):
        right = 0.0
        for start, end in _pieces(reference, hypothesis, duration):
            time = (start + end) / 2
            true = {e for s, t, e in reference if s <= time < t} or {neutral}
            said = {e for s, t, e in hypothesis if s <= time < t}
            right += (end - start) * bool(true & said)
        wrong.append(duration - right)
    rates = [w / d for w, d in zip(wrong, durations, strict=True)]
    return {
        "eder": sum(rates) / len(rates),
        "eder_pooled": sum(wrong) / sum(durations),
    }


def _pieces(reference, hypothesis, duration):
    """(start, end) of the stretches in which neither side changes."""
    cuts = {0.0, duration}
    for start, end, _ in (*reference, *hypothesis):
        cuts |= {min(start, duration), min(end, duration)}
    return pairwise(sorted(cuts))
