"""What the baselines share: command line, batches, predictions, scores."""

import argparse

import torch
from tqdm import tqdm

from speechbrain_c2ser.data.dataset import read_item
from speechbrain_c2ser.evaluation.predictions import (
    prediction_of,
    write_predictions,
)
from speechbrain_c2ser.evaluation.references import find_space, read_references
from speechbrain_c2ser.evaluation.scoring import print_scores

SAMPLE_RATE = 16000


def command_line(description):
    """A parser of what every baseline takes.

    Arguments
    ---------
    description : str
        The script's docstring.

    Returns
    -------
    argparse.ArgumentParser
    """
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("list", nargs="+", help="manifests or lists, then the")
    parser.add_argument("predictions", help="JSONL that is written")
    parser.add_argument(
        "--labels", help="name of a set, or labels with commas between"
    )
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default)
    parser.add_argument("--dtype", default="float32", help="of the weights")
    parser.add_argument("--batch-size", type=int, default=8)
    return parser


def run(options, build):
    """Predict every utterance of the lists, write and score.

    Arguments
    ---------
    options : argparse.Namespace
        Of :func:`command_line`'s parser.
    build : callable
        ``space -> predict``, and ``predict(items) -> list of dict`` (text,
        label, probabilities) of a batch of manifest rows.

    Returns
    -------
    list of dict
        The predictions.
    """
    items = read_references(options.list)
    space = find_space(options.labels, items)
    predict = build(space)
    keys, rows = list(items), []
    for start in tqdm(range(0, len(keys), options.batch_size), "predicting"):
        batch = keys[start : start + options.batch_size]
        predictions = predict([items[key] for key in batch])
        rows += [
            prediction_of(key, items[key], **prediction)
            for key, prediction in zip(batch, predictions, strict=True)
        ]
    write_predictions(rows, options.predictions)
    print_scores(rows, items, options.predictions, space)
    return rows


def heard(item, seconds=30.0):
    """Samples of a row up to what a model hears; a cut is said aloud.

    Arguments
    ---------
    item : dict
        Manifest row.
    seconds : float
        Whisper's window, by default.

    Returns
    -------
    np.ndarray
        [T].
    """
    wave = read_item(item)
    most = round(seconds * SAMPLE_RATE)
    if len(wave) > most:
        tqdm.write(
            f"{item['wav']}: only the first {seconds} s of "
            f"{len(wave) / SAMPLE_RATE:.1f} s are heard."
        )
    return wave[:most].numpy()
