#!/usr/bin/env python3
"""Weak labels of an archive in Emilia's form, against the known truth.

    python benchmarks/label_archive.py --work results/archive

The synthetic corpus's test voices train two classifiers, its valid voices fit
the thresholds, and its train voices (4,760 clips), with 560 of them again
under noise, are the archive: MP3 and JSON in WebDataset tars of 500, 2 %
broken in ten ways, which are known. Prints what was labelled, how much of that
is right before and after thresholds, whether every broken item was found, and
the seconds. ``--corpus`` names a finished corpus of ``recipes/Synthetic``.
"""

import argparse
import io
import json
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import soundfile

from speechbrain_c2ser.data.arrow_manifest import ArrowManifest
from speechbrain_c2ser.data.importers.arrow_tables import read_rows
from speechbrain_c2ser.data.manifest import read_manifest
from speechbrain_c2ser.data.synthetic import corpus
from speechbrain_c2ser.data.weak import top_label

EACH = 500  # clips of a tar
NOISY = 560
SNR = 20.0  # dB
WAYS = (
    *("no_json", "no_audio", "bad_json", "json_list", "empty_audio"),
    *("no_sound", "cut_audio", "two_audios", "key_twice", "header_only"),
)
MODELS = ("functionals", "from_scratch")


def encode(wave):
    """A waveform at 16 kHz as MP3."""
    file = io.BytesIO()
    soundfile.write(file, wave, 16000, format="MP3")
    return file.getvalue()


def add(archive, name, content):
    """A member of a tar."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def break_item(way, key, parts):
    """Members of an item that is broken in one of the ways."""
    audio, text = parts
    mp3, told = (f"{key}.mp3", audio), (f"{key}.json", text)
    return {
        "no_json": [mp3],
        "no_audio": [told],
        "bad_json": [mp3, (told[0], text[: len(text) // 2])],
        "json_list": [mp3, (told[0], b"[" + text + b"]")],
        "empty_audio": [(mp3[0], b""), told],
        "no_sound": [(mp3[0], bytes(range(256)) * 8), told],
        "cut_audio": [(mp3[0], audio[: len(audio) // 2]), told],
        "two_audios": [mp3, (f"{key}.wav", audio), told],
        "key_twice": [mp3, told],
        "header_only": [(mp3[0], audio[:100]), told],
    }[way]


def build(items, folder, share=0.02, seed=1):
    """Write the tars; true emotion of each key, and how the broken are."""
    rng = np.random.default_rng(seed)
    keys = sorted(items)
    rng.shuffle(keys)
    jobs = [(key, False) for key in keys] + [(k, True) for k in keys[:NOISY]]
    rng.shuffle(jobs)
    number = round(share * len(jobs))
    broken = dict(
        zip(
            rng.choice(len(jobs), number, replace=False).tolist(),
            (WAYS[k % len(WAYS)] for k in range(number)),
            strict=True,
        )
    )
    truth, bad = {}, {}
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, len(jobs), EACH):
        with tarfile.open(folder / f"SY-{first // EACH:04}.tar", "w") as out:
            before = None
            for place in range(first, min(first + EACH, len(jobs))):
                source, noisy = jobs[int(place)]
                item = items[str(source)]
                wave, _ = soundfile.read(item["wav"], dtype="float32")
                if str(noisy) == "True":
                    level = np.sqrt(np.mean(wave**2)) * 10 ** (-SNR / 20)
                    wave = wave + level * rng.standard_normal(len(wave))
                # Nothing of the key tells the emotion.
                key = f"SY_{place:06}"
                way = broken.get(place)
                if way == "key_twice" and before is not None:
                    bad[f"{key} (as {before})"] = way
                    key = before
                elif way:
                    bad[key] = way
                else:
                    truth[key] = item["emotion"]
                    before = key
                told = {
                    "id": key,
                    "wav": f"{key}.mp3",
                    "text": item["transcript"],
                    "duration": len(wave) / 16000,
                    "speaker": item["speaker"],
                    "language": item["language"],
                    "dnsmos": 3.2,
                }
                parts = encode(wave), json.dumps(told).encode()
                members = break_item(way or "key_twice", key, parts)
                for name, content in members:
                    add(out, name, content)
    return truth, bad


def train(name, splits, folder):
    """A classifier on the test voices, its epoch chosen on the valid ones."""
    done = folder / "classifier"
    if not done.is_dir():
        words = [sys.executable, "recipes/EmotionRecognition/train.py"]
        words += [f"hparams/emotion_recognition/{name}.yaml"]
        words += [f"--train_manifest={splits['test']}"]
        words += [f"--valid_manifest={splits['valid']}"]
        words += [f"--output_folder={folder}", "--device=cpu"]
        words += ["--number_of_epochs=12"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return done


def judge(folder, truth):
    """(items, share of right labels) of each model, of both and of the run."""
    pairs = {}
    for path in sorted((folder / "shards").glob("*.parquet")):
        for row in read_rows(path):
            if row["answers"] is None or row["id"] not in truth:
                continue
            emotion, tops = truth[row["id"]], set()
            for name, answer in json.loads(row["answers"]).items():
                tops.add(top_label(answer))
                right = top_label(answer) == emotion
                pairs.setdefault(name, []).append(right)
            if len(tops) == 1:
                pairs.setdefault("both agree", []).append(emotion in tops)
    rows = ArrowManifest(folder / "labelled.arrow").items()
    pairs["thresholds"] = [
        top_label(row["weak"]) == truth[key] for key, row in rows
    ]
    return {
        name: [len(right), round(float(np.mean(right)), 4)]
        for name, right in pairs.items()
    }


def main():
    """Build, train, label, count."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--precision", type=float, default=0.9)
    given = parser.parse_args()
    work, names = given.work.resolve(), ("train", "valid", "test")
    if given.corpus:
        splits = {name: given.corpus / f"{name}.json" for name in names}
    else:
        splits = corpus.prepare(work / "corpus")
    start = time.perf_counter()
    truth, bad = build(read_manifest(splits["train"]), work / "tars")
    print(f"built in {time.perf_counter() - start:.0f} s", flush=True)
    models = [str(train(name, splits, work / name)) for name in MODELS]
    print(f"trained after {time.perf_counter() - start:.0f} s", flush=True)
    named = []
    for name, folder in zip(MODELS, models, strict=True):
        link = work / f"model_{name}"
        if not link.exists():
            link.symlink_to(folder)
        named.append(str(link))
    start = time.perf_counter()
    words = [sys.executable, "-m", "speechbrain_c2ser.cli", "label"]
    words += [str(work / "tars"), str(work / "out"), "--model", *named]
    words += ["--shortest", "0.5", "--agree", "--device", "cpu"]
    words += ["--validation", str(splits["valid"])]
    words += ["--precision", str(given.precision)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    seconds = time.perf_counter() - start
    print(done.stdout)
    counts = json.loads((work / "out" / "run.json").read_text())["counts"]
    failures = (work / "out" / "failures.jsonl").read_text().splitlines()
    kinds = [counts[name] for name in ("labelled", "left out", "failed")]
    figures = {
        "right": judge(work / "out", truth),
        "items": counts["items"],
        "adds up": sum(kinds) == counts["items"] == len(truth) + len(bad),
        "broken by us": len(bad),
        "failures told": len(failures),
        "seconds": round(seconds, 1),
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
