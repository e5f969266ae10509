"""Whether a language model is the one that an adapter was trained beside."""

import hashlib
from pathlib import Path

import torch
from torch import nn

VALUES = 512  # of each tensor
KINDS = (torch.float32, torch.bfloat16)


def base_fingerprint(model: nn.Module) -> str | None:
    """Hash of the first numbers of each tensor of a base, without its LoRA.

    They are rounded to bfloat16, in which a base may have been kept. Names do
    not count: releases of transformers change them. All is read in place: of
    7B parameters in a few hundred tensors, a third of a MB.

    Arguments
    ---------
    model : nn.Module
        A causal language model, with LoRA in it or without.

    Returns
    -------
    str | None
        64 hexadecimal digits; None where the weights are others than the
        base's: quantized, in float16, laid out for a processor, or none.

    Example
    -------
    >>> one = nn.Linear(4, 4)
    >>> whole = base_fingerprint(one)
    >>> base_fingerprint(one.bfloat16()) == whole
    True
    >>> base_fingerprint(nn.Linear(4, 4)) == whole
    False
    """
    digests = []
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and "weight" not in layer._parameters:
            return None
    for name, weight in model.named_parameters():
        if "lora_" in name:
            continue
        if weight.dtype not in KINDS or weight.is_meta:
            return None
        first = weight.detach().flatten()[:VALUES].to(torch.bfloat16).cpu()
        digest = hashlib.sha256(f"{list(weight.shape)};".encode())
        digest.update(first.view(torch.uint8).numpy().tobytes())
        digests.append(digest.digest())
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def require_base(lm, expected: object, folder: str | Path, remedy: str) -> None:
    """Refuse another language model than the one that a folder tells of.

    Arguments
    ---------
    lm : speechbrain_c2ser.lobes.LanguageModel
        That the folder's weights are to be run with.
    expected : object
        The folder's ``language_model_hash``; what is no text is no hash.
    folder : str | Path
        For the message.
    remedy : str
        How the right one is given, for the message.

    Raises
    ------
    ValueError
        When it is another one.

    Example
    -------
    >>> from types import SimpleNamespace
    >>> lm = SimpleNamespace(model=nn.Linear(1, 1), source="other")
    >>> require_base(lm, None, "old", "llm=FOLDER")
    >>> require_base(lm, 64 * "0", "c2ser", "llm=FOLDER")
    Traceback (most recent call last):
    ValueError: c2ser was trained beside another language model than other,
    whose weights differ: give the one of its training (llm=FOLDER).
    """
    if not isinstance(expected, str) or len(expected) != 64:
        return  # an older folder, or of a base without a fingerprint
    found = base_fingerprint(lm.model)
    if found is not None and found != expected:
        raise ValueError(
            f"{folder} was trained beside another language model than "
            f"{lm.source}, whose weights differ: give the one of its training "
            f"({remedy})."
        )
