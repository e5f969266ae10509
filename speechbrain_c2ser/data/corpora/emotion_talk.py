"""EmotionTalk: Mandarin dialogues, seven emotions (Sun et al., 2025).

Layout: ``Audio/json/G00001/G00001_02/G00001_02_01/G00001_02_01_002.json`` and
the same path below ``Audio/wav`` with ``.wav``: group, dialogue, speaker, turn.
A JSON has emotion_result, speaker_id, content (what is said), data (the label
of every rater) and sourceAttr (captions). 19 actors; the official split, by
group: 1 and 12 validate, 3 and 15 test.
"""

import json
from collections import Counter

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.builder import CorpusBuilder
from speechbrain_c2ser.data.splits import by_field
from speechbrain_c2ser.data.text_files import read_text

LAYOUT = (
    "Audio/json/G00001/G00001_02/G00001_02_01/G00001_02_01_002.json and "
    "Audio/wav/... with .wav"
)
EMOTIONS = {
    "angry": "angry",
    "disgusted": "disgusted",
    "fearful": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "sad": "sad",
    "surprised": "surprised",
}
VALID, TEST = (1, 12), (3, 15)
# Their captions: speaker, style, emotion and five of the whole.
OVERALL = "caption_1"


def prepare(data_folder, save_folder, label_space=None):
    """Write manifests of EmotionTalk, in its official split.

    Returns
    -------
    dict
        Manifest name -> path. ``caption`` is the first overall one,
        ``captions`` are all, ``ratings`` the raters' labels as they stand
        and ``votes`` their counts.
    """
    corpus = CorpusBuilder(
        "emotiontalk", data_folder, EMOTIONS, LAYOUT, "zh", label_space
    )
    for path, name in corpus.match(
        "Audio/json/**/*.json",
        r"G(?P<group>\d+)_(?P<dialogue>\d+)_(?P<speaker>\d+)_(?P<turn>\d+)",
    ):
        try:
            row = json.loads(read_text(path))
            emotion = row["emotion_result"]
        except (ValueError, KeyError, TypeError) as error:
            raise ManifestError(
                f"{path} is not a description of an utterance: {error!r}."
            ) from error
        below = path.relative_to(corpus.folder / "Audio/json")
        ratings = row.get("data") or []
        captions = _captions(row.get("sourceAttr"))
        corpus.add(
            path.stem,
            (corpus.folder / "Audio/wav" / below).with_suffix(".wav"),
            emotion,
            speaker=str(row.get("speaker_id") or name["speaker"]).zfill(2),
            transcript=row.get("content"),
            dialogue=f"G{name['group']}_{name['dialogue']}",
            turn=int(name["turn"]),
            ratings=ratings or None,
            votes=_votes(ratings) or None,
            caption=captions.get(OVERALL)
            or next(iter(captions.values()), None),
            captions=captions or None,
            split=_official(int(name["group"])),
        )
    return corpus.write(
        save_folder, by_field(corpus.items()), "official, by group"
    )


def _official(group):
    if group in VALID:
        return "valid"
    return "test" if group in TEST else "train"


def _votes(ratings):
    """Labels of the raters, counted; a rating is a word or has "emotion"."""
    labels = (
        rating.get("emotion") if isinstance(rating, dict) else rating
        for rating in ratings
    )
    return dict(Counter(label for label in labels if isinstance(label, str)))


def _captions(given):
    """Name -> text of captions, however they are packed."""
    if isinstance(given, str):
        return {OVERALL: given} if given.strip() else {}
    if isinstance(given, list):
        named = {}
        for number, each in enumerate(given, 1):
            named |= (
                _captions(each)
                if isinstance(each, dict)
                else {f"caption_{number}": str(each)}
            )
        return named
    return {k: v for k, v in (given or {}).items() if isinstance(v, str) and v}
