"""A synthetic corpus: real text, spoken by espeak-ng, with acted emotions.

88 voices, English and Mandarin, the seven emotions of Emo-Emilia.
An emotion moves nine cues; each utterance draws its own cues from gaussians
that overlap between emotions, so that even their exact knowledge does not
give the emotion away (see :func:`ceiling`). The text says nothing of it.
"""

import hashlib
import json
import shutil
from importlib import metadata
from pathlib import Path

import numpy as np

from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.chance import rng_of
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import (
    SPLITS,
    read_manifest,
    write_manifest,
)
from speechbrain_c2ser.data.synthetic.emotions import (
    CUES,
    EMOTIONS,
    FACTORS,
    draw,
)
from speechbrain_c2ser.data.synthetic.sentences import SENTENCES
from speechbrain_c2ser.data.synthetic.speakers import FEMALE, split_voices
from speechbrain_c2ser.data.synthetic.synthesis import (
    WAV_FOLDER,
    manifest_rows,
    missing,
    synthesize,
)

VERSION = 1
SETTINGS_FILE = "settings.json"
DESCRIPTION_FILE = "corpus.json"


def prepare(
    save_folder,
    seed=1,
    train_voices=68,
    valid_voices=10,
    test_voices=10,
    train_repeats=5,
    valid_repeats=2,
    test_repeats=4,
    languages=("en", "zh"),
    separation=1.5,
    num_workers=2,
):
    """Make the corpus, or complete it, or find it finished.

    Same arguments, same corpus, bit for bit, whatever ``num_workers``. A
    finished one is not made again, an interrupted one is completed; one of
    other settings in the same folder is replaced.

    Arguments
    ---------
    save_folder : str | Path
        Gets wav/, train.json, valid.json, test.json, corpus.json (what the
        report says of it) and settings.json.
    seed : int
        Of everything that is drawn.
    train_voices, valid_voices, test_voices : int
        Voices of each split; no voice is in two.
    train_repeats, valid_repeats, test_repeats : int
        Utterances of each voice, per emotion and language.
    languages : sequence of str
        "en" and/or "zh".
    separation : float
        Distance of the emotions in units of their spread; less is harder.
    num_workers : int
        Processes.

    Returns
    -------
    dict
        Split -> path of its manifest.

    Raises
    ------
    ManifestError
        If the folder holds audio that this function has not made.
    ValueError
        If more voices are asked for than there are, or too few utterances.
    """
    if min(valid_voices, test_voices, valid_repeats, test_repeats) < 1 or (
        train_voices * train_repeats * len(languages) < 2
    ):
        raise ValueError(
            "Every split needs a voice and an utterance, and the training "
            "set two utterances per emotion."
        )
    folder = Path(save_folder).resolve()
    settings = {
        "version": VERSION,
        "espeak": metadata.version("espeakng-loader"),
        "seed": seed,
        "voices": [train_voices, valid_voices, test_voices],
        "repeats": [train_repeats, valid_repeats, test_repeats],
        "languages": list(languages),
        "separation": separation,
    }
    settings["hash"] = _hash(settings, SENTENCES, CUES, EMOTIONS)
    paths = {split: folder / f"{split}.json" for split in SPLITS}
    state = _open(folder, settings)
    voices = split_voices(seed, train_voices, valid_voices, test_voices)
    repeats = (train_repeats, valid_repeats, test_repeats)
    items = {
        split: _plan(voices[split], number, settings)
        for split, number in zip(SPLITS, repeats, strict=True)
    }
    todo = [
        job for split in SPLITS for job in missing(items[split], folder, seed)
    ]
    written = (*paths.values(), folder / DESCRIPTION_FILE)
    if state == "complete" and not todo and all(map(_is_file, written)):
        return paths
    _save_settings(folder, settings, complete=False)
    synthesize(todo, folder, num_workers)
    for split in SPLITS:
        write_manifest(manifest_rows(items[split], folder), paths[split])
    _describe(folder, {split: len(items[split]) for split in SPLITS}, paths)
    _save_settings(folder, settings, complete=True)
    return paths


def ceiling(train_manifest, test_manifest):
    """Unweighted accuracy reached from the drawn cues alone.

    A linear discriminant, which is near the best possible for gaussians of
    one spread, learns on the training items' cues, without any audio.

    Arguments
    ---------
    train_manifest, test_manifest : str | Path
        Manifests of this corpus.

    Returns
    -------
    float
        In [0, 1].
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.metrics import balanced_accuracy_score

    cues, emotions = [], []
    for path in (train_manifest, test_manifest):
        items = read_manifest(path).values()
        cues.append([_cue_vector(item["condition"]) for item in items])
        emotions.append([item["emotion"] for item in items])
    model = LinearDiscriminantAnalysis().fit(cues[0], emotions[0])
    return float(balanced_accuracy_score(emotions[1], model.predict(cues[1])))


def _cue_vector(condition):
    return [
        np.log(condition[cue]) if cue in FACTORS else condition[cue]
        for cue in CUES
    ]


def _plan(voices, repeats, settings):
    """Items of a split: all but the audio's duration."""
    items = {}
    for voice in voices:
        speaker = f"espeak_{voice.replace(' ', '_')}"
        for language in settings["languages"]:
            for emotion in EMOTIONS:
                for number in range(repeats):
                    key = f"{speaker}_{language}_{emotion}_{number}"
                    rng = rng_of(settings["seed"], key, "plan")
                    items[key] = {
                        "wav": f"{WAV_FOLDER}/{speaker}/{key}.wav",
                        "emotion": emotion,
                        "language": language,
                        "speaker": speaker,
                        "gender": "female" if voice in FEMALE else "male",
                        "transcript": str(rng.choice(SENTENCES[language])),
                        "dataset": "synthetic",
                        "voice": voice,
                        "condition": draw(emotion, rng, settings["separation"]),
                    }
    return items


def _describe(folder, counts, paths):
    """What the report says of the corpus."""
    description = {
        "corpus": "synthetic",
        "synthetic": True,
        "labels": list(EMOTIONS),
        "split": "speaker-independent",
        "counts": counts,
        "ceiling": {"ua": ceiling(paths["train"], paths["test"])},
        "notes": [],
    }
    text = json.dumps(description, indent=1)
    write_atomic(text + "\n", folder / DESCRIPTION_FILE)


def _hash(*parts):
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_file(path):
    return path.is_file()


def _open(folder, settings):
    """State of the folder, cleared where it holds another corpus of ours."""
    try:
        earlier = json.loads((folder / SETTINGS_FILE).read_text())
    except (OSError, ValueError):
        earlier = None
    if earlier is None:
        if (folder / WAV_FOLDER).exists():
            raise ManifestError(
                f"The folder {folder} holds audio of unknown origin: give "
                "another folder for the synthetic corpus."
            )
        return "new"
    if earlier.get("hash") == settings["hash"]:
        return "complete" if earlier.get("complete") else "begun"
    # Without its manifests a half-removed corpus can not be taken for whole.
    for split in SPLITS:
        (folder / f"{split}.json").unlink(missing_ok=True)
    if (folder / WAV_FOLDER).exists():
        shutil.rmtree(folder / WAV_FOLDER)
    return "begun"


def _save_settings(folder, settings, complete):
    text = json.dumps({**settings, "complete": complete}, indent=1)
    write_atomic(text + "\n", folder / SETTINGS_FILE)
