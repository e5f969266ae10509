"""Official keys of the emotion2vec family -> ours: one table of rules.

Every key has a target, or is named as known and unused, or is an error.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

AUDIO = r"modality_encoders\.AUDIO\."
BLOCK = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.qkv": "qkv",
    "attn.proj": "projection",
    "mlp.fc1": "mlp.0",
    "mlp.fc2": "mlp.3",
}


def _position(match):
    """Official convolutions of positions are counted from 1."""
    return f"positions.convs.{int(match[1]) - 1}.{match[2]}"


def _blocks(official, ours):
    """Rules for the tensors of a stack of blocks."""
    return tuple(
        (
            official + rf"\.(\d+)\.{re.escape(layer)}\.(weight|bias)",
            rf"{ours}.\1.{our_layer}.\2",
        )
        for layer, our_layer in BLOCK.items()
    )


# Official key -> ours, as for `re.sub`.
RENAMED = (
    (AUDIO + r"extra_tokens", "utterance_tokens"),
    (AUDIO + r"alibi_scale", "alibi_scale"),
    (
        AUDIO + r"local_encoder\.conv_layers\.(\d+)\.0\.weight",
        r"front_end.convs.\1.weight",
    ),
    (
        AUDIO + r"local_encoder\.conv_layers\.(\d+)\.2\.1\.(\w+)",
        r"front_end.norms.\1.\2",
    ),
    (AUDIO + r"project_features\.1\.(\w+)", r"feature_norm.\1"),
    (AUDIO + r"project_features\.2\.(\w+)", r"projection.\1"),
    (AUDIO + r"relative_positional_encoder\.0\.(\w+)", r"positions.norm.\1"),
    # A norm in front puts the convolutions one level deeper, inside "1.".
    (
        AUDIO + r"relative_positional_encoder\.(?:1\.)?(\d+)\.0\.(\w+)",
        _position,
    ),
    (AUDIO + r"context_encoder\.norm\.(\w+)", r"prenet_norm.\1"),
    *_blocks(AUDIO + r"context_encoder\.blocks", "prenet"),
    *_blocks("blocks", "blocks"),
    (r"norm\.(\w+)", r"norm.\1"),
    (r"proj\.(\w+)", r"head.\1"),
)
# Ours that lie otherwise than the official tensor.
TRANSFORMS = (
    (r"\w+\.convs\.\d+\.weight", lambda kernel: kernel.transpose(1, 2)),
    (r"alibi_scale", lambda scale: scale.reshape(len(scale), scale.shape[2])),
)
# Regular expressions of keys that features do not need.
UNUSED = {
    AUDIO + r"decoder\..*": "the pre-training decoder",
    r"shared_decoder\..*": "the pre-training decoder",
    r"recon_proj\..*": "the pre-training's reconstruction",
    r"_ema(\..*)?": "the averaged teacher of the pre-training",
    r"(encoder_)?ema\..*": "the averaged teacher of the pre-training",
}


class Target(NamedTuple):
    """Where an official tensor goes.

    Arguments
    ---------
    name : str
        In the state dict of `Emotion2VecS`, or "head." and the name.
    transform : Callable
        Official tensor -> ours.
    """

    name: str
    transform: Callable[[torch.Tensor], torch.Tensor]


def target_of(
    key: str, unused: Mapping[str, str] = UNUSED
) -> Target | str | None:
    """Where the tensor of an official key goes.

    Arguments
    ---------
    key : str
        Official key without the prefix "d2v_model.".
    unused : Mapping[str, str]
        Regular expression of keys without a target -> why.

    Returns
    -------
    Target | str | None
        The target, or why there is none; None for a key that is not known.

    Example
    -------
    >>> target_of("blocks.0.attn.qkv.bias").name
    'blocks.0.qkv.bias'
    >>> target_of("recon_proj.weight")
    "the pre-training's reconstruction"
    """
    for pattern, reason in unused.items():
        if re.fullmatch(pattern, key):
            return reason
    for pattern, ours in RENAMED:
        if re.fullmatch(pattern, key):
            name = re.sub(pattern, ours, key)
            break
    else:
        return None
    for pattern, transform in TRANSFORMS:
        if re.fullmatch(pattern, name):
            return Target(name, transform)
    return Target(name, lambda tensor: tensor)


def rename(official, unused_keys=()):
    """Official tensors under the names of `Emotion2VecS` (and "head.").

    Arguments
    ---------
    official : dict
        Official state dict, name → tensor (on any device, meta too), with or
        without the prefix "d2v_model.".
    unused_keys : sequence of str
        Regular expressions of further keys to leave out.

    Returns
    -------
    tensors : dict
        Our name → tensor.
    unused : dict
        Official name → why it has no place.

    Raises
    ------
    ValueError
        When a key is neither known nor known to be unused.

    Example
    -------
    >>> tensors, unused = rename({
    ...     "d2v_model.modality_encoders.AUDIO.extra_tokens": torch.ones(1, 2),
    ...     "_ema": None,
    ... })
    >>> list(tensors), unused
    (['utterance_tokens'], {'_ema': 'the averaged teacher of the pre-training'})
    """
    tensors, unused, unknown = {}, {}, []
    reasons = {**UNUSED, **dict.fromkeys(unused_keys, "left out on request")}
    for key, tensor in official.items():
        target = target_of(_bare(key), reasons)
        if isinstance(target, str):
            unused[key] = target
        elif target is None or not isinstance(tensor, torch.Tensor):
            unknown.append(key)
        elif target.name in tensors:
            raise ValueError(
                f"The checkpoint holds {_bare(key)} twice, with and without "
                "the prefix 'd2v_model.'."
            )
        else:
            tensors[target.name] = target.transform(tensor)
    if unknown:
        raise ValueError(
            f"{len(unknown)} keys of the checkpoint are unexpected, not known "
            f"in any of the emotion2vec family: {_some(unknown)}. If features "
            "do not need them, name them in unused_keys."
        )
    return tensors, unused


def _bare(key):
    return key.removeprefix("d2v_model.")


def _some(names):
    names = sorted(names)
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
