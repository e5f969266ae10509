"""What a stopped command leaves, so that ``--resume`` goes on from it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from speechbrain_c2ser.cli.terminal import tell
from speechbrain_c2ser.data.atomic import is_device, part_of

# What the answers depend on.
SETTINGS = (
    "model", "window", "hop", "language", "beams", "segments", "precision",
)  # fmt: skip


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
    from speechbrain_c2ser.checkpoints.identity import identity_of
    from speechbrain_c2ser.checkpoints.user_modules import hashes
    from speechbrain_c2ser.inference.journal import Journal

    folder = folder or options.model
    settings = {
        "command": options.run.__name__.strip("_"),
        **{n: getattr(options, n) for n in SETTINGS if hasattr(options, n)},
    }
    settings["model"] = os.path.abspath(options.model)
    settings["the model's folder"] = identity_of(folder)
    settings["user modules"] = hashes()
    path = str(part_of(options.output.rstrip(os.sep), ".resume"))
    with Journal(path, settings, options.resume) as journal:
        try:
            yield journal
        except KeyboardInterrupt:
            tell(f"{path} keeps what is done; --resume goes on from it")
            raise
