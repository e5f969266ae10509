"""EmoBox: any of its 32 corpora, by its metadata and folds (Ma et al., 2024).

Layout of one corpus: ``label_map.json`` (or ``label_dict.json``) and
``fold_1/iemocap_train_fold_1.json``, ``..._test_fold_1.json`` and perhaps
``..._valid_fold_1.json``, for each fold: id -> wav, length (s), emo, dataset,
channel and, of segments, start_time and end_time. Audio paths such as
``downloads/iemocap/...`` are relative to the folder of EmoBox.
"""

import json
import re
from pathlib import Path

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.builder import CorpusBuilder
from speechbrain_c2ser.data.splits import random_split
from speechbrain_c2ser.data.tables import unique_keys
from speechbrain_c2ser.data.text_files import read_text
from speechbrain_c2ser.labels.emotion_words import concept_of

LAYOUT = "label_map.json and fold_1/<corpus>_train_fold_1.json"
FOLD_FILE = re.compile(
    r"(?P<corpus>\w+)_(?P<split>train|valid|test\d*)_fold_(?P<number>\d+)"
)
NEEDED = ("wav", "length", "emo")
KNOWN = (*NEEDED, "dataset", "channel", "start_time", "end_time")
# Made of the .mp4 of MELD and the like, which soundfile does not read.
OTHER_SUFFIXES = (".wav", ".flac")
LANGUAGES = {
    "am": "ased",
    "bn": "subesco",
    "de": "emodb pavoque",
    "el": "aesdd",
    "en": "cremad emns emovdb enterface iemocap jlcorpus mead meld msppodcast "
    "ravdess savee tess",
    "es": "mesd",
    "fa": "shemo",
    "fr": "cafe oreau",
    "it": "emovo emozionalmente",
    "pl": "polish",
    "ru": "resd",
    "tr": "turevdb",
    "ur": "urdu",
    "zh": "casia m3ed mer2023",
}
# asvpesd and esd are of several languages.
LANGUAGE = {
    c: language for language, cs in LANGUAGES.items() for c in cs.split()
}


def prepare(
    data_folder,
    save_folder,
    audio_folder=None,
    test="test",
    drop=("unknown", "no-agreement"),
    allow_missing=False,
    valid_fraction=0.2,
    seed=1,
    check_audio=True,
):
    """Write manifests of a corpus of EmoBox, fold by fold.

    Arguments
    ---------
    audio_folder : str | Path | None
        What audio paths are relative to; None is the folder that EmoBox
        keeps its data/<corpus> in.
    test : str
        Which test set, where there are several: "test", "test2" ...
    drop : Sequence[str]
        Classes left out: these are no emotions.
    allow_missing : bool
        Whether valid and test sets may lack classes; else it is an error.
    valid_fraction : float
        Of every class of the training set, where a fold has no valid file.
    check_audio : bool
        Read durations from the audio; else they are the metadata's, and the
        audio need not be there.

    Raises
    ------
    ManifestError
        For unknown keys, ids that are there twice or differ between folds,
        labels outside the map, classes missing in a fold, and utterances
        that two splits share.
    """
    folder = Path(data_folder)
    name, folds = read_folds(folder)
    labels = _label_map(folder)
    emotions = {raw: None if e in drop else e for raw, e in labels.items()}
    corpus = CorpusBuilder(
        name, folder, emotions, LAYOUT, LANGUAGE.get(name), None, check_audio
    )
    audio = Path(audio_folder or folder.absolute().parent.parent)
    for key, row in _rows(folds, test, folder).items():
        _add(corpus, key, row, labels, audio)
    divided = _divide(folds, corpus.items(), test, valid_fraction, seed)
    notes = _notes(folds, test, valid_fraction)
    return corpus.write(
        save_folder, divided, "EmoBox's folds", notes, not allow_missing
    )


def _rows(folds, test, folder):
    """Id -> row of every utterance in train, valid or the test set."""
    rows = {}
    for number, splits in folds.items():
        if test not in splits or "train" not in splits:
            raise ManifestError(
                f"Fold {number} of {folder} has no {test} or no train file "
                f"(it has: {', '.join(splits)})."
            )
        for split in ("train", "valid", test):
            for key, row in splits.get(split, {}).items():
                if rows.setdefault(key, row) != row:
                    raise ManifestError(
                        f"Item {key!r} of {folder} differs between folds."
                    )
    return rows


def _divide(folds, items, test, valid_fraction, seed):
    """Folds of items, with a valid set drawn where there is no file of it."""
    divided = []
    for splits in folds.values():
        fold = {
            split: {
                # two folds share an item, which each may change
                key: dict(items[key])
                for key in splits[test if split == "test" else split]
                if key in items
            }
            for split in ("train", "valid", "test")
            if split in splits or split == "test"
        }
        if "valid" not in fold:
            fold["train"], fold["valid"] = random_split(
                fold["train"], valid_fraction, seed
            )
        divided.append(fold)
    return divided


def _notes(folds, test, valid_fraction):
    notes = []
    if any("valid" not in splits for splits in folds.values()):
        notes.append(f"No valid files: {valid_fraction:.0%} of train, drawn.")
    tests = sorted({s for f in folds.values() for s in f if "test" in s})
    if len(tests) > 1:
        notes.append(f"Tested on {test}; there are {', '.join(tests)}.")
    return notes


def read_folds(data_folder):
    """The fold files of one corpus, checked row by row.

    Arguments
    ---------
    data_folder : str | Path
        The corpus's metadata.

    Returns
    -------
    tuple
        (name, {fold number: {split: {id: row}}}).

    Raises
    ------
    ManifestError
        If there are none, or one cannot be read, has an id twice, or a row
        with unknown or missing keys.
    """
    folder, folds, names = Path(data_folder), {}, set()
    if not folder.is_dir():
        raise ManifestError(f"The data folder {folder} is missing.")
    for path in sorted(folder.glob("fold_*/*.json")):
        matched = FOLD_FILE.fullmatch(path.stem)
        if matched is None:
            raise ManifestError(f"{path} is not named like {LAYOUT}.")
        names.add(matched["corpus"])
        fold = folds.setdefault(int(matched["number"]), {})
        fold[matched["split"]] = _read(path)
    if len(names) != 1:
        raise ManifestError(
            f"EmoBox: looked for fold_*/*_train_fold_*.json of one corpus in "
            f"{folder} and found {', '.join(sorted(names)) or 'none'}; "
            f"expected layout: {LAYOUT}."
        )
    return names.pop(), dict(sorted(folds.items()))


def _read(path):
    try:
        rows = json.loads(read_text(path), object_pairs_hook=unique_keys)
    except ValueError as error:
        raise ManifestError(f"{path} cannot be read: {error}.") from error
    if not isinstance(rows, dict) or not rows:
        raise ManifestError(f"{path} is not a JSON object of utterances.")
    for key, row in rows.items():
        if not isinstance(row, dict):
            raise ManifestError(f"Item {key!r} of {path} is no JSON object.")
        unknown = [each for each in row if each not in KNOWN]
        if unknown:
            raise ManifestError(
                f"Item {key!r} of {path} has the unknown key {unknown[0]!r} "
                f"(known: {', '.join(KNOWN)})."
            )
        missing = [each for each in NEEDED if row.get(each) in (None, "")]
        if missing:
            raise ManifestError(
                f"Item {key!r} of {path} has no {missing[0]!r}."
            )
    return rows


def _label_map(folder):
    """Raw label -> ours: our word where there is one, else theirs, small."""
    for name in ("label_map.json", "label_dict.json"):
        if (folder / name).is_file():
            content = json.loads(read_text(folder / name))
            break
    else:
        raise ManifestError(
            f"EmoBox: looked for label_map.json or label_dict.json in {folder} "
            f"and found none; expected layout: {LAYOUT}."
        )
    theirs = set(content.values())
    ours = {label: concept_of(label) or label.lower() for label in theirs}
    if len(set(ours.values())) < len(theirs):
        # Two of their classes must not become one.
        ours = {label: label.lower() for label in theirs}
    return {raw: ours[label] for raw, label in content.items()}


def _add(corpus, key, row, labels, audio):
    raw = row["emo"]
    if raw not in labels:
        # emodb writes "Neutral" in the map and "neutral" in the rows.
        small = {label.lower(): label for label in labels}
        raw = small.get(str(raw).lower(), raw)
    fields = {"start": row.get("start_time"), "stop": row.get("end_time")}
    try:
        fields = {n: float(v) for n, v in fields.items() if v is not None}
        length = float(row["length"])
    except (TypeError, ValueError) as error:
        raise ManifestError(
            f"Item {key!r}: length, start_time or end_time is no number."
        ) from error
    if "start" in fields and not 0 <= fields["start"] < fields.get("stop", 0):
        raise ManifestError(
            f"Item {key!r}: end_time is not after start_time, or missing."
        )
    wav = audio / row["wav"]
    if corpus.check_audio and wav.suffix not in OTHER_SUFFIXES:
        others = (wav.with_suffix(suffix) for suffix in OTHER_SUFFIXES)
        wav = next((path for path in others if path.is_file()), wav)
    corpus.add(
        key,
        wav,
        raw,
        duration=round(length, 4),
        dataset=row.get("dataset"),
        channel=row.get("channel"),
        **fields,
    )
