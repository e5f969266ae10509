"""The result of an evaluation as files: JSON, CSV, Markdown, pictures."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.cells import csv_line
from speechbrain_c2ser.evaluation.report.html import as_html
from speechbrain_c2ser.evaluation.report.model_card import model_card_block
from speechbrain_c2ser.evaluation.report.text import markdown_table, shown

SCHEMA = "c2ser-evaluation/1"
METRICS = {
    "wa": "WA",
    "ua": "UA",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
}
READINGS = {
    "label": "the system's own label",
    "strict": "the label's own name",
    "synonyms": "synonyms too",
    "llm": "read by a language model",
    "scored": "most probable label",
}


def reading_words(name: str) -> str:
    """How a label was read, in words.

    Example
    -------
    >>> reading_words("strict"), reading_words("llm_2")
    ("the label's own name", 'read by language model 2 alone')
    """
    if name.startswith("llm_"):
        number = name.removeprefix("llm_")
        return f"read by language model {number} alone"
    return READINGS[name]


def write_evaluation(
    result: dict,
    folder: str | Path,
    title: str = "Evaluation",
    sections: Sequence[str] = (),
    items: Sequence[dict] = (),
) -> list[str]:
    """Write an evaluation into a folder.

    Arguments
    ---------
    result : dict
        As :func:`speechbrain_c2ser.evaluation.scoring.evaluate` gives it.
    folder : str | Path
        Gets result.json (all, with every utterance), scores.csv (a row for
        each reading and group), classes.csv (a row for each reading and
        label), report.md, model_card.md (the metadata block of a Hugging
        Face model card), where markdown is installed report.html and, where
        matplotlib is installed, a confusion matrix for each reading, a
        reliability diagram and the accuracy over coverage.
    title : str
        Heading of the report.
    sections : list of str
        More sections of the report, in Markdown.
    items : list of dict
        References: what the model card says of the corpus.

    Returns
    -------
    list of str
        Names of the pictures; none without matplotlib.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    if find_spec("matplotlib") is not None:
        pictures = _draw(result, folder)
    text = json.dumps(
        {"schema": SCHEMA, **result}, ensure_ascii=False, indent=1
    )
    write_atomic(text + "\n", folder / "result.json")
    write_atomic(_csv(score_rows(result)), folder / "scores.csv")
    write_atomic(_csv(class_rows(result)), folder / "classes.csv")
    write_atomic(
        as_markdown(result, title, pictures, sections), folder / "report.md"
    )
    card = model_card_block(result, title, items)
    write_atomic(card, folder / "model_card.md")
    if find_spec("markdown") is not None:
        words = as_markdown(result, title, (), sections)
        paths = [folder / name for name in pictures]
        write_atomic(as_html(words, title, paths), folder / "report.html")
    return pictures


def score_rows(result):
    """A row for each reading, of all utterances and of each group."""
    rows = []
    for reading, figures in result["readings"].items():
        parts = [("all", "", figures)]
        for group, values in figures["groups"].items():
            parts += [
                (group, value, subset) for value, subset in values.items()
            ]
        for group, value, subset in parts:
            row = {"reading": reading, "group": group, "value": value}
            row["n"] = subset["n"]
            for metric in METRICS:
                row[metric] = subset[metric]
                row[f"{metric}_low"], row[f"{metric}_high"] = subset[
                    "interval"
                ][metric]
            row["unparsed"] = subset["unparsed"]
            row["unparsed_rate"] = subset["unparsed_rate"]
            rows.append(row)
    return rows


def class_rows(result):
    """A row for each reading and label: precision, recall, F1, count."""
    return [
        {"reading": reading, "label": label, **values}
        for reading, figures in result["readings"].items()
        for label, values in figures["per_class"].items()
    ]


def as_markdown(
    result: dict,
    title: str,
    pictures: Sequence[str] = (),
    more: Sequence[str] = (),
) -> str:
    """The report in words and tables, then more sections and the pictures."""
    main = result["main"]
    figures = result["readings"][main]
    notes = [f"{result['n']} utterances, labels {', '.join(result['labels'])}."]
    if result["missing"]:
        notes.append(
            f"{result['missing']} had no prediction and count as unparsed."
        )
    if result["mapped"]:
        counts = ", ".join(f"{k} {n}" for k, n in result["mapped"].items())
        notes.append(f"True labels mapped into the set: {counts}.")
    notes.append(
        "Brackets hold 95 % bootstrap intervals over utterances. An unparsed "
        "answer counts as wrong."
    )
    sections = [
        f"# {title}",
        "\n".join(notes),
        readings_table(result),
        f"## Labels ({reading_words(main)})",
        _classes_table(figures),
    ]
    for group, values in figures["groups"].items():
        sections += [f"## By {group}", _groups_table(group, values)]
    if result["calibration"]:
        calibration = result["calibration"]
        sections += [
            "## Confidence",
            f"Expected calibration error {shown(calibration['ece'])}; mean "
            "accuracy over coverages "
            f"{shown(calibration['selective']['area'])}.",
        ]
    if result.get("free_texts"):
        sections.append(free_texts_section(result["free_texts"]))
    if result.get("judges"):
        sections += ["## Judges", judges_sentence(result["judges"])]
    sections += more
    if pictures:
        sections.append("\n".join(f"![{p[:-4]}]({p})" for p in pictures))
    return "\n\n".join(sections) + "\n"


def judges_sentence(judges: dict) -> str:
    """How far several language models agree on what texts mean.

    Example
    -------
    >>> figures = {"n": 4, "all_agree": 0.5, "pairs_agree": 0.5, "kappa": 0.1}
    >>> judges_sentence(figures)[:40]
    'The judges agree on 50.0 % of 4 texts, p'
    """
    return (
        f"The judges agree on {shown(judges['all_agree'])} of {judges['n']} "
        f"texts, pairs of them on {shown(judges['pairs_agree'])} (kappa "
        f"{judges['kappa']:.2f})."
    )


def free_texts_section(scores: dict) -> str:
    """The figures as a part of a report, in Markdown.

    Arguments
    ---------
    scores : dict
        Of :func:`speechbrain_c2ser.evaluation.free_texts.score_free_texts`.

    Returns
    -------
    str

    Example
    -------
    >>> figures = {"n": 2, "precision": 1.0, "recall": 0.5, "f1": 0.667}
    >>> print(free_texts_section({"clues": figures}).splitlines()[-1])
    | clues in words     |     1.000 |  0.500 | 0.667 |    2 |
    """
    names = {"emotions": "sets of emotions", "clues": "clues in words"}
    rows = [["told by free texts", "precision", "recall", "F1", "n"]]
    for name, figures in scores.items():
        rates = [f"{figures[k]:.3f}" for k in ("precision", "recall", "f1")]
        rows.append([names[name], *rates, str(figures["n"])])
    return f"## Free texts\n\n{markdown_table(rows)}"


def readings_table(result):
    """The figures of each reading, the one that counts marked."""
    head = ["label read from the answer", *METRICS.values(), "unparsed"]
    rows = [head]
    for name, figures in result["readings"].items():
        words = f"{name}: {reading_words(name)}"
        words += " (counts)" * (name == result["main"])
        unparsed = f"{figures['unparsed']} ({shown(figures['unparsed_rate'])})"
        rows.append([words, *_with_intervals(figures), unparsed])
    return markdown_table(rows)


def comparison_table(comparison: dict, first: str, second: str) -> str:
    """Two systems side by side.

    Arguments
    ---------
    comparison : dict
        As :func:`speechbrain_c2ser.evaluation.comparing.compare` gives it.
    first, second : str
        What the systems are called.

    Returns
    -------
    str
        Markdown.
    """
    rows = [["", first, second, "difference", "p"]]
    for metric, words in METRICS.items():
        difference = comparison["metrics"][metric]
        low, high = difference["interval"]
        rows.append(
            [
                words,
                shown(difference["first"]),
                shown(difference["second"]),
                f"{100 * difference['difference']:+.1f} "
                f"[{100 * low:+.1f}, {100 * high:+.1f}]",
                f"{difference['p_value']:.3f}",
            ]
        )
    return markdown_table(rows)


def _with_intervals(figures):
    cells = []
    for metric in METRICS:
        low, high = figures["interval"][metric]
        cells.append(
            f"{100 * figures[metric]:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
        )
    return cells


def _classes_table(figures):
    rows = [["label", "precision", "recall", "F1", "n"]]
    for label, row in figures["per_class"].items():
        rates = [shown(row[key]) for key in ("precision", "recall", "f1")]
        rows.append([label, *rates, str(row["n"])])
    return markdown_table(rows)


def _groups_table(group, values):
    rows = [[group, *METRICS.values(), "unparsed", "n"]]
    for value, row in values.items():
        cells = _with_intervals(row)
        rows.append([value, *cells, str(row["unparsed"]), str(row["n"])])
    return markdown_table(rows)


def _draw(result, folder):
    from speechbrain_c2ser.evaluation.report import confidence, pictures

    names = []
    targets = [row["target"] for row in result["utterances"]]
    for reading in result["readings"]:
        names.append(f"confusion_{reading}.png")
        pictures.confusion_matrix(
            targets,
            [row[reading] for row in result["utterances"]],
            result["labels"],
            f"{reading}: {reading_words(reading)}",
            folder / names[-1],
        )
    calibration = result["calibration"]
    if calibration:
        confidence.reliability_diagram(
            calibration["bins"], calibration["ece"], folder / "reliability.png"
        )
        confidence.coverage_curve(
            calibration["selective"], folder / "coverage.png"
        )
        names += ["reliability.png", "coverage.png"]
    return names


def _csv(rows):
    lines = [rows[0], *([row[name] for name in rows[0]] for row in rows)]
    return "".join(f"{csv_line(line)}\n" for line in lines)
