"""Suite 5, robustness: the audio is disturbed, the system asked again."""

import numpy as np

from speechbrain_c2ser.evaluation.metrics.bootstrap import (
    interval,
)
from speechbrain_c2ser.evaluation.predictions import some
from speechbrain_c2ser.evaluation.report.text import markdown_table, shown
from speechbrain_c2ser.evaluation.suites.cases import MISSING, Cases
from speechbrain_c2ser.evaluation.suites.disturbances import DISTURBANCES
from speechbrain_c2ser.evaluation.suites.labels import score_all
from speechbrain_c2ser.evaluation.suites.resampling import (
    resample_scores,
    speaker_unit,
)


def compute(
    cases: Cases,
    answers: dict[str, Cases],
    samples: int = 1000,
    seed: int = 0,
) -> dict:
    """Change of UA and share of labels unchanged under each disturbance.

    Arguments
    ---------
    cases : Cases
        The answers to the audio as it is.
    answers : dict
        Name of a disturbance -> Cases of some or all of the same utterances.
    samples, seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        conditions: name -> n, failed, ua_before, ua, change, interval (of
        the change, over speakers where they are known), unchanged (share of
        labels that stay); worst (name); and notes.
    """
    unit, notes = speaker_unit(cases)
    conditions, counts = {}, {}
    for name in DISTURBANCES:
        if name not in answers:
            continue
        other = answers[name]
        before, after = align(cases, other)
        if before is None:
            notes.append(f"{name}: none of its utterances is in the test set.")
            continue
        counts.setdefault(len(before), []).append(name)
        failed = [row["id"] for row in after.rows if row.get("error")]
        if failed:
            notes.append(
                f"{name}: the system failed on {len(failed)} of {len(after)} "
                f"({some(failed)}); they count as unparsed."
            )
        scores = resample_scores(
            before,
            [before.guesses, after.guesses],
            ("ua",),
            unit or "utterance",
            samples,
            seed,
        )[:, 0]
        ua = [score_all(before, c.guesses)["ua"] for c in (before, after)]
        conditions[name] = {
            "n": len(before),
            "failed": len(failed),
            "ua_before": ua[0],
            "ua": ua[1],
            "change": ua[1] - ua[0],
            "interval": interval(scores[1] - scores[0]),
            "unchanged": float((before.guesses == after.guesses).mean()),
        }
    if not conditions:
        return {
            "conditions": {},
            "worst": None,
            "notes": [
                "No answers to disturbed audio: give a system in Python, or "
                "answer the manifests of `c2ser disturb` and give their "
                "folder (--answers)."
            ],
        }
    for n, names in counts.items():
        if n < len(cases):
            notes.append(
                f"{n} of {len(cases)} utterances were asked again under "
                f"{', '.join(names)}; the others are left out there."
            )
    worst = min(conditions, key=lambda name: conditions[name]["change"])
    return {"conditions": conditions, "worst": worst, "notes": notes}


def align(first: Cases, second: Cases) -> tuple[Cases | None, Cases | None]:
    """The cases that were asked in both, in one order.

    A reference that has no prediction at all was not asked.
    """
    answered = {
        item["id"]: place
        for place, (item, row) in enumerate(
            zip(second.items, second.rows, strict=True)
        )
        if not row.get(MISSING)
    }
    places = [i for i, item in enumerate(first.items) if item["id"] in answered]
    if not places:
        return None, None
    others = [answered[first.items[i]["id"]] for i in places]
    return first.select(np.array(places)), second.select(np.array(others))


def page(result: dict) -> str:
    """The suite's section of the report, as Markdown."""
    if not result["conditions"]:
        return ""
    rows = [["", "UA", "change", "95 %", "labels unchanged", "n"]]
    for name, condition in result["conditions"].items():
        low, high = condition["interval"]
        rows.append(
            [
                name.replace("_", " "),
                shown(condition["ua"]),
                f"{100 * condition['change']:+.1f}",
                f"[{100 * low:+.1f}, {100 * high:+.1f}]",
                shown(condition["unchanged"]),
                str(condition["n"]),
            ]
        )
    worst = result["worst"].replace("_", " ")
    return f"{markdown_table(rows)}\n\nThe worst is {worst}."
