"""CASIA: acted Mandarin, four speakers, six emotions.

Layout: ``liuchanhg/angry/201.wav``: speaker, emotion, sentence.
"""

from speechbrain_c2ser.data.importers.builder import CorpusBuilder
from speechbrain_c2ser.data.splits import folds_by

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
    data_folder : str or Path
        See the head of this file.
    save_folder : str or Path
        Gets fold_k/train.json ... and corpus.json.
    folds : int
        4 leaves one speaker out, which validates in the fold before.
    seed : int
        Of dealing speakers out to fewer folds.
    label_space : LabelSpace or str
        A smaller set of emotions to map to.

    Returns
    -------
    dict
        Manifest name -> path.
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
    items = corpus.items()
    return corpus.write(
        save_folder, folds_by(items, "speaker", folds, seed), "speakers apart"
    )
