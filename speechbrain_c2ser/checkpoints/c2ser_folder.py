"""A whole C2SER model as one folder, its language model beside it."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from speechbrain_c2ser.checkpoints.base_model import (
    base_fingerprint,
    require_base,
)
from speechbrain_c2ser.checkpoints.description import reference
from speechbrain_c2ser.checkpoints.folder import (
    fingerprint,
    load_strict,
    read_model,
    with_configs,
    write_model,
)
from speechbrain_c2ser.checkpoints.licences import (
    carry_licence,
    licence_of,
    parts_of,
    plain_settings,
)
from speechbrain_c2ser.checkpoints.replacing import written_beside
from speechbrain_c2ser.checkpoints.signatures import describe_folder
from speechbrain_c2ser.lobes.pretrained_files import told_if_damaged

WEIGHTS = "model.safetensors"
LLM_HASH = "language_model_hash"
SMALL_LLM = 200_000_000  # parameters; a smaller one is copied along


def save_c2ser(
    model,
    folder: str | Path,
    label_space,
    prompts: dict | None = None,
    languages: Sequence[str] = ("en",),
    include_llm: bool | None = None,
    temperature: float = 1.0,
    prior: list[float] | None = None,
    extra: dict | None = None,
    slots: Sequence = (),
    licence: str | None = None,
) -> Path:
    """Write a model as a folder that ``C2SER.from_hparams`` reads.

    Arguments
    ---------
    model : speechbrain_c2ser.lobes.SpeechEmotionLLM
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
    slots : sequence of speechbrain_c2ser.chain_of_thought.slots.Slot
        What the model is told beside the speech, before the question.
    licence : str | None
        Of the weights, as the Hugging Face hub calls it ("apache-2.0"); None
        takes that of the parts, where they come under one.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        When the folder holds something else, the model cannot be described,
        or the licence is none or leaves out what a part's asks for.
    """
    lm = model.language_model
    include_llm = _include_llm(lm, Path(folder), include_llm)
    acoustic = getattr(model.perception, "acoustic_encoder", None)
    settings = {
        "sample_rate": 16000,
        "languages": list(languages),
        "prompts": prompts,
        "slots": list(slots),
        "temperature": float(temperature),
        "prior": None if prior is None else [float(p) for p in prior],
        "acoustic_encoder_hash": acoustic and fingerprint(acoustic),
        LLM_HASH: base_fingerprint(lm.model),
        "extra": extra,
        "licence": licence,
        "label_space": label_space,
        "model": model,
    }

    with written_beside(folder) as beside:
        adapt = _with_llm(beside, lm, include_llm)
        write_model(beside, settings, model, adapt, elsewhere=_is_base)
    return Path(folder)


def load_c2ser(
    folder: str | Path, llm: str | Path | None = None, allow: Sequence[str] = ()
) -> dict:
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
        ``model``, ``label_space``, ``prompts``, ``slots``, ``languages``,
        ``sample_rate``, ``temperature``, ``prior`` and the other settings.

    Raises
    ------
    FileNotFoundError
        When a file of the folder is missing.
    ValueError
        When the yaml builds foreign objects, the weights do not fit, or the
        language model is another one than that of the training.
    """
    overrides = {}
    if llm is not None:
        overrides["model"] = {"language_model": {"source": str(llm)}}
    settings = read_model(folder, overrides, allow, elsewhere=_is_base)
    lm = settings["model"].language_model
    require_base(lm, settings.get(LLM_HASH), folder, "llm=FOLDER")
    return settings


def load_weights(model, folder: str | Path) -> None:
    """Load a folder's weights into a model that a yaml built.

    The base language model is not touched, and has to be the folder's: where
    it was trained, build the model with the folder's ``llm/`` as its source.

    Arguments
    ---------
    model : speechbrain_c2ser.lobes.SpeechEmotionLLM
        Of the folder's shape.
    folder : str | Path
        Written by :func:`save_c2ser`, such as the result of stage 1.

    Raises
    ------
    FileNotFoundError
        When the folder holds no weights.
    ValueError
        When they do not fit (names the keys), or the model has another
        language model than the folder.
    """
    weights = Path(folder) / WEIGHTS
    if not weights.is_file():
        raise FileNotFoundError(
            f"{folder} is no complete model folder (it has no {WEIGHTS}): "
            f"{describe_folder(folder)}."
        )
    _require_same_base(model.language_model, Path(folder))
    with told_if_damaged(weights):
        tensors = load_file(weights)
    load_strict(model, tensors, weights, elsewhere=_is_base)
    carry_licence(model, licence_of(folder), *parts_of(folder))


def _require_same_base(lm, folder):
    """Whether a model has the language model that a folder was saved with."""
    llm = folder / "llm"
    if not llm.is_dir():
        expected = plain_settings(folder).get(LLM_HASH)
        require_base(lm, expected, folder, "--llm_source=FOLDER")
        return
    if Path(lm.source).resolve() == llm.resolve():
        return
    base_tensors = _base_tensors(lm)
    for file in sorted(llm.glob("*.safetensors")):
        with safe_open(file, "pt") as saved:
            for key in saved.keys():
                if not _equal(base_tensors.get(key), saved.get_tensor(key)):
                    raise ValueError(
                        f"{folder} was trained with the language model in "
                        f"its llm/, and {lm.source} is another one ({key} "
                        f"differs): start with --llm_source={llm}."
                    )


def _equal(ours, theirs):
    """Equal weights, in the coarser one of their types."""
    if ours is None or ours.shape != theirs.shape:
        return False
    ours = ours.detach().cpu()
    coarser = min(ours.dtype, theirs.dtype, key=lambda dtype: dtype.itemsize)
    return torch.equal(ours.to(coarser), theirs.to(coarser))


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


def _with_llm(folder, lm, include_llm):
    """As :func:`with_configs`, and the language model beside it."""
    of_encoder = with_configs(folder)

    def adapt(name, module, arguments):
        if module is not lm:
            return of_encoder(name, module, arguments)
        arguments.update(pretrained=True, device=None)
        if include_llm:
            _save_llm(lm, folder / "llm")
            arguments["source"] = reference("<folder>/llm")
        return arguments

    return adapt


def _save_llm(lm, folder):
    lm.model.save_pretrained(folder, state_dict=_base_tensors(lm))
    lm.tokenizer.save_pretrained(folder)


def _base_tensors(lm):
    """Name → tensor of the base, named as if there were no LoRA."""
    return {
        # with LoRA the base's layers sit one level deeper
        key.replace(".base_layer.", "."): value
        for key, value in lm.model.state_dict().items()
        if "lora_" not in key
    }
