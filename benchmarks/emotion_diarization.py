#!/usr/bin/env python3
"""Emotion diarization against always neutral, and against cut and classify.

> python benchmarks/emotion_diarization.py JOINED --diarizer FOLDER \
      --classifier FOLDER --shift 1

JOINED is what `recipes/Corpora/prepare.py join` wrote. The classifier hears
windows, half a window apart; their length is the one of the lowest error rate
on valid.json. `--shift` leaves up to so many seconds out at the beginning of
each recording, drawn at random, so that no window fits its emotions because all
utterances are equally long. Prints EDER as SpeechBrain computes it (mean over
recordings, with a 95 % interval of recordings drawn again), over all time, and
a timeline.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from speechbrain_c2ser.data.manifest import read_manifest
from speechbrain_c2ser.evaluation.metrics.diarization import (
    recording_error_rates,
)
from speechbrain_c2ser.inference import EmotionClassifier, EmotionDiarizer
from speechbrain_c2ser.inference.recordings import value_of
from speechbrain_c2ser.timelines.segments import merge_windows

CPU = {"device": "cpu"}


def by_frames(diarizer, rows):
    """[(start, end, emotion), ...] of each recording."""
    results = map(value_of, diarizer.iter_files(rows))
    return [
        [(w.start, w.stop, w.label) for w in result.windows]
        for result in results
    ]


def by_windows(classifier, rows, window):
    """The same by the emotions of windows; silence is neutral."""
    hypotheses = []
    results = map(value_of, classifier.iter_files(rows, 8, window, window / 2))
    for result, row in zip(results, rows, strict=True):
        windows = [
            {
                "start": each.start,
                "end": each.stop,
                "probabilities": each.probabilities
                if each.probabilities is None
                else dict(
                    zip(
                        classifier.labels,
                        each.probabilities.tolist(),
                        strict=True,
                    )
                ),
            }
            for each in result.windows
        ]
        stretches, last = [], 0.0
        for each in merge_windows(windows, classifier.labels):
            if each["start"] > last:
                stretches.append((last, each["start"], "neutral"))
            stretches.append((each["start"], each["end"], each["label"]))
            last = each["end"]
        if last < row["duration"]:
            stretches.append((last, row["duration"], "neutral"))
        hypotheses.append(stretches)
    return hypotheses


def rates(rows, hypotheses):
    """Figures of a set."""
    truths = [row["segments"] for row in rows]
    seconds = [row["duration"] for row in rows]
    each = np.array(
        [
            recording_error_rates([t], [h], [s])["eder"]
            for t, h, s in zip(truths, hypotheses, seconds, strict=True)
        ]
    )
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(each), size=(2000, len(each)))
    low, high = np.quantile(each[drawn].mean(1), (0.025, 0.975))
    figures = recording_error_rates(truths, hypotheses, seconds)
    figures |= {"low": low, "high": high}
    return {name: round(float(n), 3) for name, n in figures.items()}


def shifted(rows, most):
    """Rows that begin later, within their first segment."""
    rng, later = np.random.default_rng(0), []
    for row in rows:
        begin = float(rng.uniform(0, min(most, row["segments"][0][1] - 0.2)))
        segments = [
            [max(0.0, start - begin), end - begin, label]
            for start, end, label in row["segments"]
        ]
        seconds = row["duration"] - begin
        changes = {"start": begin, "duration": seconds, "segments": segments}
        later.append({**row, **changes})
    return later


def main():
    """Score what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("joined", type=Path)
    parser.add_argument("--diarizer", required=True)
    parser.add_argument("--classifier", required=True)
    parser.add_argument("--windows", type=float, nargs="+")
    parser.add_argument("--shift", type=float, default=0.0)
    options = parser.parse_args()
    valid, test = (
        list(read_manifest(options.joined / f"{split}.json").values())
        for split in ("valid", "test")
    )
    if options.shift:
        valid, test = (shifted(rows, options.shift) for rows in (valid, test))
    diarizer = EmotionDiarizer.from_hparams(options.diarizer, run_opts=CPU)
    classifier = EmotionClassifier.from_hparams(
        options.classifier, run_opts=CPU
    )
    choices = {
        window: rates(valid, by_windows(classifier, valid, window))["eder"]
        for window in options.windows or (0.5, 1.0, 1.5, 2.0, 4.0)
    }
    window = min(choices, key=choices.get)
    neutral = [[(0.0, row["duration"], "neutral")] for row in test]
    stretches = by_frames(diarizer, test)
    cut = by_windows(classifier, test, window)
    print(json.dumps({"valid, by window": choices, "window": window}))
    for name, hypotheses in {
        "always neutral": neutral,
        "cut and classified": cut,
        "frames": stretches,
    }.items():
        print(json.dumps({"system": name, **rates(test, hypotheses)}))
    print(json.dumps({"truth": test[0]["segments"]}))
    print(json.dumps({"frames": stretches[0], "cut": cut[0]}))


if __name__ == "__main__":
    main()
