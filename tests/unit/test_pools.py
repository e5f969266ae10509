"""Several manifests as one set: ids, shares, label maps, leakage."""

import logging

import pytest

from speechbrain_c2ser.data.dataset import emotions_of, speech_dataset
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import write_manifest
from speechbrain_c2ser.data.parts import parts_of
from speechbrain_c2ser.data.pools import read_pool, read_pools

HERE = "speechbrain_c2ser.data.pools"


@pytest.fixture
def corpora(tmp_path):
    """Two corpora whose ids and files are called alike."""
    for corpus, label in (("a", "happy"), ("b", "excited")):
        rows = {
            f"u{i}": {
                "wav": str(tmp_path / corpus / f"{i}.wav"),
                "duration": 1.0,
                "emotion": label if i % 2 else "sad",
                "speaker": str(i % 5),
                "dataset": corpus,
            }
            for i in range(10)
        }
        write_manifest(rows, tmp_path / corpus / "train.json")
    return tmp_path


def test_ids_are_told_by_corpus_and_folders_are_their_own(corpora):
    a, b = (corpora / c / "train.json" for c in "ab")
    rows = read_pool([a, str(b)])
    assert len(rows) == 20 and {"a/u0", "b/u0"} <= set(rows)
    assert rows["b/u1"]["wav"] == str(corpora / "b" / "1.wav")
    assert "u0" in read_pool(a)
    assert emotions_of([a, b]) == ["excited", "happy", "sad"]
    assert len(speech_dataset([a, b], need=["emotion"])) == 20
    with pytest.raises(ManifestError, match="'a/u0' of .* already"):
        read_pool([a, a])
    with pytest.raises(ManifestError, match="list of manifests is empty"):
        read_pool([])


def test_a_corpus_without_a_name_is_called_by_its_folder(corpora):
    rows = {"u": {"wav": "u.wav", "duration": 1.0}}
    write_manifest(rows, corpora / "c" / "train.json")
    pool = [corpora / c / "train.json" for c in "ac"]
    assert "c/u" in read_pool(pool)


def test_label_maps(corpora, caplog):
    path = corpora / "b" / "train.json"
    rows = read_pool(path)
    rows["u1"]["votes"] = {"excited": 2, "happy": 1, "sad": 1}
    rows["u1"]["segments"] = [[0, 0.5, "sad"], [0.5, 1, "excited"]]
    rows["u1"]["weak"] = {"labels": {"excited": 0.5, "happy": 0.5}}
    write_manifest(rows, path)
    part = {"manifest": path, "map": {"excited": "happy"}}
    mapped = read_pool(part)
    assert mapped["u1"]["emotion"] == "happy"
    assert mapped["u1"]["emotion_raw"] == "excited"
    assert mapped["u1"]["votes"] == {"happy": 3, "sad": 1}
    assert mapped["u1"]["segments"][1] == [0.5, 1, "happy"]
    assert mapped["u1"]["weak"]["labels"] == {"happy": 1.0}
    assert emotions_of(part) == ["happy", "sad"]
    # By the name of a set; what has no place goes, and is said.
    assert emotions_of({"manifest": path, "map": 4}) == ["happy", "sad"]
    with caplog.at_level(logging.WARNING, HERE):
        part["map"] = {"excited": None}
        assert emotions_of(part) == ["sad"] and not caplog.text
        assert len(read_pool(part)) == 5
    assert "5 of 10 items" in caplog.text and "excited 5" in caplog.text
    part["map"] = {"excitd": "happy"}
    with pytest.raises(ManifestError, match="'excitd', which no row .*excited"):
        read_pool(part)
    part["map"] = {"excited": None, "sad": None}
    with pytest.raises(ManifestError, match="leaves no row"):
        read_pool(part)


def test_shares_are_the_same_rows_in_every_run(corpora):
    path = corpora / "a" / "train.json"
    few = read_pool({"manifest": path, "share": 0.3})
    assert list(few) == ["u3", "u5", "u9"]  # wherever it runs
    assert few.keys() < read_pool({"manifest": path, "share": 0.6}).keys()
    more = read_pool({"manifest": path, "share": 2.3})
    assert len(more) == 23 and {"u0", "u0#2"} < set(more)
    assert sum("#3" in key for key in more) == 3
    with pytest.raises(ManifestError, match="share of 0.01 .* is no row"):
        read_pool({"manifest": path, "share": 0.01})
    with pytest.raises(ManifestError, match="repeats rows.* valid"):
        part = {"manifest": path, "share": 2}
        read_pools({"train": path, "valid": part}, ["id"])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"manifest": "a", "part": 1}, "'part', which is not known"),
        ({"manifest": "a", "share": 0}, "share 0 of a"),
        ({"manifest": "a", "share": "half"}, "'half' of a"),
        ({"manifest": "a", "map": "no_set"}, "map of a: .*'no_set'"),
        ({"manifest": "a", "map": ["x"]}, "map \\['x'\\] of a"),
        ({"path": "a"}, "is no manifest"),
    ],
)
def test_other_entries_are_one_sentence(entry, message):
    with pytest.raises(ManifestError, match=message) as caught:
        parts_of(entry)
    assert "\n" not in str(caught.value)


def test_leakage_is_looked_for_over_all(corpora):
    a, b = (corpora / c / "train.json" for c in "ab")
    found = read_pools({"train": a, "valid": None, "test": b}, ["wav"])
    assert set(found) == {"train", "test"} and "u0" in found["test"]
    with pytest.raises(ManifestError, match="the id 'b/u0'"):
        read_pools({"train": [a, b], "test": b}, ["id"])
    # Speakers of one name in two corpora are two.
    rows = read_pool(b)
    other = {f"t{k}": {**r, "wav": f"{k}.wav"} for k, r in rows.items()}
    write_manifest(other, corpora / "b" / "test.json")
    test = corpora / "b" / "test.json"
    read_pools({"train": [a, {"manifest": a, "map": 4}][:1], "test": test}, [])
    with pytest.raises(ManifestError, match="speaker '0'"):
        read_pools({"train": [a, b], "test": test}, ["id", "wav", "speaker"])


def test_scales_are_not_mixed_in_silence(corpora):
    paths = [corpora / c / "train.json" for c in "ab"]
    for path, scale in zip(paths, ([1, 5], None), strict=True):
        rows = read_pool(path)
        for row in rows.values():
            row["vad"] = [0.5, 1.0, None] if scale is None else [3, 4, None]
            if scale:
                row["vad_scale"] = scale
        write_manifest(rows, path)
    read_pool(paths[0])
    with pytest.raises(ManifestError, match="'b/u0' does not tell the scale"):
        read_pool(paths)
