#!/usr/bin/env python3
"""What labelling so many hours would take, on paper, from measured units.

    python benchmarks/labelling_cost.py units TARS --model FOLDER --style \
        > units.json
    python benchmarks/labelling_scale.py units.json --hours 100000

Processor seconds and bytes for an hour of audio are measured (one core). A GPU
was not: its seconds are operations over speed, two operations for a parameter
and a token or frame, at ``--share`` of ``--teraflops``, which is an assumption.
Models: Whisper medium's encoder, Emotion2Vec-S, Qwen2 7B behind them for the
label scores of C2SER, and 7B once more for the words. Prints Markdown.
"""

import argparse
import json
from pathlib import Path

# Parameters that a frame or token meets (docs/full_size.md; of the language
# model its layers and its output).
WHISPER, VOICE, LLM = 307e6, 93e6, 7.1e9
FRAMES = 50  # a second, of both encoders
PADDED = 30.0  # seconds that Whisper is given for any clip
SPEECH_TOKENS = 12.5  # a second
PROMPT, ANSWERS, WORDS = 60, 30, 110  # tokens of a clip
SIZES = (8, 64, 512)


def operations(clip):
    """Of each model, for a second of audio in clips of so many seconds."""
    heard = PROMPT + ANSWERS + SPEECH_TOKENS * clip
    return {
        "Whisper medium, encoder": 2 * WHISPER * FRAMES * PADDED / clip,
        "Emotion2Vec-S": 2 * VOICE * FRAMES,
        "7B, label scores": 2 * LLM * heard / clip,
        "7B, of the words": 2 * LLM * (WORDS + ANSWERS) / clip,
    }


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("units", type=Path)
    parser.add_argument("--hours", type=float, default=100_000)
    parser.add_argument("--clip", type=float, default=9.0, help="seconds")
    parser.add_argument("--teraflops", type=float, default=989.0)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--rows", type=int, default=1000, help="of a shard")
    parser.add_argument("--cores", type=float, default=1, help="for each GPU")
    given = parser.parse_args()
    units = json.loads(given.units.read_text().splitlines()[-1])
    print("| step | for an hour of audio | in all |\n| --- | --- | --- |")
    cores = 0.0
    for name, seconds in units["processor seconds for an hour"].items():
        hours = seconds * given.hours / 3600
        cores += hours
        print(f"| {name} | {seconds:.2f} s of a core | {hours:,.0f} CPU-h |")
    speed, gpus = given.share * given.teraflops * 1e12, 0.0
    for name, number in operations(given.clip).items():
        seconds = 3600 * number / speed
        hours = seconds * given.hours / 3600
        gpus += hours
        print(f"| {name} | {seconds:.2f} s of a GPU* | {hours:,.0f} GPU-h* |")
    size = units["MB read for an hour"] * given.hours / 1e6
    written = units["MB written for an hour"] * given.hours / 1e6
    print(f"| bytes read | {units['MB read for an hour']} MB | {size:.1f} TB |")
    print(
        f"| bytes written | {units['MB written for an hour']} MB | "
        f"{written:.2f} TB |\n"
    )
    shard = given.rows * given.clip / 3600 / given.hours
    print(
        "| GPUs | GPU* | their cores | reading | bound by | a lost node of 8 |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for number in SIZES:
        heard, worked = gpus / number, cores / (number * given.cores)
        longest = max(heard, worked)
        bound = "GPU" if heard > worked else "cores"
        rate = 1e6 * size / (3600 * longest)
        lost = 60 * 8 * shard * max(gpus, cores / given.cores)
        print(
            f"| {number} | {heard:,.1f} h | {worked:,.1f} h | {rate:,.0f} MB/s "
            f"| {bound} | at most {lost:.1f} GPU-min |"
        )


if __name__ == "__main__":
    main()
