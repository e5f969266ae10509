"""Rows of any table become manifest items: names, bounds, ratings, audio."""

import json
import logging
import os
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from tqdm import tqdm

from speechbrain_c2ser.data.columns import (
    DIMENSIONS,
    RATER,
    as_id,
    as_json,
    fields_of,
    is_missing,
    known_names,
    plain_name,
)
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.lists import check_unread_bounds, found_path
from speechbrain_c2ser.data.manifest import (
    audio_duration,
    check_segment,
)
from speechbrain_c2ser.data.tables import number_of
from speechbrain_c2ser.labels.emotion_words import (
    BETWEEN,
    concept_of,
    plain_label,
    several_emotions,
)

logger = logging.getLogger(__name__)
NUMBERS = ("duration", "start", "stop")
TEXTS = ("speaker", "gender", "language", "transcript", "dialogue")
GENDERS = {"f": "female", "m": "male", "w": "female"}
# Emo-Emilia says it in the index.
FROM_INDEX = {"ZH_": "zh", "EN_": "en"}
NUMBERED = re.compile(r"-?\d+(\.0)?")  # a class of which nobody knows what
# Columns that say in words what another one numbers.
IN_WORDS = {
    "emotion": "emotion emotion_name emotion_label emotion_text emotion_class "
    "emo emo_name emo_label label label_name label_text class_name"
}
COUNT = re.compile(r"\b\d|[\[{]")
COUNTED = re.compile(r"\s*(.+?)\s*[:=]\s*([\d.]+)\s*")


def import_rows(
    rows: list[dict],
    name: str,
    folder: Path,
    check_audio: bool = True,
    vad_scale: list[float] | None = None,
    columns: dict | None = None,
    keep_disagreed: bool = False,
    prefix: str = "",
    labels: Collection[str] = (),
) -> dict[str, dict]:
    """Bring rows of any of the known field names into manifest items.

    Arguments
    ---------
    rows : list of dict
        Of a table; the names understood are in
        :mod:`speechbrain_c2ser.data.columns`. Columns of raters
        ("rater_1") become ``votes``; valence, arousal and dominance ``vad``.
    name : str
        What the errors call the table.
    folder : Path
        What wav paths are relative to.
    check_audio : bool
        Open the header of every file, also where the duration is given.
    vad_scale : list[float] | None
        Lowest and highest rating; None where they are from 0 to 1.
    columns : dict | None
        Field → the column that it is in, whatever it is called; or a list of
        columns, which become a dict of numbers: ``{"emotion": "Main",
        "intensities": ["Awe", "Fear"]}``.
    keep_disagreed : bool
        Whether a row without emotion is taken for its votes or dimensions.
        One whose votes have a majority always has that emotion; one whose
        votes have none is left out.
    prefix : str
        Of the numbers that rows without ids get.
    labels : collection of str
        Classes given as numbers whose names the user tells.

    Returns
    -------
    dict
        Utterance id -> fields; unknown fields are kept, missing values not.

    Raises
    ------
    ManifestError
        For an id or a recording that is there twice, a row without wav or
        emotion, half a segment, or audio that cannot be used.
    """
    rows = list(rows)
    items, kept, owners = {}, {}, {}
    _check_columns(rows, columns or {}, name)
    named = [_named_fields(row, columns or {}, labels) for row in rows]
    bounds = {
        f for fields, _ in named for f in ("start", "stop") if f in fields
    }
    differed = 0
    for number, (row, (item, rest)) in enumerate(
        zip(tqdm(rows, name, leave=False), named, strict=True), 1
    ):
        key = as_id(item.pop("id", f"{prefix}{number}"))
        if key is None or key in items:
            raise ManifestError(f"{name} holds the item {key!r} twice.")
        if not isinstance(item.get("wav"), str):
            raise ManifestError(_missing(key, name, "wav", item, row))
        check_unread_bounds(item, rest, f"Item {key!r} of {name}")
        _check_bounds(key, item, name, bounds)
        _clean(key, item, folder)
        _ratings(key, item, rest, vad_scale)
        if "emotion" not in item and (most := majority(item.get("votes"))):
            item["emotion"] = most
        if as_id(item.get("emotion")) in labels:
            item["emotion"] = as_id(item["emotion"])
        elif NUMBERED.fullmatch(str(item.get("emotion"))):
            raise ManifestError(_missing(key, name, "emotion", item, row))
        if item.get("votes") and "emotion" not in item and not keep_disagreed:
            continue  # told by import_notes
        rated = keep_disagreed and (item.get("votes") or item.get("vad"))
        if not isinstance(item.get("emotion"), str) and (
            "emotion" in item or not rated
        ):
            raise ManifestError(_missing(key, name, "emotion", item, row))
        if check_audio or "duration" not in item:
            differed += _measure(key, item)
        heard = item["wav"], item.get("start"), item.get("stop")
        first = owners.setdefault((*heard, rest.get("channel")), key)
        if first != key:
            raise ManifestError(
                f"{name} names the recording {item['wav']} twice, as {first!r} "
                f"and {key!r}: leave one row (labels of several raters are "
                "votes: sad,sad,angry)."
            )
        items[key], kept[key] = item, rest
    if differed:
        logger.warning(
            "The durations of %d rows of %s are not those of their files, "
            "which count: they may be of another unit.",
            differed,
            name,
        )
    return {
        key: item
        | {f: v for f, v in as_json(kept[key]).items() if v is not None}
        for key, item in items.items()
    }


def majority(votes: dict | None) -> str | None:
    """The label that has more votes than any other.

    Example
    -------
    >>> majority({"sad": 2, "angry": 1}), majority({"sad": 1, "angry": 1})
    ('sad', None)
    """
    if not votes:
        return None
    most = max(votes.values())
    first, *others = [label for label, n in votes.items() if n == most]
    return None if others or not most else first


def _named_fields(row, columns, labels=()):
    """Fields and rest, some columns by the names that the user gives."""
    given = {c: f for f, c in columns.items() if isinstance(c, str)}
    grouped = {
        field: {c: row[c] for c in listed if not is_missing(row.get(c))}
        for field, listed in columns.items()
        if not isinstance(listed, str)
    }
    taken = {*given, *(c for each in grouped.values() for c in each)}
    others = {c: v for c, v in row.items() if c not in taken}
    fields, rest = fields_of(others)
    number = fields.get("emotion")
    if NUMBERED.fullmatch(str(number)) and as_id(number) not in labels:
        # A column called "label" may be of anything.
        words = {
            c: v
            for c, v in others.items()
            if isinstance(v, str) and (concept_of(v) or several_emotions(v))
        }
        named, unnamed = fields_of(words, IN_WORDS)
        fields |= named
        rest = {c: v for c, v in rest.items() if c in unnamed or c not in words}
    fields |= {
        field: row[c] for c, field in given.items() if not is_missing(row[c])
    }
    for field, numbers in grouped.items():
        if numbers:
            key = str(fields.get("id", row))
            fields[field] = {
                c: number_of(value, key, c) for c, value in numbers.items()
            }
    return fields, rest


def _check_columns(rows, columns, name):
    """Refuse a column that the table has not."""
    there = {column for row in rows for column in row}
    for field, listed in columns.items():
        for column in [listed] if isinstance(listed, str) else listed:
            if column not in there:
                raise ManifestError(
                    f"{name} has no column {column!r} for {field} (it has: "
                    f"{', '.join(map(str, sorted(there)))})."
                )


def import_notes(
    rows: list[dict],
    name: str,
    columns: dict,
    number: int,
    used: str | None = None,
) -> list[str]:
    """What a user has to know of a table: what was not taken of it.

    Arguments
    ---------
    rows : list of dict
        As :func:`import_rows` takes them.
    name : str
        Of the table.
    columns : dict
        As :func:`import_rows` takes them.
    number : int
        Of the items that were made of them.
    used : str | None
        A column that tells the split.

    Returns
    -------
    list of str
    """
    unknown = {
        column
        for row in rows
        for column in _named_fields(row, columns)[1]
        if not RATER.fullmatch(plain_name(column))
        and column not in ("vad_scale", used)
    }
    notes = []
    named = [_named_fields(row, columns)[0] for row in rows]
    without = sum("emotion" not in fields for fields in named)
    if without:
        notes.append(
            f"{without} rows of {name} have no emotion: it is the "
            "majority of their votes, where they have one."
        )
    ended = sum(_is_open(fields) for fields in named)
    if ended and any("stop" in fields for fields in named):
        notes.append(
            f"{ended} rows of {name} have a start but no stop: they end with "
            "their files."
        )
    if number < len(rows):
        notes.append(
            f"{len(rows) - number} rows of {name} are left out: their votes "
            "have no majority (keep_disagreed takes them)."
        )
    if not unknown:
        return notes
    return [
        *notes,
        f"Columns of {name} kept as they are, as their names mean nothing "
        f"here: {', '.join(sorted(map(str, unknown)))}.",
    ]


def _missing(key, name, field, item, row):
    if field in item:
        return (
            f"Item {key!r} of {name} has no {field!r}: {item[field]!r} is no "
            "name (give classes by their names, or tell what they mean by "
            f"--labels=\"{{'{item[field]}': ...}}\")."
        )
    named = [c for c in map(str, row) if concept_of(c)]
    remedy = f"looked for: {known_names(field)}"
    if field == "emotion" and len(named) > 1:
        remedy = f"give --columns='{{votes: [{', '.join(named)}]}}'"
    return (
        f"Item {key!r} of {name} has no {field!r} (columns: "
        f"{', '.join(map(str, row))}; {remedy})."
    )


def _is_open(fields):
    """Whether a segment goes to the end of its file (NaT in audformat)."""
    return "start" in fields and not {"stop", "duration"} & fields.keys()


def _check_bounds(key, item, name, bounds):
    """Refuse a stop alone where the table has both bounds."""
    if "stop" in item and "start" not in item and len(bounds) == 2:
        raise ManifestError(
            f"Item {key!r} of {name} has a stop but no start: give both or "
            "neither, as in the other rows."
        )


def _clean(key, item, folder):
    folder = Path(os.path.abspath(folder))
    wav = found_path(item["wav"], folder, from_here=False)
    item["wav"] = os.path.abspath(folder / wav)
    for field in NUMBERS:
        if field in item:
            item[field] = number_of(item[field], key, field)
    for field in TEXTS:
        if field in item:
            item[field] = as_id(item[field]) or str(item[field])
    if "gender" in item:
        gender = item["gender"].lower()
        item["gender"] = GENDERS.get(gender, gender)
    if "language" not in item:
        language = FROM_INDEX.get(key[:3])
        if language:
            item["language"] = language


def _ratings(key, item, rest, vad_scale):
    """Votes and ratings on scales, out of their columns."""
    if any(name in item for name in DIMENSIONS):
        item["vad"] = [
            number_of(item.pop(name), key, name) if name in item else None
            for name in DIMENSIONS
        ]
        low, high = scale = vad_scale or rest.pop("vad_scale", None) or [0, 1]
        if not all(low <= v <= high for v in item["vad"] if v is not None):
            raise ManifestError(
                f"Item {key!r}: {item['vad']} is not from {low} to {high}: "
                "give the scale of the ratings, such as --vad_scale=[1,7]."
            )
        item["vad_scale"] = list(scale)
    if "votes" in item:
        item["votes"] = _votes(key, item["votes"])
    raters = [c for c in rest if RATER.fullmatch(plain_name(c))]
    words = [str(rest.pop(column)).strip() for column in raters]
    if words and "votes" not in item:
        item["votes"] = _votes(key, words)


def _votes(key, value):
    """Label -> number out of a cell: JSON, "sad:2;angry:1", "sad,sad,angry"."""
    if isinstance(value, str) and value[:1] in "{[":
        try:
            value = json.loads(value.replace("'", '"'))
        except ValueError as error:
            raise ManifestError(
                f"Item {key!r}: the votes {value!r} are no JSON."
            ) from error
    if isinstance(value, str):
        signs = BETWEEN if several_emotions(value) else re.compile("[;,|]")
        value = [part.strip() for part in signs.split(value)]
    if isinstance(value, list):
        counted = [COUNTED.fullmatch(str(part)) for part in value]
        if all(counted):
            value = {each[1]: float(each[2]) for each in counted}
        else:
            value = Counter(str(v) for v in value if not is_missing(v))
    if not isinstance(value, dict) or any(map(COUNT.search, map(str, value))):
        raise ManifestError(
            f"Item {key!r}: the votes {value!r} are no counts of names: write "
            "sad:2;angry:1, or sad,sad,angry."
        )
    votes, names = Counter(), {}
    for label, count in value.items():
        if not is_missing(count):  # of one name in several cases, the first
            name = names.setdefault(plain_label(str(label)), str(label).strip())
            votes[name] += number_of(count, key, "votes")
    return dict(votes)


def _measure(key, item):
    """Check audio and segment, take the duration; if another was given."""
    length = audio_duration(item["wav"], key)
    if "start" in item or "stop" in item:
        start = item.setdefault("start", 0.0)
        # A duration beside a start alone is the segment's, as NeMo has it,
        # if it is not the whole file's.
        duration = item.get("duration")
        if duration is None or abs(duration - length) < 0.01:
            duration = length - start
        item.setdefault("stop", round(start + duration, 6))
        check_segment(key, item, length)
        item["duration"] = round(item["stop"] - item["start"], 4)
        return False
    given, item["duration"] = item.get("duration", length), round(length, 4)
    return abs(given - length) > 0.1  # tables round
