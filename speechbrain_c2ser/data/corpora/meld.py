"""MELD: English of a television series, seven emotions (Poria et al., 2019).

Layout: ``train_sent_emo.csv``, ``dev_sent_emo.csv``, ``test_sent_emo.csv``, and
the audio of the clips as ``train_splits/dia0_utt0.wav``,
``dev_splits_complete/...`` and ``output_repeated_splits_test/...`` (the train
table and folder may lie in ``train/``). The clips come as .mp4, which soundfile
does not read; in each of the three folders:

    for f in *.mp4; do ffmpeg -i $f -ac 1 -ar 16000 ${f%.mp4}.wav; done

The official split, in which the main cast is in all parts.
"""

from speechbrain_c2ser.data.importers.builder import CorpusBuilder
from speechbrain_c2ser.data.splits import by_field
from speechbrain_c2ser.data.tables import number_of

LAYOUT = (
    "train_sent_emo.csv and train_splits/dia0_utt0.wav, and the same of dev "
    "and test (make .wav of the .mp4 with ffmpeg)"
)
EMOTIONS = {
    "anger": "angry",
    "disgust": "disgusted",
    "fear": "fearful",
    "joy": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprise": "surprised",
}
COLUMNS = (
    "Utterance",
    "Speaker",
    "Emotion",
    "Sentiment",
    "Dialogue_ID",
    "Utterance_ID",
)
FOLDERS = {
    "train": ("train", "train_splits"),
    "valid": ("dev", "dev_splits_complete"),
    "test": ("test", "output_repeated_splits_test"),
}


def prepare(data_folder, save_folder, label_space=None):
    """Write manifests of MELD, in its official split."""
    corpus = CorpusBuilder(
        "meld", data_folder, EMOTIONS, LAYOUT, "en", label_space
    )
    for split, (name, clips) in FOLDERS.items():
        table = f"{name}_sent_emo.csv"
        folder = next(
            (
                f
                for f in (corpus.folder / clips, corpus.folder / name / clips)
                if f.is_dir()
            ),
            None,
        )
        if folder is None:
            raise corpus.wrong_layout(f"the folder {clips}")
        rows = corpus.read_table(table, f"{name}/{table}", need=COLUMNS)
        for number, row in enumerate(rows, 1):
            dialogue, turn = (
                int(number_of(row[column], f"{number} of {table}", column))
                for column in ("Dialogue_ID", "Utterance_ID")
            )
            clip = f"dia{dialogue}_utt{turn}"
            corpus.add(
                f"{name}_{clip}",
                folder / f"{clip}.wav",
                row["Emotion"],
                speaker=row["Speaker"],
                transcript=row["Utterance"],
                dialogue=f"{name}_{dialogue}",
                turn=turn,
                sentiment=row["Sentiment"],
                split=split,
            )
    return corpus.write(save_folder, by_field(corpus.items()), "official")
