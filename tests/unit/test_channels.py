"""``--channel``: the sides of a call, each as a result of its own."""

import csv
import io
import json

import jsonschema
import numpy as np
import pytest
import soundfile
from praatio import textgrid
from pympi.Elan import Eaf
from test_long_recordings import Level

from speechbrain_c2ser.cli import main, recordings
from speechbrain_c2ser.timelines.schema import result_schema

RATE = 16000
TONE = np.sin(np.arange(2 * RATE) / 7)


@pytest.fixture
def listen(tmp_path, monkeypatch, capsys):
    """listen(*words) -> (code, stdout, stderr); a loud left, a quiet right."""
    monkeypatch.chdir(tmp_path)
    call = np.stack([0.99 * TONE, 0.05 * TONE], 1)
    soundfile.write("call.wav", call, RATE)
    soundfile.write("mono.wav", TONE, RATE)
    models = []

    def load(*_):
        models.append(Level())
        return models[-1]

    monkeypatch.setattr(recordings, "_load", load)

    def run(*words, command="classify"):
        code = main([command, "--model", "m", *map(str, words)])
        return (code, *capsys.readouterr())

    run.models = models
    return run


def rows_of(out):
    rows = [json.loads(line) for line in out.splitlines()]
    for row in rows:
        jsonschema.validate(row, result_schema())
    return [(row["path"], row.get("channel"), row["label"]) for row in rows]


def test_one_side_or_each(listen):
    left, right = ("call.wav", 0, "loud"), ("call.wav", 1, "quiet")
    for which, expected in (
        ("left", [left]), ("right", [right]), ("each", [left, right])
    ):  # fmt: skip
        code, out, err = listen("call.wav", "--channel", which, "--json")
        assert (code, err) == (0, "") and rows_of(out) == expected
    assert rows_of(listen("call.wav", "--json")[1])[0][1] is None
    lines = listen("call.wav", "--channel", "each")[1].splitlines()
    assert [line.split("\t")[:2] for line in lines] == [
        ["call.wav (left)", "loud"], ["call.wav (right)", "quiet"]
    ]  # fmt: skip
    out = listen("call.wav", "--channel", "each", "--format", "csv")[1]
    assert [row["channel"] for row in csv.DictReader(io.StringIO(out))] == [
        "0", "1"
    ]  # fmt: skip


def test_a_mono_file_is_one_clear_line_and_costs_no_other(listen):
    words = ("mono.wav", "call.wav", "no.wav", "call.wav")
    code, out, err = listen(*words, "--channel", "each", "--json")
    assert code == 1 and len(rows_of(out)) == 4
    lines = err.splitlines()
    assert len(lines) == 2 and "no.wav is missing" in lines[1]
    assert lines[0] == (
        "c2ser: mono.wav is mono: it has no left and right channel; leave out "
        "--channel."
    )
    assert listen.models[-1].heard == 4


def test_rows_of_lists_keep_what_they_name(listen):
    with open("wrong.csv", "w") as file:
        file.write("id,wav,channel\none,call.wav,B\n")
    code, _, err = listen("wrong.csv")
    assert code == 2 and "'B'" in err and "channel" in err
    with open("list.csv", "w") as file:
        file.write("id,wav,start,channel\none,call.wav,0.5,1\ntwo,call.wav,,\n")
    code, out, _ = listen("list.csv", "--channel", "left", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(r["id"], r["channel"], r["start"]) for r in rows] == [
        ("one", 1, 0.5), ("two", 0, 0.0)
    ]  # fmt: skip


def test_all_channels_of_a_recording_with_more(listen):
    soundfile.write("many.wav", np.stack(3 * [TONE], 1), RATE)
    lines = listen("many.wav", "--channel", "each")[1].splitlines()
    assert lines[2].startswith("many.wav (channel 3)")


EACH = ("call.wav", "--channel", "each", "--format")


def test_channels_are_tiers_of_one_document(listen, tmp_path):
    assert listen(*EACH, "textgrid", "-o", "a.TextGrid")[0] == 0
    grid = textgrid.openTextgrid("a.TextGrid", includeEmptyIntervals=False)
    assert grid.tierNames == ("left emotion", "right emotion")
    (entry,) = grid.getTier("right emotion").entries
    assert tuple(entry) == (0.0, 2.0, "quiet")
    assert listen(*EACH, "eaf", "-o", "a.eaf")[0] == 0
    eaf = Eaf("a.eaf")
    tiers = ["left emotion", "right emotion"]
    assert sorted(eaf.get_tier_names()) == tiers
    for tier in tiers:
        part = eaf.get_parameters_for_tier(tier)["PARTICIPANT"]
        assert part == tier.split()[0]
    (entry,) = eaf.get_annotation_data_for_tier("left emotion")
    assert entry[:3] == (0, 2000, "loud")


def test_channels_are_speakers_where_there_are_no_tiers(listen):
    vtt = listen(*EACH, "vtt")[1]
    assert [line for line in vtt.splitlines() if ": " in line] == [
        "left: loud", "right: quiet"
    ]  # fmt: skip
    assert listen(*EACH, "audacity")[1].splitlines() == [
        "0.000\t2.000\tleft: loud", "0.000\t2.000\tright: quiet"
    ]  # fmt: skip
    fields = [
        line.split()[1:3] for line in listen(*EACH, "rttm")[1].split("\n")
    ]
    assert fields[:2] == [["call", "1"], ["call", "2"]]


def test_documents_of_many_calls(listen, tmp_path, monkeypatch):
    soundfile.write("other.wav", np.stack([TONE, 0.1 * TONE], 1), RATE)
    words = ("call.wav", "mono.wav", "other.wav", "--channel", "each")
    assert listen(*words, "--format", "audacity")[0] == 2
    assert listen(*words, "--format", "audacity", "-o", "out")[0] == 1
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == ["call.txt", "other.txt"]
    assert (out / "other.txt").read_text().count("\n") == 2
    words = ("call.wav", "call.wav", "--channel", "left", "--format")
    assert listen(*words, "textgrid", "-o", "twice")[0] == 0
    assert len(list((tmp_path / "twice").iterdir())) == 2
    words = ("call.wav", "--channel", "left", "--format", "audacity")
    assert listen(*words, "-o", "side/")[0] == 0
    assert [p.name for p in (tmp_path / "side").iterdir()] == ["call.ch1.txt"]


def test_the_side_that_went_well_is_written(listen, tmp_path, monkeypatch):
    def refuse(self, wavs, wav_lens=None):
        if wavs.abs().amax(1).min() < 0.2:
            raise ValueError("too quiet")
        return plain(self, wavs, wav_lens)

    plain = Level.classify_batch
    monkeypatch.setattr(Level, "classify_batch", refuse)
    code, out, err = listen(*EACH, "audacity")
    assert code == 1 and "too quiet" in err
    assert out == "0.000\t2.000\tleft: loud\n"


def test_resume_tells_the_sides_apart(listen):
    words = ("call.wav", "no.wav", "--json", "-o", "out", "--resume")
    assert listen(*words, "--channel", "left")[0] == 1
    assert listen(*words, "--channel", "each")[0] == 1
    assert listen.models[-1].heard == 1
    with open("out") as file:
        assert len(rows_of(file.read())) == 2
