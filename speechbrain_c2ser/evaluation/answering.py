"""What a C2SER model answers to a manifest, and what the answers are worth."""

import json
import logging
import time
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader
from tqdm import tqdm

from speechbrain_c2ser.chain_of_thought.slots import check_slots
from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.dataset import loader_options, speech_dataset
from speechbrain_c2ser.evaluation.metrics import edit_rate, style_accuracy
from speechbrain_c2ser.evaluation.predictions import (
    prediction_of,
    write_predictions,
)
from speechbrain_c2ser.evaluation.report.evaluation import write_evaluation
from speechbrain_c2ser.evaluation.scoring import evaluate, summary

logger = logging.getLogger(__name__)

DECODING = ("max_new_tokens", "num_beams", "repetition_penalty")


def evaluate_c2ser(c2ser, manifest, hparams):
    """Predict, score, write: what the evaluation recipes share.

    Arguments
    ---------
    c2ser : speechbrain_c2ser.inference.C2SER
        The model.
    manifest : str | Path | dict
        The utterances, each with its emotion.
    hparams : dict
        mode ("explicit" or "implicit"), batching, predictions_file (JSONL),
        result_file (JSON: metrics and predictions), report_folder, and
        decoding's max_new_tokens, num_beams and repetition_penalty, where
        they are not the interface's.

    Returns
    -------
    dict
        The metrics.

    Raises
    ------
    ManifestError
        If an utterance has no emotion, or one that the model does not know.
    ValueError
        If utterances lack what the slots of the model's prompt need.
    """
    mode = hparams["mode"]
    dataset = speech_dataset(manifest, ["emotion"], c2ser.hparams.label_space)
    check_slots(c2ser.slots, [each["row"] for each in dataset.data.values()])
    decoding = {name: hparams[name] for name in DECODING if name in hparams}
    predictions, seconds = predict(
        c2ser, dataset, mode, hparams["batching"], decoding
    )
    warn_of_cut(predictions)
    result = evaluate(
        predictions,
        {row["id"]: row for row in predictions},
        c2ser.hparams.label_space,
    )
    metrics = {
        **flat_metrics(result, predictions, mode),
        "seconds_per_utterance": seconds,
    }
    write_predictions(predictions, hparams["predictions_file"])
    write_evaluation(result, hparams["report_folder"], f"C2SER, {mode}")
    text = {"metrics": metrics, "predictions": predictions}
    write_atomic(
        json.dumps(text, ensure_ascii=False, indent=1), hparams["result_file"]
    )
    print(f"{mode}: {summary(result)}")
    shown = {k: v for k, v in metrics.items() if isinstance(v, float)}
    print(", ".join(f"{k} {v:.3f}" for k, v in shown.items()))
    print(f"Report: {Path(hparams['report_folder']) / 'report.md'}")
    return metrics


def predict(c2ser, dataset, mode, batching, decoding):
    """Predictions of a whole dataset, and seconds spent on each utterance.

    Arguments
    ---------
    c2ser : speechbrain_c2ser.inference.C2SER
        The model.
    dataset : DynamicItemDataset
        From :func:`speechbrain_c2ser.data.dataset.speech_dataset`.
    mode : str
        "explicit" or "implicit".
    batching : dict
        batch_seconds and more of
        :func:`~speechbrain_c2ser.data.dataset.loader_options`.
    decoding : dict
        max_new_tokens, num_beams and repetition_penalty, as of
        :meth:`speechbrain_c2ser.inference.C2SER.describe_batch`.

    Returns
    -------
    predictions : list of dict
        As :mod:`.predictions` wants them, with what is true beside.
    seconds : float
        Per utterance, in batches.
    """
    loader = DataLoader(
        dataset, **loader_options(dataset, **batching, shuffle=False)
    )
    predictions, seconds = [], 0.0
    with tqdm(total=len(dataset), desc=f"{mode} answers") as bar:
        for batch in loader:
            started = time.perf_counter()
            descriptions = c2ser.describe_batch(
                *batch.sig, mode=mode, items=batch.item, **decoding
            )
            seconds += time.perf_counter() - started
            predictions += [
                prediction(item, description)
                for item, description in zip(
                    batch.item, descriptions, strict=True
                )
            ]
            bar.update(len(descriptions))
    return predictions, seconds / len(dataset)


def prediction(item, description):
    """What is true and what was said of an utterance, as plain data.

    The label is what the free text names, read back by rule (none or several
    is unparsed); beside it stand the probabilities of the closed set.
    """
    return prediction_of(
        item["id"],
        item,
        true_style=item.get("style"),
        label=description.text_emotion,
        scored_label=description.emotion,
        probabilities=description.probabilities,
        text=description.text,
        content=description.content,
        style=description.style,
        cut=description.cut,
    )


def warn_of_cut(predictions):
    """Say how many answers the length limit ended: the emotion comes last."""
    cut = sum(row["cut"] for row in predictions)
    if cut:
        logger.warning(
            "%d of %d answers were cut at the length limit, before their end "
            "token, and may lack the emotion: raise max_new_tokens.",
            cut,
            len(predictions),
        )


def flat_metrics(result, predictions, mode):
    """The figures of an evaluation beside those of content and style.

    Arguments
    ---------
    result : dict
        Of :func:`speechbrain_c2ser.evaluation.scoring.evaluate`.
    predictions : list of dict
        Of :func:`predict`.
    mode : str
        Content and style are told by explicit answers only.

    Returns
    -------
    dict
        ua, wa ... of the free text; interval; scored_ua; agreement (free text
        names the best scored label); ece; per_language; content_error_rate
        and style_accuracy, where there is something to compare with.
    """
    figures = result["readings"][result["main"]]
    metrics = {k: v for k, v in figures.items() if k != "groups"}
    metrics["scored_ua"] = result["readings"]["scored"]["ua"]
    metrics["agreement"] = float(
        np.mean([row["label"] == row["scored"] for row in result["utterances"]])
    )
    metrics["ece"] = result["calibration"]["ece"]
    metrics["per_language"] = figures["groups"].get("language", {})
    if mode != "explicit":
        return metrics
    spoken = [row for row in predictions if row.get("transcript")]
    if spoken:
        metrics["content_error_rate"] = edit_rate(
            [row["transcript"] for row in spoken],
            [row["content"] for row in spoken],
            [row.get("language", "en") for row in spoken],
        )
    measured = [row for row in predictions if row.get("true_style")]
    if measured:
        metrics["style_accuracy"] = style_accuracy(
            [row["true_style"] for row in measured],
            [row["style"] for row in measured],
        )["mean"]
    return metrics
