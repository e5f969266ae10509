"""ASVP-ESD: speech and other utterances of media, in several languages.

Layout: ``Audio/actor_106/03-01-09-01-02-106-02-02-02-19-66.wav``: modality,
vocal channel, emotion, intensity, statement, actor, age, source, language and
more. Landry et al., 2020. Breath and unknown sounds have no emotion and are
left out.
"""

from speechbrain_c2ser.data.importers.builder import CorpusBuilder
from speechbrain_c2ser.data.splits import speaker_split

LAYOUT = "Audio/actor_106/03-01-09-01-02-106-02-02-02-19-66.wav"
EMOTIONS = {
    "01": "bored",
    "02": "neutral",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgusted",
    "08": "surprised",
    "09": "excited",
    "10": "pleased",
    "11": "pained",
    "12": "disappointed",
    "13": None,
    "17": None,
}
LANGUAGES = {"01": "zh", "02": "en", "04": "fr"}
AGES = {"01": "over 65", "02": "20 to 65", "03": "under 20", "04": "baby"}


def prepare(
    data_folder,
    save_folder,
    speech_only=False,
    seed=1,
    label_space=None,
):
    """Write manifests of ASVP-ESD, actors apart.

    Arguments
    ---------
    speech_only : bool
        Whether cries, laughs and the like are left out.
    """
    corpus = CorpusBuilder(
        "asvp-esd", data_folder, EMOTIONS, LAYOUT, None, label_space
    )
    for wav, name in corpus.match(
        "**/*.wav",
        r"\d\d-(?P<channel>\d\d)-(?P<emotion>\d\d)-(?P<intensity>\d\d)-\d+-"
        r"(?P<actor>\d+)-(?P<age>\d\d)(-\d\d(-(?P<language>\d\d))?)?.*",
    ):
        if speech_only and name["channel"] != "01":
            corpus.skip("not speech", wav.name)
            continue
        corpus.add(
            wav.stem,
            wav,
            name["emotion"],
            speaker=name["actor"],
            gender="female" if int(name["actor"]) % 2 else "male",
            language=LANGUAGES.get(name["language"]),
            age_group=AGES.get(name["age"]),
            intensity="high" if name["intensity"] == "02" else "normal",
            vocal="speech" if name["channel"] == "01" else "non-speech",
        )
    splits = speaker_split(corpus.items(), seed=seed)
    return corpus.write(save_folder, splits, "drawn, actors apart")
