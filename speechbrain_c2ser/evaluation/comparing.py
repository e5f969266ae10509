"""Two results side by side: is the second really better?"""

import json
from pathlib import Path

from speechbrain_c2ser.evaluation.errors import PredictionError, some
from speechbrain_c2ser.evaluation.metrics import (
    classification_metrics,
    paired_bootstrap,
)
from speechbrain_c2ser.evaluation.scoring import METRICS


def read_result(path):
    """A result.json of ``c2ser evaluate``.

    Raises
    ------
    PredictionError
        If the file is missing or holds something else.
    """
    try:
        result = json.loads(Path(path).read_text(encoding="utf-8"))
        if isinstance(result, dict) and {"utterances", "main"} <= set(result):
            return result
    except (OSError, ValueError) as error:
        raise PredictionError(f"{path} cannot be read: {error}.") from error
    raise PredictionError(
        f"{path} is no result of `c2ser evaluate`: give its result.json."
    )


def compare(first, second, reading=None, samples=1000, seed=0):
    """Compare two results on the same utterances by a paired bootstrap.

    Arguments
    ---------
    first, second : dict
        Results of :func:`speechbrain_c2ser.evaluation.scoring.evaluate`.
    reading : str | None
        Which reading of the answers; None takes each result's main one.
    samples, seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        n, readings (of the two) and metrics: metric -> first, second,
        difference (second - first), interval (95 %) and p_value (two-sided).

    Raises
    ------
    PredictionError
        If the results are not of the same utterances, targets and labels, or
        one was not read that way.

    Example
    -------
    >>> from speechbrain_c2ser.evaluation.scoring import evaluate
    >>> true = {str(i): {"emotion": "ab"[i % 2]} for i in range(20)}
    >>> wrong = [{"id": key, "label": "a"} for key in true]
    >>> right = [{"id": k, "label": v["emotion"]} for k, v in true.items()]
    >>> one, two = (evaluate(r, true, samples=9) for r in (wrong, right))
    >>> compare(one, two)["metrics"]["ua"]["difference"]
    0.5
    """
    if first["labels"] != second["labels"]:
        raise PredictionError(
            f"The two results are of other labels: {first['labels']} and "
            f"{second['labels']}."
        )
    targets, predictions, readings = {}, [], []
    for result in (first, second):
        name = reading or result["main"]
        if name not in result["readings"]:
            raise PredictionError(
                f"A result has no reading {name!r}, only "
                f"{', '.join(result['readings'])}."
            )
        readings.append(name)
        predictions.append({r["id"]: r[name] for r in result["utterances"]})
        targets[len(readings)] = {
            row["id"]: row["target"] for row in result["utterances"]
        }
    _check_same(targets[1], targets[2])
    true = list(targets[1].values())
    labels_of = [[labels[key] for key in targets[1]] for labels in predictions]
    figures = [
        classification_metrics(true, s, first["labels"]) for s in labels_of
    ]
    metrics = {}
    for metric in METRICS:
        differences = paired_bootstrap(
            true, *labels_of, first["labels"], metric, 0.95, samples, seed
        )
        metrics[metric] = {
            "first": figures[0][metric],
            "second": figures[1][metric],
            **differences,
            "interval": list(differences["interval"]),
        }
    return {"n": len(true), "readings": readings, "metrics": metrics}


def _check_same(first, second):
    apart = sorted(set(first) ^ set(second))
    if apart:
        raise PredictionError(
            f"{len(apart)} utterances are in one of the results only "
            f"({some(apart)}): evaluate both on the same list."
        )
    other = [key for key in first if first[key] != second[key]]
    if other:
        raise PredictionError(
            f"{len(other)} utterances have another true label in the second "
            f"result ({some(other)})."
        )
