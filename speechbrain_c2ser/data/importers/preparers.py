"""Arguments and result of every corpus's ``prepare``, described once."""

import inspect
import re
from collections.abc import Callable

ARGUMENTS = """
data_folder : str | Path
    Laid out as the head of the corpus's file says; never written to.
save_folder : str | Path
    Gets train.json, valid.json and test.json, or those of every fold below
    fold_1, fold_2 ..., and corpus.json; nothing after an error.
folds : int
    Groups that the speakers are dealt out to; each is tested once.
seed : int
    Of what is drawn: groups of speakers, or splits.
label_space : LabelSpace | str
    A smaller set of emotions to map to, or its name; what has no place in it
    is left out and counted.
"""
RETURNS = """Returns
-------
dict[str, Path]
    "train" or "fold_1/train" ... -> path of the manifest."""
SECTION = r"\n\n(?=(?:Arguments|Returns|Raises)\n-+\n)"
# Name -> its description, with the line of its type.
ENTRY = re.compile(r"^(\w+)(?:, \w+)* : .*(?:\n    .*)*", re.MULTILINE)


def describe(prepare: Callable) -> str:
    """What a corpus's ``prepare`` does, takes and returns.

    Arguments
    ---------
    prepare : Callable
        Its docstring describes what other corpora do not have.

    Returns
    -------
    str
        Its docstring with :data:`ARGUMENTS`, as far as its signature has
        them, and :data:`RETURNS`, each where it does not describe its own.

    Example
    -------
    >>> def prepare(data_folder, save_folder, song=False):
    ...     '''Write manifests.
    ...
    ...     Arguments
    ...     ---------
    ...     song : bool
    ...         Whether sung takes are taken too.
    ...     '''
    >>> described = describe(prepare)
    >>> "song : bool" in described, "save_folder : str | Path" in described
    (True, True)
    """
    about, *parts = re.split(SECTION, inspect.getdoc(prepare) or "")
    sections = {part.partition("\n")[0]: part for part in parts}
    arguments = ENTRY.finditer(ARGUMENTS + sections.get("Arguments", ""))
    entries = {match[1]: match[0] for match in arguments}
    known = [n for n in inspect.signature(prepare).parameters if n in entries]
    sections["Arguments"] = "\n".join(
        ["Arguments", "---------", *(entries[name] for name in known)]
    )
    sections.setdefault("Returns", RETURNS)
    ordered = ("Arguments", "Returns", "Raises")
    return "\n\n".join(
        [about, *(sections[n] for n in ordered if n in sections)]
    )
