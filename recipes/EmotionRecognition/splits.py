"""Manifests of a classifier's run: read, checked with its heads, drawn."""

import math

from speechbrain.dataio.sampler import BalancingDataSampler
from speechbrain.utils.logger import get_logger

from speechbrain_c2ser.data.dataset import speech_dataset
from speechbrain_c2ser.data.manifest import SPLITS
from speechbrain_c2ser.data.pools import read_pools
from speechbrain_c2ser.data.selection import long_enough
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
    """Loader's options: items in random order, or every class as often."""
    options = dict(hparams["dataloader_opts"])
    draws = len(dataset)
    if hparams["sampling"] == "balanced":
        heads = hparams["model"].heads
        labels = {
            row["id"]: majority(heads[heads.main].truth(row))
            for row in rows_of(dataset)
        }
        dataset.add_dynamic_item(labels.get, takes="id", provides="drawn_by")
        draws = hparams["draws_per_epoch"] or draws
        options["sampler"] = BalancingDataSampler(
            dataset, "drawn_by", draws, seed=hparams["seed"]
        )
    elif hparams["sampling"] == "random":
        options["shuffle"] = True
    else:
        raise ValueError(
            f"sampling is {hparams['sampling']!r}: give random or balanced."
        )
    share = math.ceil(draws / ranks)
    size = min(hparams["batch_size"], share)
    # batch norm has no statistics of a single item
    return {**options, "batch_size": size, "drop_last": share % size == 1}
