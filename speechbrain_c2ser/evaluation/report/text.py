"""The words of the report: Markdown sections from figures."""

from speechbrain_c2ser.evaluation.report.numbers import ALWAYS, MODES

# Key in the figures, words in the table.
ROWS = {
    "ua": "UA (mean recall of the emotions)",
    "wa": "WA (accuracy)",
    "macro_f1": "macro F1",
    "unparsed_rate": "answers without a label",
    "content_error_rate": "content error rate",
    "content_error_rate_shuffled": "the same for wrong audio",
    "style_accuracy": "style words right",
    "scored_ua": "UA by label scoring",
    "agreement": "free text = best scored label",
    "ece": "calibration error",
}


def shown(value):
    """A fraction as percent, or that it was not measured."""
    return "not measured" if value is None else f"{100 * value:.1f} %"


def heading(run, figures):
    """What was run on what, and what to make of its figures."""
    lines = [f"# C2SER report: {figures['kind']}", ""]
    if run["synthetic"]:
        lines.append(
            "Every figure here is on the **synthetic** corpus: espeak-ng "
            "voices with acted parameters. They show that the chain works, "
            "not how well it would hear people."
        )
    else:
        lines.append(
            "Figures on recordings with the demo's tiny models: they show "
            "that the chain works, not what the method reaches in full."
        )
    lines += ["", f"Split: {figures['split']}."]
    if figures.get("counts"):
        speakers = figures.get("speakers", {})
        parts = [
            f"{part} {count}"
            + (f" (speakers: {speakers[part]})" if part in speakers else "")
            for part, count in figures["counts"].items()
        ]
        lines.append(f"Utterances: {', '.join(parts)}.")
    lines += [f"Note: {note}" for note in run.get("notes", [])]
    if run.get("limits"):
        lines += ["", f"What limits the figures: {run['limits']}"]
    return "\n".join(lines)


def table(figures):
    """The figures of both kinds of answer, as a Markdown table.

    Example
    -------
    >>> toy = {"kind": "synthetic corpus", "implicit": {"ua": 0.5}}
    >>> print(table({**toy, "chance_ua": 0.25}))
    | unseen speech, synthetic corpus  | implicit | chance |
    | :------------------------------- | -------: | -----: |
    | UA (mean recall of the emotions) |   50.0 % | 25.0 % |
    """
    modes = [mode for mode in MODES if mode in figures]
    ceiling = figures.get("ceiling", {})
    rows = [[f"unseen speech, {figures['kind']}", *modes, "chance"]]
    if ceiling:
        rows[0].append("ceiling")
    for key, words in ROWS.items():
        if not any(key in figures[mode] for mode in modes):
            continue
        row = [words]
        for mode in modes:
            known = key in figures[mode]
            row.append(shown(figures[mode][key]) if known else "")
        row.append(shown(figures["chance_ua"]) if key == "ua" else "")
        if ceiling:
            row.append(shown(ceiling[key]) if key in ceiling else "")
        rows.append(row)
    return markdown_table(rows)


def markdown_table(rows):
    """Rows of cells, the first one the head, padded to be read as is."""
    # Names come from files: a bar or a line of their own would end the cell.
    rows = [
        [" ".join(cell.split()).replace("|", r"\|") for cell in row]
        for row in rows
    ]
    columns = list(zip(*rows, strict=True))
    widths = [max(4, *map(len, column)) for column in columns]
    lines = []
    for row in rows:
        first = row[0].ljust(widths[0])
        rest = [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
        lines.append(f"| {' | '.join([first, *rest])} |")
    rule = [":" + "-" * (widths[0] - 1)]
    rule += ["-" * (width - 1) + ":" for width in widths[1:]]
    lines.insert(1, f"| {' | '.join(rule)} |")
    return "\n".join(lines)


def languages_table(figures):
    """The rates of each language, or nothing without them."""
    rows = []
    for mode in MODES:
        per_language = figures.get(mode, {}).get("per_language") or {}
        for language, values in per_language.items():
            cells = [shown(values.get(key)) for key in ALWAYS["implicit"]]
            rows.append([f"{mode}, {language}", *cells])
    if not rows:
        return ""
    head = ["by language", "UA", "WA", "macro F1", "without a label"]
    return "## Languages\n\n" + markdown_table([head, *rows])


def confusions_text(results):
    """The confusion matrices."""
    shown_modes = [
        f"![confusion, {mode} answers](confusion_{mode}.png)"
        for mode in results
    ]
    return "## Who is taken for whom\n\n" + "\n".join(shown_modes)


def curves_text(logs):
    """The learning curves, or that there are none."""
    if not logs:
        return "## Learning\n\nNot measured: no <stage>/train_log.jsonl."
    return "## Learning\n\n![learning curves](learning_curves.png)"


def embeddings_text(embeddings, figures):
    """The map, and how well neighbours tell the emotion."""
    title = "## Utterance embeddings before and after stage 0\n\n"
    if not embeddings:
        return title + "Not measured: no embeddings_*.npz."
    probe = ", ".join(
        f"{moment} {shown(ua)}"
        for moment, ua in figures["embedding_probe"].items()
    )
    return (
        f"{title}![map of the embeddings](embeddings.png)\n\nUA of a vote "
        f"of the 5 nearest unseen utterances ({figures['kind']}): {probe}."
    )


def examples_text(predictions):
    """Three utterances with everything that was answered."""
    if not predictions:
        return "## Examples\n\nNot measured: no explicit answers."
    lines = ["## Three utterances and their full explicit answers"]
    for item in pick_examples(predictions):
        lines += ["", f"**{item['id']}**, true emotion: {item['emotion']}, "]
        lines[-1] += f"answered: {item['label'] or 'no label'}"
        lines += ["", f"> {item['text']}"]
        if item.get("transcript"):
            lines += ["", f"Spoken: {item['transcript']}"]
        best = sorted(
            (item.get("probabilities") or {}).items(), key=lambda p: -p[1]
        )[:3]
        if best:
            scores = ", ".join(f"{name} {shown(p)}" for name, p in best)
            lines += ["", f"Scored: {scores}"]
    return "\n".join(lines)


def pick_examples(predictions, count=3):
    """Two right answers, of two languages if there are, and a wrong one.

    Example
    -------
    >>> items = [
    ...     {"id": n, "emotion": "sad", "label": label, "language": "en"}
    ...     for n, label in enumerate(["sad", None, "sad", "sad"])
    ... ]
    >>> [item["id"] for item in pick_examples(items)]
    [0, 2, 1]
    """
    right = [p for p in predictions if p["label"] == p["emotion"]]
    wrong = [p for p in predictions if p["label"] != p["emotion"]]
    chosen = right[:1]
    others = [
        p for p in right[1:] if p.get("language") != chosen[0].get("language")
    ]
    chosen += (others or right[1:])[:1]
    chosen += wrong[:1]
    rest = [p for p in predictions if p not in chosen]
    return (chosen + rest)[:count]


def settings_text(run, figures):
    """Seconds, seed and versions."""
    lines = ["## Run", ""]
    if figures["stage_seconds"]:
        rows = [["stage", "seconds"]]
        rows += [[k, f"{v:.0f}"] for k, v in figures["stage_seconds"].items()]
        rows.append(["together", f"{figures['seconds']:.0f}"])
        lines += [markdown_table(rows), ""]
    versions = ", ".join(f"{k} {v}" for k, v in figures["versions"].items())
    lines.append(f"Seed {run.get('seed')}; {versions or 'versions unknown'}.")
    lines.append("The same figures for machines: metrics.json.")
    return "\n".join(lines)
