#!/usr/bin/env python3
"""Measure pitch, loudness and speaking rate, and put them into words.

> python recipes/C2SER/annotate_style.py IN_FOLDER OUT_FOLDER

Reads train, valid and test.json of a corpus, writes them with ``prosody`` and
``style``. What counts as low or high is fitted on the training set alone and
kept in ``thresholds.json``. ``--splits`` names other manifests.
"""

import argparse
from pathlib import Path

from speechbrain_c2ser.chain_of_thought.prosody import annotate
from speechbrain_c2ser.data.manifest import (
    SPLITS,
    read_manifest,
    write_manifest,
)
from speechbrain_c2ser.training.one_line import errors_in_one_line


def annotate_corpus(source, target, splits=SPLITS):
    """Annotate splits of a corpus with the thresholds of the first."""
    thresholds = None
    for split in splits:
        items = read_manifest(source / f"{split}.json")
        print(f"{split}: measuring the style of {len(items)} utterances")
        thresholds = annotate(items, thresholds)
        write_manifest(items, target / f"{split}.json")
    thresholds.save(target / "thresholds.json")


def main():
    """Read the command line and annotate."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path, help="folder of a corpus")
    parser.add_argument("target", type=Path, help="gets the new manifests")
    parser.add_argument(
        "--splits",
        nargs="+",
        default=SPLITS,
        help="names of the manifests, the training set's first",
    )
    options = parser.parse_args()
    annotate_corpus(options.source, options.target, options.splits)


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
