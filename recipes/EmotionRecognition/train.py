#!/usr/bin/env python3
"""Train a speech emotion classifier: a probe, a fine-tuned encoder, a network.

> python recipes/EmotionRecognition/train.py \
      hparams/emotion_recognition/probe.yaml \
      --train_manifest=train.json --valid_manifest=valid.json \
      --test_manifest=test.json --output_folder=results/probe

The features of a frozen encoder are computed once and kept. The checkpoint
that is best by the yaml's ``select_by`` becomes a folder that
``EmotionClassifier`` loads; with no valid manifest it is the last one. A yaml
with a ``discriminant`` has its linear head fitted in closed form instead. Where
there is a test manifest, its predictions are written for `c2ser evaluate`.
"""

import os

import speechbrain as sb
import torch
from closed_form import fit_head
from speechbrain.augment.time_domain import SpeedPerturb
from speechbrain.utils.distributed import if_main_process, run_on_main
from splits import (
    emotions_of,
    read_splits,
    rows_of,
    scoring_loader,
    train_loader,
)

from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.checkpoints.folder import fingerprint
from speechbrain_c2ser.data.feature_cache import FeatureCache, fill_together
from speechbrain_c2ser.evaluation.head_results import HeadResults
from speechbrain_c2ser.evaluation.metrics.temperature import (
    calibration_sentence,
)
from speechbrain_c2ser.evaluation.predictions import write_predictions
from speechbrain_c2ser.training.brain import TrainingBrain
from speechbrain_c2ser.training.choosing import EpochChoice
from speechbrain_c2ser.training.experiment import load_experiment
from speechbrain_c2ser.training.fixed import Fixed
from speechbrain_c2ser.training.one_line import errors_in_one_line
from speechbrain_c2ser.training.rehearsal import rehearse


class EmotionBrain(TrainingBrain):
    """One loss over named heads, on waveforms or on features kept."""

    cache = None
    choice = None  # EpochChoice, where there is a valid set
    validated = ("results.rows", "results.records")
    temperature = 1.0  # fitted when the training is done

    def compute_forward(self, batch, stage):
        """Waveforms (or kept features) → every head's output and target."""
        model = self.hparams.model
        rows, wavs, lens, features = batch.item, None, None, None
        if self.cache is not None:
            kept = [x.to(self.device) for x in self.cache.lookup(rows)]
            features = model.from_cache(kept)
        else:
            wavs, lens = self.waveforms(batch)
            if stage == sb.Stage.TRAIN and self.hparams.augmentation:
                wavs, lens, rows = self.augment(wavs, lens, rows)
        targets = model.heads.targets(rows)
        if stage == sb.Stage.TRAIN and self.hparams.mixup:
            if features is None:
                features = model.features(wavs, lens)
            features, targets = self.hparams.mixup(features, targets)
        return self.modules.model(wavs, lens, features, rows), targets

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
            predicted = heads.predict(outputs, self.temperature)
            self.results.add(batch.item, predicted)
        return loss

    def on_stage_start(self, stage, epoch=None):
        """Nothing predicted yet."""
        self.results = HeadResults(self.hparams.model.heads)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log the epoch; keep the newest checkpoint and the best."""
        if stage == sb.Stage.TEST:
            return
        if stage == sb.Stage.TRAIN:
            self.train_loss = stage_loss
        figures = {"train_loss": self.train_loss}
        if stage != sb.Stage.TRAIN:
            figures["valid_loss"] = stage_loss
            found = self.results.figures()
            figures |= {f"valid_{name}": n for name, n in found.items()}
            figures |= self.results.calibration()
        if stage == sb.Stage.VALID or self.choice is None:
            self.hparams.epoch_log.write(epoch, **figures)
            best = self.choice.keep if self.choice else {}
            self.checkpointer.save_and_keep_only(meta=figures, **best)

    def fill_cache(self, datasets):
        """Compute a frozen encoder's features, once."""
        model = self.hparams.model
        if self.hparams.feature_folder is None:
            return
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


def check_settings(hparams):
    """Refuse settings that contradict each other, before anything is done."""
    model, augmentation = hparams["model"], hparams["augmentation"]
    if hparams["feature_folder"] is not None:
        if any(p.requires_grad for p in model.encoder.parameters()):
            raise ValueError(
                "The encoder is trained, so its features cannot be kept: set "
                "feature_folder to null."
            )
        if augmentation:
            raise ValueError(
                "Augmented waveforms have no kept features: set feature_folder "
                "or augmentation to null."
            )
    if model.text_encoder is not None and hparams["mixup"]:
        raise ValueError(
            "Two recordings mixed have the words of neither: set mixup to null."
        )
    framed = [n for n, h in model.heads.heads.items() if h.needs_frames]
    if framed and hparams["mixup"]:
        raise ValueError(
            f"Two recordings mixed have no frames of the head {framed[0]!r}: "
            "set mixup to null."
        )
    steps = augmentation.augmentations.values() if augmentation else ()
    if framed and any(isinstance(step, SpeedPerturb) for step in steps):
        raise ValueError(
            f"At another speed the times of the head {framed[0]!r} are wrong: "
            "leave SpeedPerturb out of augmentation."
        )


def dry_run(brain, datasets):
    """Two rows through all that is done with a row, and the yaml's figure."""

    def write(path):
        brain.results.check()
        write_predictions(brain.results.predictions(), path)

    rehearse(brain, datasets["train"], brain.hparams.model, write)
    scored = datasets.get("valid", datasets["train"])
    names = brain.results.figure_names(rows_of(scored))
    if brain.choice is not None:
        brain.choice.check(["valid_loss", *(f"valid_{name}" for name in names)])


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
    check_settings(hparams)
    model = hparams["model"]
    brain = EmotionBrain(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    if "valid" in datasets:
        brain.choice = EpochChoice(hparams["select_by"])
    labels = {n: head.labels for n, head in model.heads.heads.items()}
    brain.checkpointer.add_recoverable(
        "labels", Fixed("labels", labels), optional_load=True
    )
    dry_run(brain, datasets)
    brain.fill_cache(datasets.values())
    scoring = {
        split: scoring_loader(dataset, hparams)
        for split, dataset in datasets.items()
    }
    brain.fit(
        hparams["epoch_counter"],
        datasets["train"],
        datasets.get("valid"),
        train_loader_kwargs=train_loader(
            datasets["train"], hparams, int(os.environ.get("WORLD_SIZE", 1))
        ),
        valid_loader_kwargs=scoring.get("valid"),
    )
    best = brain.choice.best if brain.choice else {}
    checkpoint = brain.checkpointer.recover_if_possible(**best)
    if "temperature" in checkpoint.meta:
        brain.temperature = checkpoint.meta["temperature"]
        if if_main_process():
            print(calibration_sentence(checkpoint.meta))
    run_on_main(
        save_classifier,
        args=[model, hparams["classifier_folder"]],
        kwargs={
            "label_space": emotions_of(model.heads),
            "temperature": brain.temperature,
        },
    )
    predictions = []
    if "test" in datasets:
        brain.evaluate(
            datasets["test"], test_loader_kwargs=scoring["test"], **best
        )
        scored = {row["id"]: row for row in brain.results.predictions()}
        order = datasets["test"].data_ids
        predictions = [scored[key] for key in order if key in scored]
        run_on_main(
            write_predictions, args=[predictions, hparams["prediction_file"]]
        )
    return {"valid": dict(checkpoint.meta), "test": predictions}


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        train(*load_experiment())
