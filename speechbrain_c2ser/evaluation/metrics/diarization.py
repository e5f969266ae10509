"""Whether emotions are found when they happen."""

from collections.abc import Sequence
from itertools import pairwise


def emotion_diarisation_error_rate(
    references: Sequence,
    hypotheses: Sequence,
    durations: Sequence[float],
    neutral: str = "neutral",
) -> dict:
    """Share of the time with a wrong emotion (EDER, of the ZED benchmark).

    Time outside of all segments is neutral. Missed emotion, false alarm and
    confusion add up; where a recording's own segments overlap, each unit of
    the excess counts as an error too.

    Arguments
    ---------
    references, hypotheses : sequence
        For each recording a list of (start, end, emotion), in seconds.
    durations : sequence of float
        Seconds.
    neutral : str
        Segments of it are as good as none.

    Returns
    -------
    dict
        eder, and its parts missed, false_alarm and confusion, over the total
        duration.

    Raises
    ------
    ValueError
        For a segment outside of its recording, or no duration.

    Example
    -------
    >>> emotion_diarisation_error_rate(
    ...     [[(0, 2, "sad")]], [[(1, 3, "sad")]], [4.0]
    ... )
    {'missed': 0.25, 'false_alarm': 0.25, 'confusion': 0.0, 'eder': 0.5}
    """
    parts = {"missed": 0.0, "false_alarm": 0.0, "confusion": 0.0}
    total = 0.0
    for number, (reference, hypothesis, duration) in enumerate(
        zip(references, hypotheses, durations, strict=True)
    ):
        total += duration
        for start, end, _ in (*reference, *hypothesis):
            # Segment times are rounded; a hundredth past the end is the end.
            if not 0 <= start <= end <= duration + 0.01:
                raise ValueError(
                    f"Recording {number}: the segment {start} to {end} s is "
                    f"not within its {duration} s."
                )
        for start, end in _pieces(reference, hypothesis, duration):
            reference_emotions = _emotions_at(
                (start + end) / 2, reference, neutral
            )
            hypothesis_emotions = _emotions_at(
                (start + end) / 2, hypothesis, neutral
            )
            right = len(reference_emotions & hypothesis_emotions)
            wrong = (
                min(len(reference_emotions), len(hypothesis_emotions)) - right
            )
            parts["confusion"] += wrong * (end - start)
            parts["missed"] += max(
                0, len(reference_emotions) - len(hypothesis_emotions)
            ) * (end - start)
            more = max(0, len(hypothesis_emotions) - len(reference_emotions))
            parts["false_alarm"] += more * (end - start)
    if total <= 0:
        raise ValueError("The recordings have no duration.")
    parts = {name: seconds / total for name, seconds in parts.items()}
    return {**parts, "eder": sum(parts.values())}


def _pieces(reference, hypothesis, duration):
    """(start, end) of the stretches in which neither side changes."""
    cuts = {0.0, duration}
    for start, end, _ in (*reference, *hypothesis):
        cuts |= {min(start, duration), min(end, duration)}
    return pairwise(sorted(cuts))


def _emotions_at(time, segments, neutral):
    return {e for s, t, e in segments if s <= time < t and e != neutral}


def recording_error_rates(references, hypotheses, durations, neutral="neutral"):
    """EDER as SpeechBrain's recipe computes it, and over all time.

    What a hypothesis leaves uncovered counts as wrong; time outside of all
    reference segments is neutral.

    Arguments
    ---------
    references, hypotheses, durations, neutral
        As of :func:`emotion_diarisation_error_rate`; hypotheses name neutral
        stretches too.

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
