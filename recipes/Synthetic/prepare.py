#!/usr/bin/env python3
"""Prepare a corpus: synthesise one, or import a folder of recordings.

> python recipes/Synthetic/prepare.py hparams/synthetic/corpus.yaml \
>     --save_folder=results/demo/corpus
> python recipes/Synthetic/prepare.py hparams/synthetic/recordings.yaml \
>     --data_folder=FOLDER --save_folder=results/recordings/corpus

Every key of the yaml can be set in the same way. Writes train, valid and
test.json, and corpus.json, which tells the report what the corpus is.
"""

import argparse
import json
from pathlib import Path

from hyperpyyaml import load_hyperpyyaml

from speechbrain_c2ser.chain_of_thought.espeak import EspeakError
from speechbrain_c2ser.training.one_line import errors_in_one_line


def main(argv=None):
    """Run the yaml's ``prepare``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("yaml", type=Path)
    options, overrides = parser.parse_known_args(argv)
    pairs = {}
    for override in overrides:
        name, equals, value = override.removeprefix("--").partition("=")
        if not equals or not override.startswith("--"):
            parser.error(f"{override!r} is not of the form --key=value")
        # HyperPyYAML takes a folder named 2024 for a number otherwise.
        pairs[name] = json.dumps(value) if name.endswith("folder") else value
    lines = "\n".join(f"{name}: {value}" for name, value in pairs.items())
    try:
        with open(options.yaml, encoding="utf-8") as file:
            hparams = load_hyperpyyaml(file, lines)
        paths = hparams["prepare"]()
    except (EspeakError, KeyError) as error:
        raise ValueError(str(error)) from error
    folder = Path(paths["train"]).parent
    corpus = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    counts = ", ".join(f"{n} {split}" for split, n in corpus["counts"].items())
    print(f"{corpus['corpus']}: {counts} in {folder} ({corpus['split']})")
    for note in corpus["notes"]:
        print(f"  {note}")


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
