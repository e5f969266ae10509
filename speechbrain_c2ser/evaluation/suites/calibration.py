"""Suite 3, calibration: whether a confidence means what it says.

With a validation file also: one temperature, and sets of labels that hold
the true one as often as promised.
"""

import numpy as np
from scipy.stats import binomtest

from speechbrain_c2ser.evaluation.metrics.calibration import (
    expected_calibration_error,
    reliability_bins,
)
from speechbrain_c2ser.evaluation.metrics.temperature import (
    LEAST,
    fit_temperature,
    soften,
)
from speechbrain_c2ser.evaluation.report.text import markdown_table, shown
from speechbrain_c2ser.evaluation.suites.cases import Cases

BINS = 10
GROUPS = {"language": "language", "gender": "gender", "corpus": "dataset"}


def compute(
    cases: Cases, validation: Cases | None = None, coverage: float = 0.9
) -> dict:
    """Calibration as it is, and as a validation set can mend it.

    Arguments
    ---------
    cases : Cases
        The test set, with probabilities.
    validation : Cases | None
        Other utterances of the same system, best of other speakers: fits
        the temperature and the sets.
    coverage : float
        How often a set shall hold the true label.

    Returns
    -------
    dict
        n, raw (see :func:`measure`), reliability (bins), scaled (the same
        behind the fitted temperature) with temperature, conformal (kind ->
        see :func:`cover`) and notes.
    """
    notes = []
    test = _usable(cases, "test", notes)
    if test is None:
        return {"n": 0, "notes": notes}
    probabilities, targets = test.probabilities, test.targets
    result = {
        "n": len(test),
        "raw": measure(probabilities, targets),
        "reliability": reliability_bins(probabilities, targets, BINS),
        "notes": notes,
    }
    if validation is None:
        notes.append(
            "No validation predictions are given (--validation): no "
            "temperature and no sets with a promised coverage."
        )
        return result
    held = _usable(validation, "validation", notes)
    if held is None:
        return result
    shared = _speakers(held) & _speakers(test)
    if shared:
        notes.append(
            f"{len(shared)} speakers are in validation and test: coverage of "
            "new voices may be less than here."
        )
    temperature = fit_temperature(held.probabilities, held.targets)
    result["temperature"] = temperature
    result["scaled"] = measure(soften(probabilities, temperature), targets)
    result["conformal"] = {
        kind: cover(kind, held, test, coverage)
        for kind in ("least", "adaptive")
    }
    return result


def measure(probabilities: np.ndarray, targets: np.ndarray) -> dict:
    """Calibration figures of probabilities [N, L] against indices [N].

    Returns
    -------
    dict
        ece (bins of equal width), ece_equal_mass (bins of equal counts),
        brier (sum of squares over the labels, 0 to 2) and nll (nats).

    Example
    -------
    >>> sure = np.array([[1.0, 0.0], [1.0, 0.0]])
    >>> measure(sure, np.array([0, 1]))["brier"]
    1.0
    """
    rows = np.arange(len(targets))
    truth = np.zeros_like(probabilities)
    truth[rows, targets] = 1
    likelihood = np.maximum(probabilities[rows, targets], LEAST)
    return {
        "ece": float(expected_calibration_error(probabilities, targets, BINS)),
        "ece_equal_mass": equal_mass_error(probabilities, targets),
        "brier": float(((probabilities - truth) ** 2).sum(1).mean()),
        "nll": float(-np.log(likelihood).mean()),
    }


def equal_mass_error(
    probabilities: np.ndarray, targets: np.ndarray, bins: int = BINS
) -> float:
    """Expected calibration error over bins of equally many utterances.

    Example
    -------
    >>> equal_mass_error(np.array([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1]))
    0.0
    """
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == targets
    order = np.argsort(confidence, kind="stable")
    # Utterances of one confidence are one bin's, whatever their order.
    edges = [part[0] for part in np.array_split(order, bins) if len(part)]
    place = np.searchsorted(
        np.unique(confidence[edges]), confidence, side="right"
    )
    error = 0.0
    for each in np.unique(place):
        inside = place == each
        gap = abs(confidence[inside].mean() - right[inside].mean())
        error += inside.sum() * gap
    return float(error / len(targets))


def scores_of_labels(kind: str, probabilities: np.ndarray) -> np.ndarray:
    """How strange each label would be [N, L]: sets take the least strange.

    Arguments
    ---------
    kind : str
        "least": one minus its probability, for the smallest sets; or
        "adaptive": the probability of all labels likelier than it, itself
        included, for like coverage of easy and hard utterances.
    probabilities : np.ndarray
        [N, L].

    Example
    -------
    >>> scores_of_labels("adaptive", np.array([[0.5, 0.2, 0.3]])).tolist()
    [[0.5, 1.0, 0.8]]
    """
    if kind == "least":
        return 1 - probabilities
    order = np.argsort(-probabilities, axis=1, kind="stable")
    summed = np.cumsum(np.take_along_axis(probabilities, order, 1), axis=1)
    scores = np.empty_like(summed)
    np.put_along_axis(scores, order, summed, axis=1)
    return scores


def conformal_threshold(scores: np.ndarray, coverage: float) -> float:
    """The score that a fresh true label stays below with this chance.

    Arguments
    ---------
    scores : np.ndarray
        Of the true labels of n validation utterances [n].
    coverage : float
        The promise; with too few utterances for it every label is in.

    Returns
    -------
    float
        The ceil((n + 1) coverage)-th smallest score, or infinity.

    Example
    -------
    >>> conformal_threshold(np.arange(9) / 10, 0.8)
    0.7
    """
    rank = int(np.ceil((len(scores) + 1) * coverage - 1e-9))
    if rank > len(scores):
        return float("inf")
    return float(np.sort(scores)[rank - 1])


def cover(kind: str, held: Cases, test: Cases, coverage: float) -> dict:
    """Sets of labels by split conformal prediction, and what they hold.

    Returns
    -------
    dict
        promised, n_validation, coverage, interval (95 %, exact binomial),
        size (labels in a set, mean), groups: group -> value -> coverage,
        interval, size and n; the emotions themselves are a group too.
    """
    rows = np.arange(len(held))
    threshold = conformal_threshold(
        scores_of_labels(kind, held.probabilities)[rows, held.targets],
        coverage,
    )
    sets = scores_of_labels(kind, test.probabilities) <= threshold + 1e-12
    # An empty set says nothing; the best label is the least it can say.
    sets[np.arange(len(test)), test.probabilities.argmax(1)] = True
    inside = sets[np.arange(len(test)), test.targets]
    size = sets.sum(1)
    groups = {}
    values = {g: test.field(f) for g, f in GROUPS.items()}
    values["emotion"] = [test.labels[i] for i in test.targets]
    for group, each in values.items():
        names = sorted({str(value) for value in each if value is not None})
        if len(names) > 1:
            each = np.array([str(value) for value in each])
            groups[group] = {
                name: _coverage(inside[each == name], size[each == name])
                for name in names
            }
    return {
        "promised": coverage,
        "n_validation": len(held),
        **_coverage(inside, size),
        "groups": groups,
    }


def page(result: dict) -> str:
    """The suite's section of the report, as Markdown."""
    if not result["n"]:
        return ""
    columns = {"as it is": result["raw"]}
    if "scaled" in result:
        columns[f"temperature {result['temperature']:.2f}"] = result["scaled"]
    rows = [["", *columns]]
    for key, name in (
        ("ece", "calibration error (equal width)"),
        ("ece_equal_mass", "calibration error (equal mass)"),
    ):
        rows.append([name, *(shown(sets[key]) for sets in columns.values())])
    for key, name in (("brier", "Brier"), ("nll", "neg. log-likelihood")):
        rows.append([name, *(f"{sets[key]:.3f}" for sets in columns.values())])
    sections = [markdown_table(rows)]
    for kind, sets in result.get("conformal", {}).items():
        table = [[f"sets, {kind}", "coverage", "95 %", "labels", "n"]]
        table.append(_cover_row("all", sets))
        for group, values in sets["groups"].items():
            for value, each in values.items():
                table.append(_cover_row(f"{group} {value}", each))
        sections += [
            f"Promised: {shown(sets['promised'])}, fitted on "
            f"{sets['n_validation']} validation utterances.",
            markdown_table(table),
        ]
    return "\n\n".join(sections)


def _cover_row(name, sets):
    low, high = sets["interval"]
    return [
        name,
        shown(sets["coverage"]),
        f"[{100 * low:.1f}, {100 * high:.1f}]",
        f"{sets['size']:.2f}",
        str(sets["n"]),
    ]


def _coverage(inside, size):
    interval = binomtest(int(inside.sum()), len(inside)).proportion_ci()
    return {
        "coverage": float(inside.mean()),
        "interval": [float(interval.low), float(interval.high)],
        "size": float(size.mean()),
        "n": len(inside),
    }


def _usable(cases, name, notes):
    """Cases with probabilities, or None; says what is left out."""
    if cases.probabilities is None:
        notes.append(
            f"The {name} predictions have no probabilities: calibration "
            "cannot be computed."
        )
        return None
    usable = ~np.isnan(cases.probabilities[:, 0])
    if not usable.all():
        notes.append(
            f"{(~usable).sum()} of {len(cases)} {name} predictions have no "
            "usable probabilities and are left out."
        )
    return cases.select(usable)


def _speakers(cases):
    return {
        (item.get("dataset"), item["speaker"])
        for item in cases.items
        if item.get("speaker") is not None
    }
