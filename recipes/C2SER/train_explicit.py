#!/usr/bin/env python3
"""C2SER stage 1: explicit chain of thought (style → content → emotion).

> python recipes/C2SER/train_explicit.py hparams/c2ser/sizes/tiny.yaml

The Whisper encoder, the connector and the language model (or its LoRA) learn
to write how an utterance is spoken, what is said, and the emotion that
follows. Emotion2Vec-S is frozen: its utterance vectors are computed once.
"""

from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.utils.distributed import if_main_process, run_on_main
from speechbrain.utils.logger import get_logger

from speechbrain_c2ser.chain_of_thought.answers import (
    label_answers,
    split_before_emotion,
)
from speechbrain_c2ser.checkpoints.c2ser_folder import load_weights, save_c2ser
from speechbrain_c2ser.checkpoints.folder import fingerprint
from speechbrain_c2ser.data.dataset import loader_options, speech_dataset
from speechbrain_c2ser.data.feature_cache import (
    UtteranceVectorCache,
    fill_together,
)
from speechbrain_c2ser.data.pools import read_pools
from speechbrain_c2ser.data.selection import (
    describe_training_set,
    within_limits,
)
from speechbrain_c2ser.data.streams import check_rows, rows_of
from speechbrain_c2ser.data.turns import with_turns
from speechbrain_c2ser.evaluation.metrics import classification_metrics
from speechbrain_c2ser.evaluation.metrics.temperature import (
    calibration_sentence,
    fit_calibration,
)
from speechbrain_c2ser.lobes.speech_llm.merging import Speech
from speechbrain_c2ser.training.brain import TrainingBrain
from speechbrain_c2ser.training.experiment import load_experiment
from speechbrain_c2ser.training.logs import means_of
from speechbrain_c2ser.training.one_line import errors_in_one_line
from speechbrain_c2ser.training.rehearsal import rehearse

logger = get_logger(__name__)

# A model that listens loses more than this behind other speech.
HEARD = 1.05


class ExplicitBrain(TrainingBrain):
    """Cross-entropy on explicit answers."""

    mode = "explicit"
    cache = None
    validated = ("probabilities", "true", "losses")
    # The best epoch: of an answer all words count, not the emotion alone.
    best = {"min_key": "valid_loss"}

    def modes(self, batch, stage):
        """Which kind of answer each utterance of the batch is asked for."""
        return [self.mode] * len(batch.id)

    def compute_forward(self, batch, stage):
        """Waveforms, prompts and answers → the answers' cross-entropy."""
        batch.signals = self.waveforms(batch)
        # in training every epoch phrases anew; validation is canonical
        batch.moment = self.optimizer_step if stage == sb.Stage.TRAIN else None
        batch.modes = self.modes(batch, stage)
        prompts, batch.answers = self.hparams.answers(
            batch.item, batch.modes, batch.moment
        )
        batch.prompts = prompts
        batch.vectors = self.utterance_vectors(batch)
        if stage == sb.Stage.TRAIN:
            return self.modules.model(
                *batch.signals, prompts, batch.answers, batch.vectors
            )
        speech = self.hparams.model.listen(*batch.signals, batch.vectors)
        self.score_emotions(batch, speech, prompts)
        output = self.hparams.model.loss(speech, prompts, batch.answers)
        self.compare_with_other_speech(speech, prompts, batch.answers, output)
        return output

    def compare_with_other_speech(self, speech, prompts, answers, output):
        """The loss where each utterance's answer follows its neighbour's
        speech: as low as the true one, the model does not listen."""
        if len(answers) < 2:
            return
        others = Speech(speech.embeddings.roll(1, 0), speech.lengths.roll(1, 0))
        loss = self.hparams.model.loss(others, prompts, answers).loss
        self.losses.append({"own": float(output.loss), "others": float(loss)})

    def compute_objectives(self, predictions, batch, stage):
        """Mean over the answer tokens of the batch, and the yaml's terms."""
        loss = predictions.loss
        if stage != sb.Stage.TRAIN:
            return loss
        values = {}
        for name, term in self.hparams.terms.items():
            # with weights of its own it is a module, which DDP may wrap
            call = self.modules[name] if name in self.modules else term
            values[name] = call(self.hparams.model, predictions, batch)
            loss = loss + term.weight * values[name]
        self.hparams.term_means.add(values)
        return loss

    def utterance_vectors(self, batch):
        """Cached vectors of the frozen acoustic encoder [B, N, C], or None."""
        if self.cache is None:
            return None
        return self.cache.lookup(batch.item).to(self.device)

    def score_emotions(self, batch, speech, prompts):
        """Collect each utterance's label probabilities of a valid batch.

        In an explicit answer the emotion is scored after its true rationale:
        what is measured is whether the voice decides, at little cost.
        """
        space = self.hparams.label_space
        continuations = [
            label_answers(space, self.mode, item.get("language"))
            for item in batch.item
        ]
        prefixes = None
        if self.mode == "explicit":
            prefixes = [split_before_emotion(text) for text in batch.answers]
        probabilities = self.hparams.model.score_labels(
            speech, prompts, continuations, answer_prefixes=prefixes
        )
        self.probabilities += probabilities.tolist()
        self.true += [item["emotion"] for item in batch.item]

    def on_stage_start(self, stage, epoch=None):
        """Nothing scored yet."""
        self.probabilities, self.true = [], []
        self.losses = []  # of each batch, and behind other speech

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log the epoch; keep the newest checkpoint and the best."""
        if stage == sb.Stage.TRAIN:
            means = self.hparams.term_means.take()
            self.train_figures = {"train_loss": stage_loss} | {
                f"train_{name}": mean for name, mean in means.items()
            }
            return
        labels = self.hparams.label_space.names
        predicted = [labels[row.index(max(row))] for row in self.probabilities]
        metrics = classification_metrics(self.true, predicted, labels)
        figures = {
            **self.train_figures,
            "valid_loss": stage_loss,
            "valid_ua": metrics["ua"],
            **fit_calibration(
                self.probabilities, [labels.index(name) for name in self.true]
            ),
        }
        if self.losses:
            losses = means_of(self.losses)
            figures["valid_loss_of_other_speech"] = losses["others"]
            warn_if_deaf(epoch, losses)
        self.hparams.epoch_log.write(epoch, **figures)
        self.hparams.train_logger.log_stats(
            {"epoch": epoch}, valid_stats=figures
        )
        kept = {f"{key}s": [name] for key, name in self.best.items()}
        self.checkpointer.save_and_keep_only(meta=figures, **kept)

    def fill_cache(self, *datasets):
        """Compute the frozen acoustic encoder's utterance vectors, once.

        Under DDP every rank computes a part of them.
        """
        perception = self.hparams.model.perception
        encoder = perception.acoustic_encoder
        self.cache = None
        if encoder is None or self.hparams.feature_folder is None:
            return
        if any(p.requires_grad for p in encoder.parameters()):
            raise ValueError(
                "The acoustic encoder is trained, so its utterance vectors "
                "cannot be kept: set feature_folder to null."
            )
        cache = UtteranceVectorCache(
            perception.utterance_vectors,
            fingerprint(encoder),
            Path(self.hparams.feature_folder) / perception.utterance_source,
        )
        for dataset in datasets:
            fill_together(cache, rows_of(dataset), self.device)
        self.cache = cache


def warn_if_deaf(epoch, losses):
    """Say so where other speech does not raise the loss of the answers."""
    if losses["others"] < HEARD * losses["own"]:
        logger.warning(
            "Epoch %s: the model does not listen. The loss of the answers is "
            "%.3f, and %.3f behind the speech of other utterances.",
            epoch,
            losses["own"],
            losses["others"],
        )


def prepare_data(hparams):
    """Datasets for training (what is within the limits) and validation.

    Of an Arrow manifest no rows are kept: each is read when it is needed.
    """
    need = ["emotion"]
    if hparams["answers"].form is None:
        need += ["style"] + ["transcript"] * hparams["content"]
    space, model = hparams["label_space"], hparams["model"]
    pools = {s: hparams[f"{s}_manifest"] for s in ("train", "valid")}
    sets = read_pools(pools, ("id", "wav"), row_by_row=True).values()
    for rows in sets:
        check_rows(rows, need, space)
    # before some are left out: a dialogue has all its turns
    items, valid_items = map(with_turns, sets)
    for rows in (items, valid_items):
        hparams["answers"].check(rows_of(rows).values(), rows is items)
    items, _ = within_limits(
        items,
        hparams["answers"].possible,
        lambda answer: len(model.answer_ids(answer)),
        **hparams["limits"],
        progress=if_main_process(),
    )
    describe_training_set(items, space)
    return speech_dataset(items), speech_dataset(valid_items)


def hold_frozen_base(language_model, precision):
    """Keep a base that is not trained in the type that it computes in."""
    if language_model.frozen:
        language_model.hold_for(
            torch.bfloat16 if precision == "bf16" else torch.float32
        )


def train(brain_class, hparams, run_opts):
    """Fit a stage on its manifests and write the C2SER folder.

    Returns the Brain, as it is after the last epoch's best checkpoint.
    """
    train_set, valid_set = prepare_data(hparams)
    # now: rows that have no order are told before long work
    options = {**hparams["dataloader_opts"], **hparams["batching"]}
    loading = loader_options(train_set, **options, seed=hparams["seed"])
    brain = brain_class(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    if hparams["start_from"] is not None:
        load_weights(hparams["model"], hparams["start_from"])
    hold_frozen_base(hparams["model"].language_model, brain.precision)
    rehearse(brain, valid_set, hparams["model"].perception)
    brain.fill_cache(train_set, valid_set)
    brain.fit(
        hparams["epoch_counter"],
        train_set,
        valid_set,
        train_loader_kwargs=loading,
        valid_loader_kwargs=loader_options(valid_set, **options, shuffle=False),
    )
    figures = brain.checkpointer.recover_if_possible(**brain.best).meta
    if if_main_process():
        print(calibration_sentence(figures))
    model = hparams["model"]
    if brain.sharding is not None:
        model = brain.sharding.whole()
    run_on_main(
        save_c2ser,
        args=[model, hparams["c2ser_folder"]],
        kwargs={
            "label_space": hparams["label_space"],
            "languages": hparams["languages"],
            "temperature": figures["temperature"],
            "slots": hparams["answers"].slots,
        },
    )
    return brain


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        train(ExplicitBrain, *load_experiment())
