#!/usr/bin/env python3
"""How long 100,000 manifest rows take to prepare, and how much memory.

    python benchmarks/manifest_speed.py --rows 100000

Three ways, each in a fresh process: a JSONL whose durations are known
(``generic``), the same with every header read, and a corpus told by its file
names (``emovo``), every header read. The audio is one clip of 0.1 s under many
names (hard links), so what is measured is the work, not the disk. Prints
seconds by the clock and of processor time: they differ where other work runs.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from speechbrain_c2ser.data.corpora import emovo
from speechbrain_c2ser.data.importers import generic

EMOTIONS = {
    "rab": "angry",
    "dis": "disgusted",
    "pau": "fearful",
    "gio": "happy",
    "neu": "neutral",
    "tri": "sad",
    "sor": "surprised",
}
SPEAKERS = [f"{gender}{k}" for gender in "fm" for k in range(1, 10)]


def known(folder, target):
    """A table with durations, taken as they are."""
    return generic.prepare(folder, target, check_audio=False)


def headers(folder, target):
    """A table; durations from the headers."""
    return generic.prepare(folder, target)


def names(folder, target):
    """File names alone; durations from the headers; one fold."""
    return emovo.prepare(folder, target, folds=3)


WAYS = {way.__name__: way for way in (known, headers, names)}


def build(folder, rows):
    """Write the corpus: a JSONL and its clips."""
    for speaker in SPEAKERS:
        (folder / speaker).mkdir()
        # File systems limit the names of a file, so one clip a speaker.
        soundfile.write(folder / f"{speaker}.flac", np.zeros(1600), 16000)
    lines = []
    for index in range(rows):
        speaker = SPEAKERS[index % len(SPEAKERS)]
        code = list(EMOTIONS)[index % len(EMOTIONS)]
        wav = f"{speaker}/{code}-{speaker}-b{index}.wav"
        os.link(folder / f"{speaker}.flac", folder / wav)
        row = {
            "index": f"u{index}",
            "wav": wav,
            "emotion": EMOTIONS[code],
            "duration": 0.1,
            "speaker": speaker,
            "gender": speaker[0],
            "language": "it",
            "text": "I vigili sono muniti di pistola.",
        }
        lines.append(json.dumps(row))
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")


def measure(way, folder):
    """Seconds, peak MiB of this process and rows written, as JSON."""
    with tempfile.TemporaryDirectory() as target:
        start, used = time.perf_counter(), time.process_time()
        paths = WAYS[way](folder, target)
        seconds = time.perf_counter() - start
        used = time.process_time() - used
        written = sum(path.stat().st_size for path in paths.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {
                "way": way,
                "manifests": len(paths),
                "seconds": round(seconds, 1),
                "processor_seconds": round(used, 1),
                "peak_mib": round(peak),
                "written_mib": round(written / 2**20),
            }
        )
    )


def main():
    """Measure each way in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.way:
        return measure(given.way, given.folder)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), given.rows)
        for way in WAYS:
            words = [sys.executable, __file__, "--way", way]
            done = subprocess.run(
                [*words, "--folder", folder],
                check=True,
                capture_output=True,
                text=True,
            )
            print(done.stdout.strip().splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
