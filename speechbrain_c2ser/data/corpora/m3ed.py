"""M3ED: Mandarin of television series, seven emotions (Zhao et al., 2022).

Layout: ``annotation.json`` (series -> dialogue -> Dialog, SpeakerInfo),
``splitInfo/movie_list_train.txt`` (and val, test) and
``modality_speech/A_<utterance>.wav``: speaker letter and utterance id. The
official split, by series.
"""

from collections import Counter

from speechbrain_c2ser.data.importers.builder import CorpusBuilder
from speechbrain_c2ser.data.splits import by_field
from speechbrain_c2ser.data.text_files import read_text

LAYOUT = (
    "annotation.json, splitInfo/movie_list_train.txt (val, test) and "
    "modality_speech/A_<utterance>.wav"
)
EMOTIONS = {
    "Anger": "angry",
    "Disgust": "disgusted",
    "Fear": "fearful",
    "Happy": "happy",
    "Neutral": "neutral",
    "Sad": "sad",
    "Surprise": "surprised",
}


def prepare(data_folder, save_folder, label_space=None):
    """Write manifests of M3ED, in its official split.

    Returns
    -------
    dict
        Manifest name -> path. ``votes`` counts the annotators' labels.
    """
    corpus = CorpusBuilder(
        "m3ed", data_folder, EMOTIONS, LAYOUT, "zh", label_space
    )
    split_of = {}
    for split, name in (("train", "train"), ("valid", "val"), ("test", "test")):
        listed = corpus.file(f"splitInfo/movie_list_{name}.txt")
        for line in read_text(listed).splitlines():
            split_of[line.strip()] = split
    for series, dialogues in corpus.read_json("annotation.json").items():
        if series not in split_of:
            corpus.skip("of a series in no split", series)
            continue
        with corpus.reading(series):
            for dialogue, content in dialogues.items():
                turns = content["Dialog"].items()
                for turn, (key, utterance) in enumerate(turns):
                    with corpus.reading(key):
                        _add(
                            corpus,
                            key,
                            utterance,
                            content["SpeakerInfo"],
                            dialogue=dialogue,
                            turn=turn,
                            split=split_of[series],
                            series=series,
                        )
    return corpus.write(
        save_folder, by_field(corpus.items()), "official, by series"
    )


def _add(corpus, key, utterance, speakers, series, **fields):
    letter, labels = utterance["Speaker"], utterance["EmoAnnotation"]
    who = speakers.get(letter, {})
    votes = Counter(
        corpus.emotions.get(word.strip(), word.strip())
        for name, given in labels.items()
        if name.lower().startswith("emoannotator")
        for word in (given if isinstance(given, list) else given.split(","))
        if word.strip()
    )
    corpus.add(
        key,
        corpus.folder / "modality_speech" / f"{letter}_{key}.wav",
        labels["final_main_emo"],
        speaker=f"{series}_{who.get('Name', letter)}",
        gender={"男": "male", "女": "female"}.get(
            who.get("Gender"), who.get("Gender")
        ),
        transcript=utterance.get("Text"),
        votes=dict(votes) or None,
        **fields,
    )
