"""CASIA: acted Mandarin, four speakers, six emotions.

Layout: ``liuchanhg/angry/201.wav``: speaker, emotion, sentence.
"""

from speechbrain_c2ser.data.importers.builder import CorpusBuilder

LAYOUT = "liuchanhg/angry/201.wav"
EMOTIONS = {
    "angry": "angry",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "sad": "sad",
    "surprise": "surprised",
}


def prepare(data_folder, save_folder, folds=4, seed=1, label_space=None):
    """Write manifests of CASIA, speakers apart.

    Arguments
    ---------
    folds : int
        4 leaves one speaker out, which validates in the fold before.
    """
    corpus = CorpusBuilder(
        "casia", data_folder, EMOTIONS, LAYOUT, "zh", label_space
    )
    for wav, name in corpus.match("*/*/*.wav", r"(?P<sentence>\d+)"):
        speaker, emotion = wav.parts[-3:-1]
        corpus.add(
            f"{speaker}-{emotion}-{name['sentence']}",
            wav,
            emotion.lower(),
            speaker=speaker,
        )
    return corpus.write_folds(save_folder, folds, seed)
