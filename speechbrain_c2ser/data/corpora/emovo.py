"""EMOVO: acted Italian, six actors, seven emotions (Costantini et al., 2014).

Layout: ``f1/dis-f1-b1.wav``: emotion, actor (f or m), sentence.
"""

from speechbrain_c2ser.data.importers.builder import CorpusBuilder

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
    folds : int
        6 leaves one actor out.
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
    return corpus.write_folds(save_folder, folds, seed, "actors")
