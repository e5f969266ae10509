"""nEMO: acted Polish, nine actors, six emotions (Christop, 2024).

Layout: ``data.tsv`` (file_id, emotion, raw_text, speaker_id, gender, age) and
``samples/WR0_surprised_64.wav``.
"""

from speechbrain_c2ser.data.importers.builder import CorpusBuilder
from speechbrain_c2ser.data.splits import folds_by
from speechbrain_c2ser.data.tables import number_of

LAYOUT = "data.tsv and samples/WR0_surprised_64.wav"
EMOTIONS = {
    "anger": "angry",
    "fear": "fearful",
    "happiness": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprised": "surprised",
}
COLUMNS = ("file_id", "emotion", "raw_text", "speaker_id", "gender", "age")


def prepare(data_folder, save_folder, folds=9, seed=1, label_space=None):
    """Write manifests of nEMO, actors apart.

    Arguments
    ---------
    data_folder : str or Path
        See the head of this file.
    save_folder : str or Path
        Gets fold_k/train.json ... and corpus.json.
    folds : int
        9 leaves one actor out.
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
        "nemo", data_folder, EMOTIONS, LAYOUT, "pl", label_space
    )
    for row in corpus.read_table("data.tsv", need=COLUMNS):
        name = row["file_id"].strip()
        corpus.add(
            name.removesuffix(".wav"),
            corpus.folder / "samples" / f"{name.removesuffix('.wav')}.wav",
            row["emotion"].strip(),
            speaker=row["speaker_id"].strip(),
            gender=row["gender"],
            age=row["age"] and int(number_of(row["age"], name, "age")),
            transcript=row["raw_text"],
        )
    items = corpus.items()
    return corpus.write(
        save_folder, folds_by(items, "speaker", folds, seed), "actors apart"
    )
