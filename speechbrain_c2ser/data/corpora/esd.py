"""ESD: acted Mandarin and English, five emotions (Zhou et al., 2021).

Layout: ``0001/Angry/0001_000351.wav`` (perhaps with a folder evaluation, test
or train below the emotion) and ``0001/0001.txt``: id, text and emotion, divided
by tabs. Of the 20 speakers 0001 to 0010 speak Mandarin, 0011 to 0020 English.
"""

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.builder import CorpusBuilder
from speechbrain_c2ser.data.splits import by_field, folds_by
from speechbrain_c2ser.data.text_files import read_text

LAYOUT = "0001/Angry/0001_000351.wav and 0001/0001.txt"
EMOTIONS = {
    "Angry": "angry",
    "Happy": "happy",
    "Neutral": "neutral",
    "Sad": "sad",
    "Surprise": "surprised",
}
# Of the 350 sentences of each emotion; the authors' own division.
VALID, TEST, SENTENCES = 20, 50, 350


def prepare(
    data_folder,
    save_folder,
    split="speaker",
    folds=5,
    language=None,
    seed=1,
    label_space=None,
):
    """Write manifests of ESD.

    Arguments
    ---------
    split : str
        "speaker": folds with speakers apart. "official": the authors' 300,
        20 and 30 sentences an emotion, whose speakers are the same.
    language : str
        "zh" or "en"; None is both.
    """
    if split not in ("speaker", "official"):
        raise ManifestError(
            f"ESD has no split {split!r}: give speaker or official."
        )
    corpus = CorpusBuilder(
        "esd", data_folder, EMOTIONS, LAYOUT, None, label_space
    )
    texts = {}
    for wav, name in corpus.match(
        "[0-9]*/**/*.wav", r"(?P<speaker>\d{4})_(?P<number>\d{6})"
    ):
        speaker = name["speaker"]
        spoken = "zh" if int(speaker) <= 10 else "en"
        if language not in (None, spoken):
            corpus.skip(f"not in {language}", wav.name)
            continue
        if speaker not in texts:
            texts[speaker] = _texts(corpus, speaker)
        corpus.add(
            wav.stem,
            wav,
            wav.relative_to(corpus.folder).parts[1].capitalize(),
            speaker=speaker,
            language=spoken,
            transcript=texts[speaker].get(wav.stem),
            split=_official(int(name["number"])),
        )
    items = corpus.items()
    if split == "official":
        return corpus.write(save_folder, by_field(items), "official")
    for item in items.values():
        del item["split"]
    return corpus.write(
        save_folder, folds_by(items, "speaker", folds, seed), "speakers apart"
    )


def _official(number):
    sentence = (number - 1) % SENTENCES
    if sentence < VALID:
        return "valid"
    return "test" if sentence < TEST else "train"


def _texts(corpus, speaker):
    """Utterance id -> text; the files come in several encodings."""
    path = corpus.folder / speaker / f"{speaker}.txt"
    texts = {}
    if path.is_file():
        try:
            lines = read_text(path).splitlines()
        except UnicodeDecodeError as error:
            raise ManifestError(
                f"The encoding of {path} is not known."
            ) from error
        rows = (line.split("\t") for line in lines)
        texts = {r[0].strip(): r[1].strip() for r in rows if len(r) >= 2}
    if not texts:
        corpus.note(f"No transcripts of speaker {speaker}: none in {path}.")
    return texts
