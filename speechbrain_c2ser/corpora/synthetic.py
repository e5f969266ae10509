"""A synthetic corpus: real text, spoken by espeak-ng, with acted emotions.

88 voices, English and Mandarin, the seven emotions of Emo-Emilia.
An emotion moves nine cues; each utterance draws its own cues from gaussians
that overlap between emotions, so that even their exact knowledge does not
give the emotion away (see :func:`ceiling`). The text says nothing of it.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import zlib
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from speechbrain_c2ser.corpora.manifest import (
    SPLITS,
    ManifestError,
    audio_duration,
    read_manifest,
    write_atomic,
    write_manifest,
)
from speechbrain_c2ser.corpora.synthetic_text import SENTENCES
from speechbrain_c2ser.corpora.synthetic_voice import (
    NOISES,
    SAMPLE_RATE,
    speak,
)

VERSION = 1
SETTINGS_FILE = "settings.json"
DESCRIPTION_FILE = "corpus.json"
WAV_FOLDER = "wav"

# Variants of espeak-ng 1.52. Left out by measurement: without voice (whisper,
# whisperf, caleb), too slow (Marco, AnxiousAndy), or the twin of another
# (RicishayMax, RicishayMax3, steph3, klatt6, anikaRobot, edward2, fast, croak,
# iven), or crashing at some settings (Demonic, rob). Female: median pitch of
# 150 Hz or more.
FEMALE = (
    "Alicia Andrea Annie anika aunty belinda f1 f2 f3 f4 f5 grandma linda "
    "shelby steph steph2 zac"
).split()
MALE = (
    "Alex|Andy|Denis|Diogo|Gene|Gene2|Henrique|Hugo|Jacky|Lee|Mario|"
    "Michael|Mike|Mr serious|Nguyen|Reed|RicishayMax2|Storm|Tweaky|UniRobot|"
    "adam|announcer|antonio|benjamin|boris|david|ed|edward|grandpa|gustave|"
    "ian|iven2|iven3|iven4|john|kaukovalta|klatt|klatt2|klatt3|klatt4|klatt5|"
    "m1|m2|m3|m4|m5|m6|m7|m8|marcelo|max|michel|miguel|mike2|norbert|pablo|"
    "paul|pedro|quincy|robert|robosoft|robosoft2|robosoft3|robosoft4|"
    "robosoft5|robosoft6|robosoft7|robosoft8|sandro|travis|victor"
).split("|")
# Families of near relatives stay together, in the training set.
FAMILIES = ("Gene", "iven", "klatt", "robosoft", "steph")

# Cue: (mean, spread) in natural units; one unit of EMOTIONS is one spread.
CUES = {
    "rate": (1.0, 0.16),  # exponent base e: factor of the speaking rate
    "pitch": (0.0, 2.2),  # semitones from the voice's own
    "range": (1.0, 0.22),  # exponent base e: factor of the pitch range
    "loudness": (-29.0, 3.2),  # dBFS, root mean square
    "tilt": (0.0, 3.2),  # dB per octave
    "breath": (-22.0, 6.0),  # dB of noise under the voice
    "tremor": (3.5, 2.2),  # dB, 8.5 to 11 Hz
    "roughness": (0.4, 0.2),  # depth at 35 to 50 Hz
    "crescendo": (0.0, 8.0),  # dB from start to end
}
FACTORS = ("rate", "range")
LIMITS = {"tremor": (0.0, 10.0), "roughness": (0.0, 0.95)}
# rate, pitch, range, loudness, tilt, breath, tremor, roughness, crescendo
EMOTIONS = {
    "angry": (0.9, 0.5, 0.8, 1.8, 1.4, -0.9, -0.5, 1.4, -0.3),
    "happy": (0.9, 1.1, 1.2, 1.0, 1.0, -0.3, -0.5, -0.9, 0.1),
    "fearful": (1.1, 0.9, -0.6, -0.8, 0.5, 1.3, 1.9, 0.1, 0.0),
    "surprised": (-0.3, 1.2, 1.3, 0.6, -0.2, 1.4, -0.4, -0.6, 1.7),
    "neutral": (0.0, 0.0, 0.0, 0.0, -0.5, -1.2, -0.7, -0.6, 0.0),
    "sad": (-1.3, -0.8, -1.0, -1.5, -1.5, 0.6, 0.3, -0.3, -0.9),
    "disgusted": (-1.0, -0.6, 0.0, -0.2, 0.3, -0.6, -0.4, 1.4, -0.8),
}


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
    separation=1.4,
    num_workers=2,
):
    """Make the corpus, or complete it, or find it finished.

    Same arguments, same corpus, bit for bit, whatever ``num_workers``. A
    finished one is not made again, an interrupted one is completed; one of
    other settings in the same folder is replaced.

    Arguments
    ---------
    save_folder : str or Path
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
        split: _plan(split, voices[split], number, settings)
        for split, number in zip(SPLITS, repeats, strict=True)
    }
    todo = [
        (str(folder / item["wav"]), item, seed)
        for split in SPLITS
        for item in items[split].values()
        if not (folder / item["wav"]).is_file()
    ]
    written = (*paths.values(), folder / DESCRIPTION_FILE)
    if state == "complete" and not todo and all(map(_is_file, written)):
        return paths
    _save_settings(folder, settings, complete=False)
    # What a killed run was writing; whole files have their last name.
    for part in folder.glob(f"{WAV_FOLDER}/*/*.part"):
        part.unlink()
    _make(todo, num_workers)
    for split in SPLITS:
        write_manifest(_rows(items[split], folder), paths[split])
    _describe(folder, {split: len(items[split]) for split in SPLITS}, paths)
    _save_settings(folder, settings, complete=True)
    return paths


def split_voices(seed, train, valid, test):
    """Deal the voices out, women in every split, relatives together.

    Returns
    -------
    dict
        Split -> names of variants.

    Example
    -------
    >>> voices = split_voices(1, 4, 2, 2)
    >>> [len(voices[split]) for split in ("train", "valid", "test")]
    [4, 2, 2]
    >>> sorted(set(voices["train"]) & set(voices["test"]))
    []
    """
    total = len(FEMALE) + len(MALE)
    if train + valid + test > total:
        raise ValueError(
            f"{train} + {valid} + {test} voices are asked for, but only "
            f"{total} are usable."
        )
    rng = np.random.default_rng([seed, 0])
    women, men = ([*rng.permutation(group)] for group in (FEMALE, MALE))
    voices = {}
    for split, number in (("test", test), ("valid", valid)):
        # One in four, rounded up: as many as there are, and never none.
        female = -(-number // 4)
        voices[split] = _take(women, female) + _take(men, number - female)
    # Women spread evenly, so that a small training set has some as well.
    rest = women + men
    place = [
        (i + 0.5) / len(group)
        for group in (women, men)
        for i in range(len(group))
    ]
    order = np.argsort(place, kind="stable")
    voices["train"] = [str(rest[i]) for i in order[:train]]
    return voices


def ceiling(train_manifest, test_manifest):
    """Unweighted accuracy reached from the drawn cues alone.

    A linear discriminant, which is near the best possible for gaussians of
    one spread, learns on the training items' cues, without any audio.

    Arguments
    ---------
    train_manifest, test_manifest : str or Path
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


def _take(names, number):
    """Remove the first of ``names`` that have no relatives."""
    free = [n for n in names if not n.startswith(FAMILIES)]
    chosen = (free + [n for n in names if n not in free])[:number]
    for name in chosen:
        names.remove(name)
    return [str(name) for name in chosen]


def _plan(split, voices, repeats, settings):
    """Items of a split: all but the audio's duration."""
    items = {}
    for voice in voices:
        speaker = f"espeak_{voice.replace(' ', '_')}"
        for language in settings["languages"]:
            for emotion in EMOTIONS:
                for number in range(repeats):
                    key = f"{speaker}_{language}_{emotion}_{number}"
                    rng = _rng(settings["seed"], key, "plan")
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


def draw(emotion, rng, separation=1.4):
    """Draw the generation parameters of one utterance.

    Arguments
    ---------
    emotion : str
        One of ``EMOTIONS``.
    rng : numpy.random.Generator
        Source of chance.
    separation : float
        Factor of the emotions' distances.

    Returns
    -------
    dict
        Cue -> value in natural units, and noise and channel.

    Example
    -------
    >>> rng = np.random.default_rng(1)
    >>> sorted(draw("sad", rng))[:3]
    ['breath', 'channel', 'crescendo']
    """
    condition = {}
    chance = np.clip(rng.standard_normal(len(CUES)), -2.2, 2.2)
    units = separation * np.asarray(EMOTIONS[emotion]) + chance
    for (cue, (mean, spread)), unit in zip(CUES.items(), units, strict=True):
        value = mean + spread * unit
        if cue in FACTORS:
            value = mean * np.exp(spread * unit)
        value = np.clip(value, *LIMITS.get(cue, (None, None)))
        condition[cue] = round(float(value), 4)
    condition["tremor_rate"] = round(rng.uniform(8.5, 11.0), 4)
    condition["noise"] = int(rng.integers(len(NOISES)))
    condition["noise_level"] = round(rng.uniform(-68.0, -52.0), 4)
    condition["channel"] = round(rng.uniform(-0.7, 0.7), 4)
    return condition


def _make(todo, num_workers):
    bar = tqdm(total=len(todo), desc="synthesis", unit="utt", leave=False)
    with bar:
        if num_workers <= 1 or len(todo) < 32:
            for job in todo:
                _make_one(job)
                bar.update()
            return
        # fork starts at once and needs no importable main script.
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context(
            "fork" if "fork" in methods else None
        )
        pool = ProcessPoolExecutor(
            num_workers, mp_context=context, initializer=_ignore_interrupt
        )
        try:
            for _ in pool.map(_make_one, todo, chunksize=16):
                bar.update()
        finally:
            pool.shutdown(cancel_futures=True)


def _ignore_interrupt():
    # Ctrl-C reaches all processes; the parent ends the others in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _make_one(job):
    path, item, seed = job
    key = Path(path).stem
    person = _rng(seed, item["speaker"], "speaker")
    speaker = {
        "size": person.uniform(0.94, 1.06),
        "pitch": person.uniform(-1.0, 1.0),
    }
    wave = speak(
        item["transcript"],
        item["language"],
        item["voice"],
        speaker,
        item["condition"],
        _rng(seed, key, "audio"),
    )
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = f"{path}.{os.getpid()}.part"
    try:
        soundfile.write(part, wave, SAMPLE_RATE, "PCM_16", format="WAV")
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)


def _rows(items, folder):
    rows = {}
    for key, item in items.items():
        wav = str(folder / item["wav"])
        duration = round(audio_duration(wav, key), 4)
        rows[key] = {**item, "wav": wav, "duration": duration}
    return rows


def _describe(folder, counts, paths):
    """What the report says of the corpus."""
    description = {
        "corpus": "synthetic",
        "synthetic": True,
        "labels": list(EMOTIONS),
        "split": "speaker-independent",
        "counts": counts,
        "ceiling": ceiling(paths["train"], paths["test"]),
        "notes": [],
    }
    text = json.dumps(description, indent=1)
    write_atomic(text + "\n", folder / DESCRIPTION_FILE)


def _rng(seed, *names):
    codes = [zlib.crc32(name.encode()) for name in names]
    return np.random.default_rng([seed, *codes])


def _hash(*parts):
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_file(path):
    return path.is_file()


def _open(folder, settings):
    """State of the folder, cleared where it holds another corpus of ours."""
    try:
        found = json.loads((folder / SETTINGS_FILE).read_text())
    except (OSError, ValueError):
        found = None
    if found is None:
        if (folder / WAV_FOLDER).exists():
            raise ManifestError(
                f"The folder {folder} holds audio of unknown origin: give "
                "another folder for the synthetic corpus."
            )
        return "new"
    if found.get("hash") == settings["hash"]:
        return "complete" if found.get("complete") else "begun"
    # Without its manifests a half-removed corpus can not be taken for whole.
    for split in SPLITS:
        (folder / f"{split}.json").unlink(missing_ok=True)
    if (folder / WAV_FOLDER).exists():
        shutil.rmtree(folder / WAV_FOLDER)
    return "begun"


def _save_settings(folder, settings, complete):
    text = json.dumps({**settings, "complete": complete}, indent=1)
    write_atomic(text + "\n", folder / SETTINGS_FILE)
