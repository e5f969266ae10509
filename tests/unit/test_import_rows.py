"""Lists of recordings with columns as other programs name and fill them."""

import json

import numpy as np
import pytest
import soundfile

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers import generic
from speechbrain_c2ser.data.manifest import read_manifest

HEAD = "file,emotion,speaker"


@pytest.fixture
def folder(tmp_path):
    """Twelve recordings of a second, in tmp_path/set/w."""
    (tmp_path / "set/w").mkdir(parents=True)
    for index in range(12):
        wav = tmp_path / f"set/w/{index}.wav"
        soundfile.write(wav, np.zeros(8000), 8000)
    return tmp_path / "set"


def write(folder, head, cells, name="list.csv"):
    """A table; in cells, {i} is the number of the row."""
    lines = [head]
    for i in range(12):
        emotion = ("sad", "happy")[i % 2]
        lines.append(cells.format(i=i, emotion=emotion, s=i // 3))
    (folder / name).write_text("\n".join(lines) + "\n")


def run(folder, **options):
    paths = generic.prepare(folder, folder.parent / "out", **options)
    text = (folder.parent / "out/corpus.json").read_text()
    items = {}
    for path in paths.values():
        assert "NaN" not in path.read_text()
        items |= read_manifest(path)
    return items, json.loads(text)["notes"]


@pytest.mark.parametrize(
    "head, cells, start, stop",
    [
        ("file,start,end,emotion,speaker", "w/{i}.wav,0.1,0.3,{emotion},{s}",
         0.1, 0.3),
        ("File;Onset;Offset;Emotion;spk", "w/{i}.wav;0,1;0,3;{emotion};{s}",
         0.1, 0.3),
        ("audio_filepath,offset,duration,label,actor",
         "w/{i}.wav,0.25,0.5,{emotion},{s}", 0.25, 0.75),
        ("path,start_ms,end_ms,emo,speaker_id",
         "w/{i}.wav,250,750,{emotion},{s}", 0.25, 0.75),
        ("path,begin,duration,emo,speaker", "w/{i}.wav,0.5,1,{emotion},{s}",
         0.5, 1.0),
        ("path,begin,emo,speaker", "w\\{i}.wav,0.5,{emotion},{s}", 0.5, 1.0),
        ("path,stop_time,emo,speaker", "w/{i}.wav,0.5,{emotion},{s}", 0, 0.5),
    ],
)  # fmt: skip
def test_bounds_by_any_name(folder, head, cells, start, stop):
    write(folder, head, cells)
    items, notes = run(folder)
    assert len(items) == 12 and not any("kept" in note for note in notes)
    for item in items.values():
        assert (item["start"], item["stop"]) == (start, stop)
        assert item["duration"] == round(stop - start, 4)


@pytest.mark.parametrize(
    "head, cells, problem",
    [
        ("id,wav,start,end_frame,emotion", "u{i},w/{i}.wav,0.1,0.3,{emotion}",
         "'u0' .* a start but no stop, and the column 'end_frame'"),
        ("id,wav,start,dur,emotion", "u{i},w/{i}.wav,0.9,0.3,{emotion}",
         "'u0': the segment 0.9 to 1.2 s is not within"),
        ("id,wav,start,emotion", "u{i},w/{i}.wav,soon,{emotion}",
         "'u0': the start 'soon' is no number"),
        ("name,noise,emotion", "u{i},w/{i}.wav,{emotion}",
         "'1' of list.csv has no 'wav' .columns: name, noise, emotion; "
         "looked for: wav, path,"),
        ("id,wav,class", "u{i},w/{i}.wav,", "'u0' .* no 'emotion'"),
    ],
)  # fmt: skip
def test_what_is_missing_is_told(folder, head, cells, problem):
    write(folder, head, cells)
    with pytest.raises(ManifestError, match=problem):
        run(folder)


def test_half_a_segment_among_whole_ones(folder):
    write(folder, "id,wav,start,end,emotion", "u{i},w/{i}.wav,0.1,,{emotion}")
    path = folder / "list.csv"
    path.write_text(path.read_text().replace("u3,w/3.wav,0.1,", "u3,w/3.wav,,"))
    text = path.read_text().replace("u4,w/4.wav,0.1,,", "u4,w/4.wav,0.1,0.5,")
    path.write_text(text)
    items, notes = run(folder)  # as NaT means in audformat
    bounds = {k: (i.get("start"), i.get("stop")) for k, i in items.items()}
    assert bounds["u3"] == (None, None) and bounds["u4"] == (0.1, 0.5)
    assert bounds["u0"] == (0.1, 1.0) and items["u0"]["duration"] == 0.9
    assert any("10 rows of list.csv have a start but no" in n for n in notes)
    path.write_text(text.replace("u0,w/0.wav,0.1,,", "u0,w/0.wav,,0.5,"))
    with pytest.raises(ManifestError, match="'u0' .* stop but no start: give"):
        run(folder)


def test_durations_that_are_not_the_files_are_told(folder, caplog):
    write(folder, HEAD + ",duration", "w/{i}.wav,{emotion},{s},1000")
    table = folder / "list.csv"
    table.write_text(table.read_text().replace("sad,0,1000", "sad,0,1.04"))
    items, _ = run(folder)
    assert {item["duration"] for item in items.values()} == {1.0}
    assert "The durations of 10 rows of list.csv are not" in caplog.text
    items, _ = run(folder, check_audio=False)  # no header is read
    assert items["2"]["duration"] == 1000


def test_classes_by_number_are_refused(folder):
    rows = [{"id": "a", "wav": "w/0.wav", "label": 3}]
    (folder / "list.json").write_text(json.dumps(rows))
    with pytest.raises(ManifestError, match="'a'.*3 is no name.*names"):
        run(folder)


@pytest.mark.parametrize("label", ["happy,sad", "Happy / sad", "sad+happy"])
def test_several_emotions_in_one_label_are_refused(folder, label):
    write(folder, "file;emotion;speaker", "w/{i}.wav;{emotion};{s}")
    table = folder / "list.csv"
    table.write_text(table.read_text().replace("sad;3", f"{label};3"))
    with pytest.raises(ManifestError, match="^1 items have several.*votes"):
        run(folder)
    items, _ = run(folder, labels={label: "mixed"})
    assert sum(i["emotion"] == "mixed" for i in items.values()) == 1
    items, _ = run(folder, columns={"votes": "emotion"}, keep_disagreed=True)
    assert sum("emotion" not in item for item in items.values()) == 1


def test_labels_of_one_meaning_are_told(folder):
    write(folder, HEAD, "w/{i}.wav,{emotion},{s}")
    table = folder / "list.csv"
    table.write_text(table.read_text().replace("sad,0", "sadness,0"))
    items, notes = run(folder)
    assert "The labels sad and sadness mean one emotion" in " ".join(notes)


@pytest.mark.parametrize(
    "head, cells",
    [
        ("wav,target,emo_target,speaker", "w/{i}.wav,Hello,{emotion},{s}"),
        ("wav,label,label_name,speaker", "w/{i}.wav,{i},{emotion},{s}"),
        ("Datei,Gefühl,Sprecher", "w/{i}.wav,{emotion},{s}"),
        ("wav,emotion,spk_id", "$data_root/w/{i}.wav,{emotion},{s}"),
    ],
)
def test_names_of_columns_that_mean_an_emotion(folder, head, cells):
    write(folder, head, cells)
    items, _ = run(folder)
    assert {item["emotion"] for item in items.values()} == {"happy", "sad"}
    assert len({item["speaker"] for item in items.values()}) == 4


def test_columns_of_one_emotion_each_are_votes_where_that_is_said(folder):
    write(folder, "wav,sad,happy,speaker", "w/{i}.wav,1,0,{s}")
    votes = {"votes": ["sad", "happy"]}
    with pytest.raises(ManifestError, match="columns='{votes: .sad, happy.}'"):
        run(folder)
    items, _ = run(folder, columns=votes)
    assert items["1"]["emotion"] == "sad"


def test_votes_of_one_name_in_several_cases(folder):
    write(folder, "wav,rater_1,rater_2,rater_3", "w/{i}.wav,Sad,sad ,happy")
    items, _ = run(folder)
    assert items["1"]["votes"] == {"Sad": 2, "happy": 1}
    assert {item["emotion"] for item in items.values()} == {"sad"}


def test_votes_without_majority_are_left_out_and_counted(folder):
    write(folder, "wav,votes,speaker", 'w/{i}.wav,"{emotion},{emotion}",{s}')
    table = folder / "list.csv"
    table.write_text(table.read_text().replace("sad,sad", "sad,happy", 1))
    items, notes = run(folder)
    assert len(items) == 11 and "1 rows of list.csv are left out" in notes[1]
    items, _ = run(folder, keep_disagreed=True)
    assert len(items) == 12


@pytest.mark.parametrize(
    "votes", ["2 sad 1 angry", "sad (2) angry (1)", [["sad", 2]], [1, 2]]
)
def test_what_is_no_vote_is_refused(folder, votes):
    rows = [{"wav": "w/0.wav", "votes": votes}]
    (folder / "list.json").write_text(json.dumps(rows))
    with pytest.raises(ManifestError, match="'1': the votes .* no counts of"):
        run(folder)


@pytest.mark.parametrize("missing", ["NaN", '"nan"', "null", '""', '"None"'])
def test_missing_values_of_pandas(folder, missing):
    lines = []
    for i in range(12):
        emotion = ("sad", "happy")[i % 2]
        speaker = missing if i == 4 else i // 3
        lines.append(
            f'{{"id": {i}, "path": "w/{i}.wav", "label": "{emotion}", '
            f'"speaker": {speaker}, "text": {missing}, "mood": {missing}}}'
        )
    (folder / "list.jsonl").write_text("\n".join(lines))
    items, notes = run(folder)
    assert "speaker" not in items["4"] and items["5"]["speaker"] == "1"
    assert not any("transcript" in i or "mood" in i for i in items.values())
    assert not notes or "mood" not in notes[0]


def test_unknown_columns_are_kept_and_told(folder):
    write(folder, HEAD + ",mood,take", "w/{i}.wav,{emotion},{s},x,{i}")
    items, notes = run(folder)
    assert items["1"]["mood"] == "x"
    assert any("list.csv kept as they are" in n and "mood, take" in n
               for n in notes)  # fmt: skip


def test_ratings_and_votes(folder):
    write(
        folder,
        HEAD + ",Valence,arousal,votes,dialogue_id,turn",
        'w/{i}.wav,{emotion},{s},"2,5",4,"sad: 2; happy:1",d{s},{i}',
    )
    items, _ = run(folder, vad_scale=[1, 5])
    item = items["1"]
    assert item["vad"] == [2.5, 4.0, None] and item["vad_scale"] == [1, 5]
    assert item["votes"] == {"sad": 2, "happy": 1}
    assert item["dialogue"] == "d0" and item["turn"] == "0"
    with pytest.raises(ManifestError, match="'1': .2.5, 4.0.*--vad_scale"):
        run(folder)


@pytest.mark.parametrize(
    "head, cells",
    [
        ("rater_1,rater_2,Annotator3", "sad,sad,angry"),
        ("votes", '"{{""sad"": 2, ""angry"": 1}}"'),
        ("votes", "sad|angry|sad"),
    ],
)
def test_votes_in_other_forms(folder, head, cells):
    write(folder, f"{HEAD},{head}", "w/{i}.wav,{emotion},{s}," + cells)
    items, notes = run(folder)
    assert items["1"]["votes"] == {"sad": 2, "angry": 1}
    assert not any("kept" in note for note in notes)


def test_what_is_no_json_is_not_written(folder):
    rows = [
        {
            "wav": (folder / f"w/{i}.wav").as_uri(),
            "emotion": [("sad", "happy")[i % 2]],
            "age": float("inf"),
            "more": {"x": [float("nan")]},
        }
        for i in range(12)
    ]
    (folder / "A.JSONL").write_text("\n".join(map(json.dumps, rows)))
    items, _ = run(folder)
    assert len(items) == 12
    for item in items.values():
        assert item["more"] == {"x": [None]} and "age" not in item


def test_a_stop_beside_a_start_of_unknown_name(folder):
    write(folder, "file,begin_frame,end,emotion", "w/{i}.wav,100,0.5,{emotion}")
    with pytest.raises(ManifestError, match="'begin_frame' is not understood"):
        run(folder)


@pytest.mark.parametrize("kind", ["speech", "3"])
def test_a_column_called_label_may_be_of_something_else(folder, kind):
    head = "id,wav,emotion,label,label_text"
    write(folder, head, f"u{{i}},w/{{i}}.wav,0,{kind},{{emotion}}")
    items, _ = run(folder)
    assert items["u0"]["emotion"] == "sad"
    items, _ = run(folder, labels={0: "angry"})
    assert items["u0"]["emotion"] == "angry"
    assert items["u0"]["label"] == kind
