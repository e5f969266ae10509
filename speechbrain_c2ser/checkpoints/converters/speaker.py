"""SpeechBrain's published speaker embeddings in our encoder."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from speechbrain_c2ser.checkpoints.converters.safe_pickle import (
    load_checkpoint,
)
from speechbrain_c2ser.checkpoints.folder import load_strict
from speechbrain_c2ser.lobes.encoders.speaker import SpeakerEncoder

FILES = ("embedding_model.safetensors", "embedding_model.ckpt")


def load_speaker_encoder(source: str | Path) -> SpeakerEncoder:
    """The ECAPA-TDNN of a folder of SpeechBrain's, frozen.

    Only the tensors are read, by a closed list of types, and the sizes are
    taken from their shapes: the folder's yaml, which could run code, is not
    opened. Dilations are 1, 2, 3 ... as in every published one.

    Arguments
    ---------
    source : str | Path
        Local folder, such as a copy of speechbrain/spkrec-ecapa-voxceleb.

    Returns
    -------
    SpeakerEncoder

    Raises
    ------
    FileNotFoundError
        If the folder has no embedding model.
    ValueError
        If it is of another architecture.

    Example
    -------
    >>> folder = Path(getfixture("tmpdir"))
    >>> encoder = SpeakerEncoder([16] * 4 + [48], output_size=8)
    >>> path = folder / "embedding_model.ckpt"
    >>> torch.save(encoder.network.state_dict(), path)
    >>> load_speaker_encoder(folder).output_size
    8
    """
    folder = Path(source)
    path = next((folder / f for f in FILES if (folder / f).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"{folder} has neither {FILES[0]} nor {FILES[1]}: give a local "
            "copy of a speaker embedding of SpeechBrain."
        )
    if path.suffix == ".safetensors":
        tensors = load_file(path)
    else:
        tensors = load_checkpoint(path)
    try:
        encoder = SpeakerEncoder(**_sizes(tensors))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no ECAPA-TDNN of SpeechBrain: it lacks {error}."
        ) from error
    load_strict(encoder.network, tensors, path)
    return encoder.eval()


def _sizes(tensors: dict[str, torch.Tensor]) -> dict:
    """Constructor arguments, from the shapes of the weights."""
    first = tensors["blocks.0.conv.conv.weight"].shape
    channels, kernels = [first[0]], [first[2]]
    block = "blocks.{}.tdnn1.conv.conv.weight"
    part = "blocks.{}.res2net_block.blocks.{}.conv.conv.weight"
    number = 1
    while block.format(number) in tensors:
        channels.append(tensors[block.format(number)].shape[0])
        kernels.append(tensors[part.format(number, 0)].shape[2])
        number += 1
    last = tensors["mfa.conv.conv.weight"].shape
    scale = 1
    while part.format(1, scale - 1) in tensors:
        scale += 1
    return {
        "channels": [*channels, last[0]],
        "kernel_sizes": [*kernels, last[2]],
        "dilations": [*range(1, number + 1)][:number] + [1],
        "output_size": tensors["fc.conv.weight"].shape[0],
        "n_mels": first[1],
        "attention_size": tensors["asp.tdnn.conv.conv.weight"].shape[0],
        "se_size": tensors["blocks.1.se_block.conv1.conv.weight"].shape[0],
        "scale": scale,
    }
