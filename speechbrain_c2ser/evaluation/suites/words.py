"""Suite 6, words or tone: does the system listen, or does it read?

Three controls stand beside UA: the transcript alone, silence, and the audio
of another utterance. On a corpus of conflicts (words that carry one emotion,
a voice that carries another) it is counted which one a system follows.
"""

import numpy as np
from scipy.stats import binomtest

from speechbrain_c2ser.evaluation.metrics.bootstrap import (
    interval,
    sign_p_value,
)
from speechbrain_c2ser.evaluation.predictions import some
from speechbrain_c2ser.evaluation.report.text import markdown_table, shown
from speechbrain_c2ser.evaluation.suites.cases import Cases
from speechbrain_c2ser.evaluation.suites.labels import score_all
from speechbrain_c2ser.evaluation.suites.resampling import (
    find_units,
    resample_scores,
    speaker_unit,
)
from speechbrain_c2ser.evaluation.suites.robustness import align

TRANSCRIPT = "transcript_only"
CONTROLS = (TRANSCRIPT, "silence", "shuffled")
# Without audio of the utterance: what UA(true) is held against.
WITHOUT_AUDIO = ("silence", "shuffled")
# Cells of the conflict corpus.
CELLS = ("matched", "neutral_words", "neutral_voice", "mismatched")


def compute(
    cases: Cases,
    answers: dict[str, Cases],
    conflict: Cases | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> dict:
    """Controls beside UA, audio sensitivity, and who is followed.

    Arguments
    ---------
    cases : Cases
        The answers to the audio as it is.
    answers : dict
        transcript_only, silence, shuffled -> Cases of the same utterances.
    conflict : Cases | None
        Answers to a corpus of :mod:`speechbrain_c2ser.data.synthetic.conflict`.
    samples, seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        chance, controls (name -> n, ua_true, ua, interval, verdict),
        sensitivity (value, interval, against) or None, conflict (see
        :func:`follow`) or None, and notes.
    """
    unit, notes = speaker_unit(cases)
    unit = unit or "utterance"
    chance = 1 / len(np.unique(cases.targets))
    controls, drops = {}, {}
    for name in CONTROLS:
        if name not in answers:
            notes.append(_lacking(name))
            continue
        paired, control = align(cases, answers[name])
        if paired is None:
            notes.append(f"{name}: none of its utterances is in the test set.")
            continue
        failed = [row["id"] for row in control.rows if row.get("error")]
        if failed:
            notes.append(
                f"{name}: the system failed on {len(failed)} of "
                f"{len(control)} ({some(failed)}); they count as unparsed."
            )
        scores = resample_scores(
            paired,
            [paired.guesses, control.guesses],
            ("ua",),
            unit,
            samples,
            seed,
        )[:, 0]
        by_utterance = resample_scores(
            paired, [control.guesses], ("ua",), "utterance", samples, seed
        )[0, 0]
        low, high = interval(scores[1])
        controls[name] = {
            "n": len(paired),
            "ua_true": score_all(paired, paired.guesses)["ua"],
            "ua": score_all(paired, control.guesses)["ua"],
            "interval": [low, high],
            "verdict": against_chance(
                chance, [[low, high], interval(by_utterance)]
            ),
        }
        drops[name] = scores[0] - scores[1]
    against = [name for name in WITHOUT_AUDIO if name in controls]
    sensitivity = None
    if against:
        control_uas = [controls[name] for name in against]
        sensitivity = {
            "value": float(
                np.mean([c["ua_true"] - c["ua"] for c in control_uas])
            ),
            "interval": interval(np.mean([drops[n] for n in against], axis=0)),
            "against": against,
        }
    if conflict is None:
        notes.append(
            "No answers to a corpus of conflicts (conflict.jsonl): who is "
            "followed, words or voice, is not measured."
        )
    return {
        "chance": chance,
        "controls": controls,
        "sensitivity": sensitivity,
        "conflict": None
        if conflict is None
        else follow(conflict, notes, samples, seed),
        "notes": notes,
    }


def against_chance(chance: float, intervals: list[list[float]]) -> str:
    """Where a control stands, by the widest of its intervals.

    Example
    -------
    >>> against_chance(0.25, [[0.26, 0.3], [0.24, 0.3]])
    'at chance'
    """
    if max(high for _, high in intervals) < chance - 1e-9:
        return "below"
    if min(low for low, _ in intervals) > chance + 1e-9:
        return "above"
    return "at chance"


def follow(
    conflict: Cases, notes: list[str], samples: int = 1000, seed: int = 0
) -> dict:
    """How often a system names the emotion of the voice, or of the words.

    Arguments
    ---------
    conflict : Cases
        Items with ``voice_emotion``, ``word_emotion`` and ``cell``.
    notes : list of str
        Gets what is left out.
    samples, seed : int
        Of the bootstrap over speakers.

    Returns
    -------
    dict
        cells (name -> n, voice, words, other: shares; voice_interval and
        words_interval: 95 %, the wider of the exact binomial and the
        bootstrap over speakers), languages (language -> the same of its
        mismatched cell), follows ("voice", "words" or "neither") and p_value
        (of voice against words where they disagree: the larger of the sign
        test's and the bootstrap's).
    """
    known = [
        i
        for i, item in enumerate(conflict.items)
        if item.get("cell") in CELLS
        and item.get("voice_emotion") in conflict.labels
        and item.get("word_emotion") in conflict.labels
    ]
    if len(known) < len(conflict):
        notes.append(
            f"{len(conflict) - len(known)} of {len(conflict)} conflicts do not "
            "tell voice_emotion, word_emotion and cell, and are left out."
        )
    if not known:
        return {"cells": {}, "languages": {}, "follows": None, "p_value": None}
    conflict = conflict.select(np.array(known))
    if speaker_unit(conflict)[0] is None:
        notes.append(
            "The conflicts are of fewer than two named speakers: their "
            "intervals are over utterances, and too narrow for other voices."
        )
    cell = np.array(conflict.field("cell"))
    language = np.array([str(v) for v in conflict.field("language")])
    cells = {
        name: _shares(conflict.select(cell == name), samples, seed)
        for name in CELLS
        if (cell == name).any()
    }
    apart = cell == "mismatched"
    languages = {
        name: _shares(
            conflict.select(apart & (language == name)), samples, seed
        )
        for name in np.unique(language[apart]).tolist()
    }
    p_value, follows = 1.0, "neither"
    as_voice, as_words = followed(conflict.select(apart))
    if (as_voice | as_words).any():
        own = [int(as_voice.sum()), int(as_words.sum())]
        p_value = float(binomtest(own[0], sum(own)).pvalue)
        drawn = resample_shares(
            conflict.select(apart),
            [as_voice.astype(float) - as_words],
            samples,
            seed,
        )
        if drawn is not None:
            p_value = max(p_value, sign_p_value(drawn[0]))
        if p_value < 0.05:
            follows = "voice" if own[0] > own[1] else "words"
    return {
        "cells": cells,
        "languages": languages,
        "follows": follows,
        "p_value": p_value,
    }


def followed(conflict: Cases) -> tuple[np.ndarray, np.ndarray]:
    """Whether each answer [N] is the voice's emotion, and the words'."""
    places = {name: i for i, name in enumerate(conflict.labels)}
    return tuple(
        conflict.guesses
        == np.array([places[e] for e in conflict.field(field)], dtype=int)
        for field in ("voice_emotion", "word_emotion")
    )


def resample_shares(
    cases: Cases, values: list[np.ndarray], samples: int, seed: int
) -> np.ndarray | None:
    """Means of values over resampled speakers.

    Arguments
    ---------
    cases : Cases
        Whose speakers are drawn.
    values : list of np.ndarray
        A number for each case [N].
    samples, seed : int
        Of the bootstrap.

    Returns
    -------
    np.ndarray | None
        [values, samples]; None where there are no two speakers.
    """
    if speaker_unit(cases)[0] is None:
        return None
    units, _ = find_units(cases, "speaker")
    count = np.bincount(units)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(
        len(count), np.full(len(count), 1 / len(count)), samples
    )
    sums = np.array([np.bincount(units, weights=own) for own in values])
    return (sums @ drawn.T) / (drawn @ count)


def page(result: dict) -> str:
    """The suite's section of the report, as Markdown."""
    sections = []
    if result["controls"]:
        rows = [["control", "UA", "95 %", "true audio", "chance?", "n"]]
        for name, sensitivity in result["controls"].items():
            low, high = sensitivity["interval"]
            rows.append(
                [
                    name.replace("_", " "),
                    shown(sensitivity["ua"]),
                    f"[{100 * low:.1f}, {100 * high:.1f}]",
                    shown(sensitivity["ua_true"]),
                    sensitivity["verdict"],
                    str(sensitivity["n"]),
                ]
            )
        sections.append(markdown_table(rows))
        sections.append(
            f"Chance is {shown(result['chance'])}. A control above it gives "
            "the emotion away without being heard; shuffled audio is of "
            "another emotion, so that who listens falls below."
        )
    if result["sensitivity"]:
        sensitivity = result["sensitivity"]
        low, high = sensitivity["interval"]
        sections.append(
            f"Audio sensitivity {100 * sensitivity['value']:.1f} points "
            f"[{100 * low:.1f}, {100 * high:.1f}]: UA with the true audio "
            f"less the mean with {' and '.join(sensitivity['against'])}."
        )
    conflict = result["conflict"]
    if conflict and conflict["cells"]:
        rows = [["conflicts", "as the voice", "as the words", "other", "n"]]
        parts = {**conflict["cells"]}
        for language, sensitivity in conflict["languages"].items():
            parts[f"mismatched, {language}"] = sensitivity
        for name, sensitivity in parts.items():
            rows.append(
                [
                    name.replace("_", " "),
                    _with_interval(sensitivity, "voice"),
                    _with_interval(sensitivity, "words"),
                    shown(sensitivity["other"]),
                    str(sensitivity["n"]),
                ]
            )
        sections.append(markdown_table(rows))
        sections.append(
            f"Where they disagree, this system follows **"
            f"{conflict['follows']}** (p {conflict['p_value']:.3g})."
        )
    return "\n\n".join(sections)


def _shares(cases, samples, seed):
    as_voice, as_words = followed(cases)
    drawn = resample_shares(cases, [as_voice, as_words], samples, seed)
    return {
        "n": len(cases),
        "voice": float(as_voice.mean()),
        "voice_interval": _widest(as_voice, drawn, 0),
        "words": float(as_words.mean()),
        "words_interval": _widest(as_words, drawn, 1),
        "other": float((~as_voice & ~as_words).mean()),
    }


def _widest(right, drawn, row):
    """Exact binomial, or wider where speakers differ."""
    exact = binomtest(int(right.sum()), len(right)).proportion_ci()
    low, high = [float(exact.low), float(exact.high)]
    if drawn is not None:
        bounds = interval(drawn[row])
        low, high = min(low, bounds[0]), max(high, bounds[1])
    return [low, high]


def _with_interval(figures, key):
    low, high = figures[f"{key}_interval"]
    return f"{shown(figures[key])} [{100 * low:.1f}, {100 * high:.1f}]"


def _lacking(name):
    if name == TRANSCRIPT:
        return (
            "transcript_only: no answers; a system in Python needs read(text, "
            "language), one outside a file transcript_only.jsonl."
        )
    return f"{name}: no answers to this control."
