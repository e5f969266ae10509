"""The licence of a model's weights, which goes where the weights go.

It stands in ``hyperparams.yaml`` and in the metadata of
``model.safetensors``; a module that was read from a folder remembers it, and
so does what is built around the module and saved again.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import torch
from ruamel.yaml import YAML, ScalarNode, SequenceNode
from ruamel.yaml.error import YAMLError
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from speechbrain_c2ser.data.atomic import write_atomic, written_beside
from speechbrain_c2ser.lobes.pretrained_files import told_if_damaged

# As the Hugging Face hub calls them; "other" is any that is not here.
LICENCES = tuple(
    "apache-2.0 mit bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear isc zlib "
    "cc0-1.0 unlicense wtfpl pddl odbl odc-by cc cc-by-2.0 cc-by-2.5 cc-by-3.0 "
    "cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 "
    "cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 "
    "cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 gpl gpl-2.0 gpl-3.0 "
    "agpl-3.0 lgpl lgpl-2.1 lgpl-3.0 mpl-2.0 epl-2.0 eupl-1.1 eupl-1.2 "
    "artistic-2.0 afl-3.0 ms-pl openrail openrail++ creativeml-openrail-m "
    "bigscience-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m llama2 "
    "llama3 llama3.1 llama3.2 llama3.3 gemma unknown other".split()
)
# What a part forbids or asks for, the whole must too.
CONDITIONS = {
    "nc": "no commercial use",
    "nd": "no derivatives",
    "sa": "the same licence for what is built on it",
    "gpl": "a licence of the GPL's family",
}
FIELD, PARTS = "licence", "licence_of_parts"
LINE = re.compile(rf"^{FIELD}:[ \t]*(.*?)[ \t]*$", re.MULTILINE)


def check_licence(licence: str, parts: Iterable[str] = ()) -> str:
    """A licence's name, if there is one of it and its parts allow it.

    Arguments
    ---------
    licence : str
        One of :data:`LICENCES`, in any case.
    parts : iterable of str
        Licences of the parts that the model is made of.

    Returns
    -------
    str
        As the hub spells it.

    Raises
    ------
    ValueError
        For an unknown licence, or one that leaves out a condition of a part.

    Example
    -------
    >>> check_licence("Apache-2.0")
    'apache-2.0'
    >>> check_licence("mit", ["cc-by-nc-4.0"])
    Traceback (most recent call last):
    ...
    ValueError: The licence mit leaves out what a part under cc-by-nc-4.0 \
asks for: no commercial use. Take one that asks for it too, or other.
    """
    name = str(licence).strip().lower()
    if name not in LICENCES:
        raise ValueError(
            f"There is no licence {licence!r}: give the hub's name of it, "
            "such as apache-2.0, mit or cc-by-nc-4.0, or other."
        )
    for part in parts:
        lost = _conditions(part) - _conditions(name)
        if lost and name != "other":
            raise ValueError(
                f"The licence {name} leaves out what a part under {part} asks "
                f"for: {', '.join(CONDITIONS[each] for each in sorted(lost))}. "
                "Take one that asks for it too, or other."
            )
    return name


def carry_licence(module: torch.nn.Module, *licences: str | None) -> None:
    """Let a module remember the licences that its weights came under."""
    known = {each for each in licences if each}
    module.licences = tuple(sorted(known | set(licences_of(module))))


def licences_of(module: torch.nn.Module) -> list[str]:
    """Licences that a module and its parts came under."""
    return sorted(
        {
            licence
            for part in module.modules()
            for licence in getattr(part, "licences", ())
        }
    )


def licence_to_save(
    module: torch.nn.Module, licence: str | None
) -> tuple[str | None, list[str]]:
    """The licence that a model is saved under, and those of its parts.

    Arguments
    ---------
    module : torch.nn.Module
        The model.
    licence : str | None
        Of the whole; None takes that of the parts, where they have one.

    Returns
    -------
    licence : str | None
    parts : list of str

    Raises
    ------
    ValueError
        As :func:`check_licence`.
    """
    parts = licences_of(module)
    if licence is None:
        return (parts[0] if len(parts) == 1 else None), parts
    return check_licence(licence, parts), parts


def licence_of(folder: str | Path) -> str | None:
    """The licence that a model folder names, None where it names none.

    Arguments
    ---------
    folder : str | Path
        A model folder.

    Raises
    ------
    ValueError
        If its settings and its weights name different ones.
    """
    folder = Path(folder)
    said = plain_settings(folder).get(FIELD)
    said = None if said in (None, "", "null", "~") else said
    path = folder / "model.safetensors"
    with told_if_damaged(path), safe_open(path, "pt") as weights:
        of_weights = (weights.metadata() or {}).get(FIELD)
    if said and of_weights and said != of_weights:
        raise ValueError(
            f"{folder} names two licences: {said} in hyperparams.yaml and "
            f"{of_weights} in model.safetensors. Say which one holds "
            "(--licence)."
        )
    return said or of_weights


def parts_of(folder: str | Path) -> list[str]:
    """Licences of the parts, as a model folder names them."""
    return plain_settings(folder).get(PARTS) or []


def set_licence(folder: str | Path, licence: str) -> str:
    """Name the licence of a folder that is there already.

    Arguments
    ---------
    folder : str | Path
        A model folder; each of its files changes whole or not at all.
    licence : str
        As :func:`check_licence` takes it.

    Returns
    -------
    str
        As the hub spells it.

    Raises
    ------
    ValueError
        As :func:`check_licence`.
    """
    folder = Path(folder)
    licence = check_licence(licence, parts_of(folder))
    weights = folder / "model.safetensors"
    with safe_open(weights, "pt") as saved:
        metadata = dict(saved.metadata() or {})
    if metadata.get(FIELD) != licence:
        tensors = load_file(weights)
        with written_beside(weights) as part:
            save_file(tensors, part, metadata={**metadata, FIELD: licence})
    settings = folder / "hyperparams.yaml"
    text = settings.read_text(encoding="utf-8")
    line = f"{FIELD}: {licence}"
    if LINE.search(text):
        text = LINE.sub(line, text, count=1)
    else:
        text = text.rstrip("\n") + f"\n{line}\n"
    write_atomic(text, settings)
    return licence


def plain_settings(folder: str | Path) -> dict:
    """Top values of a folder's yaml, texts and lists of texts; none built."""
    path = Path(folder) / "hyperparams.yaml"
    try:
        root = YAML(pure=True).compose(path.read_text(encoding="utf-8"))
        pairs = root.value
    except (YAMLError, AttributeError) as error:
        raise ValueError(f"{path} is no yaml of a model: {error}.") from error
    found = {}
    for key, node in pairs:
        if isinstance(node, ScalarNode):
            found[key.value] = node.value
        elif isinstance(node, SequenceNode):
            found[key.value] = [str(each.value) for each in node.value]
    return found


def _conditions(licence):
    name = licence.lower()
    tokens = set(name.split("-")) & {"nc", "nd", "sa"}
    return tokens | ({"gpl"} if "gpl" in name else set())
