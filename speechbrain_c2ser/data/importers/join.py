"""Recordings of two emotions, joined of single ones: emotion diarization.

Layout: the folder of a prepared corpus, ``train.json`` and perhaps
``valid.json`` and ``test.json`` (of folds, the folder of one fold). As the
training set of ZED (Wang et al., 2023): utterances of one speaker, neutral
before, after or on both sides of another emotion, or that emotion alone, one
way as often as another; their silence trimmed, their levels made equal.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from speechbrain_c2ser.audio import AudioError
from speechbrain_c2ser.audio.trimming import trim_silence
from speechbrain_c2ser.data.atomic import file_name, write_recording
from speechbrain_c2ser.data.chance import rng_of
from speechbrain_c2ser.data.dataset import read_item
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.writing import write_corpus
from speechbrain_c2ser.data.manifest import (
    SPLITS,
    check_leakage,
    read_manifest,
)

RATE = 16000
NEUTRAL, EMOTION = "neutral", "emotion"
# What stands in a joined recording, in its order.
WAYS = (
    (NEUTRAL, EMOTION),
    (EMOTION, NEUTRAL),
    (NEUTRAL, EMOTION, NEUTRAL),
    (EMOTION,),
)
LOUDEST = 0.99
KEPT = ("speaker", "gender", "language", "dataset")


def prepare(data_folder, save_folder, neutral="neutral", emotions=None, seed=1):
    """Write joined recordings and their manifests, with segments.

    Every utterance with an emotion is in one joined recording; neutral ones
    are drawn anew when all of a speaker were used.

    Arguments
    ---------
    data_folder : str | Path
        See the head of this file; never written to.
    save_folder : str | Path
        Gets audio/<split>/..., train.json, valid.json, test.json and
        corpus.json.
    neutral : str
        The label that is joined to the others.
    emotions : list of str
        The others that are taken; None is all.
    seed : int
        Of what is joined to what, and how.

    Returns
    -------
    dict
        Split -> path. ``segments`` covers a recording: [start, end,
        emotion]; ``emotion`` is the one that is not neutral, ``joined`` names
        the utterances.

    Raises
    ------
    ManifestError
        If there is no train.json, or no speaker has both neutral and another
        emotion.
    """
    source, target = Path(data_folder), Path(save_folder)
    given = [s for s in SPLITS if (source / f"{s}.json").is_file()]
    if "train" not in given:
        raise ManifestError(
            f"The data folder {source} has no train.json: give the folder of "
            "a prepared corpus, or of one of its folds."
        )
    if source.resolve() == target.resolve():
        raise ManifestError(f"Choose another folder than {source} to write to.")
    items = {split: read_manifest(source / f"{split}.json") for split in given}
    check_leakage(items, ("id", "wav"))
    skipped, plans = Counter(), {}
    for split, rows in items.items():
        plans[split] = _plan(rows, neutral, emotions, seed, skipped)
        if not plans[split]:
            raise ManifestError(
                f"No speaker of {source / split}.json has both {neutral!r} "
                "and another emotion to join."
            )
    splits = {
        split: _join(plan, items[split], target / "audio" / split, skipped)
        for split, plan in plans.items()
    }
    name = f"{source.resolve().name} joined"
    how = f"as {source.name} gives it, joined with seed {seed}"
    paths = write_corpus([splits], target, name, how, (), skipped)
    for reason, number in skipped.items():
        print(f"{name}: skipped {number}: {reason}")
    return paths


def _plan(rows, neutral, emotions, seed, skipped):
    """[(id of the utterance with emotion, [ids in order])], by speaker."""
    speakers: dict[str, dict] = {}
    for key, row in rows.items():
        label, speaker = row.get("emotion"), row.get("speaker")
        if speaker is None or label is None:
            skipped["without speaker or emotion"] += 1
        elif label != neutral and emotions and label not in emotions:
            skipped[f"emotion {label} left out"] += 1
        else:
            kind = NEUTRAL if label == neutral else EMOTION
            name = f"{row.get('dataset')}/{speaker}"
            own = speakers.setdefault(name, {NEUTRAL: [], EMOTION: []})
            own[kind].append(key)
    plan = []
    for name, own in sorted(speakers.items()):
        if not own[NEUTRAL] or not own[EMOTION]:
            lacks = neutral if not own[NEUTRAL] else "another emotion"
            skipped[f"speaker without {lacks}"] += len(own[NEUTRAL]) + len(
                own[EMOTION]
            )
            continue
        rng, stock = rng_of(seed, name), []
        for key in rng.permutation(sorted(own[EMOTION])).tolist():
            parts = []
            for kind in WAYS[rng.integers(len(WAYS))]:
                if kind == EMOTION:
                    parts.append(key)
                    continue
                if not stock:
                    stock = rng.permutation(sorted(own[NEUTRAL])).tolist()
                parts.append(stock.pop())
            plan.append((key, parts))
    return plan


def _join(plan, rows, folder, skipped):
    """Write the recordings; id → row with segments."""
    items = {}
    for number, (key, parts) in enumerate(
        tqdm(plan, str(folder.name), leave=False)
    ):
        try:
            waves = [trim_silence(read_item(rows[part])) for part in parts]
        except AudioError as error:
            skipped[f"audio missing or unusable, such as: {error}"] += 1
            continue
        waves = _same_level(waves)
        ends = (np.cumsum([len(wave) for wave in waves]) / RATE).tolist()
        starts = [0.0, *ends[:-1]]
        name = f"{number:05d}_{file_name(key)}"
        path = folder / f"{name}.wav"
        write_recording(torch.cat(waves).numpy(), path, RATE)
        items[name] = {
            "wav": str(path.absolute()),
            "duration": ends[-1],
            "emotion": rows[key]["emotion"],
            "segments": [
                [start, end, rows[part]["emotion"]]
                for start, end, part in zip(starts, ends, parts, strict=True)
            ],
            "joined": parts,
            **{f: rows[key][f] for f in KEPT if f in rows[key]},
        }
    return items


def _same_level(waves):
    """The level of the first for all, as loud as 16 bits can hold."""
    levels = [float(wave.square().mean().sqrt()) or 1.0 for wave in waves]
    waves = [
        wave * (levels[0] / level)
        for wave, level in zip(waves, levels, strict=True)
    ]
    peak = max(float(wave.abs().max()) for wave in waves)
    return [wave * min(1.0, LOUDEST / max(peak, LOUDEST)) for wave in waves]
