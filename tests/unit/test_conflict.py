"""The corpus of conflicts: its cells, its shares, its seed."""

import numpy as np
import pytest

from speechbrain_c2ser.data.manifest import ManifestError, read_manifest
from speechbrain_c2ser.data.synthetic import conflict
from speechbrain_c2ser.data.synthetic.emotions import EMOTIONS

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
