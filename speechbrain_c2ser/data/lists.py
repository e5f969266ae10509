"""Lists of recordings: ``wav.scp``, paths, any table with a column of them."""

import os
import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from speechbrain_c2ser.audio import AudioError
from speechbrain_c2ser.audio.formats import SOUNDS
from speechbrain_c2ser.audio.reading import told_seconds
from speechbrain_c2ser.data.columns import (
    FIELDS,
    as_id,
    as_seconds,
    fields_of,
    known_names,
    looks_like_bound,
    looks_like_time,
    plain_name,
)
from speechbrain_c2ser.data.data_root import from_data_root
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.tables import number_of, read_table
from speechbrain_c2ser.data.text_files import read_text

# One path a line; the others are tables.
PATHS = (".scp", ".txt", ".list", ".lst", ".flist", ".filelist", "")
PLAYLISTS = (".m3u", ".m3u8")
DIVIDERS = re.compile(r"[,;|\t]")
OF_KALDI = re.compile(r"\S+\s+\S+\s+\d+(\.\d+)?\s+\d+(\.\d+)?")
OF_AUDACITY = re.compile(r"\d+\.\d+[\s,;]+\d+\.\d+(?:\s.*)?")
# A path and two times: whole numbers may be labels, and commas divide ratings.
WITH_BOUNDS = re.compile(r"(.+?)\s+(\d+\.\d+)\s+(\d+\.\d+)")
OF_FFMPEG = re.compile(r"file '(.+)'")
OF_SAMPLES = re.compile("sample|frame", re.IGNORECASE)
CLOCK = re.compile(r"[\d:.,;]*\d[:;]\d[\d:.,;]*")  # of any kind
NAMES = frozenset(map(plain_name, " ".join(FIELDS.values()).split()))
WAV_NAMES = frozenset(map(plain_name, FIELDS["wav"].split()))


def read_list(path: str | Path) -> dict[str, dict]:
    """Recordings that a list names: wav.scp, a manifest, or any table.

    Arguments
    ---------
    path : str | Path
        ``ID PATH`` a line (.scp, .txt, .list, .lst, .flist, .m3u ... or no
        suffix), or, but in a .scp, paths alone or, on all lines, with start
        and stop (s, as 0.5) behind them; or what :func:`read_table` reads,
        with a column of paths.

    Returns
    -------
    dict
        Id -> fields with "wav", perhaps "start" and "stop" (s, float) and
        "channel" (from 0). A
        path that is not there from the working folder is taken from the
        list's own. A table without ids gives the paths as ids, with the
        start behind them where a path is there twice.

    Raises
    ------
    FileNotFoundError
        If there is no such list.
    ManifestError
        Names the line or row that cannot be used, or an id that is there
        twice.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no list {path}.")
    if path.suffix.lower() in PATHS + PLAYLISTS and not _is_table(path):
        rows = list(_scp_rows(path))
        if not rows:
            raise ManifestError(f"The list {path} is empty.")
    else:
        rows = read_table(path)
    items = {}
    for number, row in enumerate(rows, 1):
        fields, rest = fields_of(row)
        wav = fields.get("wav")
        if not isinstance(wav, str):
            if wav is not None:
                raise ManifestError(
                    f"Row {number} of {path}: {str(wav)[:60]} is no path: give "
                    "the path alone, and start and stop (s) as fields."
                )
            raise ManifestError(
                f"Row {number} of {path} names no recording (columns: "
                f"{', '.join(map(str, row))}; looked for: "
                f"{known_names('wav')})."
            )
        check_unread_bounds(fields, rest, f"Row {number} of {path}")
        key = as_id(fields.get("id", wav))
        if key in items and "id" not in fields and "start" in fields:
            key = f"{key}_{fields['start']}"
        if key is None or key in items:
            problem = "has no id" if key is None else f"repeats the id {key!r}"
            raise ManifestError(
                f"Row {number} of {path} {problem}: give each row an id of its "
                "own."
            )
        for field in ("start", "stop", "duration"):
            if field in fields:
                fields[field] = number_of(fields[field], key, field)
        if rest.get("channel") is not None:
            rest["channel"] = _channel(rest["channel"], key)
        fields["wav"] = found_path(wav, path.parent)
        if {"start", "duration"} <= fields.keys() and "stop" not in fields:
            _set_stop(fields)
        items[key] = {**rest, **fields}
        items[key].pop("id", None)
    return items


def check_unread_bounds(fields: dict, rest: dict, row: str) -> None:
    """Refuse bounds in a unit or under a name that is not understood.

    Arguments
    ---------
    fields, rest : dict
        Of :func:`~speechbrain_c2ser.data.columns.fields_of`.
    row : str
        What the error calls the row.

    Raises
    ------
    ManifestError
        Names the columns.

    Example
    -------
    >>> check_unread_bounds({"wav": "a.wav"}, {"mood": "x"}, "Row 1")
    """
    known = [field for field in ("start", "stop") if field in fields]
    if len(known) == 2 or known and "duration" in fields:
        return
    looks = looks_like_time if known else looks_like_bound
    bounds = [str(c) for c, v in rest.items() if looks(c) and _is_time(v)]
    of_samples = any(map(OF_SAMPLES.search, bounds))
    if of_samples:
        remedy = (
            "give start and stop in seconds, which are samples (or frames) "
            "divided by their rate"
        )
    if known and bounds:
        other = "stop" if known == ["start"] else "start"
        if not of_samples:
            remedy = f"name it one of {known_names(other)}"
        raise ManifestError(
            f"{row} has a {known[0]} but no {other}, and the column "
            f"{bounds[0]!r} is not understood: {remedy}, or take it out."
        )
    if len(bounds) > 1 or of_samples:
        if not of_samples:
            remedy = "name them start and stop"
        raise ManifestError(
            f"{row}: the columns {', '.join(bounds)} look "
            "like a segment, and only seconds or milliseconds are understood: "
            f"{remedy}, or take them out."
        )


def _is_time(value):
    is_clock = isinstance(value, str) and CLOCK.fullmatch(value.strip())
    return bool(is_clock) or as_seconds(value) is not None


def _set_stop(fields):
    """Of a start and a duration, as NeMo has them: the segment's."""
    try:
        length = told_seconds(fields["wav"])
    except AudioError:
        return  # told where it is read
    if length is None or abs(fields["duration"] - length) >= 0.01:
        fields["stop"] = round(fields["start"] + fields["duration"], 6)


def _channel(value, key):
    sides = {"left": 0, "l": 0, "right": 1, "r": 1}
    if isinstance(value, str) and value.lower() in sides:
        return sides[value.lower()]
    number = number_of(value, key, "channel")
    if number < 0 or number != int(number):
        raise ManifestError(
            f"The channel {value!r} of {key} is no whole number from 0."
        )
    return int(number)


def _scp_rows(path):
    """Lines ``ID PATH``; a list that is no .scp may hold paths alone."""
    alone = path.suffix.lower() != ".scp"
    lines = [
        (number, line)
        for number, line in enumerate(
            map(str.strip, read_text(path).splitlines()), 1
        )
        if line
        and not line.startswith("#")
        and not (alone and _is_header(line, path))
    ]
    bounded = alone and all(_bounds(line, path) for _, line in lines)
    for number, line in lines:
        if line.endswith("|"):
            raise ManifestError(
                f"{path}:{number} is a command, which is never run: write "
                "its output to a file and name that."
            )
        if OF_KALDI.fullmatch(line) and not _is_there(line, path):
            raise ManifestError(
                f"{path}:{number} is of Kaldi's `segments`: give a table with "
                "the columns id, wav, start and stop."
            )
        if OF_AUDACITY.fullmatch(line) and not _is_there(line, path):
            raise ManifestError(
                f"{path}:{number} has times and no recording, as labels of "
                "Audacity: give a table with the columns wav, start and stop."
            )
        parts = line.split(maxsplit=1)
        first, *others = map(str.strip, DIVIDERS.split(line))
        concat = OF_FFMPEG.fullmatch(line)
        several = alone and _are_several(first, others, path)
        if alone and concat:
            yield {"wav": concat[1]}
        elif alone and _is_there(line, path):
            yield {"wav": line.strip("\"'")}
        elif several and _is_id(first, others, line):
            yield {"id": first, "wav": others[0]}
        elif several:
            raise ManifestError(
                f"{path}:{number} names several recordings ({line!r}): give "
                "each a line of its own."
            )
        elif bounded:
            wav, start, stop = _bounds(line, path)
            yield {"wav": wav, "start": start, "stop": stop}
        elif alone and first != line and _is_there(first, path):
            yield {"wav": first}  # and its label, its text ...
        elif alone and (len(parts) == 1 or path.suffix.lower() in PLAYLISTS):
            yield {"wav": line}
        elif len(parts) == 1:
            raise ManifestError(f"{path}:{number} is not `ID PATH`: {line!r}.")
        elif (
            alone
            and _is_there(parts[0], path)
            and not _is_there(parts[1], path)
        ):
            yield {"wav": parts[0]}  # and its label, or what else
        else:
            yield {"id": parts[0], "wav": parts[1]}


def _is_sound(text):
    return Path(text).suffix.lower() in SOUNDS


def _is_header(line, path):
    return plain_name(line) in WAV_NAMES and not _is_there(line, path)


def _bounds(line, path):
    """A path, and the start and stop behind it; None for another line."""
    found = WITH_BOUNDS.fullmatch(line)
    is_segment = found and float(found[2]) < float(found[3])
    if not is_segment or not (_is_sound(found[1]) or _is_there(found[1], path)):
        return None
    return found.groups()


def _are_several(first, others, path):
    """Whether a line is recordings alone, and more than one of them."""
    if not others or not all(map(_is_sound, (first, *others))):
        return False
    here, *there = (found_path(wav, path.parent) for wav in (first, *others))
    return os.path.exists(here) and any(
        os.path.exists(wav) and not os.path.samefile(here, wav) for wav in there
    )


def _is_id(first, others, line):
    """Whether a recording's name before a tab is the id of its path."""
    names = {os.path.basename(wav) for wav in (first, *others)}
    return "\t" in line and len(others) == len(names) == 1


def _is_table(path):
    """Whether a list's first line is JSON, or names columns."""
    first = next(filter(str.strip, read_text(path).splitlines()), "").strip()
    words = set(map(plain_name, first.split()))
    if len(words) > 1 and words <= NAMES and WAV_NAMES & words:
        return not _is_there(first.split()[-1], path)
    if path.suffix.lower() == ".scp":
        return False
    names = map(plain_name, DIVIDERS.split(first))
    columns = WAV_NAMES & set(names)
    return first.startswith(("{", "[{")) or (
        bool(columns) and bool(DIVIDERS.search(first))
    )


def _is_there(wav, path):
    return os.path.exists(found_path(wav, path.parent))


def found_path(wav: str, folder: Path, from_here: bool = True) -> str:
    """The path that is there: from here or the list, as it may be spelt.

    macOS takes accents apart, Windows folders by another sign and case of a
    suffix for nothing; names of old archives are no UTF-8, and tables leave
    suffixes out.

    Arguments
    ---------
    wav : str
        A path or file:// address, as a list gives it.
    folder : Path
        The list's own.
    from_here : bool
        Whether the working folder comes first.

    Returns
    -------
    str
        The path as it is given, where there is none.

    Example
    -------
    >>> found_path("nowhere.wav", Path("lists"))
    'nowhere.wav'
    """
    wav = from_data_root(wav, os.path.abspath(folder))
    if wav.lower().startswith("file://"):
        wav = unquote(urlsplit(wav).path)
    forms = [
        wav,
        wav.strip("\"'"),
        wav.replace("\\", "/"),
        os.path.expanduser(wav),
        *(unicodedata.normalize(f, wav) for f in ("NFC", "NFD")),
    ]
    if not wav.isascii():
        forms += [
            os.fsdecode(wav.encode(encoding, "replace"))
            for encoding in ("cp1252", "gb18030")
        ]
    root, suffix = os.path.splitext(forms[2])
    forms += [root + suffix.lower(), root + suffix.upper()]
    if suffix.lower() not in SOUNDS:
        forms += [forms[2] + each for each in SOUNDS]
    for form in forms:
        for place in (form, str(folder / form))[0 if from_here else 1 :]:
            if os.path.exists(place):
                return place
    return wav
