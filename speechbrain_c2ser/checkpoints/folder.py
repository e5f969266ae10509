"""One folder that holds a whole model: settings, weights, language model.

``hyperparams.yaml`` has every block inlined, the labels and the prompts;
``model.safetensors`` all tensors but the base language model's, which are in
``llm/`` (as Hugging Face writes them) or stay where they were; the folders of
encoders that came from a checkpoint (``semantic_encoder_0/``) have its
configuration. Nothing in it is pickled.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from safetensors.torch import load_file, save_file

from speechbrain_c2ser.checkpoints.description import (
    describe,
    reference,
    write_yaml,
)
from speechbrain_c2ser.checkpoints.licences import (
    FIELD,
    PARTS,
    carry_licence,
    licence_to_save,
)
from speechbrain_c2ser.checkpoints.old_blocks import modernize
from speechbrain_c2ser.checkpoints.safe_yaml import build_yaml, parse_yaml
from speechbrain_c2ser.checkpoints.signatures import (
    SETTINGS,
    WEIGHTS,
    describe_folder,
)
from speechbrain_c2ser.checkpoints.size_limit import count_weights
from speechbrain_c2ser.checkpoints.user_modules import (
    FOLDER,
    load_kept_modules,
    loaded_modules,
    write_user_modules,
)
from speechbrain_c2ser.lobes.pretrained_files import told_if_damaged
from speechbrain_c2ser.versions import versions_of

FORMAT = 1
LARGEST = 300_000  # bytes of the settings
PACKAGES = ("speechbrain", "speechbrain_c2ser", "torch", "transformers", "peft")
# Constructor arguments that do not change what a module computes.
RUN_ONLY = ("source", "pretrained", "save_path", "freeze")


def find_folder(source: str | Path, savedir: str | Path | None = None) -> Path:
    """The local folder of a source: itself, or the hub model's copy.

    Arguments
    ---------
    source : str | Path
        Folder, or id of a model on the Hugging Face hub.
    savedir : str | Path | None
        Where a hub model is put; None = the hub's cache.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        When there is neither.
    """
    if Path(source).is_dir():
        return Path(source)
    if Path(source).is_file():
        raise FileNotFoundError(
            f"{source} is no model folder: {describe_folder(source)}."
        )
    problem = f"There is no folder {source}, nor a model of this name"
    if str(source).count("/") != 1 or str(source)[:1] in "./~":
        raise FileNotFoundError(f"{problem}: check the path.")
    try:
        return Path(snapshot_download(str(source), local_dir=savedir))
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"{problem} that can be downloaded: {error}"
        ) from error


def read_settings(folder: str | Path) -> str:
    """The text of a folder's yaml.

    Raises
    ------
    ValueError
        If it is far larger than any, or no text.

    Example
    -------
    >>> folder = Path(getfixture("tmpdir"))
    >>> _ = (folder / SETTINGS).write_text("format: 1")
    >>> read_settings(folder)
    'format: 1'
    """
    path = Path(folder) / SETTINGS
    if path.stat().st_size > LARGEST:
        raise ValueError(
            f"{path} has {path.stat().st_size} bytes, more than any settings."
        )
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8.") from error


def load_strict(
    module: torch.nn.Module,
    tensors: dict,
    what: str | Path,
    elsewhere: Callable = lambda key: False,
) -> None:
    """Load tensors into a module; every key must match.

    Arguments
    ---------
    module : torch.nn.Module
        Takes the tensors.
    tensors : dict
        Name -> tensor.
    what : str | Path
        What the tensors are, for the message.
    elsewhere : callable
        ``key -> bool``: keys of the module that come from elsewhere.

    Raises
    ------
    ValueError
        Names missing, unexpected and mis-shaped keys.

    Example
    -------
    >>> load_strict(torch.nn.Linear(2, 1), {"weight": torch.ones(1, 3)}, "w")
    Traceback (most recent call last):
    ...
    ValueError: w does not fit Linear: 1 missing (bias); 1 of another shape
    (weight is [1, 3], should be [1, 2]).
    """
    parameters = {
        k: v for k, v in module.state_dict().items() if not elsewhere(k)
    }
    problems = {
        "missing": sorted(parameters.keys() - tensors.keys()),
        "unexpected": sorted(tensors.keys() - parameters.keys()),
        "of another shape": [
            f"{k} is {list(tensors[k].shape)}, should be "
            f"{list(parameters[k].shape)}"
            for k in sorted(parameters.keys() & tensors.keys())
            if parameters[k].shape != tensors[k].shape
        ],
    }
    mismatches = [
        f"{len(keys)} {kind} ({', '.join(keys[:5])}"
        + (", ...)" if len(keys) > 5 else ")")
        for kind, keys in problems.items()
        if keys
    ]
    if mismatches:
        raise ValueError(
            f"{what} does not fit {type(module).__name__}: "
            f"{'; '.join(mismatches)}."
        )
    module.load_state_dict(tensors, strict=False)


def fingerprint(module: torch.nn.Module) -> str:
    """Hash of what a module computes: its weights and its settings.

    Arguments
    ---------
    module : torch.nn.Module

    Returns
    -------
    str
        64 hexadecimal digits; equal for equal modules on any device.

    Example
    -------
    >>> one = torch.nn.Linear(2, 1)
    >>> two = torch.nn.Linear(2, 1)
    >>> fingerprint(one) == fingerprint(two)
    False
    >>> _ = two.load_state_dict(one.state_dict())
    >>> fingerprint(one) == fingerprint(two)
    True
    """
    digest = hashlib.sha256(type(module).__name__.encode())
    arguments = getattr(module, "constructor_arguments", {})
    for name, value in sorted(arguments.items()):
        if isinstance(value, torch.nn.Module):
            digest.update(f"{name}={fingerprint(value)};".encode())
        elif name not in RUN_ONLY:
            text = json.dumps(value, default=fingerprint)  # of modules in it
            digest.update(f"{name}={text};".encode())
    for key, value in sorted(module.state_dict().items()):
        digest.update(f"{key} {value.dtype} {list(value.shape)};".encode())
        value = value.detach().cpu().contiguous().flatten()
        digest.update(value.view(torch.uint8).numpy())
    return digest.hexdigest()


def write_model(folder, settings, model, adapt=None, elsewhere=None) -> None:
    """Write settings, weights and their licence into a folder."""
    licence, parts = licence_to_save(model, settings.get(FIELD))
    settings = {
        "format": FORMAT,
        "folder": ".",  # the reader puts the real place here
        "versions": versions_of(PACKAGES),
        **settings,
        FIELD: licence,
        PARTS: parts,
    }
    described = {k: describe(v, k, adapt) for k, v in settings.items()}
    write_yaml(described, folder / SETTINGS)
    kept = write_user_modules(read_settings(folder), folder)
    if kept is not None:
        write_yaml({FOLDER: kept, **described}, folder / SETTINGS)
    tensors = {
        key: value.detach().cpu().contiguous().clone()
        for key, value in model.state_dict().items()
        if elsewhere is None or not elsewhere(key)
    }
    metadata = {"format": "pt"} | ({FIELD: licence} if licence else {})
    save_file(tensors, folder / WEIGHTS, metadata=metadata)


def read_model(folder, overrides=None, allow=(), elsewhere=lambda key: False):
    """Build what a folder describes and load its weights; in eval mode.

    Beside our own classes those of modules in ``allow``, whose copy in the
    folder is then run, and of user modules that were given to this process.
    """
    folder = Path(folder)
    for name in (SETTINGS, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder} is no complete model folder (it has no {name}): "
                f"{describe_folder(folder)}."
            )
    text = read_settings(folder)
    overrides = {"folder": str(folder.resolve()), **(overrides or {})}
    given, allow = allow, [*allow, *loaded_modules()]
    root = parse_yaml(text, folder / SETTINGS, overrides, allow)
    load_kept_modules(root, folder, given)
    rename = modernize(root)
    weights = count_weights(folder / WEIGHTS)
    settings = build_yaml(root, folder / SETTINGS, weights)
    if settings.get("format") != FORMAT:
        raise ValueError(
            f"{folder} has format {settings.get('format')}; this version reads "
            f"format {FORMAT}. Write it anew with the current version."
        )
    if not isinstance(settings.get("model"), torch.nn.Module):
        raise ValueError(f"{folder / SETTINGS} describes no model.")
    with told_if_damaged(folder / WEIGHTS):
        tensors = rename(load_file(folder / WEIGHTS))
    load_strict(settings["model"], tensors, folder / WEIGHTS, elsewhere)
    settings["model"].eval()
    carry_licence(
        settings["model"], settings.get(FIELD), *(settings.get(PARTS) or ())
    )
    return settings


def with_configs(folder: Path) -> Callable[[str, object, dict], dict]:
    """For :func:`write_model`: an encoder's source becomes its configuration
    in the folder, so that its weights are not looked for elsewhere."""
    places = {}

    def adapt(name, module, arguments):
        if arguments.get("source") and hasattr(module, "save_config"):
            place = places.setdefault(module, f"{name}_{len(places)}")
            module.save_config(folder / place)
            arguments["source"] = reference(f"<folder>/{place}")
            arguments.update(pretrained=False, save_path=None)
        return arguments

    return adapt
