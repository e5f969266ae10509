#!/usr/bin/env python3
"""Teach a small Whisper encoder to hear words, by CTC on phonemes.

> python recipes/C2SER/warm_up_whisper.py hparams/c2ser/warm_up_tiny.yaml

A published Whisper comes pre-trained on speech recognition; an encoder made
on the spot has heard nothing. This step stands in for that pre-training and
writes a Whisper folder like any other, which the C2SER yamls name as their
source. It uses transcripts only, never emotions. Phonemes (espeak-ng's) and
not characters, because few utterances teach them: languages share them, and
no spelling has to be learned.
"""

import functools
import logging

import speechbrain as sb
import torch
from speechbrain.dataio.encoder import CTCTextEncoder
from speechbrain.decoders import ctc_greedy_decode
from speechbrain.utils.metric_stats import ErrorRateStats

from speechbrain_c2ser.chain_of_thought.espeak import Espeak, EspeakError
from speechbrain_c2ser.data.dataset import loader_options, speech_dataset
from speechbrain_c2ser.training.brain import TrainingBrain
from speechbrain_c2ser.training.experiment import load_experiment
from speechbrain_c2ser.training.one_line import errors_in_one_line

logger = logging.getLogger(__name__)


class RecognitionBrain(TrainingBrain):
    """Phonemes by connectionist temporal classification."""

    validated = ("recognized",)

    def compute_forward(self, batch, stage):
        """Waveforms → phoneme log-probabilities [B, T, V], lengths [B]."""
        wavs, wav_lens = batch.to(self.device, non_blocking=True).sig
        speech = self.modules.encoder.extract(wavs, wav_lens)
        # the rows that stand for no phoneme are never heard
        scores = self.modules.head(speech.frames)[..., : len(self.phonemes)]
        return scores.float().log_softmax(-1), speech.lengths

    def compute_objectives(self, predictions, batch, stage):
        """CTC loss; on unseen speakers also the phoneme error rate."""
        log_probs, lengths = predictions
        texts = [pronounce(item) for item in batch.item]
        targets = [self.phonemes.encode_sequence(text) for text in texts]
        loss = torch.nn.functional.ctc_loss(
            log_probs.transpose(0, 1),
            torch.tensor(sum(targets, [])),
            lengths.cpu(),
            torch.tensor([len(target) for target in targets]),
            blank=self.phonemes.get_blank_index(),
            zero_infinity=True,
        )
        if stage != sb.Stage.TRAIN:
            decoded = ctc_greedy_decode(
                log_probs,
                lengths / log_probs.shape[1],
                self.phonemes.get_blank_index(),
            )
            phonemes = self.phonemes.decode_ndim(decoded)
            self.recognized += zip(batch.id, phonemes, texts, strict=True)
        return loss

    def on_stage_start(self, stage, epoch=None):
        """Nothing recognized yet."""
        self.recognized = []

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log, and keep the newest checkpoint."""
        if stage == sb.Stage.TRAIN:
            self.train_loss = stage_loss
            return
        counted = ErrorRateStats()
        counted.append(*map(list, zip(*self.recognized, strict=True)))
        error_rate = counted.summarize("error_rate") / 100
        figures = {
            "train_loss": self.train_loss,
            "valid_loss": stage_loss,
            "valid_phoneme_error_rate": error_rate,
        }
        self.hparams.epoch_log.write(epoch, **figures)
        self.hparams.train_logger.log_stats(
            {"epoch": epoch}, valid_stats=figures
        )
        self.checkpointer.save_and_keep_only(meta=figures)


def train(hparams, run_opts):
    """Fit on the training speakers and write the Whisper folder."""
    train_set = speech_dataset(hparams["train_manifest"], need=["transcript"])
    valid_set = speech_dataset(hparams["valid_manifest"], need=["transcript"])
    brain = RecognitionBrain(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.phonemes = phonemes_of(train_set)
    if len(brain.phonemes) > hparams["num_phonemes"]:
        raise ValueError(
            f"The transcripts have {len(brain.phonemes)} phonemes, more than "
            f"num_phonemes ({hparams['num_phonemes']}): raise it."
        )
    options = {**hparams["dataloader_opts"], **hparams["batching"]}
    brain.fit(
        hparams["epoch_counter"],
        train_set,
        valid_set,
        train_loader_kwargs=loader_options(
            train_set, **options, seed=hparams["seed"]
        ),
        valid_loader_kwargs=loader_options(valid_set, **options, shuffle=False),
    )
    hparams["encoder"].save_pretrained(hparams["whisper_folder"])


def pronounce(item):
    """Phonemes of a manifest item's transcript."""
    language = item.get("language") or "en"
    return _pronounce(item["transcript"].lower(), language)


@functools.cache  # each text once: the epochs ask again and again
def _pronounce(text, language):
    """Phonemes; letters in a language that espeak-ng does not know."""
    try:
        return Espeak().phoneme_list(text, language)
    except EspeakError as error:
        logger.warning("Letters for phonemes of %r: %s", text, error)
        return list(text)


def phonemes_of(dataset):
    """Label encoder over the phonemes of a dataset's transcripts."""
    rows = [entry["row"] for entry in dataset.data.values()]
    encoder = CTCTextEncoder()
    encoder.insert_blank()
    encoder.add_unk()
    encoder.update_from_iterable(
        sorted({p for r in rows for p in pronounce(r)}), sequence_input=False
    )
    encoder.ignore_len()  # `train` compares it with the output layer
    return encoder


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        train(*load_experiment())
