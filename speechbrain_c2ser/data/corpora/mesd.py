"""MESD: Mexican Spanish words, six emotions (Duville et al., 2021).

Layout: ``Anger_F_A_abajo.wav``, in the folder or below: emotion, voice (F, M or
C for child), word corpus, word. Speakers are not told apart by the names, so
the split is random and says so.
"""

from speechbrain_c2ser.data.importers.builder import CorpusBuilder
from speechbrain_c2ser.data.splits import random_split

LAYOUT = "Anger_F_A_abajo.wav"
EMOTIONS = {
    "Anger": "angry",
    "Disgust": "disgusted",
    "Fear": "fearful",
    "Happiness": "happy",
    "Neutral": "neutral",
    "Sadness": "sad",
}
VOICES = {"F": "female", "M": "male", "C": None}


def prepare(data_folder, save_folder, seed=1, label_space=None):
    """Write manifests of MESD: 60, 20 and 20 % of every emotion."""
    corpus = CorpusBuilder(
        "mesd", data_folder, EMOTIONS, LAYOUT, "es", label_space
    )
    for wav, name in corpus.match(
        "**/*.wav",
        r"(?P<emotion>[A-Za-z]+)_(?P<voice>[FMC])_(?P<list>[AB])_(?P<word>.+)",
    ):
        corpus.add(
            wav.stem,
            wav,
            name["emotion"],
            gender=VOICES[name["voice"]],
            age_group="child" if name["voice"] == "C" else "adult",
            transcript=name["word"].replace("_", " "),
        )
    rest, test = random_split(corpus.items(), 0.2, seed)
    train, valid = random_split(rest, 0.25, seed)
    return corpus.write(
        save_folder,
        {"train": train, "valid": valid, "test": test},
        "random, by emotion: the names do not tell speakers",
    )
