#!/usr/bin/env python3
"""Measure pitch, loudness and speaking rate, and put them into words.

> python recipes/C2SER/annotate_style.py IN_FOLDER OUT_FOLDER

Reads train, valid and test.json of a corpus, writes them with ``prosody`` and
``style``. What counts as low or high is fitted on the training set alone and
kept in ``thresholds.json``.
"""

import argparse
from pathlib import Path

from speechbrain_c2ser.chain_of_thought.prosody import annotate
from speechbrain_c2ser.data.manifest import (
    SPLITS,
    read_manifest,
    write_manifest,
)


def annotate_corpus(source, target):
    """Annotate every split of a corpus with its training set's thresholds."""
    target.mkdir(parents=True, exist_ok=True)
    thresholds = None
    for split in SPLITS:
        items = read_manifest(source / f"{split}.json")
        print(f"{split}: measuring the style of {len(items)} utterances")
        thresholds = annotate(items, thresholds)
        write_manifest(items, target / f"{split}.json")
    thresholds.save(target / "thresholds.json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path, help="folder of a corpus")
    parser.add_argument("target", type=Path, help="gets the new manifests")
    options = parser.parse_args()
    annotate_corpus(options.source, options.target)
