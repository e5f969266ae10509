#!/usr/bin/env python3
"""Refuse a test set that the training set knows.

> python recipes/Corpora/check_leakage.py --train a/train.json b/train.json \
>     --valid a/valid.json --test c/test.json --foreign

Looks for utterance ids, files and speakers (of one data set) in more than one
of the three; with --foreign also for data sets, by their source: CAMEO's
crema_d and CREMA-D are one. Exit status 1 names the first that is shared.
"""

import argparse

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import (
    check_leakage,
    read_manifest,
)
from speechbrain_c2ser.training.one_line import errors_in_one_line

FIELDS = ("id", "wav", "speaker")


def main(argv=None):
    """Check the manifests that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--valid", nargs="+", default=[])
    parser.add_argument("--test", nargs="+", required=True)
    parser.add_argument("--foreign", action="store_true")
    given = parser.parse_args(argv)
    splits = {"train": {}, "valid": {}, "test": {}}
    for split, items in splits.items():
        for path in getattr(given, split):
            for key, item in read_manifest(path).items():
                if key in items:
                    raise ManifestError(
                        f"The item {key!r} of {path} is in the {split} set "
                        "already."
                    )
                items[key] = item
    check_leakage(splits, FIELDS)
    if given.foreign:
        known = splits["train"] | splits["valid"]
        check_leakage({"train": known, "test": splits["test"]}, ["dataset"])
    counts = ", ".join(f"{len(items)} {s}" for s, items in splits.items())
    print(f"Nothing shared: {counts}.")


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
