"""Stages from a few options or from a yaml, and thresholds for their last."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path

from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import (
    check_manifest,
    read_manifest,
)
from speechbrain_c2ser.data.weak import top_label
from speechbrain_c2ser.labelling.items import LABELLED
from speechbrain_c2ser.labelling.measures import Style, WordErrors
from speechbrain_c2ser.labelling.run import label_shards
from speechbrain_c2ser.labelling.shards import read_results, result_of
from speechbrain_c2ser.labelling.sources import plan_shards
from speechbrain_c2ser.labelling.stages import (
    Agreement,
    Decode,
    Limits,
    SpeechEmotion,
    Stage,
    WordEmotion,
)
from speechbrain_c2ser.labelling.thresholds import fit_thresholds
from speechbrain_c2ser.labelling.weak_labels import (
    source_names,
    sureness,
)
from speechbrain_c2ser.labels import LabelSpace

THRESHOLDS = "thresholds.json"


def standard_stages(
    models: Sequence[str],
    llm: str | None = None,
    labels: Sequence[str] | None = None,
    agree: bool = False,
    least: float = 0.0,
    limits: dict | None = None,
    device: str | None = None,
    batch_size: int = 8,
    style: str | None = None,
    computation: str = "fp32",
) -> list[Stage]:
    """Compare the words, decode, limit, ask every model, compare.

    Arguments
    ---------
    models : sequence of str
        Folders of classifiers, emotion2vec+ or C2SER.
    llm : str | None
        Folder of a language model for the transcripts.
    labels : sequence of str | None
        The set; None is the first model's.
    agree : bool
        Whether all must have the same label, and all must answer.
    least : float
        Share that the label must have.
    limits : dict | None
        Arguments of :class:`~speechbrain_c2ser.labelling.stages.Limits`; None
        takes every recording, and does not decode what nobody hears.
    device : str | None
        Of the models.
    batch_size : int
        Of the classifiers.
    style : str | None
        Thresholds of :class:`~speechbrain_c2ser.labelling.measures.Style`,
        for what is labelled.
    computation : str
        Precision in which classifiers and C2SER compute.

    Returns
    -------
    list of Stage

    Raises
    ------
    ValueError
        If no labels are known.
    """
    styling = [Style(style)] if style else []
    hearing = [
        SpeechEmotion(folder, name, device, batch_size, computation)
        for folder, name in zip(models, source_names(models), strict=True)
    ]
    if labels is None and hearing:
        labels = hearing[0].labels
    if not labels:
        raise ValueError("The first model has no labels: give --labels.")
    reading = [WordEmotion(llm, labels, device=device)] if llm else []
    number = len(hearing) + len(reading) if agree else 1
    is_heard = hearing or styling or limits is not None
    decoding = [Decode()] if is_heard else []
    limiting = [] if limits is None else [Limits(**limits)]
    return [
        WordErrors(),
        *decoding,
        *limiting,
        *hearing,
        *reading,
        Agreement(labels, agree, least, number),
        *styling,
    ]


def read_stages(path: str | Path, values: dict) -> list[Stage]:
    """The stages of a yaml.

    Arguments
    ---------
    path : str | Path
        SpeechBrain's yaml with ``stages``. It can name any class: only one's
        own is read.
    values : dict
        Key -> value, in place of the yaml's.

    Returns
    -------
    list of Stage

    Raises
    ------
    ValueError
        If it has no stages.
    """
    from hyperpyyaml import load_hyperpyyaml

    lines = "\n".join(f"{k}: {json.dumps(v)}" for k, v in values.items())
    try:
        with open(path, encoding="utf-8") as file:
            hparams = load_hyperpyyaml(file, lines)
    except KeyError as error:
        raise ValueError(f"{path} has no {error.args[0]}.") from error
    stages = hparams.get("stages") or []
    if not stages or not all(isinstance(s, Stage) for s in stages):
        raise ValueError(f"{path} holds no `stages`, a list of Stage objects.")
    return stages


def with_thresholds(
    stages: Sequence[Stage],
    validation: str | Path,
    precision: float,
    folder: str | Path,
) -> tuple[list[Stage], dict]:
    """Stages whose last Agreement has thresholds of a wanted precision.

    They are fitted once: on what the same stages say of a validation set. A
    run that goes on takes them from its folder.

    Arguments
    ---------
    stages : sequence of Stage
        With an Agreement; those behind the last are for what it labels.
    validation : str | Path
        Manifest of recordings whose emotion is known.
    precision : float
        Wanted share of right labels among those given.
    folder : str | Path
        Of the run: gets ``validation/`` and ``thresholds.json``.

    Returns
    -------
    stages : list of Stage
        Copies.
    fitted : dict
        Label -> what :func:`fit_thresholds` tells.

    Raises
    ------
    ValueError
        If there is no Agreement, or nothing can be fitted.
    """
    places = [n for n, s in enumerate(stages) if isinstance(s, Agreement)]
    if not places:
        raise ValueError("Thresholds need an Agreement among the stages.")
    last = places[-1]
    check_manifest(read_manifest(validation), check_audio=False)
    path = Path(folder) / THRESHOLDS
    asked = {"validation": str(validation), "precision": precision}
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if {name: kept.get(name) for name in asked} != asked:
            raise ValueError(
                f"{path} was fitted for {kept.get('precision')} on "
                f"{kept.get('validation')}: give those, or another folder."
            )
        fitted = kept["labels"]
    else:
        examples = _examples(
            stages[: last + 1], validation, Path(folder) / "validation"
        )
        fitted = fit_thresholds(examples, precision)
        text = json.dumps({**asked, "labels": fitted}, indent=1)
        write_atomic(text + "\n", path)
    if all(row["threshold"] is None for row in fitted.values()):
        raise ValueError(
            f"No label reaches a precision of {precision} on {validation}: "
            "lower it, or give better models or more recordings "
            f"(see {path})."
        )
    copies = copy.deepcopy(list(stages))
    given = {label: row["threshold"] for label, row in fitted.items()}
    copies[last].thresholds = given
    return copies, fitted


def _examples(stages, validation, folder):
    """(label, sureness, truth) of what the stages label."""
    shards = plan_shards(validation)
    label_shards(shards, stages, folder)
    space: LabelSpace = stages[-1].space
    examples = []
    for _, table in read_results(result_of(folder, s) for s in shards):
        for row in table.to_pylist():
            if row["outcome"] != LABELLED:
                continue
            truth = row["emotion"]
            label = top_label(json.loads(row["more"])["weak"])
            sure = sureness(json.loads(row["answers"]), space, label)
            examples.append((label, sure, space.map(truth) or truth))
    if not examples:
        raise ManifestError(f"No item of {validation} got a label.")
    return examples


def thresholds_table(fitted: dict) -> str:
    """Fitted thresholds, a line each.

    Arguments
    ---------
    fitted : dict
        Of :func:`with_thresholds`.

    Returns
    -------
    str

    Example
    -------
    >>> print(thresholds_table({"sad": {"threshold": None, "of": 9}}))
    sad: never given (9 of the validation set had it)
    """
    lines = []
    for label, row in fitted.items():
        if row["threshold"] is None:
            told = f"never given ({row['of']} of the validation set had it)"
        else:
            told = (
                f"from {row['threshold']:.3f} ({row['items']} of {row['of']}, "
                f"of which {row['precision']:.3f} are right)"
            )
        lines.append(f"{label}: {told}")
    return "\n".join(lines)
