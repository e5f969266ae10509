#!/usr/bin/env python3
"""Prepare a corpus: manifests of what lies in a folder, nothing downloaded.

> python recipes/Corpora/prepare.py --list
> python recipes/Corpora/prepare.py iemocap
> python recipes/Corpora/prepare.py iemocap IEMOCAP_FOLDER SAVE_FOLDER \
>     --classes=4 --valid=random

The second line tells the layout and the options of a corpus; they are given
as --name=value. Prints utterances per manifest and emotion, what was left out,
and what a user has to know; the same is in SAVE_FOLDER/corpus.json.
"""

import argparse
import inspect
import json
from importlib import import_module
from pathlib import Path

import yaml

from speechbrain_c2ser.data.importers.preparers import describe
from speechbrain_c2ser.data.importers.writing import DESCRIPTION, count_table
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.training.one_line import errors_in_one_line

CORPORA = (
    "asvp_esd",
    "cameo",
    "casia",
    "cped",
    "cremad",
    "datasets_folder",
    "emo_emilia",
    "emobox",
    "emodb",
    "emotion_talk",
    "emov_db",
    "emovo",
    "esd",
    "generic",
    "iemocap",
    "join",
    "m3ed",
    "meld",
    "mesd",
    "msp_podcast",
    "nemo",
    "ravdess",
    "shemo",
    "thai_ser",
    "zed",
)


def module_of(corpus):
    """The module that prepares a corpus."""
    any_source = corpus in ("generic", "datasets_folder", "join")
    room = "importers" if any_source else "corpora"
    return import_module(f"speechbrain_c2ser.data.{room}.{corpus}")


def read_options(words, prepare):
    """Options of ``prepare`` from words such as --folds=5.

    Arguments
    ---------
    words : list of str
        What the command line has beside the folders.
    prepare : callable
        Whose arguments they are.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        For a word of another form, an unknown option, or a value that is no
        YAML.
    """
    known = list(inspect.signature(prepare).parameters)[2:]
    options = {}
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if not equals or not word.startswith("--") or name not in known:
            raise ValueError(
                f"{word!r} is no option of this corpus (options: "
                f"{', '.join(f'--{each}=...' for each in known)})."
            )
        if "folder" in name or name == "pattern":
            options[name] = value
            continue
        try:
            options[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(
                f"--{name}={value} is no YAML: close brackets and quotes, and "
                "put what holds signs in quotes."
            ) from error
    if options.get("label_space") is not None:
        options["label_space"] = LabelSpace.from_name(options["label_space"])
    return options


def main(argv=None):
    """Prepare the corpus that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("corpus", nargs="?", choices=CORPORA)
    parser.add_argument("data_folder", nargs="?")
    parser.add_argument("save_folder", nargs="?")
    parser.add_argument("--list", action="store_true", help="list the corpora")
    given, words = parser.parse_known_args(argv)
    if given.list or given.corpus is None:
        for corpus in CORPORA:
            print(f"{corpus:16}{module_of(corpus).__doc__.splitlines()[0]}")
        return
    module = module_of(given.corpus)
    if given.save_folder is None:
        print(f"{module.__doc__}\n{describe(module.prepare)}")
        return
    module.prepare(
        given.data_folder,
        given.save_folder,
        **read_options(words, module.prepare),
    )
    path = Path(given.save_folder) / DESCRIPTION
    if path.is_file():
        tell(json.loads(path.read_text(encoding="utf-8")))


def tell(description):
    """Print what corpus.json says.

    Arguments
    ---------
    description : dict
        Its content.
    """
    print(count_table(description))
    print(f"{description['corpus']}: {description['split']}")
    for note in description["notes"]:
        print(f"  {note}")


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
