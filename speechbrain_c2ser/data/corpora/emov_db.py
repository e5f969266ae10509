"""EmoV-DB: acted English, four speakers, five styles (Adigwe et al., 2018).

Layout: ``bea_Amused/amused_1-15_0001.wav``: speaker and emotion, then emotion,
session and sentence of CMU Arctic; and perhaps ``cmuarctic.data`` with the
sentences. Josh has neither angry nor disgusted utterances.
"""

import re

from speechbrain_c2ser.data.importers.builder import CorpusBuilder
from speechbrain_c2ser.data.text_files import read_text

LAYOUT = "bea_Amused/amused_1-15_0001.wav"
EMOTIONS = {
    "amused": "amused",
    "angry": "angry",
    "anger": "angry",
    "disgusted": "disgusted",
    "disgust": "disgusted",
    "neutral": "neutral",
    "sleepy": "sleepy",
    "sleepiness": "sleepy",
}
SPEAKERS = {"bea": "female", "jenie": "female", "josh": "male", "sam": "male"}


def prepare(data_folder, save_folder, folds=4, seed=1, label_space=None):
    """Write manifests of EmoV-DB, speakers apart.

    Arguments
    ---------
    folds : int
        4 leaves one speaker out.
    """
    corpus = CorpusBuilder(
        "emov-db", data_folder, EMOTIONS, LAYOUT, "en", label_space
    )
    sentences = _sentences(corpus.folder / "cmuarctic.data")
    for wav, name in corpus.match("*_*/*.wav", r".*_(?P<sentence>\d{4})"):
        speaker, _, emotion = wav.parent.name.lower().partition("_")
        corpus.add(
            f"{speaker}-{wav.stem}",
            wav,
            emotion,
            speaker=speaker,
            gender=SPEAKERS.get(speaker),
            transcript=sentences.get(name["sentence"]),
        )
    return corpus.write_folds(save_folder, folds, seed)


def _sentences(path):
    """Sentence number -> text of CMU Arctic's set A, where the list is."""
    if not path.is_file():
        return {}
    text = read_text(path)
    return dict(re.findall(r'\( *arctic_a(\d{4}) "(.*)" *\)', text))
