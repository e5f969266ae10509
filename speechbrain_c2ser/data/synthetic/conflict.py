"""A synthetic corpus of conflicts: what is said against how it is said.

Sentences whose words carry an emotion, in voices that carry the same, another
or none. The emotion to name is the voice's. Two parts:

- train and valid: voice and words agree in a given share of the utterances;
  elsewhere the words carry any other emotion. Words are a short cut there.
- conflict, of other voices: cells of equal size. ``matched``: both carry one
  emotion; ``mismatched``: each carries another; ``neutral_words`` and
  ``neutral_voice``: one of them carries none.

Voices and cues are those of :mod:`.corpus`, all sentences are our own.
"""

import json
from importlib import metadata
from pathlib import Path

import numpy as np

from speechbrain_c2ser.data.chance import rng_of
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import write_manifest
from speechbrain_c2ser.data.synthetic.emotions import EMOTIONS, draw
from speechbrain_c2ser.data.synthetic.sentences import SENTENCES
from speechbrain_c2ser.data.synthetic.speakers import FEMALE, split_voices
from speechbrain_c2ser.data.synthetic.synthesis import (
    WAV_FOLDER,
    manifest_rows,
    missing,
    synthesize,
)

NEUTRAL = "neutral"
CELLS = ("matched", "mismatched", "neutral_words", "neutral_voice")
# What was made, to find it again.
MADE_FILE = "settings.json"
# Emotion -> sentences whose words carry it; neutral ones are SENTENCES.
EMOTIONAL = {
    "en": {
        "angry": (
            "You lied to me again.",
            "Get out of my house.",
            "This is an outrage.",
            "I hate how you treat us.",
        ),
        "happy": (
            "We won the first prize.",
            "I love this wonderful day.",
            "Our baby is healthy.",
            "What a great party.",
        ),
        "fearful": (
            "Someone is following me.",
            "The ground is shaking.",
            "He has a knife.",
            "Please do not hurt us.",
        ),
        "surprised": (
            "I never expected this.",
            "Wow, you came back.",
            "That is impossible.",
            "Out of nowhere it appeared.",
        ),
        "sad": (
            "My grandmother died.",
            "I lost everything I had.",
            "She left me for ever.",
            "Nobody came to the funeral.",
        ),
        "disgusted": (
            "The meat is full of worms.",
            "It smells of vomit.",
            "There is hair in my soup.",
            "What a filthy toilet.",
        ),
    },
    "zh": {
        "angry": (
            "你又骗了我。",
            "从我家滚出去。",
            "这太过分了。",
            "我恨你这样对我们。",
        ),
        "happy": (
            "我们得了第一名。",
            "今天真是太美好了。",
            "孩子平安出生了。",
            "这个晚会真棒。",
        ),
        "fearful": (
            "有人在跟踪我。",
            "地面在摇晃。",
            "他手里有刀。",
            "求你别伤害我们。",
        ),
        "surprised": (
            "我完全没有想到。",
            "哇，你回来了。",
            "这怎么可能。",
            "它突然出现了。",
        ),
        "sad": (
            "我的奶奶去世了。",
            "我失去了一切。",
            "她永远离开了我。",
            "没有人来参加葬礼。",
        ),
        "disgusted": (
            "肉里全是虫子。",
            "这里有呕吐的味道。",
            "汤里有头发。",
            "厕所脏死了。",
        ),
    },
}


def prepare(
    save_folder: str | Path,
    seed: int = 1,
    agreement: float = 0.7,
    train_voices: int = 40,
    valid_voices: int = 6,
    test_voices: int = 10,
    train_repeats: int = 3,
    conflict_repeats: int = 1,
    languages: tuple[str, ...] = ("en", "zh"),
    separation: float = 1.5,
    num_workers: int = 2,
) -> dict[str, Path]:
    """Make the corpus, or complete it; the same arguments, the same corpus.

    Arguments
    ---------
    save_folder : str | Path
        Gets wav/, train.json, valid.json and conflict.json.
    seed : int
        Of everything that is drawn.
    agreement : float
        Share of the training utterances whose words carry the emotion of
        the voice.
    train_voices, valid_voices, test_voices : int
        Voices of each part; no voice is in two. 0 training voices leave
        train and valid out.
    train_repeats : int
        Utterances of each training voice, per emotion and language.
    conflict_repeats : int
        Utterances of each test voice, per emotion of the voice (neutral
        apart), language and cell.
    languages : tuple of str
        "en" and / or "zh".
    separation : float
        Distance of the voices' emotions in units of their spread.
    num_workers : int
        Processes.

    Returns
    -------
    dict
        Part -> path of its manifest. Rows have emotion (the voice's),
        voice_emotion, word_emotion and, in "conflict", cell.

    Raises
    ------
    ManifestError
        If the folder holds a corpus of other settings.
    ValueError
        For an agreement outside of 0 to 1, or too many voices.
    """
    if not 0 <= agreement <= 1:
        raise ValueError(f"The agreement is from 0 to 1, not {agreement}.")
    folder = Path(save_folder).resolve()
    settings = {
        "version": 1,
        "espeak": metadata.version("espeakng-loader"),
        "seed": seed,
        "agreement": agreement,
        "voices": [train_voices, valid_voices, test_voices],
        "repeats": [train_repeats, conflict_repeats],
        "languages": list(languages),
        "separation": separation,
        "sentences": EMOTIONAL,
    }
    written = json.dumps(settings, ensure_ascii=False, indent=1) + "\n"
    made = folder / MADE_FILE
    if folder.exists() and any(folder.iterdir()):
        known = made.is_file() and made.read_text(encoding="utf-8")
        if known != written:
            raise ManifestError(
                f"The folder {folder} holds something else: give another one "
                "for this corpus of conflicts."
            )
    folder.mkdir(parents=True, exist_ok=True)
    made.write_text(written, encoding="utf-8")
    voices = split_voices(seed, train_voices, valid_voices, test_voices)
    parts = {
        "conflict": plan_conflicts(
            voices["test"], conflict_repeats, languages, separation, seed
        )
    }
    if train_voices:
        for part in ("train", "valid"):
            parts[part] = plan_agreement(
                voices[part],
                train_repeats,
                languages,
                separation,
                seed,
                agreement,
            )
    todo = [
        job for part in parts.values() for job in missing(part, folder, seed)
    ]
    synthesize(todo, folder, num_workers)
    paths = {}
    for part, items in parts.items():
        paths[part] = folder / f"{part}.json"
        write_manifest(manifest_rows(items, folder), paths[part])
    return paths


def plan_conflicts(
    voices: list[str],
    repeats: int,
    languages: tuple[str, ...],
    separation: float,
    seed: int,
) -> dict:
    """Items of the cells, all but the audio; see :func:`prepare`."""
    items = {}
    strong = [e for e in EMOTIONS if e != NEUTRAL]
    for voice in voices:
        for language in languages:
            for cell in CELLS:
                for emotion in strong:
                    for number in range(repeats):
                        key = _key(voice, language, cell, emotion, number)
                        rng = rng_of(seed, key, "plan")
                        voice_emotion, word_emotion = emotion, emotion
                        if cell == "mismatched":
                            word_emotion = _other(emotion, strong, rng)
                        elif cell == "neutral_words":
                            word_emotion = NEUTRAL
                        elif cell == "neutral_voice":
                            voice_emotion = NEUTRAL
                        item = _item(
                            key,
                            voice,
                            language,
                            voice_emotion,
                            word_emotion,
                            separation,
                            rng,
                        )
                        items[key] = {**item, "cell": cell}
    return items


def plan_agreement(
    voices: list[str],
    repeats: int,
    languages: tuple[str, ...],
    separation: float,
    seed: int,
    agreement: float,
) -> dict:
    """Items whose words mostly agree, all but the audio; see :func:`prepare`.

    The share is kept exactly in each emotion (but for rounding), not drawn.
    """
    slots = [
        (voice, language, emotion, number)
        for emotion in EMOTIONS
        for voice in voices
        for language in languages
        for number in range(repeats)
    ]
    items = {}
    for emotion in EMOTIONS:
        of_emotion = [slot for slot in slots if slot[2] == emotion]
        order = rng_of(seed, emotion, "agreement").permutation(len(of_emotion))
        agreeing = set(order[: round(agreement * len(of_emotion))].tolist())
        for place, (voice, language, _, number) in enumerate(of_emotion):
            key = _key(voice, language, "agreement", emotion, number)
            rng = rng_of(seed, key, "plan")
            word_emotion = emotion
            if place not in agreeing:
                word_emotion = _other(emotion, list(EMOTIONS), rng)
            items[key] = _item(
                key, voice, language, emotion, word_emotion, separation, rng
            )
    return items


def _item(key, voice, language, voice_emotion, word_emotion, separation, rng):
    """An utterance: the voice tells one emotion, the words say another."""
    sentences = (
        SENTENCES[language]
        if word_emotion == NEUTRAL
        else EMOTIONAL[language][word_emotion]
    )
    speaker = f"espeak_{voice.replace(' ', '_')}"
    return {
        "wav": f"{WAV_FOLDER}/{speaker}/{key}.wav",
        "emotion": voice_emotion,
        "voice_emotion": voice_emotion,
        "word_emotion": word_emotion,
        "language": language,
        "speaker": speaker,
        "gender": "female" if voice in FEMALE else "male",
        "transcript": str(rng.choice(sentences)),
        "dataset": "synthetic conflicts",
        "voice": voice,
        "condition": draw(voice_emotion, rng, separation),
    }


def _key(voice, language, *rest):
    speaker = f"espeak_{voice.replace(' ', '_')}"
    return "_".join([speaker, language, *map(str, rest)])


def _other(emotion: str, emotions: list[str], rng: np.random.Generator) -> str:
    return str(rng.choice([e for e in emotions if e != emotion]))
