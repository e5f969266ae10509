"""RAVDESS: 24 actors, English, eight emotions (Livingstone & Russo, 2018).

Layout: ``Actor_01/03-01-06-01-02-01-12.wav``: modality, vocal channel, emotion,
intensity, statement, repetition, actor. Only audio-only files (03) are taken.
"""

from speechbrain_c2ser.data.importers.builder import CorpusBuilder

LAYOUT = "Actor_01/03-01-06-01-02-01-12.wav"
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgusted",
    "08": "surprised",
}
STATEMENTS = {
    "01": "Kids are talking by the door.",
    "02": "Dogs are sitting by the door.",
}
INTENSITIES = {"01": "normal", "02": "strong"}


def prepare(
    data_folder,
    save_folder,
    folds=6,
    song=False,
    seed=1,
    label_space=None,
):
    """Write manifests of RAVDESS, actors apart.

    Arguments
    ---------
    data_folder : str | Path
        See the head of this file; actors may lie deeper.
    song : bool
        Whether sung takes are taken too.
    """
    corpus = CorpusBuilder(
        "ravdess", data_folder, EMOTIONS, LAYOUT, "en", label_space
    )
    for wav, name in corpus.match(
        "**/*.wav",
        r"(?P<modality>\d\d)-(?P<channel>\d\d)-(?P<emotion>\d\d)-"
        r"(?P<intensity>\d\d)-(?P<statement>\d\d)-\d\d-(?P<actor>\d\d)",
    ):
        if name["modality"] != "03":
            corpus.skip("with video", wav.name)
        elif name["channel"] != "01" and not song:
            corpus.skip("sung", wav.name)
        else:
            corpus.add(
                wav.stem,
                wav,
                name["emotion"],
                speaker=name["actor"],
                gender="male" if int(name["actor"]) % 2 else "female",
                transcript=STATEMENTS.get(name["statement"]),
                intensity=INTENSITIES.get(name["intensity"]),
            )
    return corpus.write_folds(save_folder, folds, seed, "actors")
