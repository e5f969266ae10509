"""How a yaml names manifests: a path, or one with a share, a map, a label."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.weak import EMOTION, WEAK
from speechbrain_c2ser.labels import LabelSpace

KEYS = ("manifest", "share", "map", "label")


class Part(NamedTuple):
    """A manifest as a part of a pool.

    Arguments
    ---------
    path : Path
        The manifest.
    share : float
        How much of it is taken; 2 is every row twice.
    places : dict | LabelSpace | None
        The corpus's label → ours, or None for what is left out; or the set
        that its labels are mapped to.
    label : str
        Field that is the label: "emotion" or "weak".
    """

    path: Path
    share: float = 1.0
    places: dict | LabelSpace | None = None
    label: str = EMOTION


def parts_of(source: Any) -> list[Part]:
    """The parts of a pool, as a yaml names them.

    Arguments
    ---------
    source : str | Path | dict | list of them
        Manifests. A dict has ``manifest`` and perhaps ``share``, how much of
        it is taken (0.1: a tenth, the same rows in every run; 2: every row
        twice), and ``map``: the corpus's label → ours, null for what is left
        out, other labels as they are; or the name or size of a label set;
        and ``label``, the field that is the label: "emotion", or "weak" for
        the most probable one of ``c2ser label``.

    Returns
    -------
    list of Part

    Raises
    ------
    ManifestError
        For an entry of another form.

    Example
    -------
    >>> parts_of(["a.json", {"manifest": "b.json", "share": 0.5}])[1].share
    0.5
    """
    entries = source if isinstance(source, list | tuple) else [source]
    if not entries:
        raise ManifestError("The list of manifests is empty: name one.")
    return [_part(entry) for entry in entries]


def is_rows(source: Any) -> bool:
    """Whether a dict is rows (id → row) and does not name a manifest.

    Example
    -------
    >>> is_rows({"a": {"wav": "a.wav"}}), is_rows({"manifest": "a.json"})
    (True, False)
    """
    return isinstance(source, dict) and not isinstance(
        source.get("manifest"), str | os.PathLike
    )


def _part(entry):
    if isinstance(entry, str | os.PathLike):
        return Part(Path(entry))
    if not isinstance(entry, dict) or is_rows(entry):
        raise ManifestError(
            f"{entry!r} is no manifest: give a path, or {{manifest: PATH, "
            "share: 0.5, map: {bored: null}}."
        )
    path = Path(entry["manifest"])
    unknown = sorted(set(entry) - set(KEYS))
    if unknown:
        raise ManifestError(
            f"{path} has the key {unknown[0]!r}, which is not known: give "
            f"{', '.join(KEYS)}."
        )
    share = entry.get("share", 1.0)
    number = isinstance(share, int | float) and not isinstance(share, bool)
    if not number or not 0 < share < float("inf"):
        raise ManifestError(
            f"The share {share!r} of {path} is no number above 0."
        )
    places = entry.get("map")
    if isinstance(places, str | int):
        try:
            places = LabelSpace.from_name(places)
        except ValueError as error:
            raise ManifestError(f"The map of {path}: {error}") from error
    if not isinstance(places, dict | LabelSpace | None):
        raise ManifestError(
            f"The map {places!r} of {path} is none: give label: label, or the "
            "name of a label set."
        )
    label = entry.get("label", EMOTION)
    if label not in (EMOTION, WEAK):
        raise ManifestError(
            f"The label {label!r} of {path} is none: give {EMOTION} or {WEAK}."
        )
    return Part(path, float(share), places, label)
