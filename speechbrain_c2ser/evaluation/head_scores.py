"""Figures of the heads of a classifier, out of its predictions."""

import json
from collections.abc import Sequence
from pathlib import Path

from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.evaluation.errors import PredictionError
from speechbrain_c2ser.evaluation.metrics.records import SCORES, record_metrics
from speechbrain_c2ser.evaluation.report.text import markdown_table


def score_heads(predictions: Sequence[dict]) -> dict[str, dict[str, float]]:
    """Score every head's records against the truths that stand beside them.

    Arguments
    ---------
    predictions : sequence of dict
        With ``heads``: name → record and ``truth`` (None = unknown), as
        ``recipes/EmotionRecognition/train.py`` writes them.

    Returns
    -------
    dict
        Head → figures over the whole set, and n, the items with a truth. No
        head whose records are of a kind of its own.

    Raises
    ------
    PredictionError
        For a record that is not whole; names the item.

    Example
    -------
    >>> numbers = [{"valence": x} for x in (0.0, 0.5)]
    >>> rows = [{"heads": {"vad": {"values": n, "truth": n}}} for n in numbers]
    >>> scores = score_heads(rows)["vad"]
    >>> scores["n"], scores["ccc"]
    (2, 1.0)
    """
    found = {}
    for name in {n: None for row in predictions for n in row.get("heads", ())}:
        rows = [
            row
            for row in predictions
            if row.get("heads", {}).get(name, {}).get("truth") is not None
        ]
        records = [row["heads"][name] for row in rows]
        if not records or not SCORES.keys() & records[0].keys():
            continue
        try:
            figures = record_metrics(
                [record["truth"] for record in records],
                records,
                [float(row.get("duration") or 0.0) for row in rows],
            )
        except (KeyError, TypeError, ZeroDivisionError) as error:
            raise PredictionError(
                f"The records of the head {name!r} cannot be scored: "
                f"{type(error).__name__} {error} (of {rows[0].get('id')!r} and "
                "others)."
            ) from error
        found[name] = {"n": len(rows), **figures}
    return found


def without_truth(predictions: Sequence[dict]) -> list[str]:
    """Ids of the predictions of heads that know no true emotion.

    Their label cannot be scored; what else is true of them can.

    Arguments
    ---------
    predictions : sequence of dict
        Any.

    Returns
    -------
    list of str

    Example
    -------
    >>> without_truth([{"id": "a", "heads": {}}, {"id": "b", "label": "sad"}])
    ['a']
    """
    return [
        row["id"]
        for row in predictions
        if "heads" in row and not ("label" in row and row.get("emotion"))
    ]


def heads_section(scores: dict[str, dict[str, float]]) -> str:
    """The figures of heads as a part of a report, in Markdown.

    Arguments
    ---------
    scores : dict
        Of :func:`score_heads`.

    Returns
    -------
    str

    Example
    -------
    >>> print(heads_section({"vad": {"n": 2, "ccc": 0.5}}))
    ## Heads
    <BLANKLINE>
    | head | figure | value |    n |
    | :--- | -----: | ----: | ---: |
    | vad  |    ccc | 0.500 |    2 |
    """
    rows = [["head", "figure", "value", "n"]]
    for name, figures in scores.items():
        count = str(figures["n"])
        rows += [
            [name, figure, f"{value:.3f}", count]
            for figure, value in figures.items()
            if figure != "n"
        ]
    return f"## Heads\n\n{markdown_table(rows)}"


def write_sections(
    scores: dict,
    folder: str | Path,
    title: str,
    sections: Sequence[str],
    name: str = "result.json",
) -> None:
    """Write figures where no label can be scored: JSON and report.md.

    Arguments
    ---------
    scores : dict
        Plain values.
    folder : str | Path
        Where they go.
    title : str
        Heading of the report.
    sections : sequence of str
        Of the report, in Markdown.
    name : str
        Of the JSON file.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(json.dumps(scores, indent=1) + "\n", folder / name)
    text = "\n\n".join([f"# {title}", *sections]) + "\n"
    write_atomic(text, folder / "report.md")
