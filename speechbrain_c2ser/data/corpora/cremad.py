"""CREMA-D: acted English, 91 actors, six emotions (Cao et al., 2014).

Layout: ``AudioWAV/1001_DFA_ANG_XX.wav``: actor, sentence, emotion, level; and
perhaps ``VideoDemographics.csv`` with ActorID, Age and Sex.
"""

from speechbrain_c2ser.data.columns import as_id, as_number
from speechbrain_c2ser.data.importers.builder import CorpusBuilder

ACTORS = "VideoDemographics.csv"
LAYOUT = "AudioWAV/1001_DFA_ANG_XX.wav and VideoDemographics.csv"
EMOTIONS = {
    "ANG": "angry",
    "DIS": "disgusted",
    "FEA": "fearful",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "X": None, "XX": None}
SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}


def prepare(data_folder, save_folder, folds=5, seed=1, label_space=None):
    """Write manifests of CREMA-D, actors apart."""
    corpus = CorpusBuilder(
        "crema-d", data_folder, EMOTIONS, LAYOUT, "en", label_space
    )
    actors = {}
    if corpus.has(ACTORS):
        rows = corpus.read_table(ACTORS, need=("ActorID", "Age", "Sex"))
        actors = {as_id(row["ActorID"]): row for row in rows}
    else:
        corpus.note(f"No age and gender of the actors: there is no {ACTORS}.")
    without_age = set()
    for wav, name in corpus.match(
        "AudioWAV/*.wav",
        r"(?P<who>\d{4})_(?P<text>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<level>\w+)",
    ):
        actor = actors.get(name["who"], {})
        age = as_number(actor.get("Age"))
        if age is None and actor:
            without_age.add(name["who"])
        corpus.add(
            wav.stem,
            wav,
            name["emotion"],
            speaker=name["who"],
            gender=actor.get("Sex"),
            age=None if age is None else int(age),
            transcript=SENTENCES.get(name["text"]),
            intensity=LEVELS.get(name["level"]),
        )
    if without_age:
        corpus.note(f"No age of {', '.join(sorted(without_age))}.")
    return corpus.write_folds(save_folder, folds, seed, "actors")
