"""ZED: emotion diarisation, English, for testing only (Wang et al., 2023).

Layout: ``ZED.json`` (id -> wav, with "datafolder" for the folder itself;
emotion, a list of emo, start and end; transcription) and its audio.
"""

from speechbrain_c2ser.data.importers.builder import CorpusBuilder

LAYOUT = "ZED.json and the audio it names"
EMOTIONS = {
    "angry": "angry",
    "happy": "happy",
    "sad": "sad",
    "neutral": "neutral",
}


def prepare(data_folder, save_folder):
    """Write the one manifest of ZED, with segments.

    Returns
    -------
    dict
        "test" -> path. ``segments`` covers the utterance: [start, end,
        emotion], neutral around what is marked; ``emotion`` is that of the
        longest segment that is not neutral.
    """
    corpus = CorpusBuilder("zed", data_folder, EMOTIONS, LAYOUT, "en")
    for key, row in corpus.read_json("ZED.json").items():
        with corpus.reading(key):
            marked = [
                {
                    "start": float(part["start"]),
                    "end": float(part["end"]),
                    "emo": EMOTIONS[part["emo"]],
                }
                for part in row["emotion"]
            ]
            longest = max(
                marked,
                key=lambda part: part["end"] - part["start"],
                default={"emo": "neutral"},
            )
            folder = str(corpus.folder.absolute())
            corpus.add(
                key,
                corpus.folder / row["wav"].replace("datafolder", folder),
                longest["emo"],
                transcript=row.get("transcription"),
                segments=marked,
            )
    items = corpus.items()
    for item in items.values():
        item["segments"] = _segments(item["segments"], item["duration"])
    return corpus.write(save_folder, {"test": items}, "for testing only")


def _segments(marked, duration):
    segments, last = [], 0.0
    for part in sorted(marked, key=lambda part: part["start"]):
        start, end = part["start"], min(part["end"], duration)
        if start > last:
            segments.append([last, start, "neutral"])
        segments.append([start, end, part["emo"]])
        last = end
    if last < duration:
        segments.append([last, duration, "neutral"])
    return segments
