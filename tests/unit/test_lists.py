"""Segments in lists and tables: by the names and forms that people use."""

import json

import pytest

from speechbrain_c2ser.data.columns import (
    as_seconds,
    fields_of,
    looks_like_time,
)
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.lists import read_list


def bounds_in(tmp_path, name, text):
    """Of the only recording that a list names, its segment."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    (row,) = read_list(tmp_path / name).values()
    assert row["wav"] == "a.wav"
    return row.get("start"), row.get("stop")


@pytest.mark.parametrize(
    "head",
    [
        *("T1,T2", "t0,t1", "start,to", "start,finish time", "start,until"),
        *("segment_begin,segment_end", "stime,etime", "from_time,to_time"),
        *("time_from,time_to", "clip_from,clip_to", "in_point,out_point"),
        *("Startzeit,Endzeit", "Beginn,Ende", "Anfangszeit,Ende", "von,bis"),
        *("début,fin", "inicio,fin", "desde,hasta", "zeit_von,zeit_bis"),
        *("起始时间,终止时间", "開始,終了", "from,end", "von_s,bis_s"),
        *("speech_onset,speech_offset", "time_offset,until"),
    ],
)
def test_names_of_bounds(tmp_path, head):
    text = f"file,{head}\na.wav,0.5,1.5\n"
    assert bounds_in(tmp_path, "a.csv", text) == (0.5, 1.5)


@pytest.mark.parametrize(
    "head", ["t1_ms,t2_ms", "from_ms,to_ms", "clip_begin_ms,clip_end_ms"]
)
def test_milliseconds(tmp_path, head):
    text = f'file,{head}\na.wav,500,"1,500"\n'  # Excel's sign of thousands
    assert bounds_in(tmp_path, "a.csv", text) == (0.5, 1.5)
    row = {"wav": "a.wav", "offset_ms": 500, "duration_ms": "12,5"}
    assert fields_of(row)[0] == {
        "wav": "a.wav", "start": 0.5, "duration": 0.0125}  # fmt: skip


@pytest.mark.parametrize(
    "name, value",
    [
        ("timestamp", [0.5, 1]),  # Whisper's of Hugging Face
        ("timestamps", ["0:00.5", "0:01"]),
        ("interval", "[0.5, 1.0]"),
        ("segment", [0.5, 1]),
        ("span", "(0.5; 1.0)"),
        ("bounds_ms", [500, 1000]),
        ("bounds_ms", "500-1000"),
        ("span", "0:00.5-0:01"),
        ("span", "500 ms to 1 s"),
        ("time", "0.5-1.0"),
        ("time", "0.5 to 1.0"),
    ],
)
def test_two_times_in_one_cell(tmp_path, name, value):
    text = json.dumps([{"wav": "a.wav", name: value}])
    assert bounds_in(tmp_path, "a.json", text) == (0.5, 1)


@pytest.mark.parametrize(
    "row",
    [
        {"segment": "1-2"},  # an id
        {"segment": "[1,2]"},
        {"segment": "[0.5,1.5]"},
        {"interval": "1-5"},  # a scale
        {"interval": "[1, 5]"},
        {"time": "10-12"},
        {"time": "0,5"},
        {"time": "12-10"},
        {"timestamp": "2023-10-01"},
        {"timestamp": 1690000000},
        {"timestamps": [[0, 1], [1, 2]]},
        {"recording_start": "2023-10-01", "recording_end": "2023-10-02"},
        {"num_frames": 8000, "sample_rate": 16000},
        {"valence": 1, "arousal": 2, "age": 30, "snr": 12.5, "votes": 3},
        {"confidence": 0.5, "happy": 0.1, "sad": 0.9, "utterance_length": 7},
        {"right_answer": 1, "left_handed": 0, "tone": 3, "mood": 2},
    ],
)
def test_what_is_no_segment_is_the_whole_file(tmp_path, row):
    text = json.dumps([{"wav": "a.wav", **row}])
    assert bounds_in(tmp_path, "a.json", text) == (None, None)


def test_a_chunk_without_an_end_is_cut_off(tmp_path):
    text = json.dumps([{"wav": "a.wav", "timestamp": [29.5, None]}])
    assert bounds_in(tmp_path, "a.json", text) == (29.5, None)
    harmless = {"signal_to_noise_ratio": 3, "sample_rate": 8000, "age": 30}
    text = json.dumps([{"wav": "a.wav", "start": 1, **harmless}])
    assert bounds_in(tmp_path, "a.json", text) == (1, None)


@pytest.mark.parametrize(
    "row, problem",
    [
        ({"start": 0.5, "num_frames": 800}, "'num_frames' .*divided by"),
        ({"start": 0.5, "frames": 800}, "'frames' .*divided by"),
        ({"start": 0.5, "time_x": 1}, "no stop, and the column 'time_x'.*name"),
        ({"end": 0.5, "word_start": 1}, "no start, and .* .word_start."),
        ({"frame_offset": 1, "num_frames": 2}, "frame_offset look .*divid"),
        ({"left": 0.5, "right": 1.5}, "left, right look like .*name them"),
        ({"a_start": "00:01:02:12", "a_end": "00:01:03:12"}, "a_start, a_end"),
    ],
)
def test_bounds_that_are_not_understood_are_refused(tmp_path, row, problem):
    text = json.dumps([{"wav": "a.wav", **row}])
    with pytest.raises(ManifestError, match=f"^Row 1 of .*{problem}"):
        bounds_in(tmp_path, "a.json", text)


@pytest.mark.parametrize("name", ["a.txt", "a.lst"])
@pytest.mark.parametrize("sign", [" ", "\t", "  "])
def test_two_numbers_behind_a_path(tmp_path, name, sign):
    text = sign.join(["a.wav", "0.5", "1.0"])
    assert bounds_in(tmp_path, name, text) == (0.5, 1)


@pytest.mark.parametrize(
    "text, problem",
    [
        ("0.0\t1.5\thappy\n", "a.txt:1 has times and no recording.*Audacity"),
        ("c.wav\na.wav;b.wav\n", "a.txt:2 names several.* line of its own"),
    ],
)
def test_lines_with_more_than_a_path(tmp_path, text, problem):
    for name in "abc":
        (tmp_path / f"{name}.wav").touch()
    with pytest.raises(ManifestError, match=problem):
        bounds_in(tmp_path, "a.txt", text)


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.scp", "id wav\nu a.wav\n"),
        ("a.txt", "id wav\nu a.wav\n"),
        ("a.txt", "File Emotion\na.wav sad\n"),
        ("a.csv", "audio,text\n\"{'path': 'a.wav', 'bytes': None}\",Hi\n"),
        ("a.csv", "audio,text\n\"{'bytes': None, 'path': 'a.wav'}\",Hi\n"),
    ],
)
def test_headers_and_cells_are_no_recordings(tmp_path, name, text):
    assert bounds_in(tmp_path, name, text) == (None, None)


@pytest.mark.parametrize(
    "line",
    [
        *("a.wav,0.1,0.2,0.7", "a.wav 1 2 words", "a.wav|2|5|words"),
        *("a.wav 0 3", "a.wav 2.0 16000", "a.wav,0.5,0.7", "a.wav 3 1"),
        *("a.wav 32000 2.0", "a.wav 0.5 0.7 happy", "a.wav 1.0 0.5"),
        *("a.wav|sad|x.wav", "a.wav\ta.wav", "a.wav;gone.wav"),
    ],
)
def test_numbers_of_a_label_are_no_segment(tmp_path, line):
    (tmp_path / "a.wav").touch()
    (tmp_path / "a.txt").write_text(line)
    (row,) = read_list(tmp_path / "a.txt").values()
    assert row == {"wav": str(tmp_path / "a.wav")}


def test_a_header_above_bounds(tmp_path):
    text = "id wav start stop\nu a.wav 0.5 1.0\n"
    assert bounds_in(tmp_path, "a.txt", text) == (0.5, 1)


def test_days_of_pandas(tmp_path):
    text = "file,start,end\na.wav,0 days,0 days 00:00:00.400000\n"
    assert bounds_in(tmp_path, "a.csv", text) == (0, 0.4)
    assert [as_seconds(v) for v in ("1 day", "days", "1,500 ms")] == [
        86400, None, 1.5]  # fmt: skip


def test_words_of_times():
    names = ("from_x", "signal_to_noise", "frame_rate", "EndFrame", "n_frames")
    assert [looks_like_time(n) for n in names] == [True, False, False, True,
                                                   True]  # fmt: skip


def test_two_numbers_behind_some_paths_are_no_bounds(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.wav").touch()
    path = tmp_path / "a.txt"
    path.write_text("a.wav 0.5 1.0\nb.wav 0.9 0.2\n")
    assert list(read_list(path).values()) == [
        {"wav": str(tmp_path / f"{name}.wav")} for name in "ab"
    ]


@pytest.mark.parametrize("is_there", [False, True])
def test_names_of_files_as_ids(tmp_path, is_there):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a.wav").touch()
    if is_there:
        (tmp_path / "a.wav").touch()
    (tmp_path / "a.txt").write_text("a.wav\td/a.wav\n")
    assert read_list(tmp_path / "a.txt") == {
        "a.wav": {"wav": str(tmp_path / "d/a.wav")}
    }
