"""The metadata block of a Hugging Face model card, from an evaluation."""

from collections.abc import Sequence

from huggingface_hub import EvalResult, ModelCardData

# Figure here -> the hub's metric, and how it is shown.
METRICS = {
    "ua": ("recall", "UA (unweighted average recall)"),
    "wa": ("accuracy", "WA (accuracy)"),
    "macro_f1": ("f1", "macro F1"),
}


def model_card_block(
    result: dict, name: str, items: Sequence[dict] = ()
) -> str:
    """What stands between the dashes at the head of a model card.

    Arguments
    ---------
    result : dict
        As :func:`speechbrain_c2ser.evaluation.scoring.evaluate` gives it.
    name : str
        Of the model.
    items : list of dict
        References, for the name of the corpus and its languages.

    Returns
    -------
    str
        YAML, from "---" to "---".

    Example
    -------
    >>> figures = {"ua": 0.7, "wa": 0.71, "macro_f1": 0.69}
    >>> result = {"main": "label", "readings": {"label": figures}, "n": 9}
    >>> "value: 0.7" in model_card_block(result, "mine")
    True
    """
    corpora = sorted({str(i["dataset"]) for i in items if i.get("dataset")})
    languages = sorted({str(i["language"]) for i in items if i.get("language")})
    corpus = ", ".join(corpora) or "unnamed"
    figures = result["readings"][result["main"]]
    data = ModelCardData(
        model_name=name,
        language=languages or None,
        pipeline_tag="audio-classification",
        library_name="speechbrain",
        tags=["speech-emotion-recognition", "speechbrain_c2ser"],
        eval_results=[
            EvalResult(
                task_type="audio-classification",
                task_name="Speech Emotion Recognition",
                dataset_type=corpus,
                dataset_name=corpus,
                metric_type=kind,
                metric_name=words,
                metric_value=round(figures[metric], 4),
            )
            for metric, (kind, words) in METRICS.items()
        ],
    )
    return f"---\n{data.to_yaml()}\n---\n"
