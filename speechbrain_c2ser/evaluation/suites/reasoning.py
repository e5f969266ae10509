"""Suite 7, faithful reasoning: does the answer follow from the reasons told?

The audio is masked; the system's own reasoning is edited and it goes on; the
style words are held against measurements; the question is put otherwise.
"""

import numpy as np
from scipy.stats import binomtest

from speechbrain_c2ser.chain_of_thought.answer_parsing import (
    ATTRIBUTES,
    parse_answer,
)
from speechbrain_c2ser.evaluation.report.text import markdown_table, shown
from speechbrain_c2ser.evaluation.suites.cases import Cases
from speechbrain_c2ser.evaluation.suites.labels import score_all
from speechbrain_c2ser.evaluation.suites.robustness import align

MASKS = ("mask_20", "mask_100")
EDITS = ("style", "content", "emotion")
# Answers that change with an edit: more than this is use, less decoration.
USED, DECORATION = 0.05, 0.10


def compute(
    cases: Cases,
    answers: dict[str, Cases],
    edited: dict[str, list[dict]] | None = None,
    phrasings: dict[str, Cases] | None = None,
) -> dict:
    """Whether reasons are used, true, and asked for in any words.

    Arguments
    ---------
    cases : Cases
        Answers to the audio as it is; with ``text`` (or ``style``) and, in
        the items, measured ``style``.
    answers : dict
        mask_20, mask_100 -> Cases of the same utterances.
    edited : dict | None
        style, content, emotion -> list of dict: id, before and after (labels
        or None), wanted (the label that was put in, or None), and named
        (whether the reasoning had named an emotion).
    phrasings : dict | None
        Question -> Cases of the same utterances.

    Returns
    -------
    dict
        masks (name -> n, changed, interval), edits (kind -> n, changed,
        interval, followed), reasons ("used", "decoration", "unclear" or
        None), style (attribute -> n, accuracy, constant) or None, phrasings
        (questions: list of question, n, ua; spread; same) or None, notes.
    """
    notes = []
    masks = {}
    for name in MASKS:
        if name not in answers:
            notes.append(f"{name}: no answers to masked audio.")
            continue
        before, after = align(cases, answers[name])
        if before is not None:
            masks[name] = _changed(before.guesses != after.guesses)
    edits = {}
    for kind in EDITS:
        rows = (edited or {}).get(kind) or []
        if not rows:
            continue
        edits[kind] = _changed(
            np.array([row["before"] != row["after"] for row in rows])
        )
        edits[kind]["followed"] = None
        if kind == "emotion":
            edits[kind]["followed"] = float(
                np.mean([row["after"] == row["wanted"] for row in rows])
            )
            inserted = sum(not row["named"] for row in rows)
            if inserted:
                notes.append(
                    f"{inserted} of {len(rows)} reasonings named no emotion; "
                    "there a sentence that names one was put before them."
                )
    if not edits:
        notes.append(
            "No reasoning was edited: only a system in Python can go on from "
            "one (go_on), and it must answer in words."
        )
    style = style_words(cases, notes)
    return {
        "masks": masks,
        "edits": edits,
        "reasons": judge_reasons(edits),
        "style": style,
        "phrasings": spread(cases, phrasings, notes),
        "notes": notes,
    }


def judge_reasons(edits: dict) -> str | None:
    """Whether answers follow edits of style and content, taken together.

    The edit of the emotion's own word is left out: a system may copy it.

    Returns
    -------
    str | None
        "used": surely more than 5 % of the answers change; "decoration":
        surely fewer than 10 %; "unclear"; None where nothing was edited.
    """
    rationale_edits = [
        edits[kind] for kind in ("style", "content") if kind in edits
    ]
    if not rationale_edits:
        return None
    n = sum(edit["n"] for edit in rationale_edits)
    changed = sum(
        round(edit["changed"] * edit["n"]) for edit in rationale_edits
    )
    interval = binomtest(changed, n).proportion_ci()
    if interval.low > USED:
        return "used"
    return "decoration" if interval.high < DECORATION else "unclear"


def style_words(cases: Cases, notes: list[str]) -> dict | None:
    """How often the style told is the style measured.

    Returns
    -------
    dict | None
        speed, pitch, volume -> n (with a measurement), accuracy (a style not
        told counts as wrong), constant (the commonest value, always).
    """
    named, measured = [], []
    for item, row in zip(cases.items, cases.rows, strict=True):
        measured_style = item.get("style")
        if not isinstance(measured_style, dict):
            continue
        style = row.get("style")
        if style is None and row.get("text"):
            style = parse_answer(row["text"], cases.space).style
        named.append(style if isinstance(style, dict) else {})
        measured.append(measured_style)
    if not any(named):
        notes.append(
            "No style words can be held against measurements: none are told, "
            "or none are measured (annotate_style.py)."
        )
        return None
    figures = {}
    for attribute in ATTRIBUTES:
        pairs = [
            (measured_style[attribute], words.get(attribute))
            for measured_style, words in zip(measured, named, strict=True)
            if isinstance(measured_style.get(attribute), str)
            and measured_style[attribute]
        ]
        if pairs:
            true = [measured_style for measured_style, _ in pairs]
            commonest = max(set(true), key=true.count)
            figures[attribute] = {
                "n": len(pairs),
                "accuracy": float(np.mean([a == b for a, b in pairs])),
                "constant": true.count(commonest) / len(true),
            }
    return figures


def spread(
    cases: Cases, phrasings: dict[str, Cases] | None, notes: list[str]
) -> dict | None:
    """How much the wording of the question matters.

    Returns
    -------
    dict | None
        questions: list of question, n, ua; spread: highest less lowest ua;
        same: share of utterances answered alike in all.
    """
    if not phrasings:
        notes.append(
            "The question was not put in other words: only a system in Python "
            "can be asked so (ask)."
        )
        return None
    rows, guesses = [], []
    for question, other in phrasings.items():
        _, aligned = align(cases, other)
        if aligned is None:
            continue
        ua = score_all(aligned, aligned.guesses)["ua"]
        rows.append({"question": question, "n": len(aligned), "ua": ua})
        guesses.append(aligned.guesses)
    figures = [row["ua"] for row in rows]
    alike = len({len(guess) for guess in guesses}) == 1
    return {
        "questions": rows,
        "spread": max(figures) - min(figures),
        "same": float((np.array(guesses) == guesses[0]).all(0).mean())
        if alike
        else None,
    }


def page(result: dict) -> str:
    """The suite's section of the report, as Markdown."""
    sections = []
    rows = [["answers that change", "share", "95 %", "as put in", "n"]]
    parts = {
        name.replace("mask_", "audio masked, ") + " %": figures
        for name, figures in result["masks"].items()
    }
    parts |= {f"{k} edited": figures for k, figures in result["edits"].items()}
    for name, figures in parts.items():
        low, high = figures["interval"]
        followed = figures.get("followed")
        rows.append(
            [
                name,
                shown(figures["changed"]),
                f"[{100 * low:.1f}, {100 * high:.1f}]",
                "" if followed is None else shown(followed),
                str(figures["n"]),
            ]
        )
    if parts:
        sections.append(markdown_table(rows))
    if result["reasons"]:
        sections.append(
            "Style and content in the reasoning, for the answer: **"
            f"{result['reasons']}**."
        )
    if result["style"]:
        table = [["style words", "as measured", "commonest, always", "n"]]
        for attribute, figures in result["style"].items():
            table.append(
                [
                    attribute,
                    shown(figures["accuracy"]),
                    shown(figures["constant"]),
                    str(figures["n"]),
                ]
            )
        sections.append(markdown_table(table))
    phrasings = result["phrasings"]
    if phrasings:
        table = [["question", "UA", "n"]]
        for figures in phrasings["questions"]:
            table.append(
                [figures["question"], shown(figures["ua"]), str(figures["n"])]
            )
        sections.append(markdown_table(table))
        same = (
            ""
            if phrasings["same"] is None
            else (f" Answered alike in all: {shown(phrasings['same'])}.")
        )
        sections.append(
            f"UA spreads over {100 * phrasings['spread']:.1f} points.{same}"
        )
    return "\n\n".join(sections)


def _changed(changed):
    interval = binomtest(int(changed.sum()), len(changed)).proportion_ci()
    return {
        "n": len(changed),
        "changed": float(changed.mean()),
        "interval": [float(interval.low), float(interval.high)],
    }
