"""The one manifest format: read, write, check.

A manifest is a JSON object, one object per utterance id, in SpeechBrain's
form. ``wav`` and ``duration`` (s) are required, any other field is kept.
``{data_root}`` in a wav path stands for the manifest's own folder, so that a
corpus can be moved.
"""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from speechbrain_c2ser.audio import AudioError, audio_seconds
from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.columns import (
    BOUNDS,
    DIMENSIONS,
    as_seconds,
    is_missing,
    plain_name,
)
from speechbrain_c2ser.data.data_root import DATA_ROOT, below_data_root
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.sources import source_of
from speechbrain_c2ser.data.tables import number_of, unique_keys
from speechbrain_c2ser.data.text_files import read_text

SPLITS = ("train", "valid", "test")
FIELDS = ("emotion", "language", "speaker", "gender", "transcript", "dataset")
# Where "nan" or a blank is no value; a transcript may be empty, or that word.
VALUES = {*FIELDS, *BOUNDS, *DIMENSIONS} - {"transcript"}
# Names that are almost start and stop; others are of something else.
NEARLY = re.compile(
    r"(t|seg|segment|clip)?(start|begin|stop|end)(time)?(s|secs?|seconds?|ms)?"
)
ROUNDED = 0.1  # seconds


def write_manifest(items: dict, path: str | Path) -> None:
    """Write a manifest, whole or not at all.

    Wav files below the manifest's folder are written relative to it.

    Arguments
    ---------
    items : dict
        Utterance id -> fields.
    path : str | Path
        The JSON file.

    Example
    -------
    >>> import tempfile
    >>> item = {"a": {"wav": "/data/a.wav", "duration": 1.0}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_manifest(item, folder + "/train.json")
    ...     read_manifest(folder + "/train.json") == item
    True
    """
    folder = Path(path).parent
    rows = {
        key: {**item, "wav": below_data_root(item["wav"], folder)}
        for key, item in items.items()
    }
    # One line an item: quick to read, and to look at.
    lines = (
        f"{json.dumps(key)}: {json.dumps(row, ensure_ascii=False)}"
        for key, row in rows.items()
    )
    write_atomic("{\n" + ",\n".join(lines) + "\n}\n", path)


def read_manifest(
    path: str | Path, data_root: str | Path | None = None
) -> dict:
    """Read a manifest; ``{data_root}`` becomes a real folder.

    Arguments
    ---------
    path : str | Path
        A JSON file, one object per utterance id; or an Arrow file of
        :func:`~speechbrain_c2ser.data.arrow_writing.write_arrow_manifest`.
    data_root : str | Path
        What ``{data_root}`` stands for; default: the manifest's folder.

    Returns
    -------
    dict
        Utterance id -> fields that have a value; bounds are numbers.

    Raises
    ------
    ManifestError
        If the file is missing, not JSON or empty, an id is there twice, or
        an item has no wav, or its bounds seem to be under other names.
    """
    path = Path(path)
    if path.suffix == ".arrow" or any(path.glob("*.arrow")):
        from speechbrain_c2ser.data.arrow_manifest import ArrowManifest

        return dict(ArrowManifest(path, data_root).items())
    try:
        text = read_text(path)
        rows = json.loads(text)
        # Items have a wav each. Looking at every key takes half as long again.
        if isinstance(rows, dict) and text.count('"wav"') > len(rows):
            json.loads(text, object_pairs_hook=unique_keys)
    except FileNotFoundError as error:
        raise ManifestError(f"There is no manifest {path}.") from error
    except (ValueError, OSError) as error:
        raise ManifestError(
            f"The manifest {path} cannot be read: {error}."
        ) from error
    if not isinstance(rows, dict):
        raise ManifestError(
            f"The manifest {path} is not a JSON object of utterances."
        )
    if not rows:
        raise ManifestError(f"The manifest {path} is empty.")
    root = os.path.abspath(data_root or path.parent)
    # Of a million rows: what is alike in many is looked at once.
    looked: dict[tuple, list] = {}
    bounds: dict[tuple, list] = {}
    others: dict[tuple, dict] = {}
    words = set()
    for key, item in rows.items():
        if not isinstance(item, dict) or not isinstance(item.get("wav"), str):
            raise ManifestError(
                f"Item {key!r} of the manifest {path} names no wav."
            )
        item["wav"] = item["wav"].replace(DATA_ROOT, root)
        # pandas writes NaN, which is no JSON, where there is no value.
        for field in [field for field, v in item.items() if v != v]:
            del item[field]
        names = tuple(item)
        if names not in looked:
            looked[names] = [name for name in names if name in VALUES]
        for field in looked[names]:
            value = item[field]
            if value.__class__ is not str and value is not None:
                continue
            if value not in words:
                if not is_missing(value):
                    words.add(value)
                # ISO 639-3 calls the language Min Nan "nan".
                elif field != "language" or not (value and value.strip()):
                    del item[field]
        if len(item) < len(names):
            names = tuple(item)
        if names not in bounds:
            bounds[names] = [field for field in BOUNDS if field in item]
            others[names] = _other_bounds(item)
        if others[names] and _are_elsewhere(
            item, others[names], f"Item {key!r} of the manifest {path}"
        ):
            others[names] = {}
        for field in bounds[names]:
            if item[field].__class__ is str:
                item[field] = number_of(item[field], key, field)
    return rows


def _other_bounds(item):
    """Columns of a start and a stop, and their parts of a second."""
    found = {bound: (bound, 1) for bound in ("start", "stop") if bound in item}
    if len(found) == 2:
        return {}
    for column in item:
        if words := NEARLY.fullmatch(plain_name(column)):
            field = "start" if words[2] in ("start", "begin") else "stop"
            parts = 1000 if words[4] == "ms" else 1
            found.setdefault(field, (column, parts))
    return found if len(found) == 2 else {}


def _are_elsewhere(item, columns, row):
    """Refuse a segment under other names; whether it is none of the file.

    Times of the film that the file was cut out of are no bounds: they go
    beyond its end, or are as long as it is.
    """
    ends = [columns["start"], columns["stop"]]
    start, stop = (as_seconds(item[column]) for column, _ in ends)
    if start is None or stop is None or start >= stop:
        return False
    start, stop = start / ends[0][1], stop / ends[1][1]
    length = as_seconds(item.get("duration"))
    if length is None and "start" not in item:
        return False
    if length is not None and not 0 <= start < stop <= length + 0.01:
        return True
    if length is not None and stop - start >= length - ROUNDED:
        return False
    unread = columns.keys() - item.keys()
    foreign = [column for column, _ in ends if column not in columns]
    raise ManifestError(
        f"{row} has a {' and a '.join(sorted(unread))} under another name "
        f"({', '.join(foreign)}): call them start and stop, in seconds, or, "
        "if the file is that segment already, take them out."
    )


def audio_duration(path: str | Path, key: str = "wav") -> float:
    """True duration of an audio file.

    Arguments
    ---------
    path : str | Path
        The file.
    key : str
        The item's name for the error's sentence.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    ManifestError
        If the file is missing, unreadable, or holds no samples.
    """
    try:
        return audio_seconds(path)
    except AudioError as error:
        raise ManifestError(f"Item {key!r}: {error}") from error


def check_manifest(
    items: dict,
    need: Sequence[str] = ("emotion",),
    label_space=None,
    check_audio: bool = True,
) -> None:
    """Check that all a recipe needs is there; name the first bad item.

    Arguments
    ---------
    items : dict
        Utterance id -> fields.
    need : sequence of str
        Fields that each item must have, beside wav and duration.
    label_space : LabelSpace | sequence[str] | None
        The emotions that may occur; anything with ``.names``.
    check_audio : bool
        Open the header of every audio file.

    Raises
    ------
    ManifestError
        One sentence that names the item and what is wrong.

    Example
    -------
    >>> item = {"wav": "a.wav", "duration": 1.0, "emotion": "bored"}
    >>> check_manifest({"a": item}, check_audio=False)
    >>> check_manifest({"a": item}, ("emotion",), ["sad"], False)
    Traceback (most recent call last):
    speechbrain_c2ser.data.errors.ManifestError: Item 'a': unknown \
emotion 'bored' (known: sad).
    """
    if not items:
        raise ManifestError("The manifest is empty.")
    names = getattr(label_space, "names", label_space)
    known = None if names is None else set(names)
    for key, item in items.items():
        for field in ("wav", "duration", *need):
            if item.get(field) in (None, ""):
                there = ", ".join(n for n in item if item[n] is not None)
                raise ManifestError(
                    f"Item {key!r} has no {field!r} (it has: {there})."
                )
        duration = item["duration"]
        is_number = isinstance(duration, (int, float))
        if not is_number or not 0 < duration < float("inf"):
            raise ManifestError(
                f"Item {key!r}: the duration {duration!r} is not a positive "
                "number of seconds."
            )
        emotion = item.get("emotion")
        if known is not None and emotion is not None and emotion not in known:
            raise ManifestError(
                f"Item {key!r}: unknown emotion {emotion!r} "
                f"(known: {', '.join(names)})."
            )
        if check_audio:
            check_segment(key, item, audio_duration(item["wav"], key))


def check_segment(key: str, item: dict, length: float) -> None:
    """Check that "start" and "stop" lie within the audio.

    Arguments
    ---------
    key : str
        The item's name.
    item : dict
        Its fields; without start and stop it is the whole file.
    length : float
        Of the audio file (s).

    Raises
    ------
    ManifestError
        If the segment is empty or leaves the file.
    """
    start = item.get("start") or 0.0
    stop = length if item.get("stop") is None else item["stop"]
    # A header counts samples, a manifest rounds seconds.
    if not 0 <= start < stop <= length + 0.01:
        unit = ", so its bounds are no seconds: convert them"
        raise ManifestError(
            f"Item {key!r}: the segment {start} to {stop} s is not within "
            f"its audio file of {length:.3f} s{unit * (stop > 50 * length)}."
        )


def check_leakage(
    splits: dict, by: Sequence[str] = ("id", "wav", "speaker")
) -> None:
    """Refuse that train, valid and test share what must be apart.

    Segments of one file count as different, a speaker counts within a data
    set.

    Arguments
    ---------
    splits : dict
        Split name -> items; those of the largest are gone through, not kept.
    by : sequence of str
        "id", "wav", "speaker" and/or "dataset" (for a test corpus that must
        be foreign to the training set: spellings of one source count as the
        same, see ``corpora/sources.py``); items without the field are passed
        over.

    Raises
    ------
    ManifestError
        Names the two splits and the shared value.

    Example
    -------
    >>> items = {"a": {"wav": "a.wav", "speaker": "1", "duration": 1.0}}
    >>> check_leakage({"train": items, "test": {}})
    """
    order = list(splits)
    # of the largest nothing needs to be remembered
    by_size = sorted(order, key=lambda split: len(splits[split]))
    for field in by:
        owner: dict = {}
        for split in by_size:
            items = splits[split]
            is_id = field == "id"
            pairs = ((key, {}) for key in items) if is_id else items.items()
            for key, item in pairs:
                value = key if is_id else item.get(field)
                if value is None:
                    continue
                mark = _owned(field, value, item)
                other = owner.get(mark, split)
                if other != split:
                    both = sorted((other, split), key=order.index)
                    raise ManifestError(
                        f"Leakage: the {field} {value!r} of item {key!r} is "
                        f"in both {' and '.join(both)}."
                    )
                if split != by_size[-1]:
                    owner[mark] = split


def _owned(field, value, item):
    """What two splits must not share, in comparable form."""
    if field == "speaker":
        return item.get("dataset"), value
    if field == "wav":
        return value, item.get("start"), item.get("stop")
    return source_of(value) if field == "dataset" else value
