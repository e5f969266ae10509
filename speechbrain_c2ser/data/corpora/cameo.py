"""CAMEO: thirteen corpora in eight languages (arXiv 2505.11051).

Layout: ``data/crema_d-00000-of-00001.parquet``, a name a corpus, in the folder
or below, with file_id, audio, emotion, transcription, speaker_id, gender, age,
dataset, language and license. Made for comparing models, it has no training
set; ``dataset`` says which corpus a row is from, so that the leakage check can
tell what a model has seen.
"""

import re

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.arrow_tables import read_rows, save_audio
from speechbrain_c2ser.data.importers.builder import CorpusBuilder
from speechbrain_c2ser.data.splits import speaker_split

LAYOUT = "data/crema_d-00000-of-00001.parquet"
EMOTIONS = {
    "anger": "angry",
    "anxiety": "anxious",
    "apology": "apologetic",
    "assertiveness": "assertive",
    "calm": "calm",
    "concern": "concerned",
    "disgust": "disgusted",
    "encouragement": "encouraging",
    "enthusiasm": "enthusiastic",
    "excitement": "excited",
    "fear": "fearful",
    "happiness": "happy",
    "neutral": "neutral",
    "poker": "poker",
    "sadness": "sad",
    "sarcasm": "sarcastic",
    "surprise": "surprised",
}
LANGUAGES = {
    "bengali": "bn",
    "english": "en",
    "french": "fr",
    "german": "de",
    "italian": "it",
    "polish": "pl",
    "russian": "ru",
    "spanish": "es",
}
COLUMNS = ("file_id", "audio", "emotion", "dataset", "language")


def prepare(
    data_folder,
    save_folder,
    datasets=None,
    split="test",
    seed=1,
    label_space=None,
):
    """Write the audio of CAMEO to files, and manifests of it.

    Arguments
    ---------
    save_folder : str | Path
        Gets audio/<dataset>/..., the manifests and corpus.json.
    datasets : sequence[str] | None
        Which of its corpora, as the files are named or the rows name them;
        None is all.
    split : str
        "test": all is for testing, as CAMEO is meant. "speaker": train, valid
        and test, speakers apart.
    """
    if split not in ("test", "speaker"):
        raise ManifestError(
            f"CAMEO has no split {split!r}: give test or speaker."
        )
    corpus = CorpusBuilder(
        "cameo", data_folder, EMOTIONS, LAYOUT, None, label_space
    )
    wanted = [datasets] if isinstance(datasets, str) else datasets
    wanted = wanted and list(map(_plain, wanted))
    there = set()
    for path, name in corpus.match(
        "**/*.parquet", r"(?P<dataset>.+?)-\d+-of-.+"
    ):
        there.add(name["dataset"])
        if wanted is not None and name["dataset"] not in wanted:
            corpus.skip("file of another corpus", path.name)
            continue
        for row in read_rows(path):
            missing = [column for column in COLUMNS if column not in row]
            if missing:
                raise ManifestError(f"{path} has no column {missing[0]!r}.")
            _add(corpus, row, save_folder)
    if wanted and not there.issuperset(wanted):
        raise ManifestError(
            f"{data_folder} has no corpus {min(set(wanted) - there)} (it has: "
            f"{', '.join(sorted(there))})."
        )
    items = corpus.items()
    if split == "test":
        return corpus.write(save_folder, {"test": items}, "for testing only")
    unknown = {i["dataset"] for i in items.values() if not i.get("speaker")}
    if unknown:
        raise ManifestError(
            f"The speakers of {', '.join(sorted(unknown))} are not all told: "
            "give the other corpora as datasets, or split test."
        )
    splits = speaker_split(items, seed=seed)
    return corpus.write(save_folder, splits, "drawn, speakers apart")


def _plain(name):
    return re.sub(r"\W", "_", name.lower())


def _add(corpus, row, save_folder):
    dataset = _plain(row["dataset"])
    file = row["file_id"].rsplit(".", 1)[0]
    speaker = row.get("speaker_id")
    language = row["language"].lower()
    corpus.add(
        f"{dataset}-{file}",
        save_audio(row["audio"], f"{save_folder}/audio/{dataset}", file),
        row["emotion"],
        # Their numbers of speakers begin anew in each corpus.
        speaker=f"{dataset}-{speaker}" if speaker else None,
        gender=row.get("gender"),
        age=row.get("age"),
        language=LANGUAGES.get(language, language),
        transcript=row.get("transcription"),
        dataset=f"cameo/{dataset}",
        licence=row.get("license"),
    )
