"""Several manifests as one set: shares, label maps, ids by corpus."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from speechbrain.utils.logger import get_logger

from speechbrain_c2ser.data.arrow_manifest import ArrowManifest
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import (
    SPLITS,
    check_leakage,
    read_manifest,
)
from speechbrain_c2ser.data.parts import parts_of
from speechbrain_c2ser.data.streams import open_stream
from speechbrain_c2ser.data.weak import EMOTION, WeakCounts, with_weak
from speechbrain_c2ser.labels import LabelSpace

logger = get_logger(__name__)

SHOWN = 5  # labels in a message


def read_pool(source: Any, aloud: bool = True) -> dict:
    """Rows of one manifest, or of several under ids told by their corpus.

    What is left out is counted and said.

    Arguments
    ---------
    source : str | Path | dict | list of them
        As in :func:`~.parts.parts_of`; ``{data_root}`` of each manifest is
        its own folder.
    aloud : bool
        Whether to say what is left out.

    Returns
    -------
    dict
        Utterance id → fields. Of several manifests the id is "corpus/id", the
        corpus being the row's ``dataset``, else the manifest's folder.

    Raises
    ------
    ManifestError
        For a manifest that cannot be read, a map of a label that no row has,
        a share of no row, an id that is there twice, or dimensions of which
        only some tell their scale.
    """
    parts = parts_of(source)
    items: dict[str, dict] = {}
    for part in parts:
        rows = _labelled(read_manifest(part.path), part, aloud)
        for key, row in _share(
            _relabel(rows, part, aloud), part, aloud
        ).items():
            name = key if len(parts) == 1 else _name(key, row, part.path)
            if name in items:
                raise ManifestError(
                    f"The item {name!r} of {part.path} is in the set already: "
                    "name each manifest once, or give the corpora different "
                    "names in `dataset`."
                )
            items[name] = row
    if len(parts) > 1:
        _check_scales(items)
    return items


def read_pools(
    sources: dict[str, Any], apart: Sequence[str], row_by_row: bool = False
) -> dict[str, Any]:
    """Train, valid and test sets, of one manifest or several each.

    Arguments
    ---------
    sources : dict
        Split → source of :func:`read_pool`; None is no such split.
    apart : sequence of str
        What no two splits may share, as of
        :func:`~speechbrain_c2ser.data.manifest.check_leakage`; over all
        manifests.
    row_by_row : bool
        Whether a split that is one Arrow manifest is opened as
        :func:`~.streams.open_stream` does, and not read whole.

    Returns
    -------
    dict
        Split → items.

    Raises
    ------
    ManifestError
        As :func:`read_pool`, and for what two splits share.
    """
    parts = {
        split: parts_of(sources[split])
        for split in SPLITS
        if sources.get(split) is not None
    }
    for split in parts.keys() - {"train"}:
        if any(part.share > 1 for part in parts[split]):
            raise ManifestError(
                f"A share above 1 repeats rows, which the {split} set cannot: "
                "give 1 at most."
            )
    items: dict[str, Any] = {
        split: (open_stream(sources[split]) if row_by_row else None)
        or read_pool(sources[split])
        for split in parts
    }
    compared = dict(items)
    for split, (first, *others) in parts.items():
        # One name for an utterance, whether its split is a pool or not.
        if not others and any(len(each) > 1 for each in parts.values()):
            compared[split] = {
                _name(key, row, first.path): row
                for key, row in items[split].items()
            }
        elif isinstance(items[split], ArrowManifest):
            compared[split] = items[split].only(apart)
    check_leakage(compared, apart)
    return items


def _labelled(rows, part, aloud):
    """Rows whose emotion is what the part takes for the label."""
    if part.label == EMOTION:
        return rows
    if aloud:
        WeakCounts(rows.values()).tell(part.path)
    return {key: with_weak(row) for key, row in rows.items()}


def _name(key, row, path):
    return f"{row.get('dataset') or path.resolve().parent.name}/{key}"


def _relabel(rows, part, aloud):
    """Rows whose labels are ours."""
    if part.places is None:
        return rows
    place = _placing(rows, part)
    kept, left_out = {}, Counter()
    for key, row in rows.items():
        emotion = row.get("emotion")
        if emotion is not None:
            row["emotion"] = place(emotion)
            if row["emotion"] is None:
                left_out[emotion] += 1
                continue
            if row["emotion"] != emotion:
                row.setdefault("emotion_raw", emotion)
        kept[key] = place_fields(row, place)
    if left_out and aloud:
        logger.warning(
            "%d of %d items of %s are left out by its map: %s",
            sum(left_out.values()),
            len(rows),
            part.path,
            ", ".join(f"{name} {n}" for name, n in left_out.most_common()),
        )
    if not kept:
        raise ManifestError(f"The map of {part.path} leaves no row of it.")
    return kept


def _placing(rows, part):
    """label → its place, None for what has none."""
    if isinstance(part.places, LabelSpace):
        given = {label for row in rows.values() for label in labels_of(row)}
        places = {label: part.places.map(label) for label in given}
        return lambda label: places[label]
    given = Counter(label for row in rows.values() for label in labels_of(row))
    lost = [label for label in part.places if label not in given]
    if lost:
        listed = [label for label, _ in given.most_common(SHOWN)]
        raise ManifestError(
            f"The map of {part.path} names {lost[0]!r}, which no row of it "
            f"has (it has: {', '.join(listed)}"
            f"{' ...' if len(given) > SHOWN else ''})."
        )
    return lambda label: part.places.get(label, label)


def labels_of(row: dict) -> list[str]:
    """Every label that a row names: emotion, votes, weak labels, segments.

    Arguments
    ---------
    row : dict
        Of a manifest.

    Returns
    -------
    list of str

    Example
    -------
    >>> labels_of({"emotion": "sad", "votes": {"sad": 2, "angry": 1}})
    ['sad', 'sad', 'angry']
    """
    named = [row["emotion"]] if row.get("emotion") else []
    named += row.get("votes") or {}
    named += (row.get("weak") or {}).get("labels") or {}
    named += row.get("emotions") or []
    return named + [label for *_, label in row.get("segments") or []]


def place_fields(row: dict, place: Callable) -> dict:
    """A row whose votes, weak labels and segments are mapped.

    Arguments
    ---------
    row : dict
        Of a manifest.
    place : callable
        label → label, or None for what has no place: such votes and segments
        are taken out.

    Returns
    -------
    dict

    Example
    -------
    >>> row = {"votes": {"excited": 2, "happy": 1, "other": 1}}
    >>> place_fields(row, {"excited": "happy", "happy": "happy"}.get)
    {'votes': {'happy': 3}}
    """
    row = dict(row)
    if row.get("votes"):
        row["votes"] = _placed(row["votes"], place)
    if (row.get("weak") or {}).get("labels"):
        placed = _placed(row["weak"]["labels"], place)
        row["weak"] = {**row["weak"], "labels": placed}
    if row.get("emotions"):
        placed = [place(label) for label in row["emotions"]]
        row["emotions"] = sorted({p for p in placed if p is not None})
    if row.get("segments"):
        row["segments"] = [
            [start, end, place(label)]
            for start, end, label in row["segments"]
            if place(label) is not None
        ]
    return row


def _placed(counts, place):
    placed: dict[str, float] = {}
    for label, count in counts.items():
        if (own := place(label)) is not None:
            placed[own] = placed.get(own, 0) + count
    return placed


def _share(rows, part, aloud):
    """So many of the rows, the same in every run; some perhaps repeated."""
    if part.share == 1:
        return rows
    number = round(part.share * len(rows))
    if not number:
        raise ManifestError(
            f"A share of {part.share:g} of the {len(rows)} rows of "
            f"{part.path} is no row: give a larger one."
        )
    if aloud:
        logger.info("%s: %d of %d rows", part.path, number, len(rows))
    whole, rest = divmod(number, len(rows))
    drawn = set(sorted(rows, key=_digest)[:rest])
    taken = {}
    for time in range(whole + 1):
        again = f"#{time + 1}" if time else ""
        for key, row in rows.items():
            if time < whole or key in drawn:
                taken[f"{key}{again}"] = row
    return taken


def _digest(key):
    return hashlib.sha256(key.encode()).digest()


def _check_scales(items):
    """Refuse dimensions of which only some tell their scale."""
    rated = {k: row for k, row in items.items() if row.get("vad") is not None}
    without = [k for k, row in rated.items() if not row.get("vad_scale")]
    outside = [
        key
        for key in without
        if any(v is not None and not 0 <= v <= 1 for v in rated[key]["vad"])
    ]
    if outside or (without and len(without) < len(rated)):
        key = (outside or without)[0]
        raise ManifestError(
            f"Item {key!r} does not tell the scale of its vad "
            f"{rated[key]['vad']}, so it cannot be mixed with others: add "
            "vad_scale, such as [1, 7]."
        )
