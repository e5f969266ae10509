"""EMOVO: acted Italian, six actors, seven emotions (Costantini et al., 2014).

Layout: ``f1/dis-f1-b1.wav``: emotion, actor (f or m), sentence.
"""

from speechbrain_c2ser.data.importers.builder import CorpusBuilder
from speechbrain_c2ser.data.splits import folds_by

LAYOUT = "f1/dis-f1-b1.wav"
EMOTIONS = {
    "rab": "angry",
    "dis": "disgusted",
    "pau": "fearful",
    "gio": "happy",
    "neu": "neutral",
    "tri": "sad",
    "sor": "surprised",
}


def prepare(data_folder, save_folder, folds=6, seed=1, label_space=None):
    """Write manifests of EMOVO, actors apart.

    Arguments
    ---------
    data_folder : str or Path
        See the head of this file.
    save_folder : str or Path
        Gets fold_k/train.json ... and corpus.json.
    folds : int
        6 leaves one actor out.
    seed : int
        Of dealing actors out to fewer folds.
    label_space : LabelSpace or str
        A smaller set of emotions to map to.

    Returns
    -------
    dict
        Manifest name -> path.
    """
    corpus = CorpusBuilder(
        "emovo", data_folder, EMOTIONS, LAYOUT, "it", label_space
    )
    for wav, name in corpus.match(
        "**/*.wav", r"(?P<emotion>[a-z]{3})-(?P<actor>[fm]\d)-\w+"
    ):
        corpus.add(
            wav.stem,
            wav,
            name["emotion"],
            speaker=name["actor"],
            gender=name["actor"][0],
        )
    items = corpus.items()
    return corpus.write(
        save_folder, folds_by(items, "speaker", folds, seed), "actors apart"
    )
