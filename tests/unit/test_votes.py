"""Votes: of what raters could not agree on, and in a smaller set."""

import csv
import importlib

import pytest
import soundfile
from miniatures import MINIATURES, write_csv

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers import generic
from speechbrain_c2ser.data.importers.writing import count_table
from speechbrain_c2ser.data.manifest import read_manifest
from speechbrain_c2ser.evaluation.errors import PredictionError
from speechbrain_c2ser.evaluation.scoring import evaluate
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes import CategoryHead


@pytest.fixture
def miniature(tmp_path, write_wav):
    def build(name):
        folder = tmp_path / name
        folder.mkdir()
        MINIATURES[name](folder, lambda path: write_wav(folder / path, 0.1))
        return folder

    return build


def rows_of(paths):
    return {
        key: row
        for path in paths.values()
        for key, row in read_manifest(path).items()
    }


def prepare(name, *arguments, **options):
    module = importlib.import_module(f"speechbrain_c2ser.data.corpora.{name}")
    return module.prepare(*arguments, **options)


def test_votes_without_a_place_are_counted_aloud(caplog):
    labels = LabelSpace.from_name("iemocap4").names
    rows = [
        {"id": str(n), "votes": {label: 2, "excited": 1, "other": 1}}
        for n, label in enumerate(labels)
    ]
    head = CategoryHead(2, labels, key="votes")
    with pytest.raises(ValueError, match="'0': unknown votes 'other'"):
        head.fit(rows)
    head = CategoryHead(2, labels, key="votes", unknown="missing")
    with caplog.at_level("WARNING", "speechbrain_c2ser"):
        head.fit(rows)
    assert head.truth(rows[0])["happy"] == pytest.approx(1 / 3)
    assert "no place for: other 4" in caplog.text


@pytest.mark.parametrize("valid", ["group", "random"])
def test_iemocap_keeps_what_raters_disagree_on(valid, miniature, tmp_path):
    folder = miniature("iemocap")
    options = {"valid": valid, "keep_disagreed": True}
    paths = prepare("iemocap", folder, tmp_path / "out", **options)
    rows = rows_of(paths)
    disagreed = {k: r for k, r in rows.items() if "emotion" not in r}
    assert len(rows) == 30 and len(disagreed) == 5
    row = disagreed["Ses01F_impro01_F006"]
    assert row["votes"] == {"other": 2, "neutral": 1}
    assert row["emotion_raw"] == "xxx" and row["vad_scale"] == [1, 5]
    without = prepare("iemocap", folder, tmp_path / "without", valid=valid)
    assert len(rows_of(without)) == 25


def test_thai_ser_and_msp_podcast_keep_them_too(miniature, tmp_path):
    thai = miniature("thai_ser")
    options = {"min_agreement": 0.9, "keep_disagreed": True}
    paths = prepare("thai_ser", thai, tmp_path / "thai", **options)
    rows = rows_of(paths)
    assert len(rows) == 24 and not any("emotion" in r for r in rows.values())
    msp = miniature("msp_podcast")
    name = "MSP-PODCAST_0001_0033"
    detailed = [
        {"FileName": f"{name}.wav", "Worker": n, "EmoClass_Major": word}
        for n, word in enumerate(("Angry", "Surprise", "Angry", "Other-odd"))
    ]
    write_csv(msp, "Labels/labels_detailed.csv", detailed)
    paths = prepare("msp_podcast", msp, tmp_path / "m", keep_disagreed=True)
    row = rows_of(paths)[name]
    assert row["votes"] == {"angry": 2, "surprised": 1, "other": 1}
    assert "emotion" not in row and row["vad"] == [3.5, 4.5, 5.0]
    assert name not in rows_of(prepare("msp_podcast", msp, tmp_path / "n"))


@pytest.fixture
def table(tmp_path):
    """table(rows) → a folder with a CSV of twelve recordings."""

    def build(columns, folder="table"):
        (tmp_path / folder).mkdir()
        with open(tmp_path / folder / "corpus.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["path", "speaker", *columns])
            for number in range(12):
                name = f"{number}.wav"
                soundfile.write(tmp_path / folder / name, [0.1] * 1600, 16000)
                cells = [value(number) for value in columns.values()]
                rows.writerow([name, f"s{number % 6}", *cells])
        return tmp_path / folder

    return build


def test_columns_become_fields_and_numbers(table, tmp_path):
    folder = table(
        {
            "Main": lambda n: ("joy", "grief", "boredom")[n % 3],
            "V": lambda n: f"{n / 2}",
            "A": lambda n: "3,5",
            "Awe": lambda n: n,
            "Fear": lambda n: "" if n else "2",
            "condition": lambda n: "shout" if n % 2 else "whisper",
        }
    )
    columns = {
        "emotion": "Main",
        "valence": "V",
        "arousal": "A",
        "intensities": ["Awe", "Fear"],
    }
    options = {
        "columns": columns,
        "vad_scale": [0, 7],
        "labels": {"joy": "happy", "grief": "sad", "boredom": None},
    }
    rows = rows_of(generic.prepare(folder, tmp_path / "out", **options))
    assert len(rows) == 8
    row = next(r for r in rows.values() if r["wav"].endswith("/4.wav"))
    assert row["emotion"] == "sad" and row["emotion_raw"] == "grief"
    assert row["vad"] == [2.0, 3.5, None] and row["vad_scale"] == [0, 7]
    assert row["intensities"] == {"Awe": 4.0}
    # Any field that rows carry tells groups apart.
    predictions = [{"id": k, "label": r["emotion"]} for k, r in rows.items()]
    result = evaluate(predictions, rows, samples=5, group_by=["condition"])
    groups = result["readings"][result["main"]]["groups"]["condition"]
    assert {name: own["n"] for name, own in groups.items()} == {
        "shout": 4,
        "whisper": 4,
    }
    with pytest.raises(PredictionError, match="'room' to group by.*reference"):
        evaluate(predictions, rows, samples=5, group_by=["room"])
    with pytest.raises(ManifestError, match="no column 'Mood' for emotion"):
        generic.prepare(folder, tmp_path / "no", columns={"emotion": "Mood"})
    options["labels"] = {"jy": "happy"}
    with pytest.raises(ManifestError, match="names 'jy', which no row has"):
        generic.prepare(folder, tmp_path / "no", **options)


def test_votes_of_a_table_without_emotion(table, tmp_path):
    votes = ("sad:2;angry:1", "angry:2", "sad:1;angry:1")
    folder = table({"votes": lambda n: votes[n % 3]})
    rows = rows_of(generic.prepare(folder, tmp_path / "out"))
    assert len(rows) == 8 and all("emotion" in row for row in rows.values())
    text = (tmp_path / "out" / "corpus.json").read_text()
    assert "4 rows of corpus.csv are left out" in text
    paths = generic.prepare(folder, tmp_path / "out", keep_disagreed=True)
    rows = rows_of(paths)
    found = [row.get("emotion") for row in rows.values()]
    assert sorted(map(str, found)) == ["None"] * 4 + ["angry"] * 4 + ["sad"] * 4
    assert {str(row["votes"]) for row in rows.values()} == {
        "{'sad': 2.0, 'angry': 1.0}",
        "{'angry': 2.0}",
        "{'sad': 1.0, 'angry': 1.0}",
    }
    text = (tmp_path / "out" / "corpus.json").read_text()
    assert "majority of their votes" in text


def test_rows_without_majority_have_a_column_of_their_own():
    description = {
        "labels": ["sad"],
        "classes": {"test": {"sad": 2}},
        "no_majority": {"test": 3},
    }
    assert count_table(description).splitlines()[1].split() == [
        "test",
        "2",
        "3",
        "5",
    ]


def test_labels_out_of_file_names(tmp_path, write_wav):
    folder = tmp_path / "att_hack"
    for speaker in range(4):
        for letter in "ad":
            name = f"sub/F0{speaker}_{letter}1_s001_v01.wav"
            write_wav(folder / name, 0.1)
    write_wav(folder / "noise.wav", 0.1)
    pattern = r"(?P<speaker>[FM]\d+)_(?P<emotion>[a-z])\d_s\d+_v\d+"
    labels = {"a": "friendly", "d": "distant"}
    out = tmp_path / "out"
    paths = generic.prepare(folder, out, pattern=pattern, labels=labels)
    rows = rows_of(paths)
    assert len(rows) == 8
    row = rows["sub/F00_a1_s001_v01"]
    assert (row["emotion"], row["speaker"]) == ("friendly", "F00")
    assert "1 files whose names" in (out / "corpus.json").read_text()
    by_path = r"sub/(?P<speaker>F\d+)_(?P<emotion>a)1.*"
    rows = rows_of(generic.prepare(folder, tmp_path / "b", pattern=by_path))
    assert len(rows) == 4
    for wrong, message in (
        ("(", "no regular expression"),
        ("(?P<mood>.*)", "has no group"),
        ("(?P<emotion>x)", "fits none of the 9 .* noise.wav"),
    ):
        with pytest.raises(ManifestError, match=message):
            generic.prepare(folder, tmp_path / "no", pattern=wrong)
