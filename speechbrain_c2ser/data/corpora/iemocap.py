"""IEMOCAP: acted English dialogues, five sessions (Busso et al., 2008).

Layout: ``Session1/dialog/EmoEvaluation/Ses01F_impro01.txt``,
``Session1/dialog/transcriptions/Ses01F_impro01.txt`` and
``Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav``, for sessions
1 to 5. Folds leave one session out.
"""

import re
from collections import Counter

from speechbrain_c2ser.data.columns import as_number
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.builder import CorpusBuilder
from speechbrain_c2ser.data.splits import folds_by
from speechbrain_c2ser.data.text_files import read_text

LAYOUT = (
    "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt and Session1/sentences/"
    "wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
)
FOUR = {"ang": "angry", "hap": "happy", "neu": "neutral", "sad": "sad"}
FIVE = FOUR | {"fru": "frustrated"}
OTHERS = ("exc", "fru", "fea", "sur", "dis", "oth", "xxx")
VAD_SCALE = [1, 5]
# Words of the raters' lines.
RATED = {
    "anger": "angry",
    "disgust": "disgusted",
    "excited": "excited",
    "fear": "fearful",
    "frustration": "frustrated",
    "happiness": "happy",
    "neutral": "neutral",
    "neutral state": "neutral",
    "other": "other",
    "sadness": "sad",
    "surprise": "surprised",
}
HEAD = re.compile(
    r"\[[\d.]+ - [\d.]+\]\t(?P<key>\w+)\t(?P<emotion>\w+)\t"
    r"\[(?P<vad>[^\]]*)\]"
)
LIKE_HEAD = re.compile(r"^\[\d", re.MULTILINE)
RATING = re.compile(r"C-(?P<rater>\w+):\t(?P<words>[^\t(]*)")
SPOKEN = re.compile(r"(?P<key>Ses\w+) \[[\d.]+-[\d.]+\]: (?P<text>.*)")


def prepare(
    data_folder,
    save_folder,
    classes=4,
    merge_excited=True,
    valid="group",
    seed=1,
    keep_disagreed=False,
):
    """Write manifests of IEMOCAP, a fold a session.

    Arguments
    ---------
    save_folder : str | Path
        Gets fold_k/train.json ... and corpus.json; fold k tests session k.
    classes : int
        4: angry, happy, neutral, sad; 5: and frustrated.
    merge_excited : bool
        Whether excited counts as happy: with four classes the 5,531
        utterances of the usual protocol. Else it is left out.
    valid : str
        "group": the next session validates. "random": a fifth of the four
        training sessions, as EmoBox and emotion2vec do.
    keep_disagreed : bool
        Keep utterances whose raters found no majority (xxx), without emotion,
        for their votes and dimensions.

    Returns
    -------
    dict
        Manifest name -> path. ``vad`` is [valence, arousal, dominance],
        1 to 5; ``votes`` counts what the external raters chose, ``ratings``
        has every rater's words, the actors' own among them.
    """
    if classes not in (4, 5):
        raise ManifestError(f"IEMOCAP with {classes} classes: give 4 or 5.")
    emotions = dict.fromkeys(OTHERS) | (FOUR if classes == 4 else FIVE)
    if merge_excited:
        emotions["exc"] = "happy"
    disagreed = ["xxx"] if keep_disagreed else []
    corpus = CorpusBuilder(
        "iemocap", data_folder, emotions, LAYOUT, "en", disagreed=disagreed
    )
    for path, name in corpus.match(
        "Session*/dialog/EmoEvaluation/*.txt", r"Ses\d\d[FM]_(?P<scene>\w+)"
    ):
        session = path.parents[2]
        texts = _texts(session / "dialog/transcriptions" / path.name)
        content = read_text(path)
        for turn, utterance in enumerate(_utterances(content)):
            if utterance is None:
                corpus.skip("evaluation line not understood", path.name)
                continue
            key = utterance.pop("key")
            gender = key.rsplit("_", 1)[1][0]
            corpus.add(
                key,
                session / "sentences/wav" / path.stem / f"{key}.wav",
                utterance.pop("emotion"),
                speaker=f"{key[:5]}{gender}",
                gender=gender,
                session=session.name,
                dialogue=path.stem,
                turn=turn,
                scenario="improvised" if "impro" in name["scene"] else "script",
                transcript=texts.get(key),
                **utterance,
            )
    folds = folds_by(corpus.items(), "session", None, seed, valid)
    return corpus.write(save_folder, folds, "a session a fold")


def _utterances(content):
    """What an evaluation file says of every utterance, in its order.

    None where a line begins as an utterance's and goes on otherwise.
    """
    for block in re.split(r"\n\s*\n", content):
        head = HEAD.search(block)
        if head is None:
            if LIKE_HEAD.search(block):
                yield None
            continue
        vad = [as_number(value) for value in head["vad"].split(",")]
        if len(vad) != 3 or vad == [None] * 3:
            vad = None
        ratings = [
            {
                "rater": rating["rater"],
                "emotions": [
                    RATED.get(word.strip().lower(), word.strip().lower())
                    for word in rating["words"].split(";")
                    if word.strip()
                ],
            }
            for rating in RATING.finditer(block)
        ]
        # Raters C-E are external; C-F and C-M are the actors themselves.
        votes = Counter(
            emotion
            for rating in ratings
            if rating["rater"].startswith("E")
            for emotion in rating["emotions"]
        )
        yield {
            "key": head["key"],
            "emotion": head["emotion"],
            "vad": vad,
            "vad_scale": VAD_SCALE if vad else None,
            "votes": dict(votes) or None,
            "ratings": ratings or None,
        }


def _texts(path):
    if not path.is_file():
        return {}
    content = read_text(path)
    return {m["key"]: m["text"].strip() for m in SPOKEN.finditer(content)}
