"""One folder that holds a whole model: settings, weights, language model.

``hyperparams.yaml`` has every block inlined, the labels and the prompts;
``model.safetensors`` all tensors but the base language model's, which are in
``llm/`` (as Hugging Face writes them) or stay where they were; ``whisper/``
has Whisper's configuration. Nothing in it is pickled.
"""

import hashlib
import json
import shutil
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from hyperpyyaml import load_hyperpyyaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from speechbrain_c2ser.checkpoints.description import (
    describe,
    reference,
    refuse_foreign,
    write_yaml,
)

FORMAT = 1
SETTINGS = "hyperparams.yaml"
WEIGHTS = "model.safetensors"
SMALL_LLM = 200_000_000  # parameters; a smaller one is copied along
PACKAGES = ("speechbrain", "speechbrain_c2ser", "torch", "transformers", "peft")
# Constructor arguments that do not change what a module computes.
RUN_ONLY = ("source", "pretrained", "save_path", "freeze")


def save_c2ser(
    model,
    folder,
    label_space,
    prompts=None,
    languages=("en",),
    include_llm=None,
    temperature=1.0,
    prior=None,
    extra=None,
):
    """Write a model as a folder that ``C2SER.from_hparams`` reads.

    Arguments
    ---------
    model : speechbrain_c2ser.lobes.speech_emotion_llm.SpeechEmotionLLM
        The model.
    folder : str | Path
        Where it goes; an earlier C2SER folder is replaced, in one step.
    label_space : speechbrain_c2ser.labels.LabelSpace
        The emotions it tells apart.
    prompts : dict | None
        ``{"explicit": text, "implicit": text}`` where they differ from the
        published ones.
    languages : sequence of str
        Languages the model answers in.
    include_llm : bool | None
        Whether the base language model is copied; None = if it was trained
        or is small. Otherwise the yaml refers to where it came from.
    temperature : float
        Divides label scores; fitted on validation data.
    prior : list[float] | None
        Probabilities of the labels to divide out.
    extra : dict | None
        Plain facts to keep, such as where the model came from.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        When the folder holds something else, or the model cannot be
        described.
    """
    lm = model.language_model
    include_llm = _include_llm(lm, Path(folder), include_llm)
    acoustic = getattr(model.perception, "acoustic_encoder", None)
    settings = {
        "sample_rate": 16000,
        "languages": list(languages),
        "prompts": prompts,
        "temperature": float(temperature),
        "prior": None if prior is None else [float(p) for p in prior],
        "acoustic_encoder_hash": acoustic and fingerprint(acoustic),
        "extra": extra,
        "label_space": label_space,
        "model": model,
    }

    def adapt(name, module, arguments):
        """Paths become references into the folder."""
        if module is lm:
            arguments["pretrained"] = True
            if include_llm:
                _save_llm(lm, beside / "llm")
                arguments["source"] = reference("<folder>/llm")
        elif arguments.get("source") and hasattr(module, "save_config"):
            module.save_config(beside / "whisper")
            arguments["source"] = reference("<folder>/whisper")
            arguments.update(pretrained=False, save_path=None)
        return arguments

    with written_beside(folder) as beside:
        write_model(beside, settings, model, adapt, elsewhere=_is_base)
    return Path(folder)


def load_c2ser(folder, llm=None, allow=()):
    """Build the model of a folder and load its weights.

    Arguments
    ---------
    folder : str | Path
        Written by :func:`save_c2ser`.
    llm : str | Path | None
        Where the base language model is now, if not where it was.
    allow : sequence of str
        Further modules whose classes the yaml may build, such as a
        connector of your own ("my_package.connectors").

    Returns
    -------
    dict
        ``model``, ``label_space``, ``prompts``, ``languages``,
        ``sample_rate``, ``temperature``, ``prior`` and the other settings.

    Raises
    ------
    FileNotFoundError
        When a file of the folder is missing.
    ValueError
        When the yaml builds foreign objects, or the weights do not fit.
    """
    overrides = {}
    if llm is not None:
        overrides["model"] = {"language_model": {"source": str(llm)}}
    return read_model(folder, overrides, allow, elsewhere=_is_base)


def load_weights(model, folder):
    """Load a folder's weights into a model that a yaml built.

    The base language model is not touched: where it was trained, build the
    model with the folder's ``llm/`` as its source.

    Arguments
    ---------
    model : speechbrain_c2ser.lobes.speech_emotion_llm.SpeechEmotionLLM
        Of the folder's shape.
    folder : str | Path
        Written by :func:`save_c2ser`, such as the result of stage 1.

    Raises
    ------
    FileNotFoundError
        When the folder holds no weights.
    ValueError
        When they do not fit; names the keys.
    """
    weights = Path(folder) / WEIGHTS
    if not weights.is_file():
        raise FileNotFoundError(
            f"{folder} is no complete model folder: it has no {WEIGHTS}."
        )
    load_strict(model, load_file(weights), weights, elsewhere=_is_base)


def save_emotion2vec(encoder, folder, extra=None):
    """Write an encoder as a folder that ``Emotion2VecSEncoder`` reads.

    Arguments
    ---------
    encoder : speechbrain_c2ser.lobes.emotion2vec.Emotion2VecS
        The encoder.
    folder : str | Path
        Where it goes; an earlier folder of this kind is replaced.
    extra : dict | None
        Plain facts to keep.

    Returns
    -------
    Path
        The folder.
    """
    settings = {
        "sample_rate": 16000,
        "acoustic_encoder_hash": fingerprint(encoder),
        "extra": extra,
        "model": encoder,
    }
    with written_beside(folder) as beside:
        write_model(beside, settings, encoder)
    return Path(folder)


def load_emotion2vec(folder):
    """Build the encoder of a folder and load its weights.

    Arguments
    ---------
    folder : str | Path
        Written by :func:`save_emotion2vec`.

    Returns
    -------
    dict
        ``model`` (the encoder) and the other settings.
    """
    return read_model(folder)


def find_folder(source, savedir=None):
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
    problem = f"There is no folder {source}, nor a model of this name"
    if str(source).count("/") != 1 or str(source)[:1] in "./~":
        raise FileNotFoundError(f"{problem}: check the path.")
    try:
        return Path(snapshot_download(str(source), local_dir=savedir))
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"{problem} that can be downloaded: {error}"
        ) from error


def load_strict(module, tensors, what, elsewhere=lambda key: False):
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
    own = {k: v for k, v in module.state_dict().items() if not elsewhere(k)}
    problems = {
        "missing": sorted(own.keys() - tensors.keys()),
        "unexpected": sorted(tensors.keys() - own.keys()),
        "of another shape": [
            f"{k} is {list(tensors[k].shape)}, should be {list(own[k].shape)}"
            for k in sorted(own.keys() & tensors.keys())
            if own[k].shape != tensors[k].shape
        ],
    }
    found = [
        f"{len(keys)} {kind} ({', '.join(keys[:5])}"
        + (", ...)" if len(keys) > 5 else ")")
        for kind, keys in problems.items()
        if keys
    ]
    if found:
        raise ValueError(
            f"{what} does not fit {type(module).__name__}: {'; '.join(found)}."
        )
    module.load_state_dict(tensors, strict=False)


def fingerprint(module):
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
            digest.update(f"{name}={json.dumps(value)};".encode())
    for key, value in sorted(module.state_dict().items()):
        digest.update(f"{key} {value.dtype} {list(value.shape)};".encode())
        value = value.detach().cpu().contiguous().flatten()
        digest.update(value.view(torch.uint8).numpy())
    return digest.hexdigest()


def _is_base(key):
    """Whether a key of SpeechEmotionLLM is the base language model's."""
    return key.startswith("language_model.model.") and "lora_" not in key


def _include_llm(lm, folder, include):
    if include is None:
        size = sum(p.numel() for p in lm.model.parameters())
        arguments = lm.constructor_arguments
        small = size < SMALL_LLM and arguments["quantize"] is None
        include = small or not lm.frozen
    inside = folder.resolve() in Path(lm.source).resolve().parents
    if not include and (not lm.frozen or inside):
        raise ValueError(
            f"The language model of {lm.source} must be saved along (it was "
            "trained, or the folder it is in is to be replaced): set "
            "include_llm=True."
        )
    return include


def _save_llm(lm, folder):
    # With LoRA the base's layers sit one level deeper.
    tensors = {
        key.replace(".base_layer.", "."): value
        for key, value in lm.model.state_dict().items()
        if "lora_" not in key
    }
    lm.model.save_pretrained(folder, state_dict=tensors)
    lm.tokenizer.save_pretrained(folder)


@contextmanager
def written_beside(folder):
    """A temporary folder that takes the place of ``folder`` when complete."""
    folder = Path(folder)
    if folder.exists() and not (folder / SETTINGS).is_file():
        if not folder.is_dir() or any(folder.iterdir()):
            raise ValueError(
                f"{folder} exists and is no model folder; choose another name."
            )
    beside = folder.with_name(folder.name + ".part")
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        beside.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_model(folder, settings, model, adapt=None, elsewhere=None):
    """Write settings and weights into a folder."""
    settings = {
        "format": FORMAT,
        "folder": ".",  # the reader puts the real place here
        "versions": _versions(),
        **settings,
    }
    described = {k: describe(v, k, adapt) for k, v in settings.items()}
    write_yaml(described, folder / SETTINGS)
    tensors = {
        key: value.detach().cpu().contiguous().clone()
        for key, value in model.state_dict().items()
        if elsewhere is None or not elsewhere(key)
    }
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def read_model(folder, overrides=None, allow=(), elsewhere=lambda key: False):
    """Build what a folder describes and load its weights; in eval mode."""
    folder = Path(folder)
    for name in (SETTINGS, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder} is no complete model folder: it has no {name}."
            )
    text = (folder / SETTINGS).read_text(encoding="utf-8")
    refuse_foreign(text, folder / SETTINGS, allow)
    overrides = {"folder": str(folder.resolve()), **(overrides or {})}
    settings = load_hyperpyyaml(text, overrides)
    if settings["format"] != FORMAT:
        raise ValueError(
            f"{folder} has format {settings['format']}; this version reads "
            f"format {FORMAT}. Write it anew with the current version."
        )
    try:
        tensors = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise ValueError(
            f"{folder / WEIGHTS} is damaged and cannot be read: {error}."
        ) from error
    load_strict(settings["model"], tensors, folder / WEIGHTS, elsewhere)
    settings["model"].eval()
    return settings


def _versions():
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
