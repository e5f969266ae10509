"""EMO-DB: acted German, ten speakers, seven emotions (Burkhardt et al., 2005).

Layout: ``wav/03a01Fa.wav``: speaker, sentence, emotion, take. Any audio format
and folder name will do; ``lablaut`` and the like beside it are not read.
"""

from speechbrain_c2ser.data.importers.builder import CorpusBuilder

LAYOUT = "wav/03a01Fa.wav"
EMOTIONS = {
    "W": "angry",
    "L": "bored",
    "E": "disgusted",
    "A": "fearful",
    "F": "happy",
    "T": "sad",
    "N": "neutral",
}
FEMALE = ("08", "09", "13", "14", "16")
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem "
    "Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder "
    "runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und "
    "habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}


def prepare(data_folder, save_folder, folds=10, seed=1, label_space=None):
    """Write manifests of EMO-DB, speakers apart.

    Arguments
    ---------
    folds : int
        10 leaves one speaker out.
    """
    corpus = CorpusBuilder(
        "emodb", data_folder, EMOTIONS, LAYOUT, "de", label_space
    )
    for wav, name in corpus.match(
        "**/*.*", r"(?P<who>\d\d)(?P<text>[ab]\d\d)(?P<emotion>[A-Z])[a-z]?"
    ):
        corpus.add(
            wav.stem,
            wav,
            name["emotion"],
            speaker=name["who"],
            gender="female" if name["who"] in FEMALE else "male",
            transcript=SENTENCES.get(name["text"]),
        )
    return corpus.write_folds(save_folder, folds, seed)
