"""Write the report of a run: table, pictures, examples, metrics.json."""

import json
from pathlib import Path

from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.evaluation.report import numbers as measured
from speechbrain_c2ser.evaluation.report import text


def write_report(
    output_folder: str | Path, report_folder: str | Path | None = None
) -> dict:
    """Write report.md, metrics.json and the pictures of one run.

    Arguments
    ---------
    output_folder : str | Path
        Holds evaluation.json (corpus, synthetic, labels, split ...) and
        explicit.json and / or implicit.json (metrics, predictions);
        optionally embeddings_before.npz and embeddings_after.npz
        (vectors, emotions, speakers), times.json (seconds per stage) and
        <stage>/train_log.jsonl (epoch and losses). What is missing is
        named in the report.
    report_folder : str | Path
        Where to write; by default `report` in the output folder.

    Returns
    -------
    dict
        The content of metrics.json; rates are fractions.

    Raises
    ------
    FileNotFoundError
        Without evaluation.json, or without any evaluation.
    ValueError
        For a file that is cut or that names a label outside the set.
    """
    # Here, so that the words of a report need no matplotlib.
    from speechbrain_c2ser.evaluation.report import pictures

    source = Path(output_folder)
    target = Path(report_folder or source / "report")
    run = measured.read_json(source / "evaluation.json")
    results = {
        mode: measured.read_json(source / f"{mode}.json")
        for mode in measured.MODES
        if (source / f"{mode}.json").exists()
    }
    if not results:
        raise FileNotFoundError(
            f"{source} holds neither explicit.json nor implicit.json; "
            "run the evaluation first."
        )
    for mode, result in results.items():
        measured.check_labels(result["predictions"], run["labels"], mode)
    logs = measured.read_logs(source)
    embeddings = measured.read_embeddings(source)
    figures = measured.collect_figures(source, run, results, embeddings)

    target.mkdir(parents=True, exist_ok=True)
    kind = measured.kind_of_corpus(run)
    for mode, result in results.items():
        predictions = result["predictions"]
        pictures.confusion_matrix(
            [item["emotion"] for item in predictions],
            [item["label"] for item in predictions],
            run["labels"],
            f"{mode} answers, {kind}",
            target / f"confusion_{mode}.png",
        )
    if logs:
        pictures.learning_curves(logs, target / "learning_curves.png")
    if embeddings:
        pictures.embedding_maps(
            {
                f"{moment} stage 0 ({kind})": (e["vectors"], e["emotions"])
                for moment, e in embeddings.items()
            },
            target / "embeddings.png",
        )
    write_atomic(json.dumps(figures, indent=2) + "\n", target / "metrics.json")
    sections = [
        text.heading(run, figures),
        text.table(figures),
        text.languages_table(figures),
        text.confusions_text(results),
        text.curves_text(logs),
        text.embeddings_text(embeddings, figures),
        text.examples_text(results.get("explicit", {}).get("predictions", [])),
        text.settings_text(run, figures),
    ]
    words = "\n\n".join(section for section in sections if section)
    write_atomic(words + "\n", target / "report.md")
    return figures


def print_report(figures, report_folder) -> None:
    """Print the table and where the report lies."""
    print(f"\n{figures['kind']}, {figures['split']} split\n")
    print(text.table(figures))
    print(f"\nReport: {Path(report_folder) / 'report.md'}")
