"""Bootstrap over speakers: whole voices are drawn, not single utterances.

Utterances of one voice resemble each other, so that an interval over
utterances is too narrow for a voice that was not heard.
"""

import numpy as np

from speechbrain_c2ser.evaluation.metrics.classification import (
    score_confusions,
)
from speechbrain_c2ser.evaluation.suites.cases import Cases

UNITS = ("utterance", "speaker", "corpus x speaker")
# Samples that are scored at once; bounds the memory.
AT_ONCE = 100


def find_units(cases: Cases, unit: str) -> tuple[np.ndarray, np.ndarray]:
    """Which unit each case belongs to, and which corpus each unit.

    Arguments
    ---------
    cases : Cases
        An utterance without a speaker is a unit of its own.
    unit : str
        "utterance"; "speaker": voices of all corpora in one pot; or "corpus
        x speaker": as many voices of each corpus as it has.

    Returns
    -------
    units : np.ndarray
        [N], from 0 to C - 1.
    strata : np.ndarray
        [C]: units are drawn within their stratum.

    Raises
    ------
    ValueError
        For an unknown unit.
    """
    if unit not in UNITS:
        raise ValueError(f"A unit is one of {', '.join(UNITS)}, not {unit!r}.")
    names = []
    for number, item in enumerate(cases.items):
        corpus = str(item.get("dataset") or "")
        speaker = item.get("speaker")
        if unit == "utterance" or speaker is None:
            names.append((corpus, "", number))
        else:
            # s1 of one corpus is not s1 of another.
            names.append((corpus, str(speaker), -1))
    places = {name: i for i, name in enumerate(dict.fromkeys(names))}
    units = np.array([places[name] for name in names])
    if unit != "corpus x speaker":
        return units, np.zeros(len(places), dtype=int)
    corpora = {
        c: i for i, c in enumerate(dict.fromkeys(name[0] for name in places))
    }
    return units, np.array([corpora[name[0]] for name in places])


def resample_scores(
    cases: Cases,
    guesses: list[np.ndarray],
    metrics: tuple[str, ...],
    unit: str,
    samples: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    """Scores of systems over the same resampled units.

    Arguments
    ---------
    cases : Cases
        Targets and units.
    guesses : list of np.ndarray
        Predicted indices [N] of each system.
    metrics : tuple of str
        Of :func:`.classification.score_confusions`.
    unit : str
        As in :func:`find_units`.
    samples, seed : int
        Of the bootstrap.

    Returns
    -------
    np.ndarray
        [systems, metrics, samples].
    """
    units, strata = find_units(cases, unit)
    size, count = len(cases.labels), len(strata)
    cells = size * (size + 1)
    confusions = []
    for guess in guesses:
        table = np.zeros((count, cells), dtype=np.float32)
        np.add.at(table, (units, cases.targets * (size + 1) + guess), 1)
        confusions.append(table)
    rng = np.random.default_rng(seed)
    scores = np.empty((len(guesses), len(metrics), samples))
    for start in range(0, samples, AT_ONCE):
        stop = min(start + AT_ONCE, samples)
        drawn = np.zeros((stop - start, count), dtype=np.float32)
        for stratum in np.unique(strata):
            inside = np.flatnonzero(strata == stratum)
            shares = np.full(len(inside), 1 / len(inside))
            drawn[:, inside] = rng.multinomial(
                len(inside), shares, stop - start
            )
        for system, table in enumerate(confusions):
            counts = (drawn @ table).reshape(-1, size, size + 1)
            for row, metric in enumerate(metrics):
                scores[system, row, start:stop] = score_confusions(
                    counts, metric
                )
    return scores


def speaker_unit(cases: Cases) -> tuple[str | None, list[str]]:
    """The unit that a set can be resampled by, and what stands against it.

    Returns
    -------
    unit : str | None
        "speaker" or "corpus x speaker"; None where there are no two voices.
    notes : list of str
    """
    speakers = {
        (str(item.get("dataset") or ""), str(item["speaker"]))
        for item in cases.items
        if item.get("speaker") is not None
    }
    without = sum(item.get("speaker") is None for item in cases.items)
    if not speakers:
        return None, [
            "No utterance names its speaker: intervals over speakers cannot "
            "be computed, and those over utterances are too narrow."
        ]
    if len(speakers) == 1:
        return None, [
            f"There is one speaker only ({next(iter(speakers))[1]}): nothing "
            "can be said of other voices, and no interval over speakers."
        ]
    notes = []
    if without:
        notes.append(
            f"{without} of {len(cases)} utterances name no speaker; each "
            "counts as a voice of its own."
        )
    if len(speakers) < 10:
        notes.append(
            f"There are {len(speakers)} speakers only: intervals over fewer "
            "than about ten are themselves uncertain, rather too narrow."
        )
    corpora = {corpus for corpus, _ in speakers}
    return "corpus x speaker" if len(corpora) > 1 else "speaker", notes
