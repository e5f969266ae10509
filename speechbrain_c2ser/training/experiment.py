"""Command line of a recipe: its yaml, overlays on it, a record of the run.

An *overlay* is a small yaml that holds only what changes (an ablation, another
corpus, another size). Its first line names the yamls that it fits:
``# Overlay on: hparams/c2ser/full.yaml``. ``--overlay FILE`` may be given
several times; later ones win, and command-line overrides (``--lr=0.001``) win
over all. An overlay that fits one yaml may be given in its place.
"""

import atexit
import io
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import ruamel.yaml
import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml.comments import CommentedMap, TaggedScalar
from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.logger import get_logger

from speechbrain_c2ser.checkpoints.replacing import check_replaceable
from speechbrain_c2ser.checkpoints.user_modules import (
    check_named,
    load_user_module,
)
from speechbrain_c2ser.processor import processor_has
from speechbrain_c2ser.training.memory import keep_freed_memory
from speechbrain_c2ser.training.record import write_record

logger = get_logger(__name__)

OVERLAY_ON = "# Overlay on:"
# Model folders that recipes leave, where they are below the output folder.
RESULTS = ("c2ser_folder", "classifier_folder", "encoder_folder")


def load_experiment(argv: list[str] | None = None):
    """Load a recipe's yaml with its overlays and set up its output folder.

    Arguments
    ---------
    argv : list[str] | None
        Command line without the script's name: the yaml (or an overlay that
        names one), then any of ``--overlay FILE``, ``--user_modules FILE``
        (blocks of your own), SpeechBrain's run options (``--device``,
        ``--precision``, ``--debug``) and overrides (``--seed=2``).
        ``sys.argv[1:]`` by default.

    Returns
    -------
    hparams : dict
        The loaded hyper-parameters, objects built.
    run_opts : speechbrain.utils.run_opts.RunOptions
        To be handed to the Brain.

    Raises
    ------
    FileNotFoundError
        If the yaml or an overlay does not exist.
    ValueError
        If an overlay adds a key that nothing refers to, an override names one
        that the yaml does not have, a ``!PLACEHOLDER`` was not filled, or a
        class is of a module that is not there; or a file of yours lies in
        the model folder that the run would replace.

    Example
    -------
    >>> load_experiment(["no_such.yaml"])
    Traceback (most recent call last):
    ...
    FileNotFoundError: No yaml at no_such.yaml: give a file under hparams/.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    argv, overlays = _take(argv, "--overlay", "a yaml file")
    argv, files = _take(argv, "--user_modules", "a .py file")
    for argument in argv:
        if re.fullmatch(r"--modules(=[^{].*)?", argument):
            raise ValueError(
                f"{argument}: `modules` is what a yaml trains; a file of your "
                "own blocks is given by --user_modules FILE.py."
            )
    # yaml paths come before anything else touches the arguments, so that a
    # mistyped path is one clear line
    hparams_file, run_opts, overrides = sb.parse_arguments(argv)
    if not os.path.isfile(hparams_file):
        raise FileNotFoundError(
            f"No yaml at {hparams_file}: give a file under hparams/."
        )
    hparams_file, overlays = find_base(hparams_file, overlays)
    sb.utils.distributed.ddp_init_group(run_opts)
    if torch.distributed.is_initialized():
        atexit.register(_leave_group)
    text = merge_yaml(hparams_file, overlays, overrides)
    for file in files:
        load_user_module(file)
    check_named(text, hparams_file)
    hparams = load_hyperpyyaml(_stream(text, hparams_file))
    run_opts = _possible_precision(hparams, run_opts)
    if _on_cpu(run_opts):
        keep_freed_memory()
    folder = hparams["output_folder"]
    for key in RESULTS:  # now: not after hours of training
        result = hparams.get(key)
        if result and Path(result).is_relative_to(folder):
            check_replaceable(result)
    sb.create_experiment_directory(experiment_directory=folder)
    run_on_main(
        write_record,
        args=[folder, _stream(text, hparams_file), argv, overlays, hparams],
    )
    return hparams, run_opts


def find_base(
    path: str | Path, overlays: Sequence[str | Path] = ()
) -> tuple[str | Path, list[str | Path]]:
    """The yaml that stands alone, and the overlays on it.

    Arguments
    ---------
    path : str | Path
        A yaml, or an overlay, whose first line names one.
    overlays : Sequence[str | Path]
        Further overlays.

    Returns
    -------
    path : str | Path
        A yaml that stands alone.
    overlays : list[str | Path]
        The overlays, the one that was given as the yaml first.

    Raises
    ------
    ValueError
        For an overlay that fits several yamls.
    FileNotFoundError
        If the yaml that an overlay names is in no folder above it.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "a.yaml").write_text("lr: 1.0\\n")
    >>> _ = (folder / "b.yaml").write_text("# Overlay on: a.yaml\\nlr: 2.0\\n")
    >>> path, overlays = find_base(folder / "b.yaml", ["c.yaml"])
    >>> path.name, len(overlays)
    ('a.yaml', 2)
    """
    with open(path, encoding="utf-8") as file:
        first = file.readline()
    if not first.startswith(OVERLAY_ON):
        return path, list(overlays)
    bases = first.removeprefix(OVERLAY_ON).split()
    if len(bases) != 1:
        raise ValueError(
            f"{path} is an overlay, no whole yaml: give one of "
            f"{', '.join(bases)}, then --overlay {path}."
        )
    for folder in Path(path).resolve().parents:
        if (folder / bases[0]).is_file():
            return folder / bases[0], [path, *overlays]
    raise FileNotFoundError(
        f"{path} is an overlay on {bases[0]}, which is in no folder above it."
    )


def merge_yaml(
    base: str | Path, overlays: Sequence[str | Path] = (), overrides: str = ""
) -> str:
    """Merge overlay yamls and command-line overrides into a base yaml.

    A plain mapping is merged key by key, at any depth, also into the arguments
    of a tagged node such as ``!new:`` or ``!include:``: keys may be added, so
    an overlay can hold one more head. Any other node (a number, ``null`` or a
    tagged node) replaces what was there. ``!include:`` in an overlay is
    relative to the base file, where the merged text lives.

    Arguments
    ---------
    base : str | Path
        The recipe's yaml.
    overlays : sequence of str
        Yaml files with what changes, applied in order.
    overrides : str
        Yaml text applied last.

    Returns
    -------
    str
        The merged HyperPyYAML text, references unresolved.

    Raises
    ------
    FileNotFoundError
        If an overlay does not exist.
    ValueError
        If an overlay adds a top-level key that nothing refers to, an override
        names an unknown one, or is given twice.

    Example
    -------
    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.yaml").write_text("lr: 1.0\\nencoder: !new:x.Y\\n")
    >>> _ = (folder / "b.yaml").write_text("encoder: !new:x.Z\\n")
    >>> print(merge_yaml(folder / "a.yaml", [folder / "b.yaml"], "lr: 2.0"))
    lr: 2.0
    encoder: !new:x.Z
    <BLANKLINE>
    """
    yaml = ruamel.yaml.YAML()
    yaml.width = 4096  # never fold a long string
    merged = yaml.load(Path(base).read_text(encoding="utf-8"))
    added = {}
    for overlay in overlays:
        if not os.path.isfile(overlay):
            raise FileNotFoundError(f"No overlay yaml at {overlay}.")
        changes = yaml.load(Path(overlay).read_text(encoding="utf-8")) or {}
        added |= {k: str(overlay) for k in changes if k not in merged}
        _merge(merged, changes)
    try:
        changes = yaml.load(overrides)
    except ruamel.yaml.constructor.DuplicateKeyError as error:
        name = error.problem.split('"')[1]
        raise ValueError(
            f"--{name} is given twice on the command line: leave one out."
        ) from None
    changes = changes or {}
    added |= {k: "the command line" for k in changes if k not in merged}
    _merge(merged, changes)
    stream = io.StringIO()
    yaml.dump(merged, stream)
    text = stream.getvalue()
    for key, source in added.items():
        # what an overlay adds is for its own blocks; else it is a slip
        if source == "the command line" or f"<{key}" not in text:
            raise ValueError(
                f"'{key}' (from {source}) is not a key of the yaml, and "
                f"nothing refers to it: it has {', '.join(map(str, merged))}."
            )
    return text


def make_folder(path: str | Path) -> str:
    """Make a folder, for what a yaml builds that does not make its own.

    Arguments
    ---------
    path : str | Path
        The folder; it may be there already.

    Returns
    -------
    str
        The path.

    Example
    -------
    >>> os.path.isdir(make_folder(getfixture("tmpdir") / "curves"))
    True
    """
    os.makedirs(path, exist_ok=True)
    return str(path)


def _possible_precision(hparams, run_opts):
    """Keep to fp32 where a yaml's bf16 would only be imitated.

    On a processor without instructions for it, bf16 autocast takes five times
    as long as fp32 and is less exact. What the command line asks for stays.
    """
    is_explicit = "precision" in run_opts.overridden_args
    wanted = hparams.get("precision") == "bf16" and not is_explicit
    if wanted and _on_cpu(run_opts) and not processor_has("bf16"):
        logger.info("This processor has no bf16: it goes on in fp32.")
        hparams["precision"] = "fp32"
        return replace(run_opts, precision="fp32")
    return run_opts


def precision_of(hparams: dict, run_opts) -> str:
    """The command line's precision, else the yaml's, else fp32.

    Arguments
    ---------
    hparams : dict
        Of :func:`load_experiment`.
    run_opts : speechbrain.utils.run_opts.RunOptions
        Likewise.

    Returns
    -------
    str
        "fp32", "bf16" or "fp16".

    Example
    -------
    >>> from speechbrain.utils.run_opts import RunOptions
    >>> precision_of({"precision": "bf16"}, RunOptions())
    'bf16'
    """
    if "precision" in run_opts.overridden_args:
        return run_opts.precision
    return hparams.get("precision", "fp32")


def _on_cpu(run_opts):
    return run_opts.device == "cpu" or not torch.cuda.is_available()


def _leave_group():
    """Close gloo's connections while Python still runs.

    Its threads may end a rank by SIGABRT otherwise, when the other one goes
    first. NCCL's group is left: one rank that failed would wait for others.
    """
    group = torch.distributed
    if group.is_initialized() and group.get_backend() == "gloo":
        group.destroy_process_group()


def _take(argv, option, what):
    """Split ``--option X`` and ``--option=X`` off the arguments."""
    rest, values = [], []
    argv = iter(argv)
    for argument in argv:
        if argument == option:
            value = next(argv, None)
            if value is None:
                raise ValueError(f"{option} needs {what} after it.")
            values.append(value)
        elif argument.startswith(f"{option}="):
            values.append(argument.split("=", 1)[1])
        else:
            rest.append(argument)
    return rest, values


def _merge(tree, changes):
    """Plain mappings go into what is there, at any depth; the rest replaces."""
    for key, value in changes.items():
        is_new = key not in tree or _tag(tree[key]) == "!PLACEHOLDER"
        if is_new or not _is_plain_mapping(value):
            tree[key] = value
            continue
        if not hasattr(tree[key], "items"):
            tree[key] = _with_arguments(tree[key])
        _merge(tree[key], value)


def _with_arguments(node):
    """An empty mapping in place of a node, with its tag if it has one."""
    mapping = CommentedMap()
    if isinstance(node, TaggedScalar):
        mapping.yaml_set_ctag(node.tag)
    return mapping


def _is_plain_mapping(node):
    """A mapping without a tag: it changes arguments, not the object."""
    return hasattr(node, "items") and _tag(node) is None


def _tag(node):
    return getattr(getattr(node, "tag", None), "value", None)


def _stream(text, path):
    """Text that resolves ``!include:`` relative to the file it came from."""
    stream = io.StringIO(text)
    stream.name = str(path)
    return stream
