"""Files that are whole or not there."""

import os
from pathlib import Path


def write_atomic(text: str, path: str | Path) -> None:
    """Write a text file whole or not at all.

    Arguments
    ---------
    text : str
        The content.
    path : str | Path
        Replaced if it exists; its folder is made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
