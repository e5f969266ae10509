"""What a stopped command leaves, so that ``--resume`` goes on from it."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from speechbrain_c2ser.cli.terminal import tell
from speechbrain_c2ser.data.atomic import is_device, part_of

# What the answers depend on.
SETTINGS = (
    "model", "window", "hop", "language", "beams", "segments", "precision",
)  # fmt: skip
WEIGHTS = ".safetensors"
END, BEGIN = 1 << 16, 1 << 12  # bytes, of a file and of a tensor


@contextmanager
def opened_journal(options, folder: str | None = None) -> Iterator:
    """The journal of a command that writes to a file, beside that file.

    After an interruption or a kill it stays for ``--resume``, and so it does
    after a failure; who is done removes it.

    Arguments
    ---------
    options : argparse.Namespace
        With ``run``, ``output``, ``resume`` and what the answers depend on.
    folder : str | None
        Of the model: one that was trained anew answers otherwise.

    Yields
    ------
    Journal | None
        None where results go to standard output, a device or a pipe.
    """
    if options.output is None or is_device(options.output):
        yield None
        return
    from speechbrain_c2ser.checkpoints.replacing import files_of
    from speechbrain_c2ser.checkpoints.user_modules import hashes
    from speechbrain_c2ser.inference.journal import Journal

    folder = folder or options.model
    settings = {
        "command": options.run.__name__.strip("_"),
        **{n: getattr(options, n) for n in SETTINGS if hasattr(options, n)},
    }
    settings["model"] = os.path.abspath(options.model)
    settings["the model's folder"] = [
        [str(path.relative_to(folder)), path.stat().st_size, _digest(path)]
        for path in files_of(folder)
    ]
    settings["user modules"] = hashes()
    path = str(part_of(options.output.rstrip(os.sep), ".resume"))
    with Journal(path, settings, options.resume) as journal:
        try:
            yield journal
        except KeyboardInterrupt:
            tell(f"{path} keeps what is done; --resume goes on from it")
            raise


def _digest(path: Path) -> str:
    """Of what a training anew changes; a copy or a later date changes none.

    Of weights, which may be of many GB, both ends and the first bytes of each
    tensor: the last ones may be of a part that stayed frozen.
    """
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
