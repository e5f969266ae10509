"""A record of a run, and that it goes on with what it was begun with."""

import hashlib
import io
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ruamel.yaml
from hyperpyyaml import resolve_references
from ruamel.yaml.error import YAMLError
from speechbrain.utils.logger import get_logger

from speechbrain_c2ser.checkpoints.user_modules import hashes
from speechbrain_c2ser.data.manifest import read_manifest
from speechbrain_c2ser.versions import version_of

logger = get_logger(__name__)

RECORDED_PACKAGES = (
    "speechbrain_c2ser",
    "speechbrain",
    "torch",
    "torchaudio",
    "transformers",
    "peft",
    "hyperpyyaml",
    "numpy",
)
RECORD = "run.json"
MANIFESTS = ("train_manifest", "valid_manifest")
# A run that goes on may last longer, and elsewhere.
MAY_CHANGE = {"number_of_epochs", "num_workers", "ckpt_interval_minutes"}


def write_record(
    folder: str | Path,
    text: io.TextIOBase,
    arguments: Sequence[str],
    overlays: Sequence[str | Path],
    hparams: dict[str, Any],
) -> None:
    """Save settings, command, seed, versions and git state with a run.

    Arguments
    ---------
    folder : str | Path
        The run's output folder.
    text : io.TextIOBase
        The HyperPyYAML text, overlays and overrides merged.
    arguments : Sequence[str]
        Of the command line.
    overlays : Sequence[str | Path]
        Paths of the overlays.
    hparams : dict
        What the text makes.

    Raises
    ------
    ValueError
        If the folder holds checkpoints of a run with another seed or other
        training data: its weights, or what it answered, would pass for this
        one's.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> write_record(folder, io.StringIO("seed: 1"), [], [], {"seed": 1})
    >>> (folder / "save" / "CKPT+1").mkdir(parents=True)
    >>> write_record(folder, io.StringIO("seed: 2"), [], [], {"seed": 2})
    Traceback (most recent call last):
    ...
    ValueError: The run in ... was begun with the seed 1, this one has 2: ...
    """
    folder = Path(folder)
    settings = resolve_references(text).getvalue()
    begun_with = {"seed": hparams.get("seed")} | {
        key: _contents(hparams[key]) for key in MANIFESTS if key in hparams
    }
    begun_with = json.loads(json.dumps(begun_with, default=str))
    if any((folder / "save").glob("CKPT*")):
        _check_same(folder, begun_with, settings, hparams)
    record = {
        "script": os.path.basename(sys.argv[0]),
        "arguments": list(arguments),
        "overlays": [str(path) for path in overlays],
        "user_modules": hashes(),
        "seed": hparams.get("seed"),
        "begun_with": begun_with,
        "python": platform.python_version(),
        "versions": {name: version_of(name) for name in RECORDED_PACKAGES},
        "git": _git_state(),
    }
    (folder / "hyperparams.yaml").write_text(settings, encoding="utf-8")
    (folder / RECORD).write_text(json.dumps(record, indent=1), "utf-8")


def _check_same(folder, begun_with, settings, hparams):
    """Refuse another seed or other data; tell of other numbers."""
    try:
        before = json.loads((folder / RECORD).read_text("utf-8"))
        old = _numbers((folder / "hyperparams.yaml").read_text("utf-8"))
    except (OSError, ValueError, YAMLError):
        return  # nothing is known of it
    remedy = "choose another output_folder, or delete its `save` to begin anew"
    for key, found in before.get("begun_with", {}).items():
        mine = begun_with.get(key, found)
        if mine == found:
            continue
        if key in MANIFESTS:
            raise ValueError(
                f"The {key} is not the one that the run in {folder} was begun "
                f"with{_told_labels(folder, hparams[key])}: {remedy}."
            )
        raise ValueError(
            f"The run in {folder} was begun with the {key} {found}, this one "
            f"has {mine}: {remedy}."
        )
    new = _numbers(settings)
    changed = [
        f"{key} {old[key]} -> {new[key]}"
        for key in old
        if key in new and old[key] != new[key] and key not in MAY_CHANGE
    ]
    if changed:
        logger.warning(
            "The run in %s goes on with other settings than it was begun "
            "with (%s).",
            folder,
            ", ".join(changed),
        )


def _told_labels(folder, manifest):
    """The labels of the checkpoint and of a manifest, where they differ."""
    try:
        (path, *_) = (folder / "save").glob("CKPT*/labels.ckpt")
        labels = set(json.loads(path.read_text("utf-8"))["emotion"])
        rows = read_manifest(manifest).values()
        now = {row["emotion"] for row in rows if row.get("emotion")}
        told = [", ".join(sorted(each)) for each in (labels, now)]
    except (TypeError, KeyError, ValueError, OSError):
        return ""  # no labels, or several manifests
    if labels == now:
        return ""
    return f" (its labels: {told[0]}; now: {told[1]})"


def _numbers(settings):
    """The numbers at the top of a yaml, and what is true or false."""
    tree = ruamel.yaml.YAML().load(settings) or {}
    return {
        key: value
        for key, value in tree.items()
        if isinstance(value, bool | int | float)
    }


def _contents(manifests):
    """Digests of files, the same wherever they lie."""
    if isinstance(manifests, list | tuple):
        return [_contents(each) for each in manifests]
    if isinstance(manifests, dict):
        return {
            key: _contents(value) if key == "manifest" else value
            for key, value in manifests.items()
        }
    if not isinstance(manifests, str | Path):
        return manifests
    if os.path.isdir(manifests):  # shards, of any size
        shards = sorted(Path(manifests).glob("*.arrow"))
        return [[path.name, path.stat().st_size] for path in shards]
    if not os.path.isfile(manifests):
        return str(manifests)
    digest = hashlib.sha256()
    with open(manifests, "rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def _git_state():
    """Commit and whether files differ from it; None outside a checkout."""
    here = Path(__file__).parent
    try:
        run = {"cwd": here, "text": True, "stderr": subprocess.DEVNULL}
        commit = subprocess.check_output(["git", "rev-parse", "HEAD"], **run)
        changes = subprocess.check_output(
            ["git", "status", "--porcelain", "-uno"], **run
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit.strip(), "modified": bool(changes.strip())}
