"""The corpus of conflicts: its cells, its shares, its seed."""

import json

import numpy as np
import pytest

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import read_manifest
from speechbrain_c2ser.data.synthetic import conflict
from speechbrain_c2ser.data.synthetic.emotions import EMOTIONS
from speechbrain_c2ser.data.synthetic.sentences import SENTENCES

BOTH = ("en", "zh")


def test_cells_hold_what_they_are_named_after():
    items = conflict.plan_conflicts(["f1", "m1"], 1, BOTH, 1.5, 1)
    assert len(items) == 2 * 2 * 4 * 6
    for item in items.values():
        voice, said = item["voice_emotion"], item["word_emotion"]
        assert item["emotion"] == voice
        assert {
            "matched": voice == said != "neutral",
            "mismatched": voice != said and "neutral" not in (voice, said),
            "neutral_words": said == "neutral" != voice,
            "neutral_voice": voice == "neutral" != said,
        }[item["cell"]]
        if said != "neutral":
            sentences = conflict.EMOTIONAL[item["language"]][said]
            assert item["transcript"] in sentences


def test_the_voice_acts_its_own_emotion_and_not_that_of_the_words():
    voices = [f"m{i}" for i in range(1, 9)]
    items = conflict.plan_conflicts(voices, 4, BOTH, 1.5, 1).values()
    apart = [item for item in items if item["cell"] == "mismatched"]
    for field, differ in (("voice_emotion", True), ("word_emotion", False)):
        loudness = {
            emotion: np.mean(
                [
                    item["condition"]["loudness"]
                    for item in apart
                    if item[field] == emotion
                ]
            )
            for emotion in ("angry", "sad")
        }
        # 3.3 spreads of 3.2 dB, times 1.5, where the voice is meant
        assert bool(loudness["angry"] - loudness["sad"] > 10) is differ


@pytest.mark.parametrize("agreement", [0.0, 0.33, 0.7, 1.0])
def test_words_agree_in_the_share_that_is_asked_for(agreement):
    voices = ["f1", "f2", "m1", "m2", "m3"]
    items = conflict.plan_agreement(voices, 2, BOTH, 1.5, 1, agreement)
    for emotion in EMOTIONS:
        own = [i for i in items.values() if i["emotion"] == emotion]
        agree = sum(i["word_emotion"] == emotion for i in own)
        assert agree == round(agreement * len(own)) and len(own) == 20


def test_a_seed_is_a_corpus_and_another_folder_is_refused(tmp_path):
    options = {
        "train_voices": 0, "valid_voices": 1, "test_voices": 1,
        "languages": ("en",), "num_workers": 1,
    }  # fmt: skip
    (path,) = conflict.prepare(tmp_path / "a", **options).values()
    rows = read_manifest(path)
    assert len(rows) == 24
    assert all(0.3 < row["duration"] < 5 for row in rows.values())
    before = path.read_bytes()
    conflict.prepare(tmp_path / "a", **options)
    assert path.read_bytes() == before
    with pytest.raises(ManifestError, match="holds something else"):
        conflict.prepare(tmp_path / "a", seed=2, **options)
    with pytest.raises(ValueError, match="from 0 to 1"):
        conflict.prepare(tmp_path / "b", agreement=1.2)


def test_sentences_are_of_their_language_and_meaning():
    known = {
        (language, emotion): set(sentences)
        for language, own in conflict.EMOTIONAL.items()
        for emotion, sentences in own.items()
    }
    known |= {(k, "neutral"): set(v) for k, v in SENTENCES.items()}
    voices = [f"m{i}" for i in range(1, 6)]
    planned = conflict.plan_conflicts(voices, 2, BOTH, 1.5, 1)
    planned |= conflict.plan_agreement(voices, 4, BOTH, 1.5, 1, 0.5)
    said = {}
    for key, item in planned.items():
        place = item["language"], item["word_emotion"]
        assert item["transcript"] in known[place]
        said.setdefault(place, set()).add(item["transcript"])
        assert f"_{item['language']}_" in key
    # more than the first sentence of each
    assert said.keys() == known.keys()
    assert all(len(sentences) > 1 for sentences in said.values())
    # no sentence is another language's or emotion's, too
    assert len(set().union(*known.values())) == sum(map(len, known.values()))
    assert not set("".join(known["en", "sad"])) & set(
        "".join(known["zh", "sad"])
    )


def test_another_emotion_is_any_of_the_others():
    voices = [f"m{i}" for i in range(1, 9)]
    strong = set(EMOTIONS) - {"neutral"}
    apart = [
        (item["voice_emotion"], item["word_emotion"])
        for item in conflict.plan_conflicts(voices, 5, BOTH, 1.5, 1).values()
        if item["cell"] == "mismatched"
    ]
    assert set(apart) == {(a, b) for a in strong for b in strong if a != b}
    items = conflict.plan_agreement(voices, 8, BOTH, 1.5, 1, 0.0).values()
    apart = [(i["voice_emotion"], i["word_emotion"]) for i in items]
    assert set(apart) == {(a, b) for a in EMOTIONS for b in EMOTIONS if a != b}


def test_a_seed_decides_words_voices_and_who_agrees():
    def made(seed):
        return [
            conflict.plan_conflicts(["f1", "m1"], 1, BOTH, 1.5, seed),
            conflict.plan_agreement(["f1", "m1"], 2, BOTH, 1.5, seed, 0.5),
        ]

    assert made(1) == made(1)
    for one, two in zip(made(1), made(2), strict=True):
        assert one.keys() == two.keys()
        for field in ("transcript", "condition", "word_emotion"):
            assert [i[field] for i in one.values()] != [
                i[field] for i in two.values()
            ]
    # anew for each item, not only for those whose words are another's
    pairs = zip(made(1)[1].values(), made(2)[1].values(), strict=True)
    assert all(a["condition"] != b["condition"] for a, b in pairs)
    agree = [
        [i["word_emotion"] == i["emotion"] for i in parts[1].values()]
        for parts in (made(1), made(2))
    ]
    assert agree[0] != agree[1]
    # nor do utterances of one voice share what is drawn
    conditions = [str(i["condition"]) for i in made(1)[0].values()]
    assert len(set(conditions)) == len(conditions)


def test_who_speaks_and_how_far_apart_emotions_are():
    items = conflict.plan_conflicts(["f1", "m1"], 3, BOTH, 4.0, 1)
    for item in items.values():
        assert item["speaker"] == f"espeak_{item['voice']}"
        assert item["gender"] == {"f1": "female", "m1": "male"}[item["voice"]]
        assert item["wav"].split("/")[1] == item["speaker"]
    near = conflict.plan_conflicts(["f1", "m1"], 3, BOTH, 0.5, 1)

    def gap(planned):
        loud = {
            emotion: np.mean(
                [
                    i["condition"]["loudness"]
                    for i in planned.values()
                    if i["voice_emotion"] == emotion
                ]
            )
            for emotion in ("angry", "sad")
        }
        return loud["angry"] - loud["sad"]

    # 3.3 spreads of 3.2 dB, times the separation
    assert gap(items) == pytest.approx(4 * 10.6, abs=2)
    assert gap(near) == pytest.approx(0.5 * 10.6, abs=2)


def test_parts_have_voices_and_numbers_of_their_own(tmp_path, monkeypatch):
    def rows(items, folder):
        return {k: {**i, "duration": 1.0} for k, i in items.items()}

    asked = []
    monkeypatch.setattr(
        conflict, "synthesize", lambda todo, folder, workers: asked.extend(todo)
    )
    monkeypatch.setattr(conflict, "manifest_rows", rows)
    paths = conflict.prepare(
        tmp_path / "a",
        train_voices=5,
        valid_voices=2,
        test_voices=3,
        train_repeats=3,
        conflict_repeats=2,
        agreement=0.6,
        languages=("zh",),
    )
    parts = {part: read_manifest(path) for part, path in paths.items()}
    # voices x emotions x cells or nothing x repeats
    sizes = {"train": 5 * 7 * 3, "valid": 2 * 7 * 3, "conflict": 3 * 6 * 4 * 2}
    assert {part: len(items) for part, items in parts.items()} == sizes
    assert len(asked) == sum(sizes.values())
    voices = {
        p: {i["voice"] for i in items.values()} for p, items in parts.items()
    }
    assert {p: len(v) for p, v in voices.items()} == {
        "train": 5, "valid": 2, "conflict": 3
    }  # fmt: skip
    assert len(set().union(*voices.values())) == 10
    for part in ("train", "valid"):
        own = parts[part].values()
        agree = sum(i["word_emotion"] == i["emotion"] for i in own)
        assert agree == pytest.approx(0.6 * len(own), abs=4)
        assert not any("cell" in item for item in own)
    assert {i["language"] for own in parts.values() for i in own.values()} == {
        "zh"
    }
    settings = json.loads((tmp_path / "a/settings.json").read_text())
    assert settings["agreement"] == 0.6 and settings["voices"] == [5, 2, 3]
    again = conflict.prepare(
        tmp_path / "c", 2, train_voices=5, valid_voices=2, test_voices=3
    )
    other = {i["voice"] for i in read_manifest(again["conflict"]).values()}
    assert other != voices["conflict"]
    with pytest.raises(ValueError, match="only .* are usable"):
        conflict.prepare(tmp_path / "b", train_voices=500)
