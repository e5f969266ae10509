"""Whether a model is the one of before, told by its files."""

import hashlib
import json
from pathlib import Path

from speechbrain_c2ser.checkpoints.replacing import files_of

WEIGHTS = ".safetensors"
END, BEGIN = 1 << 16, 1 << 12  # bytes, of a file and of a tensor


def identity_of(folder: str | Path) -> list[list] | None:
    """What a training anew changes of a folder; a copy or a new date does not.

    Of safetensors, which may be of many GB, both ends and the first bytes of
    each tensor are read: the last ones may be of a part that stayed frozen.

    Arguments
    ---------
    folder : str | Path
        A model's, ours or another.

    Returns
    -------
    list of [str, int, str] | None
        Name, bytes and SHA-256 of each file; None where there is no folder, as
        of a model on the hub.

    Example
    -------
    >>> folder = Path(getfixture("tmpdir"))
    >>> _ = (folder / "hyperparams.yaml").write_text("sample_rate: 16000")
    >>> before = identity_of(folder)
    >>> _ = (folder / "hyperparams.yaml").write_text("sample_rate: 48000")
    >>> identity_of(folder) == before
    False
    >>> identity_of("openai/whisper-base")
    """
    folder = Path(folder)
    if not folder.is_dir():
        return None
    files = files_of(folder) or sorted(
        path for path in folder.rglob("*") if path.is_file()
    )
    return [
        [path.relative_to(folder).as_posix(), path.stat().st_size, _hash(path)]
        for path in files
    ]


def _hash(path):
    size, digest = path.stat().st_size, hashlib.sha256()
    with open(path, "rb") as file:
        while path.suffix != WEIGHTS and (part := file.read(END)):
            digest.update(part)
        ends = [(0, END), (max(0, size - END), END)]
        for place, length in ends + _tensors(file, size):
            file.seek(place)
            digest.update(file.read(length))
    return digest.hexdigest()


def _tensors(file, size):
    """Where each begins, by the table in front, and what of it is read."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    try:
        table = json.loads(file.read(length)) if length < size else {}
        tensors = [table[name] for name in sorted(table)]
        return [
            (8 + length + tensor["data_offsets"][0], BEGIN)
            for tensor in tensors
            if "data_offsets" in tensor
        ]
    except (ValueError, TypeError, LookupError):
        return []  # none of these files: whoever loads it tells
