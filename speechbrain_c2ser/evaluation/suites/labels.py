"""Suite 1, labels: what the figures are worth.

Intervals over speakers, the constant answer beside, the smallest difference
that the set can show, and other systems ranked, where ties share a rank.
"""

import numpy as np
from scipy.stats import binomtest, norm

from speechbrain_c2ser.evaluation.metrics.bootstrap import (
    interval,
    sign_p_value,
)
from speechbrain_c2ser.evaluation.metrics.classification import (
    score_confusions,
)
from speechbrain_c2ser.evaluation.report.text import markdown_table, shown
from speechbrain_c2ser.evaluation.suites.cases import Cases
from speechbrain_c2ser.evaluation.suites.resampling import (
    resample_scores,
    speaker_unit,
)

METRICS = ("ua", "wa", "macro_f1", "weighted_f1")
TITLES = {
    "ua": "UA",
    "wa": "WA",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
}
OWN = "this system"


def compute(
    cases: Cases,
    others: dict[str, np.ndarray] | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> dict:
    """Figures, intervals, baselines and ranks.

    Arguments
    ---------
    cases : Cases
        The system's.
    others : dict | None
        Name -> predicted indices [N] of other systems on the same cases.
    samples, seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        n, speakers, figures, intervals (unit -> metric -> [low, high]),
        constant, smallest_difference, systems and pairs (see
        :func:`rank_systems`) and notes.
    """
    unit, notes = speaker_unit(cases)
    guesses = cases.guesses
    units = ["utterance", *([unit] if unit else [])]
    spread = {
        each: resample_scores(cases, [guesses], METRICS, each, samples, seed)[0]
        for each in units
    }
    classes = np.unique(cases.targets)
    if len(classes) == 1:
        notes.append(
            f"All utterances are {cases.labels[classes[0]]}: UA is the recall "
            "of that one class, and always answering it would reach 1."
        )
    result = {
        "n": len(cases),
        "speakers": len(
            {
                (i.get("dataset"), i["speaker"])
                for i in cases.items
                if i.get("speaker") is not None
            }
        ),
        "figures": score_all(cases, guesses),
        "intervals": {
            each: {
                metric: interval(scores)
                for metric, scores in zip(METRICS, spread[each], strict=True)
            }
            for each in units
        },
        "constant": constant_answer(cases),
        "smallest_difference": smallest_difference(
            float(spread[units[-1]][0].std(ddof=1)), units[-1]
        ),
        "notes": notes,
    }
    systems = {OWN: guesses, **(others or {})}
    result |= rank_systems(cases, systems, units[-1], samples, seed)
    return result


def score_all(cases: Cases, guesses: np.ndarray) -> dict:
    """Metric -> score of predicted indices [N]."""
    size = len(cases.labels)
    table = np.zeros((1, size, size + 1))
    np.add.at(table[0], (cases.targets, guesses), 1)
    return {m: float(score_confusions(table, m)[0]) for m in METRICS}


def constant_answer(cases: Cases) -> dict:
    """What always answering the commonest class would reach.

    Returns
    -------
    dict
        label, and each metric; ua is one over the number of classes that
        occur, whatever the constant.
    """
    commonest = int(np.bincount(cases.targets).argmax())
    answer = np.full(len(cases), commonest)
    return {"label": cases.labels[commonest], **score_all(cases, answer)}


def smallest_difference(
    error: float, unit: str, confidence: float = 0.95, power: float = 0.8
) -> dict:
    """The smallest true difference in UA that this set would mostly show.

    Arguments
    ---------
    error : float
        Standard error of UA.
    unit : str
        What it was resampled over.
    confidence, power : float
        Of a two-sided test; how often it finds the difference.

    Returns
    -------
    dict
        unit, standard_error, to_a_number (a fixed figure, such as chance)
        and to_a_system (another system of like error that errs
        independently; on the same utterances it is mostly less).

    Example
    -------
    >>> round(smallest_difference(0.01, "speaker")["to_a_number"], 4)
    0.028
    """
    factor = norm.ppf(0.5 + confidence / 2) + norm.ppf(power)
    return {
        "unit": unit,
        "standard_error": error,
        "to_a_number": float(factor * error),
        "to_a_system": float(factor * error * np.sqrt(2)),
    }


def mcnemar(first: np.ndarray, second: np.ndarray) -> dict:
    """Exact McNemar test of which utterances two systems get right.

    Arguments
    ---------
    first, second : np.ndarray
        Whether each system was right [N], bool.

    Returns
    -------
    dict
        only_first, only_second (counts) and p_value (two-sided binomial).

    Example
    -------
    >>> mcnemar(np.array([True] * 6), np.array([False] * 6))["p_value"]
    0.03125
    """
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    apart = only_first + only_second
    p_value = binomtest(only_first, apart).pvalue if apart else 1.0
    return {
        "only_first": only_first,
        "only_second": only_second,
        "p_value": float(p_value),
    }


def rank_systems(
    cases: Cases,
    systems: dict[str, np.ndarray],
    unit: str,
    samples: int = 1000,
    seed: int = 0,
) -> dict:
    """Rank systems by UA; those that the set cannot tell apart share a rank.

    A system's rank is one more than the number of systems that are better
    beyond chance: paired bootstrap over ``unit``, p-values of all pairs held
    below 5 % together (Holm).

    Arguments
    ---------
    cases : Cases
        Targets and units.
    systems : dict
        Name -> predicted indices [N].
    unit : str
        As in :func:`.resampling.find_units`.
    samples, seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        systems: list of name, ua, interval and rank, best first; pairs: list
        of first, second, difference (of UA, second - first), interval,
        p_value, p_holm, smallest_difference and mcnemar.
    """
    names = list(systems)
    guesses = list(systems.values())
    scores = resample_scores(cases, guesses, ("ua",), unit, samples, seed)[:, 0]
    ua = [score_all(cases, guess)["ua"] for guess in guesses]
    pairs = []
    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            apart = scores[j] - scores[i]
            error = float(apart.std(ddof=1))
            pairs.append(
                {
                    "first": names[i],
                    "second": names[j],
                    "difference": ua[j] - ua[i],
                    "interval": interval(apart),
                    "p_value": sign_p_value(apart),
                    "smallest_difference": smallest_difference(error, unit)[
                        "to_a_number"
                    ],
                    "mcnemar": mcnemar(
                        guesses[i] == cases.targets,
                        guesses[j] == cases.targets,
                    ),
                }
            )
    for pair, p in zip(pairs, holm([p["p_value"] for p in pairs]), strict=True):
        pair["p_holm"] = p
    better = dict.fromkeys(names, 0)
    for pair in pairs:
        if pair["p_holm"] < 0.05 and pair["difference"]:
            worse = "first" if pair["difference"] > 0 else "second"
            better[pair[worse]] += 1
    rows = [
        {
            "name": name,
            "ua": ua[i],
            "interval": interval(scores[i]),
            "rank": 1 + better[name],
        }
        for i, name in enumerate(names)
    ]
    rows.sort(key=lambda row: (row["rank"], -row["ua"]))
    return {"systems": rows, "pairs": pairs}


def holm(p_values: list[float]) -> list[float]:
    """P-values adjusted for their number (Holm's step-down).

    Example
    -------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for step, place in enumerate(np.argsort(p_values, kind="stable")):
        raw = p_values[place] * (len(p_values) - step)
        highest = max(highest, min(1.0, raw))
        adjusted[place] = highest
    return adjusted


def page(result: dict) -> str:
    """The suite's section of the report, as Markdown."""
    units = list(result["intervals"])
    rows = [["", "figure", *(f"95 % over {u}s" for u in units), "constant"]]
    for metric in METRICS:
        rows.append(
            [
                TITLES[metric],
                shown(result["figures"][metric]),
                *(_range(result["intervals"][u][metric]) for u in units),
                shown(result["constant"][metric]),
            ]
        )
    least = result["smallest_difference"]
    words = (
        f"{result['n']} utterances, {result['speakers']} speakers. The "
        f"constant answer is {result['constant']['label']}. Smallest "
        "difference in UA that this set shows four times in five: "
        f"{100 * least['to_a_number']:.1f} points to a fixed number, "
        f"{100 * least['to_a_system']:.1f} points to another system that errs "
        "elsewhere."
    )
    sections = [markdown_table(rows), words]
    if result["pairs"]:
        sections += ["### Systems", _systems(result), _pairs(result)]
    return "\n\n".join(sections)


def _systems(result):
    rows = [["system", "rank", "UA", "95 %"]]
    for row in result["systems"]:
        rank, ua = str(row["rank"]), shown(row["ua"])
        rows.append([row["name"], rank, ua, _range(row["interval"])])
    return markdown_table(rows)


def _pairs(result):
    rows = [
        [
            "second - first",
            "UA",
            "95 %",
            "p (Holm)",
            "only one right",
            "McNemar",
        ]
    ]
    for pair in result["pairs"]:
        mcnemar = pair["mcnemar"]
        rows.append(
            [
                f"{pair['second']} - {pair['first']}",
                f"{100 * pair['difference']:+.1f}",
                _range(pair["interval"], "+"),
                f"{pair['p_holm']:.3f}",
                f"{mcnemar['only_second']} / {mcnemar['only_first']}",
                f"{mcnemar['p_value']:.3g}",
            ]
        )
    return markdown_table(rows)


def _range(pair, sign=""):
    low, high = pair
    return f"[{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"
