"""Manifests of a classifier's run: read, checked with its heads, drawn."""

import math

import numpy as np
from speechbrain.utils.logger import get_logger
from torch.nn.modules.batchnorm import _BatchNorm

from speechbrain_c2ser.data.dataset import speech_dataset
from speechbrain_c2ser.data.like_lengths import LikeLengthSampler
from speechbrain_c2ser.data.manifest import SPLITS
from speechbrain_c2ser.data.pools import read_pools
from speechbrain_c2ser.data.selection import long_enough
from speechbrain_c2ser.data.streams import durations_of
from speechbrain_c2ser.evaluation.metrics.category import majority
from speechbrain_c2ser.labels import LabelSpace

logger = get_logger(__name__)


def read_splits(hparams):
    """Split → dataset, of the manifests that the yaml names; checked.

    The heads look at every row's targets, and take from the training rows what
    their losses need.
    """
    heads = hparams["model"].heads
    items = read_pools(
        {split: hparams[f"{split}_manifest"] for split in SPLITS},
        hparams["apart"],
    )
    items = {k: long_enough(v, hparams["shortest"]) for k, v in items.items()}
    # balanced sampling and a head in closed form know no item without label
    if hparams.get("sampling", "balanced") == "balanced":
        if heads.main is None:
            raise ValueError(
                "Balanced sampling draws every label as often, and no head of "
                f"{', '.join(heads.heads)} decides on one: set sampling to "
                "random."
            )
        items["train"] = with_label(items["train"], heads[heads.main], "train")
    datasets = {split: speech_dataset(rows) for split, rows in items.items()}
    for dataset in datasets.values():
        hparams["model"].check_rows(rows_of(dataset))
    heads.fit(rows_of(datasets["train"]))
    for split in datasets.keys() - {"train"}:
        for name in heads.without_target(rows_of(datasets[split])):
            logger.warning(
                "No item of the %s set has a target for the head %s: it has no "
                "figures there.",
                split,
                name,
            )
    return datasets


def rows_of(dataset):
    """The manifest rows of a dataset."""
    return [data["row"] for data in dataset.data.values()]


def emotions_of(heads):
    """The set of labels of the head "emotion"; None without such a head."""
    if heads.main != "emotion":
        return None
    return LabelSpace(heads["emotion"].labels)


def with_label(items, head, split):
    """Rows that have one label for a head; others are counted and named."""
    kept = {
        key: row
        for key, row in items.items()
        if majority(head.truth({**row, "id": key})) is not None
    }
    without = [key for key in items if key not in kept]
    if without:
        logger.warning(
            "%d of %d items of the %s set have no %s and are left out: %s",
            len(without),
            len(items),
            split,
            head.key,
            ", ".join(without[:5]),
        )
    return kept


def train_loader(dataset, hparams, ranks=1):
    """Loader's options: each item once, or every class as often.

    Batches are random; of like length where that saves much.
    """
    draws, classes = len(dataset), None
    if hparams["sampling"] == "balanced":
        head = hparams["model"].heads[hparams["model"].heads.main]
        names = [majority(head.truth(row)) for row in rows_of(dataset)]
        classes = np.unique(names, return_inverse=True)[1]
        draws = hparams["draws_per_epoch"] or draws
    elif hparams["sampling"] != "random":
        raise ValueError(
            f"sampling is {hparams['sampling']!r}: give random or balanced."
        )
    return {
        "batch_sampler": LikeLengthSampler(
            _padded_lengths(dataset, hparams),
            min(hparams["batch_size"], math.ceil(draws / ranks)),
            classes,
            draws,
            seed=hparams["seed"],
        ),
        **hparams["dataloader_opts"],
    }


def scoring_loader(dataset, hparams):
    """Loader's options to evaluate a set: in order of length."""
    return {
        "batch_sampler": LikeLengthSampler(
            durations_of(dataset), hparams["batch_size"], shuffle=False
        ),
        **hparams["dataloader_opts"],
    }


def _padded_lengths(dataset, hparams):
    """Seconds of each item, by which batches are made; or all alike.

    Random batches do where a frozen encoder's features are kept, and batch
    norm wants them: they are as varied as the set.
    """
    model = hparams["model"]
    trained = any(p.requires_grad for p in model.encoder.parameters())
    if not trained or any(isinstance(m, _BatchNorm) for m in model.modules()):
        return np.ones(len(dataset))
    return durations_of(dataset)
