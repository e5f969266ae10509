#!/usr/bin/env python3
"""Train a speech emotion classifier: a probe, a fine-tuned encoder, a network.

> python recipes/EmotionRecognition/train.py \
      hparams/emotion_recognition/probe.yaml \
      --train_manifest=train.json --valid_manifest=valid.json \
      --test_manifest=test.json --output_folder=results/probe

The features of a frozen encoder are computed once and kept. The checkpoint
with the best valid UA becomes a folder that ``EmotionClassifier`` loads; with
no valid manifest it is the last one. A yaml with a ``discriminant`` has its
linear head fitted in closed form instead. Where there is a test manifest, its
predictions are written for `c2ser evaluate`.
"""

import math
import os
import sys

import speechbrain as sb
import torch
from closed_form import fit_head
from speechbrain.dataio.sampler import BalancingDataSampler
from speechbrain.utils.distributed import if_main_process, run_on_main
from speechbrain.utils.logger import get_logger

from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.checkpoints.folder import fingerprint
from speechbrain_c2ser.data.dataset import speech_dataset
from speechbrain_c2ser.data.feature_cache import FeatureCache, fill_together
from speechbrain_c2ser.data.pools import read_pools
from speechbrain_c2ser.data.selection import long_enough
from speechbrain_c2ser.evaluation.metrics import classification_metrics
from speechbrain_c2ser.evaluation.metrics.temperature import (
    calibration_sentence,
    fit_calibration,
    soften,
)
from speechbrain_c2ser.evaluation.predictions import write_predictions
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.training.brain import TrainingBrain
from speechbrain_c2ser.training.experiment import load_experiment
from speechbrain_c2ser.training.fixed import Fixed
from speechbrain_c2ser.training.rehearsal import rehearse

logger = get_logger(__name__)

SPLITS = ("train", "valid", "test")


class EmotionBrain(TrainingBrain):
    """One loss over named heads, on waveforms or on features kept."""

    cache = None
    validates = True
    temperature = 1.0  # fitted when the training is done

    def compute_forward(self, batch, stage):
        """Waveforms (or kept features) → every head's output and target."""
        model, heads = self.hparams.model, self.hparams.model.heads
        rows, wavs, lens, features = batch.item, None, None, None
        if self.cache is not None:
            kept = [x.to(self.device) for x in self.cache.lookup(rows)]
            features = model.from_cache(kept)
        else:
            wavs, lens = batch.sig.data.to(self.device), batch.sig.lengths
            lens = lens.to(self.device)
            if stage == sb.Stage.TRAIN and self.hparams.augmentation:
                wavs, lens, rows = self.augment(wavs, lens, rows)
        targets = heads.targets(rows)
        if stage == sb.Stage.TRAIN and self.hparams.mixup:
            if features is None:
                features = model.features(wavs, lens)
            sizes = {n: len(h.labels) for n, h in heads.heads.items()}
            features, targets = self.hparams.mixup(features, targets, sizes)
        return self.modules.model(wavs, lens, features), targets

    def augment(self, wavs, lens, rows):
        """Augmented waveforms, and the row of each."""
        augmentation = self.hparams.augmentation
        wavs, lens = augmentation(wavs, lens)
        places = augmentation.replicate_labels(torch.arange(len(rows)))
        return wavs, lens, [rows[i] for i in places.tolist()]

    def compute_objectives(self, predictions, batch, stage):
        """Weighted sum of the heads' losses over the labels there are."""
        outputs, targets = predictions
        heads = self.hparams.model.heads
        loss, _ = heads.loss(outputs, targets)
        if stage != sb.Stage.TRAIN:
            self.keep(batch.item, heads.predict(outputs))
        return loss

    def keep(self, rows, probabilities):
        """Collect what is said of each utterance."""
        head = self.hparams.model.heads["emotion"]
        emotion = probabilities["emotion"].float().cpu().numpy()
        if self.temperature != 1:
            emotion = soften(emotion, self.temperature)
        for row, p in zip(rows, emotion.tolist(), strict=True):
            self.said[row["id"]] = {
                "id": row["id"],
                "emotion": row.get("emotion"),
                "label": head.labels[p.index(max(p))],
                "probabilities": dict(zip(head.labels, p, strict=True)),
            }

    def on_stage_start(self, stage, epoch=None):
        """Nothing said yet."""
        self.said = {}

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log the epoch; keep the newest checkpoint and the best."""
        if stage == sb.Stage.TEST:
            return
        if stage == sb.Stage.TRAIN:
            self.train_loss = stage_loss
        figures = {"train_loss": self.train_loss}
        if stage != sb.Stage.TRAIN:
            rows = [r for r in self.said.values() if r["emotion"]]
            labels = self.hparams.model.heads["emotion"].labels
            metrics = classification_metrics(
                [row["emotion"] for row in rows],
                [row["label"] for row in rows],
                labels,
            )
            figures["valid_loss"] = stage_loss
            figures |= {f"valid_{name}": metrics[name] for name in ("ua", "wa")}
            figures |= fit_calibration(
                [list(row["probabilities"].values()) for row in rows],
                [labels.index(row["emotion"]) for row in rows],
            )
        ends = stage == sb.Stage.VALID or not self.validates
        if ends:
            self.hparams.epoch_log.write(epoch, **figures)
            best = ["valid_ua"] if self.validates else None
            self.checkpointer.save_and_keep_only(meta=figures, max_keys=best)

    def fill_cache(self, datasets):
        """Compute a frozen encoder's features, once."""
        model = self.hparams.model
        if self.hparams.feature_folder is None:
            return
        if any(p.requires_grad for p in model.encoder.parameters()):
            raise ValueError(
                "The encoder is trained, so its features cannot be kept: set "
                "feature_folder to null."
            )
        if self.hparams.augmentation:
            raise ValueError(
                "Augmented waveforms have no kept features: set feature_folder "
                "or augmentation to null."
            )
        cache = FeatureCache(
            model.cached_features,
            fingerprint(model.encoder),
            self.hparams.feature_folder,
            kind=model.cached_kind,
        )
        model.eval()
        for dataset in datasets:
            rows = {key: data["row"] for key, data in dataset.data.items()}
            fill_together(cache, rows, self.device, not self.noprogressbar)
            dataset.set_output_keys(["id", "item"])
        self.cache = cache


def read_splits(hparams):
    """Split → dataset, of the manifests that the yaml names; checked."""
    space = LabelSpace(hparams["label_names"])
    items = read_pools(
        {split: hparams[f"{split}_manifest"] for split in SPLITS},
        hparams["apart"],
    )
    items = {k: long_enough(v, hparams["shortest"]) for k, v in items.items()}
    # a head in closed form draws no batches, and learns from labels alone
    if "discriminant" in hparams or hparams["sampling"] == "balanced":
        items["train"] = with_emotion(items["train"], "train")
    trained = {row.get("emotion") for row in items["train"].values()}
    missing = [name for name in space.names if name not in trained]
    if missing:
        raise ValueError(
            f"No utterance of {hparams['train_manifest']} is labelled "
            f"{', '.join(missing)}: leave it out of label_names, or draw the "
            "folds anew."
        )
    return {split: speech_dataset(i, (), space) for split, i in items.items()}


def train_loader(dataset, hparams, ranks=1):
    """Loader's options: items in random order, or every class as often."""
    options = {"num_workers": hparams["num_workers"]}
    draws = len(dataset)
    if hparams["sampling"] == "balanced":
        dataset.add_dynamic_item(emotion_of, takes="row", provides="emotion")
        draws = hparams["draws_per_epoch"] or draws
        options["sampler"] = BalancingDataSampler(
            dataset, "emotion", draws, seed=hparams["seed"]
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


def emotion_of(row):
    """What balanced sampling draws evenly."""
    return row["emotion"]


def with_emotion(items, split):
    """Rows that have an emotion; the others are counted and named."""
    kept = {key: row for key, row in items.items() if row.get("emotion")}
    without = [key for key in items if key not in kept]
    if without:
        logger.warning(
            "%d of %d items of the %s set have no emotion and are left out: %s",
            len(without),
            len(items),
            split,
            ", ".join(without[:5]),
        )
    return kept


def train(hparams, run_opts):
    """Fit, write the classifier's folder and the test set's predictions.

    Returns
    -------
    dict
        ``valid``: figures of the chosen epoch; ``test``: its predictions.
    """
    datasets = read_splits(hparams)
    if "discriminant" in hparams:
        return fit_head(hparams, run_opts, datasets)
    model = hparams["model"]
    rows = [data["row"] for data in datasets["train"].data.values()]
    if hparams["weigh_classes"]:
        for head in model.heads.all():
            if hasattr(head, "weigh_classes"):
                head.weigh_classes(rows)
    brain = EmotionBrain(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.validates = "valid" in datasets
    labels = {n: head.labels for n, head in model.heads.heads.items()}
    brain.checkpointer.add_recoverable(
        "labels", Fixed("labels", labels), optional_load=True
    )
    rehearse(
        brain,
        datasets["train"],
        model,
        lambda path: write_predictions(list(brain.said.values()), path),
    )
    brain.fill_cache(datasets.values())
    whole = {
        "batch_size": hparams["batch_size"],
        "num_workers": hparams["num_workers"],
    }
    brain.fit(
        hparams["epoch_counter"],
        datasets["train"],
        datasets.get("valid"),
        train_loader_kwargs=train_loader(
            datasets["train"], hparams, int(os.environ.get("WORLD_SIZE", 1))
        ),
        valid_loader_kwargs=whole,
    )
    best = {"max_key": "valid_ua"} if brain.validates else {}
    found = brain.checkpointer.recover_if_possible(**best)
    if "temperature" in found.meta:
        brain.temperature = found.meta["temperature"]
        if if_main_process():
            print(calibration_sentence(found.meta))
    run_on_main(
        save_classifier,
        args=[model, hparams["classifier_folder"]],
        kwargs={
            "label_space": LabelSpace(hparams["label_names"]),
            "temperature": brain.temperature,
        },
    )
    predictions = []
    if "test" in datasets:
        brain.evaluate(datasets["test"], test_loader_kwargs=whole, **best)
        predictions = list(brain.said.values())
        run_on_main(
            write_predictions, args=[predictions, hparams["prediction_file"]]
        )
    return {"valid": dict(found.meta), "test": predictions}


if __name__ == "__main__":
    try:
        train(*load_experiment())
    except ValueError as error:
        sys.exit(f"train: {error}")
