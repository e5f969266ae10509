"""nEMO: acted Polish, nine actors, six emotions (Christop, 2024).

Layout: ``data.tsv`` (file_id, emotion, raw_text, speaker_id, gender, age) and
``samples/WR0_surprised_64.wav``.
"""

from speechbrain_c2ser.data.importers.builder import CorpusBuilder
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
    folds : int
        9 leaves one actor out.
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
    return corpus.write_folds(save_folder, folds, seed, "actors")
