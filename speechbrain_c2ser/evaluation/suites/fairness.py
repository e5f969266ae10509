"""Suite 4, fairness: gaps in UA between groups of speakers, beyond chance.

With few utterances a group, the best and the worst group differ by luck. So
random models that know nothing of the groups are simulated, with this
system's own recall of each class: their gaps are what luck alone gives (after
audEERING's ser-tests, whose random model answers uniformly).
"""

import numpy as np

from speechbrain_c2ser.evaluation.report.text import markdown_table, shown
from speechbrain_c2ser.evaluation.suites.cases import Cases

LEAST_UTTERANCES = 10
LEAST_SPEAKERS = 3
AGES = ((0, 18), (18, 30), (30, 45), (45, 60), (60, 200))
PITCHES = ((0, 130), (130, 200), (200, 1000))
QUANTILE = 0.95


def compute(cases: Cases, samples: int = 1000, seed: int = 0) -> dict:
    """Gaps in UA by sex, language, age, corpus and pitch band.

    Arguments
    ---------
    cases : Cases
        Items with gender, language, age (years or a name), dataset and
        prosody (f0, Hz, as ``annotate_style.py`` writes it).
    samples : int
        Simulated random models.
    seed : int
        Of the simulation.

    Returns
    -------
    dict
        attributes: name -> groups (value -> ua, n, speakers), classes, gap,
        threshold, p_value, beyond_chance; and notes.
    """
    result, notes = {}, []
    rng = np.random.default_rng(seed)
    for name, group in GROUPINGS.items():
        values = [group(item) for item in cases.items]
        comparison = compare_groups(cases, values, name, notes, samples, rng)
        if comparison:
            result[name] = comparison
    if len(result) > 1:
        notes.append(
            f"{len(result)} attributes are tested at {QUANTILE:.0%} each: one "
            "in twenty is called a gap by luck."
        )
    return {"attributes": result, "notes": notes}


def compare_groups(
    cases: Cases,
    values: list[str | None],
    name: str,
    notes: list[str],
    samples: int,
    rng: np.random.Generator,
) -> dict | None:
    """The gap between the groups of one attribute.

    Arguments
    ---------
    cases : Cases
        All.
    values : list[str] | None
        Group of each case; None is unknown.
    name : str
        Of the attribute, for the notes.
    notes : list of str
        Gets what cannot be computed and why.
    samples, rng
        Of the simulation.

    Returns
    -------
    dict | None
        As in :func:`compute`; None where there are no two groups.
    """
    if all(value is None for value in values):
        notes.append(f"No utterance tells its {name}: no gap by it.")
        return None
    unknown = sum(value is None for value in values)
    if unknown:
        notes.append(
            f"{unknown} of {len(cases)} utterances do not tell their {name}."
        )
    size = len(cases.labels)
    names = sorted({value for value in values if value is not None})
    places = {value: i for i, value in enumerate(names)}
    known = np.array([value is not None for value in values])
    group = np.array([places[v] for v in values if v is not None])
    targets = cases.targets[known]
    right = cases.guesses[known] == targets
    counts = np.zeros((len(names), size), dtype=int)
    np.add.at(counts, (group, targets), 1)
    small = counts.sum(1) < LEAST_UTTERANCES
    if small.any():
        left_out = ", ".join(np.array(names)[small])
        notes.append(
            f"Groups of {name} with fewer than {LEAST_UTTERANCES} utterances "
            f"are left out: {left_out}."
        )
    kept = np.flatnonzero(~small)
    if len(kept) < 2:
        notes.append(f"There are no two groups of {name} to compare.")
        return None
    # Groups are compared on the classes that all of them have.
    classes = np.flatnonzero((counts[kept] > 0).all(0))
    if not len(classes):
        notes.append(f"The groups of {name} have no class in common.")
        return None
    hits = np.zeros_like(counts)
    np.add.at(hits, (group, targets), right)
    counts, hits = counts[kept][:, classes], hits[kept][:, classes]
    ua = (hits / counts).mean(1)
    gap = float(ua.max() - ua.min())
    recall = hits.sum(0) / counts.sum(0)
    luck = simulate_gaps(counts, recall, samples, rng)
    threshold = float(np.quantile(luck, QUANTILE))
    speakers = _speakers(cases, values)
    few = [n for n in np.array(names)[kept] if 0 < speakers[n] < LEAST_SPEAKERS]
    if few:
        notes.append(
            f"Groups of {name} with fewer than {LEAST_SPEAKERS} speakers "
            f"({', '.join(few)}): a gap may be those voices' own."
        )
    return {
        "groups": {
            names[place]: {
                "ua": float(ua[row]),
                "n": int(counts[row].sum()),
                "speakers": speakers[names[place]],
            }
            for row, place in enumerate(kept)
        },
        "classes": [cases.labels[i] for i in classes],
        "gap": gap,
        "threshold": threshold,
        "p_value": float(((luck >= gap - 1e-12).sum() + 1) / (samples + 1)),
        "beyond_chance": gap > threshold + 1e-12,
    }


def simulate_gaps(
    counts: np.ndarray,
    recall: np.ndarray,
    samples: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Gaps in UA of random models that treat all groups alike.

    Arguments
    ---------
    counts : np.ndarray
        Utterances [groups, classes], each at least 1.
    recall : np.ndarray
        Chance of a right answer for each class.
    samples : int
        Models.
    rng : np.random.Generator
        Source of chance.

    Returns
    -------
    np.ndarray
        Highest minus lowest UA of each model [samples].

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> gaps = simulate_gaps(np.array([[9], [9]]), np.array([1.0]), 2, rng)
    >>> gaps.tolist()
    [0.0, 0.0]
    """
    hits = rng.binomial(counts, recall, (samples, *counts.shape))
    ua = (hits / counts).mean(2)
    return ua.max(1) - ua.min(1)


def age_band(item: dict) -> str | None:
    """Years as a band ("30 to 44"), or the name that stands there.

    Example
    -------
    >>> age_band({"age": 30}), age_band({"age": "old"}), age_band({})
    ('30 to 44', 'old', None)
    """
    age = item.get("age", item.get("age_group"))
    return _band(age, AGES)


def pitch_band(item: dict) -> str | None:
    """Mean pitch of the utterance as a band.

    Example
    -------
    >>> pitch_band({"prosody": {"f0": 150.0}})
    '130 to 199 Hz'
    """
    prosody = item.get("prosody")
    f0 = prosody.get("f0") if isinstance(prosody, dict) else None
    # Zero is an utterance without a voiced frame.
    return (band := _band(f0 or None, PITCHES)) and f"{band} Hz"


def _name(field):
    def group(item):
        value = item.get(field)
        return None if value in (None, "", "unknown") else str(value)

    return group


def page(result: dict) -> str:
    """The suite's section of the report, as Markdown."""
    if not result["attributes"]:
        return ""
    rows = [["", "lowest UA", "highest UA", "gap", "by luck", "p", "a gap?"]]
    for name, attribute in result["attributes"].items():
        ordered = sorted(
            attribute["groups"].items(), key=lambda pair: pair[1]["ua"]
        )
        (low, worst), (high, best) = ordered[0], ordered[-1]
        rows.append(
            [
                name,
                f"{low} {shown(worst['ua'])} (n {worst['n']})",
                f"{high} {shown(best['ua'])} (n {best['n']})",
                shown(attribute["gap"]),
                f"up to {shown(attribute['threshold'])}",
                f"{attribute['p_value']:.3f}",
                "yes" if attribute["beyond_chance"] else "not beyond luck",
            ]
        )
    words = (
        "By luck: 95 % of simulated random models with the same recalls stay "
        "below. Groups are compared on the classes that all of them have."
    )
    return f"{markdown_table(rows)}\n\n{words}"


def _band(value, bands):
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value).strip() or None
    for low, high in bands:
        if low <= number < high:
            if low == bands[0][0]:
                return f"under {high}"
            return (
                f"{low} or more"
                if high == bands[-1][1]
                else (f"{low} to {high - 1}")
            )
    return None


def _speakers(cases, values):
    voices = {}
    for item, value in zip(cases.items, values, strict=True):
        if value is not None:
            speakers = voices.setdefault(value, set())
            if item.get("speaker") is not None:
                speakers.add((item.get("dataset"), item["speaker"]))
    return {value: len(speakers) for value, speakers in voices.items()}


GROUPINGS = {
    "sex": _name("gender"),
    "language": _name("language"),
    "age": age_band,
    "corpus": _name("dataset"),
    "pitch": pitch_band,
}
