"""ShEMO: Persian radio plays, 87 speakers, six emotions (Nezami et al., 2019).

Layout: ``female/F01A01.wav``, ``male/M01N02.wav``: gender, speaker, emotion,
number; and perhaps ``shemo.json`` with transcripts.
"""

from speechbrain_c2ser.data.importers.builder import CorpusBuilder

LAYOUT = "female/F01A01.wav and male/M01N02.wav"
EMOTIONS = {
    "A": "angry",
    "F": "fearful",
    "H": "happy",
    "N": "neutral",
    "S": "sad",
    "W": "surprised",
}


def prepare(data_folder, save_folder, folds=5, seed=1, label_space=None):
    """Write manifests of ShEMO, speakers apart.

    Arguments
    ---------
    folds : int
        Test groups of speakers. Only 38 utterances are fearful.
    """
    corpus = CorpusBuilder(
        "shemo", data_folder, EMOTIONS, LAYOUT, "fa", label_space
    )
    listed = {}
    if (corpus.folder / "shemo.json").is_file():
        listed = corpus.read_json("shemo.json")
    for wav, name in corpus.match(
        "**/*.wav", r"(?P<speaker>[FM]\d\d)(?P<emotion>[AFHNSW])\d+"
    ):
        corpus.add(
            wav.stem,
            wav,
            name["emotion"],
            speaker=name["speaker"],
            gender=name["speaker"][0],
            transcript=listed.get(wav.stem, {}).get("transcript"),
        )
    return corpus.write_folds(save_folder, folds, seed)
