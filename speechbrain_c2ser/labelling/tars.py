"""WebDataset tars as Emilia's: a recording and a JSON object under one key.

Read once from front to back by their headers; the audio stays where it is and
is named by its place (``audio/stored.py``). What is broken becomes an item that
has failed, and the others are read on.
"""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from speechbrain_c2ser.audio.formats import SOUNDS
from speechbrain_c2ser.audio.stored import Stored
from speechbrain_c2ser.data.columns import as_json, as_number, fields_of
from speechbrain_c2ser.data.manifest import FIELDS
from speechbrain_c2ser.labelling.items import Item

JSON_LIMIT = 1 << 20  # bytes; Emilia's have some hundred
BLOCK = tarfile.BLOCKSIZE
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")  # gzip, bzip2, xz
STRETCH = ("start", "stop")


def read_tar(path: str | Path) -> Iterator[Item]:
    """The items of a tar, in its order.

    Arguments
    ---------
    path : str | Path
        An uncompressed tar; members of one key, which is the name without
        its suffix, follow each other.

    Yields
    ------
    Item
        Failed where its JSON or audio is missing, double or unreadable; one
        more where the tar itself breaks off.
    """
    path = Path(path)
    with open(path, "rb") as file:
        try:
            archive = tarfile.open(fileobj=file, mode="r:")
        except tarfile.TarError as error:
            file.seek(0)
            is_packed = file.read(6).startswith(COMPRESSED)
            packed = "it is compressed, unpack it to a .tar"
            why = packed if is_packed else error
            yield _broken(path, f"{path} is no tar that can be read: {why}")
            return
        key, group, count = None, [], 0
        while True:
            try:
                member = archive.next()
            except (tarfile.TarError, OSError, ValueError) as error:
                yield from _close(path, key, group)
                yield _broken(
                    path,
                    f"{path} breaks off after {count} members: {error}",
                )
                return
            archive.members = []  # or a long tar fills the memory
            if member is None:
                break
            count += 1
            if not member.isfile():
                continue
            own, suffix = _key_of(member.name, key)
            # The same name once more is a copy of the item, not a part of it.
            if own != key or any(m.name == member.name for _, m, _ in group):
                yield from _close(path, key, group)
                key, group = own, []
            group.append((suffix, member, _json_of(file, member)))
        yield from _close(path, key, group)
        # A damaged header ends the reading in silence, but for this.
        file.seek(archive.offset)
        if file.read(BLOCK) != bytes(BLOCK):
            yield _broken(
                path,
                f"{path} breaks off after {count} members: it was cut, or "
                "what follows is damaged",
            )


def _key_of(name, current):
    """A member's key and suffix; a dot may stand in a key ("clip_0.5.mp3").

    What is neither audio nor JSON goes by the first dot, as WebDataset has
    it, and so does JSON of another kind ("k.words.json") behind its item.
    """
    folder, _, base = name.rpartition("/")
    stem, _, suffix = base.rpartition(".")
    first, _, rest = base.partition(".")
    place = f"{folder}/" if folder else ""
    known = stem and f".{suffix.lower()}" in (*SOUNDS, ".json")
    if not known or (suffix.lower() == "json" and place + first == current):
        return place + first, rest.lower()
    return place + stem, suffix.lower()


def _json_of(file, member):
    """The bytes of a member that is JSON; None of any other."""
    if not member.name.lower().endswith(".json"):
        return None
    if member.size > JSON_LIMIT:
        return b""
    file.seek(member.offset_data)
    return file.read(member.size)


def _close(path, key, group):
    """The item of the members of one key."""
    if key is None:
        return
    item = Item(key)
    audio = [m for suffix, m, _ in group if f".{suffix}" in SOUNDS]
    texts = [c for suffix, _, c in group if suffix == "json"]
    if audio:
        stored = Stored(
            str(path), audio[0].offset_data, audio[0].size, audio[0].name
        )
        item.row["wav"] = item.audio = str(stored)
    if not audio and not texts:
        return  # of another kind: a licence, a list
    if len(texts) != 1:
        many = "there are several" if texts else "there is none"
        item.fail(f"needs one JSON beside its audio, but {many}")
    elif len(audio) != 1:
        many = "several recordings" if audio else "no audio"
        item.fail(f"its JSON stands beside {many}")
    else:
        _describe(item, texts[0])
    yield item


def _describe(item, content):
    """Fields of the JSON object; those that name the audio go."""
    try:
        item.row |= whole_clip(row_of(object_of(content)))
    except ValueError as error:
        item.fail(f"its JSON {error}")


def object_of(content: bytes) -> dict:
    """A JSON object of its bytes.

    Arguments
    ---------
    content : bytes
        In any of JSON's encodings.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        Says what is wrong, as a sentence goes on: "its JSON ...".

    Example
    -------
    >>> object_of(b"[1]")
    Traceback (most recent call last):
    ValueError: is no object
    """
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"cannot be read: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError("is no object")
    return fields


def whole_clip(row: dict) -> dict:
    """A row of a recording that is its own file or cell.

    Where it began and ended in what it was cut from is no stretch of itself.

    Example
    -------
    >>> whole_clip({"start": 20.5, "stop": 21.0, "language": "en"})
    {'language': 'en', 'source_start': 20.5, 'source_stop': 21.0}
    """
    bounds = {
        f"source_{name}": row.pop(name) for name in STRETCH if name in row
    }
    return {**row, **bounds}


def row_of(fields: dict) -> dict:
    """What a table or a JSON object tells of a recording, by our names.

    Arguments
    ---------
    fields : dict
        Column -> value.

    Returns
    -------
    dict
        Without id and path; times are numbers, and a number that stands for
        a name or words is text.

    Example
    -------
    >>> row_of({"id": "a", "wav": "a.mp3", "text": "Hi.", "duration": "2"})
    {'transcript': 'Hi.', 'duration': 2.0}
    """
    known, rest = fields_of({k: as_json(v) for k, v in fields.items()})
    row = {**rest, **known}
    for name in ("id", "wav"):
        row.pop(name, None)
    for name in ("duration", "start", "stop"):
        if name in row:
            row[name] = as_number(row[name])
    for name in FIELDS:
        if isinstance(row.get(name), int | float):
            row[name] = str(row[name])
    return {name: value for name, value in row.items() if value is not None}


def _broken(path, reason):
    item = Item(path.name)
    item.fail(reason)
    return item
