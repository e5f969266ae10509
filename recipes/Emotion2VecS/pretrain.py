#!/usr/bin/env python3
"""Pre-train Emotion2Vec-S: frame, utterance and category losses.

> python recipes/Emotion2VecS/pretrain.py hparams/emotion2vec_s/tiny.yaml \
    --train_manifest=train.json --valid_manifest=valid.json
> torchrun --nproc_per_node=2 recipes/Emotion2VecS/pretrain.py \
    hparams/emotion2vec_s/base.yaml --train_manifest=... --valid_manifest=...

Killed and started again with the same arguments, it goes on where it was.
Source: C2SER (arXiv 2502.18186), section 3.1.
"""

from functools import partial

import numpy as np
import speechbrain as sb
import torch.nn.functional as F

from speechbrain_c2ser.checkpoints.converters.emotion2vec import load_encoder
from speechbrain_c2ser.checkpoints.emotion2vec_folder import save_emotion2vec
from speechbrain_c2ser.checkpoints.folder import load_strict
from speechbrain_c2ser.data.dataset import sample_waveforms, speech_dataset
from speechbrain_c2ser.data.sampling import (
    PairedBatchSampler,
    hide_labels,
    keeps_label,
)
from speechbrain_c2ser.data.streams import codes_of, durations_of
from speechbrain_c2ser.host import on_host, to_device
from speechbrain_c2ser.losses import data2vec_loss
from speechbrain_c2ser.training.brain import TrainingBrain
from speechbrain_c2ser.training.experiment import load_experiment
from speechbrain_c2ser.training.logs import means_of
from speechbrain_c2ser.training.one_line import errors_in_one_line


class PretrainingBrain(TrainingBrain):
    """L = L_frame + w_utt L_utt + w_cat L_cat (+ w_head of the head's)."""

    validated = ("numbers",)

    def compute_forward(self, batch, stage):
        """Masked clones through the student, the whole through the teacher."""
        wavs, wav_lens = self.waveforms(batch)
        if stage == sb.Stage.TRAIN and self.hparams.augmentation is not None:
            wavs, wav_lens = self.hparams.augmentation(wavs, wav_lens)
        return self.modules.model(wavs, wav_lens)

    def compute_objectives(self, output, batch, stage):
        """The weighted sum; each loss and variance goes to the log."""
        labels = to_device(
            batch.label.repeat_interleave(self.hparams.clone_batch),
            self.device,
        )
        losses = {
            "frame": data2vec_loss(
                output.frame_predictions, output.frame_targets
            ),
            "utterance": data2vec_loss(
                output.utterance_predictions, output.utterance_targets
            ),
            "category": self.hparams.pair_loss(
                output.utterance_vectors, labels
            ),
        }
        if output.class_logits is not None:
            losses["head"] = head_loss(output.class_logits, labels)
        total = sum(self.hparams.weights[n] * x for n, x in losses.items())
        self.watched = self.hparams.model.variances(output)
        numbers = {"loss": total, **self.watched}
        numbers |= {f"{name}_loss": loss for name, loss in losses.items()}
        if stage == sb.Stage.TRAIN:
            self.hparams.means.add(numbers)
        else:
            self.numbers.append({name: float(x) for name, x in numbers.items()})
        return total

    def on_stage_start(self, stage, epoch=None):
        """Nothing validated yet."""
        self.numbers = []  # of each batch

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        """The teacher follows; a collapsed model stops the run."""
        if should_step:
            self.hparams.model.update_teacher(self.progress)
            if self.optimizer_step > self.hparams.collapse_grace:
                self.hparams.model.check_collapse(self.watched)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log the epoch, then keep the newest and the best checkpoint."""
        if stage == sb.Stage.TRAIN:
            self.train_means = self.hparams.means.take()
            return
        means = means_of(self.numbers)
        any_optimizer = next(iter(self.optimizers_dict.values()))
        state = {
            "learning_rate": any_optimizer.param_groups[0]["lr"],
            "ema_decay": self.hparams.model.teacher_decay(self.progress),
            "updates": self.optimizer_step,
        }
        self.hparams.train_logger.log_stats(
            {"epoch": epoch, **state}, self.train_means, means
        )
        figures = {f"train_{n}": x for n, x in self.train_means.items()}
        figures |= {f"valid_{n}": x for n, x in means.items()}
        self.hparams.epoch_log.write(epoch, **figures, **state)
        self.checkpointer.save_and_keep_only(
            meta=figures, min_keys=[self.hparams.select_by]
        )


def head_loss(logits, labels):
    """Cross-entropy over the labelled items, a zero where there are none."""
    if not (on_host(labels) >= 0).any():
        return logits.sum() * 0.0
    return F.cross_entropy(logits.float(), labels, ignore_index=-1)


def prepare_data(hparams):
    """Datasets and loader settings for training and validation.

    Items without an emotion are unlabelled; of the training set, a part of
    the labels is hidden.
    """
    data, loaders = {}, {}
    emotions = hparams["emotions"]
    for split in ("train", "valid"):
        dataset = speech_dataset(
            hparams[f"{split}_manifest"], fields=["emotion"]
        )
        if emotions is None:  # training set comes first and defines them
            emotions = codes_of(dataset, "emotion")[0]
        labels = class_indices(dataset, emotions)
        fraction = hparams["labelled_fraction"] if split == "train" else 1.0
        # of a row alone: a process that loads items holds no list of labels
        dataset.add_dynamic_item(
            partial(
                label_of,
                emotions=emotions,
                fraction=fraction,
                seed=hparams["seed"],
            ),
            takes="row",
            provides="label",
        )
        dataset.set_output_keys(["id", "sig", "label"])
        data[split] = dataset
        loaders[split] = {
            "batch_sampler": PairedBatchSampler(
                durations_of(dataset),
                hide_labels(
                    dataset.data_ids, labels, fraction, hparams["seed"]
                ),
                hparams["max_batch_seconds"],
                hparams["num_buckets"],
                shuffle=split == "train",
                seed=hparams["seed"],
            ),
            **hparams["dataloader_opts"],
        }
    return data, loaders


def class_indices(dataset, emotions):
    """Class index of each item, -1 without emotion."""
    names, codes = codes_of(dataset, "emotion")
    unknown = np.array([name not in emotions for name in names] + [False])
    if unknown.any():
        place = int(unknown[codes].argmax())
        raise ValueError(
            f"Item {dataset.data_ids[place]} has the emotion "
            f"'{names[codes[place]]}', which is none of "
            f"{', '.join(emotions)}: correct it or set `emotions`."
        )
    return np.array([*map(emotions.index, names), -1])[codes]


def label_of(row, emotions, fraction, seed):
    """Class index of a manifest row, -1 where it has none or it is hidden."""
    if not row.get("emotion") or not keeps_label(row["id"], fraction, seed):
        return -1
    return emotions.index(row["emotion"])


def start_from(encoder, source):
    """Fill the encoder from a folder of ours or an official checkpoint."""
    loaded = load_encoder(source)
    fresh = set()
    if loaded.num_tokens == 0:
        fresh = {"utterance_tokens"}  # data2vec 2.0 has none
    tensors = {k: v for k, v in loaded.state_dict().items() if k not in fresh}
    load_strict(encoder, tensors, source, elsewhere=fresh.__contains__)


def main():
    """Train, then write the encoder as a folder of its own."""
    hparams, run_opts = load_experiment()
    data, loaders = prepare_data(hparams)
    model = hparams["model"]
    if hparams["start_from"] is not None:
        start_from(model.encoder, hparams["start_from"])
        model.reset_teacher()
    elif model.encoder.front_end.spectrum is not None:
        waveforms = sample_waveforms(data["train"])
        model.encoder.front_end.spectrum.fit(waveforms)
    brain = PretrainingBrain(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.fit(
        hparams["epoch_counter"],
        data["train"],
        data["valid"],
        train_loader_kwargs=loaders["train"],
        valid_loader_kwargs=loaders["valid"],
    )
    hparams["checkpointer"].recover_if_possible(min_key=hparams["select_by"])
    sb.utils.distributed.run_on_main(
        save_emotion2vec, args=[model.encoder, hparams["encoder_folder"]]
    )


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
