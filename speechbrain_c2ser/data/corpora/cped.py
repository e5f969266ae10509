"""CPED: Mandarin of 40 television plays, 13 emotions (Chen et al., 2022).

Layout: ``train_split.csv``, ``valid_split.csv`` and ``test_split.csv`` as
published (also below ``data/CPED``, as in a clone), and the clips as
``audio/32_000_000.wav``, or below ``audio/32``: play and utterance. Only
features of the audio are published: who holds the plays cuts the clips. The
official split, by play. Source: arXiv 2205.14727.
"""

from speechbrain_c2ser.data.columns import as_id
from speechbrain_c2ser.data.importers.builder import CorpusBuilder
from speechbrain_c2ser.data.splits import by_field
from speechbrain_c2ser.data.tables import number_of

LAYOUT = (
    "train_split.csv (valid, test) and audio/32_000_000.wav, named after "
    "Utterance_ID"
)
EMOTIONS = {
    "anger": "angry",
    "astonished": "surprised",
    "depress": "depressed",
    "disgust": "disgusted",
    "fear": "fearful",
    "grateful": "grateful",
    "happy": "happy",
    "negative-other": "negative-other",
    "neutral": "neutral",
    "positive-other": "positive-other",
    "relaxed": "calm",
    "sadness": "sad",
    "worried": "anxious",
}
COLUMNS = (
    "TV_ID",
    "Dialogue_ID",
    "Utterance_ID",
    "Speaker",
    "Gender",
    "Age",
    "Scene",
    "Emotion",
    "Utterance",
)
# Column -> its word; the corpus says high, low or unknown of each.
TRAITS = {
    "Neuroticism": "神经质",
    "Extraversion": "外向性",
    "Openness": "开放性",
    "Agreeableness": "宜人性",
    "Conscientiousness": "尽责性",
}
WORDS = {
    "female": "女性",
    "male": "男性",
    "children": "儿童",
    "teenager": "少年",
    "young": "青年",
    "middle-aged": "中年",
    "elderly": "老年",
    "high": "高",
    "low": "低",
}
UNKNOWN = ("", "unknown")
NOTHING = "说话人的性格未知"


def prepare(data_folder, save_folder, label_space=None):
    """Write manifests of CPED, in its official split.

    Returns
    -------
    dict
        Manifest name -> path. ``knowledge`` tells gender, age and the Big
        Five in Chinese words, as ``prompts/knowledge.yaml`` quotes them;
        ``intent`` is the dialogue act. Extras of a play share a speaker.
    """
    corpus = CorpusBuilder(
        "cped", data_folder, EMOTIONS, LAYOUT, "zh", label_space
    )
    for split in ("train", "valid", "test"):
        table = f"{split}_split.csv"
        rows = corpus.read_table(
            table, f"data/CPED/{table}", need=(*COLUMNS, *TRAITS)
        )
        for number, row in enumerate(rows, 1):
            key, play = (as_id(row[c]) or "" for c in ("Utterance_ID", "TV_ID"))
            turn = key.rpartition("_")[2]
            corpus.add(
                key,
                _clip(corpus.folder / "audio", play, key),
                row["Emotion"],
                speaker=f"{play}_{row['Speaker']}",
                gender=_known(row, "Gender"),
                age_group=_known(row, "Age"),
                transcript=row["Utterance"],
                dialogue=row["Dialogue_ID"],
                turn=int(
                    number_of(turn, key or f"{number} of {table}", "turn")
                ),
                knowledge=traits_in_words(row),
                scene=row["Scene"],
                intent=row.get("DA"),
                sentiment=row.get("Sentiment"),
                split=split,
            )
    return corpus.write(
        save_folder, by_field(corpus.items()), "official, by play"
    )


def traits_in_words(row: dict) -> str:
    """Gender, age and personality of a speaker, in Chinese.

    Arguments
    ---------
    row : dict
        Of the published table.

    Returns
    -------
    str

    Example
    -------
    >>> traits_in_words({"Gender": "male", "Age": "young", "Openness": "low"})
    '男性，青年，开放性低'
    >>> traits_in_words({"Gender": "unknown"})
    '说话人的性格未知'
    """
    words = [
        WORDS[row[name]] for name in ("Gender", "Age") if row.get(name) in WORDS
    ]
    words += [
        f"{word}{WORDS[row[name]]}"
        for name, word in TRAITS.items()
        if row.get(name) in WORDS
    ]
    return "，".join(words) or NOTHING


def _known(row, name):
    return None if row[name] in UNKNOWN else row[name]


def _clip(folder, play, key):
    """A clip's file; of two places the one that is there."""
    inside = folder / play / f"{key}.wav"
    return inside if inside.is_file() else folder / f"{key}.wav"
