"""Emo-Emilia: the test set of C2SER, 1,400 utterances in two languages.

Published as one JSONL list (``index``, ``emotion``, ``wav``, ``text``) and a
folder of recordings. 7 emotions x 100 in Chinese and in English; the language
stands in the index. For testing only: there is no training split.
"""

import os
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import (
    audio_duration,
    write_manifest,
)
from speechbrain_c2ser.data.tables import read_table
from speechbrain_c2ser.labels import LabelSpace

LIST = "Emo-Emilia-ALL.jsonl"
LANGUAGES = {"ZH_": "zh", "EN_": "en"}
FIELDS = ("index", "emotion", "wav", "text")


def language_of(index):
    """Language of an utterance by its index, or None.

    Example
    -------
    >>> language_of("ZH_B00090_S00350_W000000"), language_of("03a01Fa")
    ('zh', None)
    """
    return LANGUAGES.get(str(index)[:3])


def prepare(data_folder, save_folder, list_file=None, progress=True):
    """Turn the published list and its recordings into a test manifest.

    Arguments
    ---------
    data_folder : str | Path
        The folder that the list's wav paths begin from, or a folder below
        which the same paths lie without their first part.
    save_folder : str | Path
        Gets test.json, or nothing after an error.
    list_file : str | Path | None
        The list; None looks for Emo-Emilia-ALL.jsonl in the data folder and
        beside it.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    dict
        "test" -> path of the manifest.

    Raises
    ------
    ManifestError
        If the list or a recording is not where it was looked for, or a row
        is not as published: one sentence that names the item.
    """
    folder = Path(data_folder)
    path = _find_list(folder, list_file)
    items = read_list(path)
    rows = tqdm(items.items(), "Emo-Emilia", leave=False, disable=not progress)
    for key, item in rows:
        item["wav"] = _find_wav(folder, item["wav"], key)
        item["duration"] = round(audio_duration(item["wav"], key), 4)
    target = Path(save_folder) / "test.json"
    write_manifest(items, target)
    print(f"{target}: {describe(items)}")
    return {"test": target}


def read_list(path):
    """The published list as manifest items; wav paths as they are in it.

    Arguments
    ---------
    path : str | Path
        The JSONL file.

    Returns
    -------
    dict
        Index -> wav, emotion, language, transcript, dataset.

    Raises
    ------
    ManifestError
        For a missing field, an index that is there twice or tells no
        language, or an emotion that is not one of the seven.
    """
    space = LabelSpace.from_name("emo_emilia")
    items = {}
    for number, row in enumerate(read_table(path), 1):
        for field in FIELDS:
            if not isinstance(row.get(field), str) or not row[field]:
                raise ManifestError(
                    f"Line {number} of {path} has no {field!r}: this is not "
                    "Emo-Emilia's list."
                )
        key = row["index"]
        if key in items:
            raise ManifestError(f"{path} holds the item {key!r} twice.")
        if language_of(key) is None:
            raise ManifestError(
                f"Item {key!r} of {path}: its index tells no language (it "
                f"begins with none of {', '.join(LANGUAGES)})."
            )
        if row["emotion"] not in space:
            raise ManifestError(
                f"Item {key!r} of {path}: unknown emotion {row['emotion']!r} "
                f"(known: {', '.join(space.names)})."
            )
        items[key] = {
            "wav": row["wav"],
            "emotion": row["emotion"],
            "language": language_of(key),
            "transcript": row["text"],
            "dataset": "emo_emilia",
        }
    return items


def describe(items):
    """How many utterances of each language and emotion, in one line."""
    languages = Counter(item["language"] for item in items.values())
    emotions = Counter(item["emotion"] for item in items.values())
    parts = [f"{name} {count}" for name, count in sorted(languages.items())]
    parts += [f"{name} {count}" for name, count in sorted(emotions.items())]
    return f"{len(items)} utterances ({', '.join(parts)})"


def _find_list(folder, given):
    places = [Path(given)] if given else [folder / LIST, folder.parent / LIST]
    for place in places:
        if place.is_file():
            return place
    looked = " and ".join(str(place) for place in places)
    raise ManifestError(f"Emo-Emilia's list is not there: looked for {looked}.")


def _find_wav(folder, wav, key):
    relative = Path(os.path.normpath(wav))
    places = [folder / relative, folder.joinpath(*relative.parts[1:])]
    for place in places:
        if place.is_file():
            return os.path.abspath(place)
    raise ManifestError(
        f"Item {key!r}: its recording is not there: looked for {places[0]} "
        f"and {places[1]}."
    )
