"""Recordings that a folder holds twice: the same bytes under the same name."""

import os
from hashlib import blake2b
from pathlib import Path

from speechbrain_c2ser.data.errors import ManifestError

# Rows of one recording that differ in these are no copies of each other.
APART = ("emotion", "speaker", "start", "stop", "channel")


def drop_copies(splits: dict[str, dict]) -> list[str]:
    """Take a recording once, in place, that lies in several folders.

    Archives are unpacked into themselves, and half of such copies would be
    tested on what the other half trains.

    Arguments
    ---------
    splits : dict
        Split -> items with "wav", an absolute path.

    Returns
    -------
    list of str
        How many were left out, and the first.

    Raises
    ------
    ManifestError
        If a recording is in two splits.

    Example
    -------
    >>> folder = Path(getfixture("tmpdir"))
    >>> for name in "xy":
    ...     (folder / name).mkdir()
    ...     _ = (folder / name / "a.wav").write_bytes(b"RIFF")
    >>> items = {n: {"wav": str(folder / n / "a.wav")} for n in "xy"}
    >>> len(drop_copies({"train": items})), list(items)
    (1, ['x'])
    """
    groups: dict[tuple, list] = {}
    for split, items in splits.items():
        for key, item in items.items():
            if os.path.isfile(item["wav"]):
                name = os.path.basename(item["wav"])
                size = os.path.getsize(item["wav"])
                alike = (name, size, *map(item.get, APART))
                groups.setdefault(alike, []).append((split, key))
    copies = []
    for group in groups.values():
        first = {}
        for split, key in group if len(group) > 1 else ():
            wav = splits[split][key]["wav"]
            content = blake2b(Path(wav).read_bytes()).digest()
            other, same = first.setdefault(content, (split, wav))
            if other != split:
                raise ManifestError(
                    f"Leakage: the recording {same} of {other} is the same "
                    f"file as {wav} of {split}: take one of them out."
                )
            if same != wav:
                del splits[split][key]
                copies.append(f"{same} and {wav}")
    if not copies:
        return []
    return [
        f"{len(copies)} recordings that are there twice, the same bytes under "
        f"the same name, are taken once (first: {copies[0]})."
    ]
