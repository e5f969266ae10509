"""Run suites over one system's predictions and write what they find."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.evaluation.suites import (
    calibration,
    fairness,
    labels,
    reasoning,
    robustness,
    soft,
    words,
)
from speechbrain_c2ser.evaluation.suites.cases import Cases

SCHEMA = "c2ser-evidence/1"
RESULT_FILE = "evidence.json"
TITLES = {
    "labels": "Labels: what the figures are worth",
    "soft": "Soft labels: against the raters' votes",
    "calibration": "Calibration: what a confidence means",
    "fairness": "Fairness: gaps between groups",
    "robustness": "Robustness: the audio disturbed",
    "words": "Words or tone: what is listened to",
    "reasoning": "Faithful reasoning: whether reasons are true and used",
}
NAMES = tuple(TITLES)
PAGES = {
    "labels": labels.page,
    "soft": soft.page,
    "calibration": calibration.page,
    "fairness": fairness.page,
    "robustness": robustness.page,
    "words": words.page,
    "reasoning": reasoning.page,
}


@dataclass(frozen=True)
class Evidence:
    """What the suites look at.

    Arguments
    ---------
    cases : Cases
        The system's answers to the test set.
    validation : Cases | None
        Its answers to a validation set.
    others : dict
        Name -> Cases of other systems on the same references.
    answers : dict
        Condition (a disturbance or a control) -> Cases.
    conflict : Cases | None
        Answers to a corpus of conflicts.
    edited : dict
        Kind of edit -> answers, as :func:`.reasoning.compute` wants them.
    phrasings : dict
        Question -> Cases.
    notes : list of str
        What was set aside before.
    """

    cases: Cases
    validation: Cases | None = None
    others: dict = field(default_factory=dict)
    answers: dict = field(default_factory=dict)
    conflict: Cases | None = None
    edited: dict = field(default_factory=dict)
    phrasings: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)


def find_suites(names: str) -> list[str]:
    """Suites from a list with commas, or "all".

    Raises
    ------
    ValueError
        For an unknown one; lists the known.

    Example
    -------
    >>> find_suites("soft, labels")
    ['labels', 'soft']
    """
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    unknown = sorted(wanted - {"all", *NAMES})
    if unknown or not wanted:
        raise ValueError(
            f"There is no suite {', '.join(unknown) or repr(names)} (known: "
            f"all, {', '.join(NAMES)})."
        )
    return [name for name in NAMES if name in wanted or "all" in wanted]


def run_suites(
    names: list[str], evidence: Evidence, samples: int = 1000, seed: int = 0
) -> dict:
    """Run suites; what one of them cannot compute stands in its notes.

    Arguments
    ---------
    names : list of str
        Of :data:`NAMES`.
    evidence : Evidence
        What they look at.
    samples, seed : int
        Of the bootstrap and the simulations.

    Returns
    -------
    dict
        schema, labels, n, notes (of the input) and suites (name -> result;
        each has notes), as :mod:`.schema` describes it.
    """
    cases = evidence.cases
    others = {n: other.guesses for n, other in evidence.others.items()}
    runs = {
        "labels": lambda: labels.compute(cases, others, samples, seed),
        "soft": lambda: soft.compute(cases),
        "calibration": lambda: calibration.compute(cases, evidence.validation),
        "fairness": lambda: fairness.compute(cases, samples, seed),
        "robustness": lambda: robustness.compute(
            cases, evidence.answers, samples, seed
        ),
        "words": lambda: words.compute(
            cases, evidence.answers, evidence.conflict, samples, seed
        ),
        "reasoning": lambda: reasoning.compute(
            cases, evidence.answers, evidence.edited, evidence.phrasings
        ),
    }
    return {
        "schema": SCHEMA,
        "labels": cases.labels,
        "n": len(cases),
        "notes": [*evidence.notes, *cases.notes],
        "suites": {name: runs[name]() for name in names},
    }


def as_sections(result: dict) -> list[str]:
    """Markdown sections of the report, one for each suite."""
    sections = []
    if result["notes"]:
        sections += ["## What was set aside", _list(result["notes"])]
    for name, suite in result["suites"].items():
        sections.append(f"## {TITLES[name]}")
        if words := PAGES[name](suite):
            sections.append(words)
        if suite["notes"]:
            sections.append(_list(suite["notes"]))
    return sections


def write_result(result: dict, folder: str | Path) -> Path:
    """Write evidence.json; returns its path."""
    path = Path(folder) / RESULT_FILE
    text = json.dumps(result, ensure_ascii=False, indent=1)
    write_atomic(text + "\n", path)
    return path


def _list(notes):
    return "\n".join(f"- {note}" for note in notes)
