#!/usr/bin/env python3
"""C2SER before stage 1: the connector learns the language model's words.

> python recipes/C2SER/train_connector.py hparams/c2ser/full.yaml \
      --overlay hparams/c2ser/sizes/small_data.yaml

For a ``WordConnector`` behind frozen encoders: what is heard of emotion and
style in closed form, of the transcript by CTC. Writes a C2SER folder, which
stage 1 starts from. The language model is not run: it takes seconds.
"""

import json
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader
from train_explicit import prepare_data

from speechbrain_c2ser.checkpoints.c2ser_folder import save_c2ser
from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.dataset import loader_options
from speechbrain_c2ser.evaluation.metrics import edit_rate
from speechbrain_c2ser.inference.pretrained import find_device
from speechbrain_c2ser.training.experiment import load_experiment
from speechbrain_c2ser.training.one_line import errors_in_one_line
from speechbrain_c2ser.training.schedules import WarmupCosine
from speechbrain_c2ser.training.word_teaching import (
    FrameTeacher,
    check_speakers,
    teach_heads,
)

# Of the frames' projection: a minute or two, and the last epoch is kept.
EPOCHS = 20
BATCH_SIZE = 16
SCHEDULE = WarmupCosine(peak=0.002, warmup=0.1)
MAX_GRAD_NORM = 5.0


@torch.no_grad()
def listen(perception, dataset, batching, device):
    """Rows, frames (a list of [T, C]) and utterance vectors of a dataset.

    The encoders run on the device; what they hear is kept on the host.
    """
    perception.to(device)
    options = loader_options(dataset, **batching, shuffle=False)
    items, frames, vectors = [], [], []
    for batch in DataLoader(dataset, **options):
        items += batch.item
        wavs, wav_lens = batch.sig.data.to(device), batch.sig.lengths.to(device)
        if perception.semantic_encoder is not None:
            speech = perception.semantic_encoder.extract(wavs, wav_lens)
            frames += [
                x[:length].cpu()
                for x, length in zip(
                    speech.frames, speech.lengths.tolist(), strict=True
                )
            ]
        if perception.acoustic_encoder is not None:
            vectors.append(perception.utterance_vectors(wavs, wav_lens).cpu())
    perception.cpu()
    return items, frames, torch.cat(vectors) if vectors else None


def teach_frames(teacher, train_heard, valid_heard):
    """The frames' projection by CTC, along a cosine to the last epoch.

    Returns one dict of figures for each epoch: losses, and the content error
    of what the frames alone spell.
    """
    trained = [p for p in teacher.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=SCHEDULE.peak)
    items, frames = train_heard
    updates = EPOCHS * -(-len(items) // BATCH_SIZE)
    curve, update = [], 0
    for _ in range(EPOCHS):
        teacher.train()
        order = torch.randperm(len(items)).split(BATCH_SIZE)
        losses = []
        for indices in order:
            update += 1
            for group in optimizer.param_groups:
                group["lr"] = SCHEDULE(update, updates)
            loss = _loss(teacher, items, frames, indices)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, MAX_GRAD_NORM)
            optimizer.step()
            losses.append(loss.item())
        teacher.eval()
        with torch.no_grad():
            held = _loss(teacher, *valid_heard, range(len(valid_heard[0])))
            error = _content_error(teacher, *valid_heard)
        curve.append(
            {
                "train_loss": sum(losses) / len(losses),
                "valid_loss": held.item(),
                "valid_content_error": error,
            }
        )
    return curve


def _loss(teacher, items, frames, indices):
    texts = [items[i]["transcript"] for i in indices]
    return teacher(*_padded([frames[i] for i in indices]), texts)


def _content_error(teacher, items, frames):
    return edit_rate(
        [item["transcript"] for item in items],
        teacher.spell(*_padded(frames)),
        [item.get("language", "en") for item in items],
    )


def _padded(frames):
    lengths = torch.tensor([len(x) for x in frames])
    return pad_sequence(frames, batch_first=True), lengths


def train(hparams, run_opts):
    """Teach the connector and write the C2SER folder; returns the figures."""
    model, device = hparams["model"], find_device(run_opts["device"])
    batching = {**hparams["dataloader_opts"], **hparams["batching"]}
    perception, lm = model.perception, model.language_model
    train_set, valid_set = prepare_data(hparams)
    if perception.acoustic_encoder is not None:
        check_speakers([data["row"] for data in train_set.data.values()])
    model.eval()
    items, frames, vectors = listen(perception, train_set, batching, device)
    figures = {}
    if vectors is not None:
        figures["heads"] = teach_heads(
            perception.connector, lm, items, vectors, hparams["label_space"]
        )
    if frames and hparams["content"]:
        valid = listen(perception, valid_set, batching, device)[:2]
        texts = [item["transcript"] for item in items]
        teacher = FrameTeacher(perception.connector, lm, texts)
        figures["frames"] = teach_frames(teacher, (items, frames), valid)
    write_atomic(
        json.dumps(figures, indent=1),
        Path(hparams["output_folder"]) / "connector.json",
    )
    save_c2ser(
        model,
        hparams["c2ser_folder"],
        label_space=hparams["label_space"],
        languages=hparams["languages"],
    )
    return figures


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        figures = train(*load_experiment()).get("heads")
        print(json.dumps(figures, indent=1))
