"""Rows out of file names, by a pattern that the user gives."""

import re
from pathlib import Path

from speechbrain_c2ser.audio.formats import SOUNDS
from speechbrain_c2ser.data.errors import ManifestError

NEEDED = "emotion"


def rows_of_names(folder: str | Path, pattern: str) -> tuple[list, list[str]]:
    """Rows of a folder whose file names tell emotion, speaker and the like.

    Arguments
    ---------
    folder : str | Path
        Audio files anywhere below it are looked at.
    pattern : str
        Regular expression of the whole name without suffix, or, where it
        holds a "/", of the whole path below the folder without suffix. Its
        named groups are columns; one is "emotion".

    Returns
    -------
    rows : list of dict
        With "id" and "wav", sorted by path.
    notes : list of str
        How many names were not understood, and the first of them.

    Raises
    ------
    ManifestError
        If it is no regular expression or has no group "emotion", or fits no
        file.
    """
    folder = Path(folder)
    try:
        names = re.compile(pattern)
    except re.error as error:
        raise ManifestError(
            f"The pattern {pattern!r} is no regular expression: {error}."
        ) from error
    if NEEDED not in names.groupindex:
        raise ManifestError(
            f"The pattern {pattern!r} has no group (?P<{NEEDED}>...)."
        )
    rows, others = [], []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SOUNDS or path.name.startswith("."):
            continue
        place = path.relative_to(folder)
        stem = place.with_suffix("").as_posix()
        matched = names.fullmatch(stem if "/" in pattern else path.stem)
        if matched is None:
            others.append(place.as_posix())
            continue
        rows.append({"id": stem, "wav": str(place), **matched.groupdict()})
    if not rows:
        raise ManifestError(
            f"The pattern {pattern!r} fits none of the {len(others)} audio "
            f"files in {folder}"
            + (f", such as {others[0]}." if others else ".")
        )
    notes = []
    if others:
        notes.append(
            f"{len(others)} files whose names the pattern does not fit are "
            f"left out (first: {others[0]})."
        )
    return rows, notes
