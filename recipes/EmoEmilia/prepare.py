#!/usr/bin/env python3
"""Turn Emo-Emilia as it is published into a test manifest.

> python recipes/EmoEmilia/prepare.py DATA_FOLDER SAVE_FOLDER

DATA_FOLDER holds the recordings that the list's wav paths name; the list,
Emo-Emilia-ALL.jsonl, lies in it, beside it, or is given by --list.
"""

import argparse

from speechbrain_c2ser.data.corpora import emo_emilia
from speechbrain_c2ser.training.one_line import errors_in_one_line


def main(argv=None):
    """Read the command line and write the manifest."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data_folder")
    parser.add_argument("save_folder", help="gets test.json")
    parser.add_argument("--list", help="Emo-Emilia-ALL.jsonl")
    options = parser.parse_args(argv)
    emo_emilia.prepare(
        options.data_folder, options.save_folder, list_file=options.list
    )


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
