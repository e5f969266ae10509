"""The emotion2vec family's published files in our modules.

Understood: Emotion2Vec-S, emotion2vec and data2vec 2.0 audio as fairseq wrote
them (``checkpoint.pt``), emotion2vec and emotion2vec+ as FunASR publishes them
(``model.pt``), and tensors of those names as safetensors.
"""

from pathlib import Path
from typing import NamedTuple

import torch
import yaml

from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.checkpoints.converters.emotion2vec_architecture import (
    architecture,
    architecture_of_shapes,
)
from speechbrain_c2ser.checkpoints.converters.emotion2vec_keys import rename
from speechbrain_c2ser.checkpoints.converters.safe_pickle import (
    load_checkpoint,
    plain,
)
from speechbrain_c2ser.checkpoints.emotion2vec_folder import (
    load_emotion2vec,
    save_emotion2vec,
)
from speechbrain_c2ser.checkpoints.folder import load_strict
from speechbrain_c2ser.checkpoints.licences import (
    carry_licence,
    check_licence,
    licences_of,
)
from speechbrain_c2ser.lobes.classifier.emotion_classifier import (
    EmotionClassifier,
)
from speechbrain_c2ser.lobes.classifier.poolings import MaskedMean
from speechbrain_c2ser.lobes.emotion2vec.encoder import Emotion2VecS
from speechbrain_c2ser.lobes.heads.category import CategoryHead
from speechbrain_c2ser.lobes.heads.multi_head import MultiHead


class Emotion2VecCheckpoint(NamedTuple):
    """What a published file holds, in our modules.

    Arguments
    ---------
    encoder : Emotion2VecS
        In eval mode.
    classifier : EmotionClassifier | None
        emotion2vec+, where the file is one: the encoder, the mean of its
        frames and a head over the labels in use.
    unused : dict
        Official key → why it has no place.
    """

    encoder: Emotion2VecS
    classifier: EmotionClassifier | None
    unused: dict


def build(official, config=None, arguments=None, labels=None, unused_keys=()):
    """Builds encoder and classifier of an official state dict, filled.

    Tensors on the meta device give modules on the meta device.

    Arguments
    ---------
    official : dict
        Official name → tensor; or our names, as our folders hold them.
    config : dict | None
        Official configuration as plain values; None: from the shapes.
    arguments : dict | None
        Constructor arguments of `Emotion2VecS` that override both.
    labels : list[str] | None
        Labels of the head; None: "0", "1", ... Those that start with "unuse"
        were never trained and are left out.
    unused_keys : sequence of str
        Regular expressions of further keys to leave out.

    Returns
    -------
    Emotion2VecCheckpoint
        Encoder, classifier and the unused keys.

    Raises
    ------
    ValueError
        When keys are missing, unexpected or mis-shaped, by name; or when the
        configuration asks for something that is not computed here.
    """
    if "front_end.convs.0.weight" in official:
        tensors, unused = dict(official), {}
    else:
        tensors, unused = rename(official, unused_keys)
    head_tensors = {
        key.removeprefix("head."): tensors.pop(key)
        for key in list(tensors)
        if key.startswith("head.")
    }
    if config is None:
        settings = architecture_of_shapes(tensors, arguments)
    else:
        settings = {**architecture(config), **(arguments or {})}
    with torch.device(next(iter(tensors.values())).device):
        encoder = Emotion2VecS(**settings)
        classifier = None
        if head_tensors:
            classifier = mean_pool_classifier(encoder, head_tensors, labels)
    _fill(encoder, tensors, "The checkpoint")
    if classifier is not None:
        classifier.eval()
    return Emotion2VecCheckpoint(encoder.eval(), classifier, unused)


def mean_pool_classifier(
    encoder: Emotion2VecS,
    head_tensors: dict[str, torch.Tensor],
    labels: list[str] | None = None,
) -> EmotionClassifier:
    """emotion2vec+: the mean over frames, then one linear layer.

    Arguments
    ---------
    encoder : Emotion2VecS
        The encoder.
    head_tensors : dict[str, torch.Tensor]
        "weight" [labels, C] and "bias" [labels].
    labels : list[str] | None
        As for :func:`build`.

    Returns
    -------
    EmotionClassifier

    Raises
    ------
    ValueError
        For another number of labels, or when none is in use.
    """
    size = head_tensors["weight"].shape[0]
    labels = labels or [str(i) for i in range(size)]
    if len(labels) != size:
        raise ValueError(
            f"The checkpoint's head has {size} outputs, but {len(labels)} "
            "labels are given."
        )
    used = [i for i in range(size) if not labels[i].startswith("unuse")]
    if not used:
        raise ValueError(
            "No label is left: every one of them starts with 'unuse'."
        )
    head = CategoryHead(encoder.output_size, [labels[i] for i in used])
    rows = {key: tensor[used] for key, tensor in head_tensors.items()}
    _fill(head.linear, rows, "The checkpoint's head")
    return EmotionClassifier(
        encoder, MultiHead({"emotion": head}), MaskedMean(encoder.output_size)
    )


def _fill(module, tensors, what):
    """Loads loudly; on the meta device only names and shapes are checked."""
    dtype = next(module.parameters()).dtype
    load_strict(
        module,
        {key: value.detach().to(dtype) for key, value in tensors.items()},
        what,
    )


def load_official(path, labels=None, arguments=None, unused_keys=()):
    """Reads a published file; nothing in it is run.

    The architecture comes from the configuration inside the file (fairseq) or
    beside it (FunASR's config.yaml), else from the tensors' shapes; labels
    come from tokens.txt beside it.

    Arguments
    ---------
    path : str | Path
        checkpoint.pt, model.pt or .safetensors.
    labels : list[str] | None
        Labels of the head, where there is no tokens.txt.
    arguments : dict | None
        Constructor arguments of `Emotion2VecS` that override the file's.
    unused_keys : sequence of str
        Regular expressions of keys to leave out, beside the known ones.

    Returns
    -------
    Emotion2VecCheckpoint
        Encoder, classifier and the unused keys.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    UnsafeCheckpointError
        When the file asks for something that could run code.
    ValueError
        When it is no checkpoint of this family; when keys are missing,
        unexpected or mis-shaped, by name.
    """
    path = Path(path)
    content = load_checkpoint(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no dictionary of tensors.")
    official = content.get("model", content)
    if labels is None and (path.parent / "tokens.txt").is_file():
        text = (path.parent / "tokens.txt").read_text(encoding="utf-8")
        labels = [line.strip() for line in text.splitlines() if line.strip()]
    try:
        return build(
            official, _config(content, path), arguments, labels, unused_keys
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _config(content, path):
    """Configuration of a file as plain values, or None."""
    if (path.parent / "config.yaml").is_file():
        text = (path.parent / "config.yaml").read_text(encoding="utf-8")
        config = yaml.safe_load(text)
        if isinstance(config, dict) and "model_conf" in config:
            return config["model_conf"]
    for config in (plain(content.get("cfg")), plain(content.get("args"))):
        if isinstance(config, dict):
            model = config.get("model", config)
            if isinstance(model, dict) and "modalities" in model:
                return config
    return None


def load_encoder(source, freeze=False):
    """The encoder of a folder of ours or of a published file.

    Arguments
    ---------
    source : str | Path
        Folder written by :func:`convert` or by the pre-training recipe, or a
        published file as for :func:`load_official`.
    freeze : bool
        Whether the encoder takes no gradients and stays in eval.

    Returns
    -------
    Emotion2VecS

    Raises
    ------
    FileNotFoundError
        If there is nothing of that name.
    """
    if Path(source).is_dir():
        loaded = load_emotion2vec(source)["encoder"]
    else:
        loaded = load_official(source).encoder
    encoder = Emotion2VecS(**{**loaded.constructor_arguments, "freeze": freeze})
    encoder.load_state_dict(loaded.state_dict())
    carry_licence(encoder, *licences_of(loaded))
    return encoder


def convert(
    source,
    output_folder,
    labels=None,
    arguments=None,
    unused_keys=(),
    licence=None,
):
    """Writes a published file as a folder: hyperparams.yaml + safetensors.

    Arguments
    ---------
    source : str | Path
        As for `load_official`.
    output_folder : str | Path
        Read again by `load_emotion2vec` and by `Emotion2VecSEncoder`; of an
        emotion2vec+ file by the public `EmotionClassifier` too.
    labels : list[str] | None
        As for `load_official`.
    arguments : dict | None
        As for `load_official`.
    unused_keys : sequence of str
        As for `load_official`.
    licence : str | None
        Of the published weights, as the Hugging Face hub calls it.

    Returns
    -------
    Emotion2VecCheckpoint
        What was converted, with the unused keys.
    """
    if licence is not None:
        check_licence(licence)
    checkpoint = load_official(source, labels, arguments, unused_keys)
    extra = {"converted_from": Path(source).name}
    if checkpoint.classifier is None:
        save_emotion2vec(checkpoint.encoder, output_folder, extra, licence)
    else:
        save_classifier(
            checkpoint.classifier, output_folder, extra=extra, licence=licence
        )
    return checkpoint
