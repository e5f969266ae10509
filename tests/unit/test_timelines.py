"""Timelines: merged windows, the schema, and documents read back."""

import csv
import html
import io
import json
import re

import jsonschema
import numpy as np
import pysubs2
import pytest
import soundfile
import torch
import webvtt
from praatio import textgrid
from pympi.Elan import Eaf

from speechbrain_c2ser.checkpoints.c2ser_folder import save_c2ser
from speechbrain_c2ser.cli import main, recordings
from speechbrain_c2ser.inference.file_classifier import FileClassifier
from speechbrain_c2ser.inference.records import record_of
from speechbrain_c2ser.inference.results import (
    DescribedWindow,
    Description,
    FileResult,
)
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.timelines import documents
from speechbrain_c2ser.timelines.documents import document_of, rttm_lines
from speechbrain_c2ser.timelines.schema import result_schema
from speechbrain_c2ser.timelines.segments import merge_windows

LABELS = ["calm & kind", "very cross"]
# What each format must give back.
TIMES = [(0.0, 3.0, "calm & kind"), (4.5, 6.0, "very cross")]


def window(start, end, *row):
    named = dict(zip(LABELS, row, strict=True)) if row else None
    return {"start": start, "end": end, "probabilities": named}


def segment(start, end, label, text=None):
    row = {name: float(name == label) for name in LABELS}
    words = {} if text is None else {"text": text}
    return {
        "start": start, "end": end, "label": label, "probabilities": row,
        **words,
    }  # fmt: skip


RECORD = {
    "path": "calls/my call.wav",
    "start": 0.0,
    "end": 7.25,
    "segments": [segment(*times) for times in TIMES],
}
WORDS = "He said:\n\n{1 < 2} --> \\N & so on.\x00"


def test_overlapping_windows_are_averaged_and_neighbours_merged():
    # Boundaries that differ by rounding are one; silent windows do not count.
    segments = merge_windows(
        [
            window(0, 2, 0.9, 0.1),
            window(1, 3, 0.6, 0.4),
            window(2, 4),
            window(3.0000004, 5, 0.2, 0.8),
            window(6, 7, 0.0, 1.0),
        ],
        LABELS,
    )
    assert [(s["start"], s["end"], s["label"]) for s in segments] == [
        (0, 3, LABELS[0]), (3, 5, LABELS[1]), (6, 7, LABELS[1])
    ]  # fmt: skip
    mean = (0.9 + 0.75 + 0.6) / 3
    assert segments[0]["probabilities"] == pytest.approx(
        {LABELS[0]: mean, LABELS[1]: 1 - mean}
    )


def test_any_windows_give_a_timeline_without_overlaps():
    rng = np.random.default_rng(0)
    windows = []
    for start in sorted(rng.uniform(0, 50, 200).tolist()):
        share = rng.uniform()
        row = (share, 1 - share) if rng.uniform() > 0.2 else ()
        windows.append(window(start, start + rng.uniform(0.1, 3), *row))
    segments = merge_windows(windows, LABELS)
    loud = [w for w in windows if w["probabilities"]]
    for one, two in zip(segments, segments[1:], strict=False):
        assert one["end"] <= two["start"]
        assert one["end"] < two["start"] or one["label"] != two["label"]
    for moment in rng.uniform(0, 53, 300):
        covering = [w for w in loud if w["start"] <= moment < w["end"]]
        found = [s for s in segments if s["start"] <= moment < s["end"]]
        if abs(moment - round(moment, 3)) > 1e-4:
            assert len(found) == bool(covering)
    for each in segments:
        assert sum(each["probabilities"].values()) == pytest.approx(1)
        assert max(each["probabilities"].values()) >= 0.5


def times_of_rttm(text):
    for line in text.splitlines():
        fields = line.split(" ")
        assert len(fields) == 10 and fields[0] == "SPEAKER"
        assert fields[1:3] == ["my_call", "1"]
        start, length = map(float, fields[3:5])
        yield start, start + length, fields[7].replace("_", " ")


def read_back(form, text, path):
    """(start, end, label) by the format's own library."""
    if form == "rttm":
        return list(times_of_rttm(text))
    if form == "audacity":
        cells = [line.split("\t") for line in text.splitlines()]
        return [(float(a), float(b), label) for a, b, label in cells]
    if form in ("vtt", "srt"):
        events = pysubs2.SSAFile.from_string(text, form).events
        return [
            (e.start / 1000, e.end / 1000, e.plaintext.replace("&amp;", "&"))
            for e in events
        ]
    path.write_text(text, encoding="utf-8")
    if form == "textgrid":
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
        assert grid.maxTimestamp == 7.25
        return [tuple(entry) for entry in grid.getTier("emotion").entries]
    eaf = Eaf(str(path))
    assert eaf.get_linked_files()[0]["RELATIVE_MEDIA_URL"] == "./my%20call.wav"
    return [
        (start / 1000, end / 1000, label)
        for start, end, label, *_ in eaf.get_annotation_data_for_tier("emotion")
    ]


@pytest.mark.parametrize("form", ["rttm", *documents.DOCUMENTS])
def test_a_document_is_read_back(form, tmp_path):
    if form == "rttm":
        text = "\n".join(rttm_lines(RECORD))
    else:
        text = document_of(RECORD, form)
    assert read_back(form, text, tmp_path / "document") == TIMES


@pytest.mark.parametrize("form", documents.DOCUMENTS)
def test_a_timeline_of_nothing_is_a_document(form, tmp_path):
    text = document_of({**RECORD, "segments": []}, form)
    assert read_back(form, text, tmp_path / "document") == []


def test_praat_reads_the_textgrid(tmp_path):
    parselmouth = pytest.importorskip("parselmouth")
    path = tmp_path / "a.TextGrid"
    path.write_text(document_of(RECORD, "textgrid"), encoding="utf-8")
    grid = parselmouth.read(str(path))
    ask = parselmouth.praat.call
    assert ask(grid, "Get end time") == 7.25
    assert ask(grid, "Get label of interval", 1, 1) == "calm & kind"
    assert ask(grid, "Get start time of interval", 1, 3) == 4.5


def test_a_validator_takes_the_webvtt():
    record = {**RECORD, "segments": [segment(1, 2, LABELS[0], WORDS)]}
    (cue,) = webvtt.from_string(document_of(record, "vtt")).captions
    assert (cue.start, cue.end) == ("00:00:01.000", "00:00:02.000")
    assert cue.lines[0] == "calm &amp; kind" and len(cue.lines) == 3
    assert "-->" not in cue.text and "<" not in cue.raw_text


@pytest.mark.parametrize("form", ["srt", "textgrid", "eaf"])
def test_any_words_of_a_model_are_written(form, tmp_path):
    record = {**RECORD, "segments": [segment(1, 2, LABELS[0], WORDS)]}
    text = document_of(record, form)
    assert "so on." in text and "\x00" not in text
    if form == "eaf":
        (tmp_path / "a.eaf").write_text(text, encoding="utf-8")
        assert "description" in Eaf(str(tmp_path / "a.eaf")).get_tier_names()


HARD = [
    '<i>x < y</i> & "z" -->', "1\n00:00:01,000 --> 00:00:09,000\nno cue", "42",
    "tab\there\u2028there", "说:“好” <v 张>", "&lt; &#60;", "NOTE {\\an8}",
]  # fmt: skip


def seconds(stamp):
    hours, minutes, rest = stamp.replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


def descriptions(form, text, path):
    """(start, end, words) of a document, the label aside."""
    path.write_text(text, encoding="utf-8")
    if form == "textgrid":
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
        return list(map(tuple, grid.getTier("description").entries))
    if form == "eaf":
        rows = Eaf(str(path)).get_annotation_data_for_tier("description")
        return [(start / 1000, end / 1000, words) for start, end, words in rows]
    # pysubs2 itself takes any line with two times for a subtitle's.
    stamps = re.compile(r"^(\S+) --> (\S+)\n生气\n", re.MULTILINE)
    parts = zip(*[iter(stamps.split(text)[1:])] * 3, strict=True)
    return [
        (seconds(start), seconds(end), words.split("\n\n")[0])
        for start, end, words in parts
    ]


@pytest.mark.parametrize("form", ["vtt", "srt", "textgrid", "eaf"])
def test_words_that_look_like_markup_stay_in_their_place(form, tmp_path):
    # Ten hours into a recording, one upon the other.
    hours = [(36000.0 + 2 * n, 36002.0 + 2 * n) for n in range(len(HARD))]
    record = {
        **RECORD, "end": 36100.0, "segments": [
            segment(*hour, "生气", words)
            for hour, words in zip(hours, HARD, strict=True)
        ],
    }  # fmt: skip
    text = document_of(record, form)
    rows = descriptions(form, text, tmp_path / "document")
    assert [row[:2] for row in rows] == hours
    for (*_, words), hard in zip(rows, HARD, strict=True):
        assert form not in ("vtt", "srt") or not re.search("<|-->", words)
        words = html.unescape(words) if form == "vtt" else words
        assert re.findall(r"\w+", words) == re.findall(r"\w+", hard)


def test_rttm_is_read_as_a_table():
    # As pyannote and dscore split it, whatever the labels and names hold.
    labels = ['"', 'so "cross"', "very\tsad", "生气", "a --> b"]
    record = {
        "path": 'a "b".wav',
        "segments": [segment(1, 2, label) for label in labels],
    }
    lines = list(rttm_lines(record))
    rows = list(csv.reader(lines, delimiter=" "))
    assert [row[7] for row in rows] == [
        "'", "so_'cross'", "very_sad", "生气", "a_-->_b"
    ]  # fmt: skip
    assert {(len(row), row[1]) for row in rows} == {(10, "a_'b'")}


def check(record):
    jsonschema.validate(
        record, result_schema(), cls=jsonschema.Draft202012Validator
    )


def test_a_schema_that_refuses():
    jsonschema.Draft202012Validator.check_schema(result_schema())
    said = Description(
        "Fast. Cross.", {"speed": "fast"}, None, LABELS[1],
        dict(zip(LABELS, (0.25, 0.75), strict=True)),
    )  # fmt: skip
    whole = Description(
        **{**vars(said), "windows": (DescribedWindow(0.0, 1.0, said),)}
    )
    record = record_of(
        FileResult("a.wav", whole), "m", LABELS, True,
        {"id": "one", "wav": "a.wav", "start": 2.0, "channel": 1},
    )  # fmt: skip
    check(record)
    assert (record["start"], record["end"], record["channel"]) == (2, 3, 1)
    assert record["segments"][0]["start"] == 2
    assert record["segments"][0]["text"] == "Fast. Cross."
    for wrong in (
        {"calibrated": "yes"}, {"labels": ["a", "a"]}, {"start": -1.0},
        {"more": 1},
        {"probabilities": {"a": 1.5}}, {"schema": 2}, {"heads": {}},
        {"segments": [{"start": 0.0, "end": 1.0, "label": "a"}]},
    ):  # fmt: skip
        with pytest.raises(jsonschema.ValidationError):
            check({**record, **wrong})


class Levels(FileClassifier):
    """Cross where it is loud."""

    labels = LABELS

    def __init__(self):
        super().__init__(torch.nn.Linear(1, 1), {}, {"device": "cpu"})

    def names_of(self):
        return self.labels

    def classify_batch(self, wavs, wav_lens=None):
        loud = wavs.abs().amax(1).clamp(max=1)
        return (torch.stack([1 - loud, loud], 1),)


@pytest.fixture
def call(tmp_path, monkeypatch):
    """call(command, *words) -> code; in a folder with two recordings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recordings, "_load", lambda *_: Levels())
    tone = np.sin(np.arange(16000 * 7) / 7)
    tone[: 3 * 16000] *= 0.1
    tone[3 * 16000 : 5 * 16000] = 0
    for name in ("my call.wav", "b/my call.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, tone, 16000)

    def run(command, *words):
        return main([command, "--model", "m", *map(str, words)])

    return run


FINE = ("--window", 1, "--hop", 1)


def test_diarize_tells_which_emotion_when(call, capsys):
    assert call("diarize", "my call.wav", *FINE) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "my call.wav",
        "  0.00-3.00 s\tcalm & kind\t0.900",
        "  5.00-7.00 s\tvery cross\t1.000",
    ]
    assert call("diarize", "my call.wav", *FINE, "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(r["start"], r["end"], r["label"]) for r in rows] == [
        ("0.0", "3.0", LABELS[0]), ("5.0", "7.0", LABELS[1])
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["classify", "diarize"])
def test_json_is_as_the_schema(call, capsys, command):
    assert call(command, "my call.wav", *FINE, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    check(record)
    assert [s["label"] for s in record["segments"]] == LABELS
    assert record["windows"][3]["label"] is None


def test_descriptions_are_as_the_schema(model, write_wav, tmp_path, capsys):
    folder = save_c2ser(
        model, tmp_path / "c2ser", LabelSpace.from_name("emo_emilia")
    )
    path = write_wav(tmp_path / "a.wav", seconds=1.0)
    words = ("describe", path, "--model", folder, "--window", 0.5, "--json")
    assert main([str(word) for word in words]) == 0
    record = json.loads(capsys.readouterr().out)
    check(record)
    assert [s["end"] for s in record["segments"]] == [0.5, 1.0]


@pytest.mark.parametrize("form", documents.DOCUMENTS)
def test_a_document_for_each_recording(call, tmp_path, form, capsys):
    words = ("diarize", "my call.wav", *FINE, "--format", form)
    assert call(*words) == 0
    printed = capsys.readouterr().out
    assert call(*words, "-o", "one") == 0
    written = (tmp_path / "one").read_text()
    dated = re.compile(r' DATE="[^"]*"')  # of an EAF: now
    assert dated.sub("", written) == dated.sub("", printed)
    words = ("diarize", "b", "no.wav", *words[1:])
    assert call(*words) == 2
    assert "give -o FOLDER" in capsys.readouterr().err
    assert call(*words, "-o", "out") == 1
    suffix = documents.DOCUMENTS[form][0]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        f"my call.2{suffix}", f"my call{suffix}"
    ]  # fmt: skip
    assert (tmp_path / f"out/my call{suffix}").stat().st_size > 20


def test_rttm_of_many(call, tmp_path, capsys):
    assert call("classify", "b", "my call.wav", *FINE, "--format", "rttm") == 0
    lines = capsys.readouterr().out.splitlines()
    # Two files of one name are two recordings, the sides of one are one.
    assert lines == [
        line
        for name in ("my_call", "my_call.2")
        for line in (
            f"SPEAKER {name} 1 0.000 3.000 <NA> <NA> calm_&_kind <NA> <NA>",
            f"SPEAKER {name} 1 5.000 2.000 <NA> <NA> very_cross <NA> <NA>",
        )
    ]
    sides = np.random.default_rng(0).uniform(-1, 1, (16000, 2))
    soundfile.write(tmp_path / "c.wav", sides, 16000)
    words = ("--channel", "each", "--format", "rttm")
    assert call("classify", "c.wav", *FINE, *words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:3] for line in lines] == [["c", "1"], ["c", "2"]]


@pytest.mark.parametrize("form", ["vtt", "textgrid", "eaf"])
def test_a_missing_library_is_told_before_anything_is_read(
    call, monkeypatch, capsys, form
):
    monkeypatch.setattr(documents, "find_spec", lambda name: None)
    monkeypatch.setattr(recordings, "_load", lambda *_: pytest.fail("loaded"))
    assert call("classify", "my call.wav", "--format", form) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.search(r"pip install 'speechbrain_c2ser\[formats\]'$", err)


@pytest.mark.parametrize(
    "words, message",
    [
        (("--format", "json", "-o", "b"), "b is a folder"),
        (("--format", "csv", "-o", "no/a.csv"), "no folder no"),
    ],
)
def test_a_place_that_cannot_be_is_told_first(
    call, monkeypatch, capsys, words, message
):
    monkeypatch.setattr(recordings, "_load", lambda *_: pytest.fail("loaded"))
    assert call("classify", "my call.wav", *words) == 2
    assert message in capsys.readouterr().err
