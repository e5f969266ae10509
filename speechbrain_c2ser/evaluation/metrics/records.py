"""Scores of what heads record of utterances, by the kind of record."""

from collections.abc import Sequence

from speechbrain_c2ser.evaluation.metrics.category import category_metrics
from speechbrain_c2ser.evaluation.metrics.diarization import (
    recording_error_rates,
)
from speechbrain_c2ser.evaluation.metrics.multi_label import (
    multi_label_metrics,
)
from speechbrain_c2ser.evaluation.metrics.neighbours import (
    pair_metrics,
    vector_metrics,
)
from speechbrain_c2ser.evaluation.metrics.numbers import (
    dimension_metrics,
    track_metrics,
)

# What tells a kind of record, and what scores it.
SCORES = {
    "probabilities": lambda truths, records, _: category_metrics(
        truths, records, list(records[0]["probabilities"])
    ),
    "each": lambda truths, records, _: multi_label_metrics(
        truths, records, list(records[0]["each"])
    ),
    "values": lambda truths, records, _: dimension_metrics(
        truths, [record["values"] for record in records]
    ),
    "segments": lambda truths, records, durations: recording_error_rates(
        truths, [record["segments"] for record in records], durations
    ),
    "tracks": lambda truths, records, _: track_metrics(truths, records),
    "vector": lambda truths, records, _: vector_metrics(truths, records),
    "voice": lambda truths, records, _: pair_metrics(records),
    "first": lambda truths, records, _: pair_metrics(
        records, ("first", "second")
    ),
}


def record_metrics(
    truths: Sequence, records: Sequence[dict], durations: Sequence[float]
) -> dict[str, float]:
    """Figures of one head over a set.

    Arguments
    ---------
    truths : sequence
        What is true of each item, as the head's ``truth`` gives it.
    records : sequence of dict
        Of the head: with ``probabilities`` (one label of several), ``each``
        (any number of labels), ``values`` (numbers), ``segments`` (labels over
        time), ``tracks`` (numbers over time), ``vector`` (a place among
        others), or ``voice`` and ``words``, ``first`` and ``second`` (of two
        streams).
    durations : sequence of float
        Of the recordings (s).

    Returns
    -------
    dict
        Name → number.

    Raises
    ------
    ValueError
        For a record of another kind.

    Example
    -------
    >>> records = [{"values": {"valence": n}} for n in (0.0, 1.0)]
    >>> truths = [record["values"] for record in records]
    >>> record_metrics(truths, records, [1.0, 1.0])["ccc"]
    1.0
    """
    for name, function in SCORES.items():
        if name in records[0]:
            return function(truths, records, durations)
    raise ValueError(
        f"A record of {', '.join(records[0])} has no figures: give the head a "
        "method score, or a record of one of the kinds "
        f"{', '.join(SCORES)}."
    )
