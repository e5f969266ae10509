"""Tables as people, spreadsheets and pandas write them: one reader for all."""

import json
import os

import numpy as np
import pytest
import soundfile

from speechbrain_c2ser.data.columns import as_id, as_number, fields_of
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.lists import read_list
from speechbrain_c2ser.data.manifest import read_manifest
from speechbrain_c2ser.data.tables import read_table
from speechbrain_c2ser.data.text_files import decode

ROWS = [{"id": "a", "text": "Sie ist müde."}, {"id": "b", "text": "你好"}]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be",
                 "utf-32", "gb18030"]
)  # fmt: skip
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.json"])
def test_encodings(tmp_path, encoding, name):
    sign = {"t.csv": ";", "t.tsv": "\t"}.get(name)
    text = json.dumps(ROWS, ensure_ascii=False)
    if name == "t.jsonl":
        text = "\r\n".join(json.dumps(r, ensure_ascii=False) for r in ROWS)
    if sign:
        text = "\r\n".join(sign.join(row) for row in
                           [ROWS[0], *(r.values() for r in ROWS)])  # fmt: skip
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert read_table(tmp_path / name) == ROWS


def test_one_byte_and_chinese_text_are_told_apart():
    for text, encoding in (
        ("開心，悲傷", "big5"),
        ("他說：「我很難過」。", "big5"),
        ("他说：“我很难过”。", "gb18030"),
        ("été à la plage, déjà", "cp1252"),
        ("Ärger, Äpfel “Übel”", "cp1252"),
        ("憤怒，興奮", "gbk"),
        ("1,妳為什麼這麼生氣？\n2,I’m OK，我很難過\n", "gbk"),
        ("größte, heiße", "cp1252"),
        ("emoção, coração", "cp1252"),
        ("États, Öl, Übung", "cp1252"),
    ):
        assert decode(text.encode(encoding)) == text
    english = "0016_000001\tI’m late – don’t wait, she said.\tAngry\n"
    for encoding in ("cp1252", "gb18030", "utf-8"):
        assert decode(english.encode(encoding)) == english
    assert decode("Müller fühlt größere".encode("cp1252")).startswith("Müll")
    assert decode("0001_1\t打远一看。\t生气\n".encode("gb18030"))[7:9] == "打远"


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "CSV"])
def test_the_header_tells_the_delimiter(tmp_path, sign, suffix):
    lines = [
        ["id", "label", "text"],
        [" a ", "sad", '"two\nlines, and; a ""quote"""'],
        [],
        ["b", "NaN", ""],
        ["", "", ""],
    ]
    path = tmp_path / f"t.{suffix}"
    path.write_text("\n".join(map(sign.join, lines)))
    assert read_table(path) == [
        {"id": "a", "label": "sad", "text": 'two\nlines, and; a "quote"'},
        {"id": "b", "label": None, "text": None},
    ]


def test_bad_csv_is_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,text\na,one, two\n")
    with pytest.raises(ManifestError, match="Line 2 of .* 3 cells.*quotes"):
        read_table(path)
    path.write_text("id,text,id\na,one,b\n")
    with pytest.raises(ManifestError, match="two columns 'id'"):
        read_table(path)
    path.write_text("w/a.wav,sad\nw/b.wav,happy\n")
    with pytest.raises(ManifestError, match="no header.*'w/a.wav'"):
        read_table(path)
    with pytest.raises(ManifestError, match="save it as CSV"):
        read_table(tmp_path / "t.xlsx")


def test_pandas_tables(tmp_path):
    path = tmp_path / "t.json"
    # DataFrame.to_json(), by columns and by rows
    path.write_text('{"id": {"0": "a", "1": "b"}, "label": {"0": "x", "1": 2}}')
    rows = [{"id": "a", "label": "x"}, {"id": "b", "label": 2}]
    assert read_table(path) == rows
    path.write_text('{"a": {"label": "x"}, "b": {"label": NaN}}')
    assert read_table(path)[1] == {"id": "b", "label": None}
    # one object a line under the name .json, as NeMo has it
    path.write_text('{"id": "a", "label": "x"}\n{"id": "b", "label": 2}\n')
    assert read_table(path) == rows
    path.with_suffix(".csv").write_text(",id\n0,a\n1,b\n")
    assert read_table(path.with_suffix(".csv")) == [{"id": "a"}, {"id": "b"}]


def test_json_lines_keep_signs_that_end_lines(tmp_path):
    row = {"id": "a", "text": "one\u2028two\x85three"}
    (tmp_path / "t.jsonl").write_text(
        json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    assert read_table(tmp_path / "t.jsonl") == [row]
    (tmp_path / "t.jsonl").write_text('{"id": "a", "id": "b"}\n')
    with pytest.raises(ManifestError, match="Line 1 .*'id' is there twice"):
        read_table(tmp_path / "t.jsonl")


def test_fields():
    row = {"Audio_FilePath": "a.wav", "Start Time": "0,5", "END": 1, "x": 2}
    fields, rest = fields_of(row)
    assert fields == {"wav": "a.wav", "start": "0,5", "stop": 1}
    assert rest == {"x": 2}
    # NeMo's offset is a start, beside an onset it is the end
    assert fields_of({"offset": 1})[0] == {"start": 1}
    assert fields_of({"onset": 0, "offset": 1})[0] == {"start": 0, "stop": 1}
    assert fields_of({"start_ms": 250, "end_ms": "1000"})[0] == {
        "start": 0.25,
        "stop": 1.0,
    }
    # the better name counts; the other column stays what it is
    assert fields_of({"label": "a", "emotion": "b"}) == (
        {"emotion": "b"},
        {"label": "a"},
    )
    assert fields_of({"emotion": float("nan"), "label": "a"})[0] == {
        "emotion": "a"
    }
    assert [as_number(v) for v in ("1e3", "1.234,5", "nan", True, None)] == [
        1000, None, None, None, None]  # fmt: skip
    assert as_id("cafe\u0301") == "caf\u00e9" and as_id(1.5) is None


def test_lists_of_recordings(tmp_path):
    (tmp_path / "a b.wav").write_bytes(b"")
    path = tmp_path / "wav.scp"
    path.write_bytes("\ufeffu1 a b.wav\r\n\r\nu2 c.wav\r\n".encode())
    assert read_list(path) == {
        "u1": {"wav": str(tmp_path / "a b.wav")},
        "u2": {"wav": "c.wav"},
    }
    table = tmp_path / "t.csv"
    table.write_text("key;File;begin;end;mood\n7;c.wav;0,5;1;x\n")
    assert read_list(table) == {
        "7": {"wav": "c.wav", "start": 0.5, "stop": 1.0, "mood": "x"}
    }
    table.write_text("file\nc.wav\n")
    assert read_list(table) == {"c.wav": {"wav": "c.wav"}}
    (tmp_path / "m.json").write_text('{"u": {"wav": "{data_root}/c.wav"}}')
    assert read_list(tmp_path / "m.json")["u"]["wav"] == f"{tmp_path}/c.wav"


@pytest.mark.parametrize(
    "name, text, problem",
    [
        ("a.scp", "u1 a.wav\nu1 b.wav\n", "Row 2 .*repeats the id 'u1'"),
        ("a.scp", "u1 a.wav\nb.wav\n", "a.scp:2 is not `ID PATH`"),
        ("a.scp", "u1 sph2pipe x.sph |\n", "a.scp:1 is a command"),
        ("segments", "u1 rec 0.0 1.5\n", "segments:1 is of Kaldi's .*columns"),
        ("a.csv", "id,noise\n1,a.wav\n", "no recording .columns: id, noise"),
        (
            "a.json",
            '[{"id": 1, "wav": {"file": "a", "stop": 9}}]',
            "no path: give",
        ),
        ("a.csv", "id,wav,end\n1,a.wav,late\n", "'1': the stop 'late'"),
    ],
)
def test_bad_lists_are_named(tmp_path, name, text, problem):
    (tmp_path / name).write_text(text)
    with pytest.raises(ManifestError, match=problem):
        read_list(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no list"):
        read_list(tmp_path / "nothing.scp")


def test_manifests_of_other_editors(tmp_path):
    path = tmp_path / "train.json"
    item = {"wav": "a.wav", "speaker": float("nan"), "transcript": "你好"}
    text = json.dumps({"u": item}, ensure_ascii=False)
    for encoding in ("utf-8-sig", "utf-16", "gb18030"):
        path.write_bytes(text.encode(encoding))
        assert read_manifest(path) == {
            "u": {"wav": "a.wav", "transcript": "你好"}
        }


WAVS = [{"id": "a", "wav": "a.wav"}, {"id": "b", "wav": "b.wav"}]
COLUMNS = {"id": ["a", "b"], "wav": ["a.wav", "b.wav"]}
SPLIT = {"columns": ["id", "wav"], "data": [["a", "a.wav"], ["b", "b.wav"]]}
AUDIO = [{"id": r["id"], "audio": {"path": r["wav"]}} for r in WAVS]


@pytest.mark.parametrize(
    "name, text",
    [
        ("excel.csv", "sep=;\nid;wav\na;a.wav\nb;b.wav\n"),
        ("comment.csv", "# by me\nid,wav\na,a.wav\nb,b.wav\n"),
        ("dos.csv", "id,wav\r\na,a.wav\r\nb,b.wav\r\n\x1a"),
        ("wrapped.json", json.dumps({"version": 1, "data": WAVS})),
        ("split.json", json.dumps(SPLIT)),
        ("columns.json", json.dumps(COLUMNS)),
        ("pretty.jsonl", "\n".join(json.dumps(r, indent=1) for r in WAVS)),
        ("commas.jsonl", ",\n".join(map(json.dumps, WAVS))),
        ("audio.jsonl", "\n".join(map(json.dumps, AUDIO))),
        ("location.csv", "id,location\na,a.wav\nb,b.wav\n"),
    ],
)
def test_tables_as_programs_write_them(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    items = read_list(tmp_path / name)
    assert {key: row["wav"] for key, row in items.items()} == {
        "a": "a.wav",
        "b": "b.wav",
    }


def test_half_of_a_pretty_object_is_told(tmp_path):
    text = json.dumps(WAVS[0], indent=1) + "\n{\n"
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(ManifestError, match="is not JSON after 1 objects"):
        read_table(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    "start, stop",
    [
        ("begin_sec", "end_sec"),
        ("begin_ms", "end_ms"),
        ("Start (s)", "End (s)"),
        ("startTimeMs", "endTimeMs"),
        ("tmin", "tmax"),
        ("t0", "t1"),
        ("from", "to"),
        ("开始", "结束"),
    ],
)
def test_bounds_by_any_name(start, stop):
    times = 1000 if "ms" in start.lower() else 1
    row = {"wav": "a.wav", start: 0.1 * times, stop: f"{0.3 * times:g}"}
    fields, rest = fields_of(row)
    assert (fields["start"], float(fields["stop"])) == (0.1, 0.3)
    assert not rest


@pytest.mark.parametrize(
    "start, stop",
    [
        ("0:00.5", "0:01.5"),
        ("00:00:00.500", "00:00:01.500"),
        ("0 days 00:00:00.5", "0 days 00:00:01.5"),
        ("0.5s", "1.5 s"),
        ("500ms", "1500 msec"),
    ],
)
def test_times_as_clocks_and_with_units(tmp_path, start, stop):
    table = tmp_path / "a.csv"
    table.write_text(f"file,start,end\na.wav,{start},{stop}\n")
    (row,) = read_list(table).values()
    assert (row["start"], row["stop"]) == (0.5, 1.5)


def test_a_segment_in_samples_is_not_the_whole_file(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text("file,start_sample,end_sample\na.wav,8000,24000\n")
    with pytest.raises(ManifestError, match="start_sample, end_sample look"):
        read_list(table)


def test_a_start_and_a_duration_are_a_segment(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(32000), 16000)
    table = tmp_path / "a.csv"
    table.write_text("id,file,offset,duration\n1,a.wav,0.5,1\n2,a.wav,0.5,2\n")
    rows = read_list(table)
    assert rows["1"]["stop"] == 1.5 and "stop" not in rows["2"]  # the file's


@pytest.mark.parametrize(
    "name, line, wav",
    [
        ("a.csv", "file\n.\\w\\a b.wav", "w/a b.wav"),
        ("a.csv", "file\nfile://{here}/w/a%20b.wav", "w/a b.wav"),
        ("a.txt", "c.wav\thappy", "c.wav"),
    ],
)
def test_paths_of_other_systems(tmp_path, name, line, wav):
    (tmp_path / "w").mkdir()
    for each in ("w/a b.wav", "c.wav"):
        (tmp_path / each).touch()
    (tmp_path / name).write_text(line.format(here=tmp_path))
    (row,) = read_list(tmp_path / name).values()
    assert os.path.samefile(row["wav"], tmp_path / wav)


def test_a_side_is_a_channel(tmp_path):
    (tmp_path / "a.csv").write_text("file,channel\na.wav,Right\n")
    assert read_list(tmp_path / "a.csv")["a.wav"]["channel"] == 1


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.txt", "id;label\na;sad\nb;angry\n"),
        ("a", "id,label\na,sad\nb,angry\n"),
        ("a.csv", "id,label\n'a','sad'\n'b','angry'\n"),
        ("a.json", '{"a": "sad", "b": "angry"}'),
        ("a.csv", "id,label\na,sad\nb,angry\n\0\0\0"),
        ("a.jsonl", '{"id": "a", "label": "sad"}\n'
         '{"id": "b", "label": "angry"}\n\0\0\0\0'),
    ],
)  # fmt: skip
def test_tables_under_other_names(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_table(tmp_path / name) == [
        {"id": "a", "label": "sad"},
        {"id": "b", "label": "angry"},
    ]


def test_parquet_is_a_table(tmp_path):
    pyarrow = pytest.importorskip("pyarrow.parquet")
    import pyarrow as arrow

    rows = [{"id": "a", "label": "sad"}]
    pyarrow.write_table(arrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet") == rows


@pytest.mark.parametrize(
    "head, what",
    [
        (b"PK\3\4", "spreadsheet or ZIP"),
        (b"\x1f\x8b", "gunzip"),
        (b"\x80\4\x95", "pickle, which is never opened"),
        (b"PAR1", "Parquet"),
    ],
)
def test_what_is_no_text_is_named(tmp_path, head, what):
    (tmp_path / "a.csv").write_bytes(head + bytes(range(256)))
    with pytest.raises(ManifestError, match=f"a.csv is .*{what}"):
        read_table(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_table_that_is_not_there(tmp_path, name):
    with pytest.raises(ManifestError, match=f"There is no file .*{name}\\.$"):
        read_table(tmp_path / name)


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.txt", "a sad\nb angry\n"),  # Kaldi's
        ("a.txt", "id   label\na    sad\nb    angry\n"),
        ("a.md", "| id | label |\n|----|:----:|\n| a | sad |\n| b | angry |\n"),
        ("a.csv", 'id,label\n"=""a""",sad\n="b",angry\n'),  # Excel's texts
        ("a.csv", "id,label\n\u200ba,sad\u200b\n\u200eb,\ufeffangry\n"),
        ("a.jsonl", "{'id': 'a', 'label': 'sad'}\n// b\n"
         "{'id': 'b', 'label': 'angry'}\n"),  # Python's own print
        ("a.json", '[["a", "sad"], ["b", "angry"]]'),
        ("a.json", '{"data": {"a": {"label": "sad"}, '
         '"b": {"label": "angry"}}}'),
    ],
)  # fmt: skip
def test_tables_of_further_programs(tmp_path, name, text):
    test_tables_under_other_names(tmp_path, name, text)


def test_marks_of_quotation_that_escape_or_stay_open(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('id,text\na,"he said \\"no, you\\" x"\n')
    assert read_table(path)[0]["text"] == 'he said "no, you" x'
    path.write_text('id,text\na,"he said\nb,no\nc,yes\n')
    with pytest.raises(ManifestError, match="never closed.*'a': close it"):
        read_table(path)
    path.write_text("<id>a</id>\n")
    with pytest.raises(ManifestError, match="no table: a line is '<id>.*CSV"):
        read_table(tmp_path / path.rename(tmp_path / "a.xml"))


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.m3u8", "#EXTM3U\n#EXTINF:1,x\na.wav\n"),
        ("a.flist", "a.wav\n"),
        ("a.txt", '"a.wav"\n'),
        ("a.txt", "a.wav,happy\n"),
        ("a.list", "a.wav|speaker|EN|some words\n"),
        ("a.txt", "file 'a.wav'\n"),
        ("a.txt", "id,wav\na.wav,a.wav\n"),
        ("a.txt", '{"id": "a.wav", "wav": "a.wav"}\n'),
        ("a.json", '["a.wav"]'),
        ("a.json", '{"a.wav": "a.WAV", "b": "a.wav"}'),
        ("a.csv", "source,mood\na,calm\n"),  # without its suffix
        ("a.jsonl", '{"id": "a.wav", "sources": [{"type": "file", '
         '"channels": [0], "source": "a.wav"}]}\n'),  # Lhotse's
    ],
)  # fmt: skip
def test_lists_of_further_programs(tmp_path, name, text):
    (tmp_path / "a.wav").touch()
    (tmp_path / name).write_text(text)
    row = next(iter(read_list(tmp_path / name).values()))
    assert os.path.samefile(row["wav"], tmp_path / "a.wav")


def test_a_manifest_of_fairseq(tmp_path):
    path = tmp_path / "train.tsv"
    path.write_text("/corpus\na.wav\t16000\nb/c.wav\t8000\n")
    wavs = ["/corpus/a.wav", "/corpus/b/c.wav"]
    assert [row["wav"] for row in read_table(path)] == wavs
    # Nothing like it is read at once, however long it is.
    path.write_text("wav\n" + "a.wav\t16000\n" * 99 + "b.wav\n")
    with pytest.raises(ManifestError, match="Line 2 .*has 2 cells"):
        read_table(path)


def test_segments_without_ids_and_in_samples(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("wav,in,out\na.wav,0,0.5\na.wav,0.5,1\n")
    segments = {
        key: (row["start"], row["stop"]) for key, row in read_list(path).items()
    }
    assert segments == {"a.wav": (0, 0.5), "a.wav_0.5": (0.5, 1)}
    path.write_text("wav,start_frame\na.wav,100\n")
    with pytest.raises(ManifestError, match="start_frame look like a segment"):
        read_list(path)
