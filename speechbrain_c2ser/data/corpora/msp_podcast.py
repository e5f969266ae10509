"""MSP-Podcast: spontaneous English of podcasts (Lotfian & Busso, 2019).

Layout: ``Labels/labels_consensus.csv`` (FileName, EmoClass, EmoAct, EmoVal,
EmoDom, SpkrID, Gender, Split_Set), ``Audios/MSP-PODCAST_0001_0008.wav`` and
perhaps ``Transcripts/MSP-PODCAST_0001_0008.txt``. Older releases call the table
labels_concensus.csv and the folder Audio. ``Labels/labels_detailed.csv``
(FileName, EmoClass_Major; a line a rater), where it is there, gives the votes.
The official split; utterances without agreement (X) and of other emotions (O)
are left out.
"""

from collections import Counter
from pathlib import Path

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.builder import CorpusBuilder
from speechbrain_c2ser.data.splits import by_field
from speechbrain_c2ser.data.tables import number_of
from speechbrain_c2ser.data.text_files import read_text

LAYOUT = "Labels/labels_consensus.csv and Audios/MSP-PODCAST_0001_0008.wav"
EMOTIONS = {
    "A": "angry",
    "S": "sad",
    "H": "happy",
    "U": "surprised",
    "F": "fearful",
    "D": "disgusted",
    "C": "contemptuous",
    "N": "neutral",
    "O": None,
    "X": None,
}
COLUMNS = (
    "FileName",
    "EmoClass",
    "EmoAct",
    "EmoVal",
    "EmoDom",
    "SpkrID",
    "Gender",
    "Split_Set",
)
# Words of labels_detailed.csv; "Other-..." is other.
RATED = {
    "angry": "angry",
    "sad": "sad",
    "happy": "happy",
    "surprise": "surprised",
    "fear": "fearful",
    "disgust": "disgusted",
    "contempt": "contemptuous",
    "neutral": "neutral",
}
TESTS = ("Test1", "Test2", "Test3")
VAD_SCALE = [1, 7]


def prepare(
    data_folder,
    save_folder,
    test="Test1",
    label_space=None,
    keep_disagreed=False,
):
    """Write manifests of MSP-Podcast, in its official split.

    Arguments
    ---------
    test : str
        Which of the test sets: Test1, Test2 or Test3.
    keep_disagreed : bool
        Keep utterances without agreement (X), without emotion, for their
        votes and dimensions.
    """
    if test not in TESTS:
        raise ManifestError(
            f"MSP-Podcast has no test set {test!r}: give one of "
            f"{', '.join(TESTS)}."
        )
    splits = {"Train": "train", "Validation": "valid", "Development": "valid"}
    splits[test] = "test"
    corpus = CorpusBuilder(
        "msp-podcast",
        data_folder,
        EMOTIONS,
        LAYOUT,
        "en",
        label_space,
        disagreed=["X"] if keep_disagreed else [],
    )
    rows = corpus.read_table(
        "Labels/labels_consensus.csv",
        "Labels/labels_concensus.csv",
        "labels_consensus.csv",
        need=COLUMNS,
    )
    audio = next(
        (f for f in ("Audios", "Audio") if (corpus.folder / f).is_dir()), None
    )
    if audio is None:
        raise corpus.wrong_layout("a folder Audios or Audio")
    votes = _votes(corpus)
    for row in rows:
        name = Path(row["FileName"]).stem
        if row["Split_Set"] not in splits:
            corpus.skip(f"of the set {row['Split_Set']}", name)
            continue
        known = row["SpkrID"].lower() != "unknown"
        corpus.add(
            name,
            corpus.folder / audio / row["FileName"],
            row["EmoClass"],
            speaker=row["SpkrID"] if known else None,
            gender=row["Gender"] if row["Gender"] != "Unknown" else None,
            transcript=_text(corpus.folder / "Transcripts" / f"{name}.txt"),
            votes=votes.get(name),
            **_ratings(row, name),
            split=splits[row["Split_Set"]],
        )
    return corpus.write(
        save_folder, by_field(corpus.items()), f"official, {test}"
    )


def _ratings(row, name):
    """Valence, arousal and dominance; None where the table has none."""
    vad = [
        number_of(row[column], name, column) if row[column] else None
        for column in ("EmoVal", "EmoAct", "EmoDom")
    ]
    if all(value is None for value in vad):
        return {}
    return {"vad": vad, "vad_scale": VAD_SCALE}


def _votes(corpus):
    """Utterance -> label -> raters, where the corpus says it."""
    detailed = "Labels/labels_detailed.csv"
    if not (corpus.folder / detailed).is_file():
        corpus.note(f"No votes: there is no {detailed}.")
        return {}
    votes = {}
    for row in corpus.read_table(detailed, need=("FileName", "EmoClass_Major")):
        word = row["EmoClass_Major"].strip()
        label = RATED.get(word.lower()) or EMOTIONS.get(word) or "other"
        votes.setdefault(Path(row["FileName"]).stem, Counter())[label] += 1
    return {name: dict(counts) for name, counts in votes.items()}


def _text(path):
    return read_text(path).strip() if path.is_file() else None
