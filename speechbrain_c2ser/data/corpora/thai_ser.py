"""THAI-SER: 200 actors, five emotions (Wongpithayadisai et al., 2025).

Layout: ``emotion_label.json`` (file -> one rating with assigned_emo,
majority_emo, agreement and annotated, the words of each rater),
``actor_demography.json`` and the audio
``studio001/con/s001_con_actor001_impro1_1.flac`` or ``zoom001/mic/...``,
perhaps in a folder such as ``studio1-10``. The official folds: ten recordings
each, of which the first five validate and the others test.
"""

from collections import Counter

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.builder import CorpusBuilder

LAYOUT = (
    "emotion_label.json, actor_demography.json and "
    "studio001/con/s001_con_actor001_impro1_1.flac"
)
EMOTIONS = {
    "Angry": "angry",
    "Frustrated": "frustrated",
    "Happy": "happy",
    "Neutral": "neutral",
    "Sad": "sad",
    "None": None,
    "Other": None,
}
NO_MAJORITY = "None"
RECORDINGS = 10  # of a fold


def prepare(
    data_folder,
    save_folder,
    microphone="con",
    min_agreement=0.0,
    label_space=None,
    keep_disagreed=False,
):
    """Write manifests of THAI-SER, recordings (and so actors) apart.

    Arguments
    ---------
    microphone : str
        Of the studio: "con" (condenser) or "clip"; a recording without it
        takes what there is.
    min_agreement : float
        Of the raters, 0 to 1; the authors take 0.71.
    keep_disagreed : bool
        Keep recordings whose raters found no majority, or less agreement
        than that, without emotion, for their votes.

    Returns
    -------
    dict
        Manifest name -> path. ``votes`` counts the raters' words.
    """
    corpus = CorpusBuilder(
        "thai-ser",
        data_folder,
        EMOTIONS,
        LAYOUT,
        "th",
        label_space,
        disagreed=[NO_MAJORITY] if keep_disagreed else [],
    )
    with corpus.reading("actor_demography.json"):
        actors = {
            str(actor["Actor's ID"]).zfill(3): actor
            for actor in corpus.read_json("actor_demography.json")["data"]
        }
    audio = {}
    for path, name in corpus.match(
        "**/*.[fw]*", r"(?P<recording>[sz]\d+)_(?P<mic>[a-z]+)_(?P<rest>.+)"
    ):
        taken = audio.setdefault((name["recording"], name["rest"]), {})
        taken[name["mic"]] = path
    for file, rated in corpus.read_json("emotion_label.json").items():
        with corpus.reading(file):
            stem = file.rsplit(".", 1)[0]
            recording, _, rest = stem.split("_", 2)
            taken = audio.get((recording, rest), {})
            rating = rated[0] if isinstance(rated, list) else rated
            emotion = rating["majority_emo"]
            if rating.get("agreement", 1.0) < min_agreement:
                if not keep_disagreed:
                    corpus.skip("raters disagree", stem)
                    continue
                emotion = NO_MAJORITY
            wav = taken.get(microphone) or next(iter(taken.values()), None)
            actor = rest.split("_")[0].removeprefix("actor")
            about = actors.get(actor, {})
            corpus.add(
                f"{recording}_{rest}",
                wav or corpus.folder / file,
                emotion,
                speaker=actor,
                gender=about.get("Sex"),
                age=about.get("Age"),
                votes=_votes(rating.get("annotated", [])) or None,
                emotion_assigned=rating.get("assigned_emo"),
                agreement=rating.get("agreement"),
                recording=recording,
            )
    return corpus.write(
        save_folder, _folds(corpus.items()), "official folds, actors apart"
    )


def _votes(annotated):
    words = (word for rater in annotated for word in rater)
    return dict(
        Counter(EMOTIONS.get(word) or word.lower() for word in words if word)
    )


def _folds(items):
    """Blocks of ten recordings; half of a block validates, half tests."""
    blocks = {}
    for item in items.values():
        kind, number = item["recording"][0], int(item["recording"][1:])
        block = blocks.setdefault((kind, (number - 1) // RECORDINGS), set())
        block.add(item["recording"])
    folds = []
    for _, block in sorted(blocks.items()):
        names = sorted(block)
        valid = set(names[: len(names) // 2])
        test = block - valid
        if not valid or len(blocks) < 2:
            raise ManifestError(
                "thai-ser: the folds need at least two blocks of ten "
                "recordings, with two recordings in each."
            )
        fold = {"train": {}, "valid": {}, "test": {}}
        for key, item in items.items():
            split = "train"
            if item["recording"] in block:
                split = "test" if item["recording"] in test else "valid"
            fold[split][key] = item
        folds.append(fold)
    return folds
