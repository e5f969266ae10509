"""Names, terminals, lists and formats of the commands that listen."""

import csv
import io
import json
import logging
import os
import subprocess
import sys
import unicodedata
from importlib import metadata
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from stub_classifier import Stub
from tqdm import tqdm

from speechbrain_c2ser import __version__
from speechbrain_c2ser.cli import main, recordings, terminal
from speechbrain_c2ser.cli.inputs import find_recordings
from speechbrain_c2ser.cli.terminal import one_line, to_json
from speechbrain_c2ser.cli.writing import document_paths
from speechbrain_c2ser.inference import progress

TONE = (0.3 * np.sin(np.arange(8000) / 7)).astype("f4")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="names are bytes")


@pytest.fixture(autouse=True)
def stub(monkeypatch):
    monkeypatch.setattr(recordings, "_load", lambda *_: Stub())


def write(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        soundfile.write(file, TONE, 16000, format="WAV")
    return path


@pytest.fixture
def classify(monkeypatch, capsysbinary, tmp_path):
    """classify(*words) -> code, lines of stdout, stderr; in tmp_path."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = main(["classify", "--model", "m", *map(str, words)])
        out, err = capsysbinary.readouterr()
        return code, out.decode("utf-8").splitlines(), err.decode("utf-8")

    return run


def paths_of(lines):
    return [line.split("\t")[0] for line in lines]


def test_folders_and_lists_in_their_order(classify, tmp_path):
    for name in ("b/2.wav", "b/1.WAV", "b/c/3.wav", "a.wav", "in list.wav"):
        write(tmp_path / name)
    for name in ("notes.doc", "more.doc", "1.avi", "1.f32", ".DS_Store"):
        (tmp_path / "b" / name).write_text("no audio")
    (tmp_path / "l.txt").write_bytes(
        "\ufeff# comment\r\n\r\nin list.wav\r\na.wav\r\n".encode()
    )
    (tmp_path / "k.scp").write_text("one a.wav\ntwo in list.wav\n")
    code, lines, err = classify("l.txt", "b", "k.scp", "a.wav")
    assert code == 0 and err.count("\n") == 1
    assert "folder b also holds" in err
    assert "(2 .doc, 1 " in err and "1 .f32" in err and "they are left" in err
    assert "1 .avi of a recording's stem" in err
    assert [os.path.relpath(p) for p in paths_of(lines)] == [
        "in list.wav", "a.wav", "b/1.WAV", "b/2.wav", "b/c/3.wav", "a.wav",
        "in list.wav", "a.wav",
    ]  # fmt: skip


def test_a_list_beside_its_recordings_with_segments(classify, tmp_path):
    write(tmp_path / "data/a.wav")
    (tmp_path / "data/l.csv").write_text("file,start,end\na.wav,0.25,\n")
    code, lines, _ = classify("data/l.csv", "--json")
    row = json.loads(lines[0])
    assert code == 0 and (row["start"], row["end"]) == (0.25, 0.5)
    assert row["windows"][0]["start"] == 0.25


@pytest.mark.parametrize("content", ["", "a.wav\n", "{", "x;y\n1;2\n"])
@pytest.mark.parametrize("name", ["l.scp", "l.csv", "l.json"])
def test_a_list_that_cannot_be_read_is_one_line(
    classify, tmp_path, name, content
):
    (tmp_path / name).write_text(content)
    code, lines, err = classify(name)
    assert code == 2 and not lines and err.count("\n") == 1 and name in err


@pytest.mark.parametrize(
    "content",
    [
        b"a b.wav\r\n\nnowhere.wav\n",
        b"a b.wav\0nowhere.wav\0",  # as `find -print0` gives them
        b"a b.wav\nin\x1bput.wav\nnowhere.wav\n",
        b"\x01.wav\0a b.wav\0nowhere.wav\0",
    ],
)
def test_standard_input(classify, tmp_path, monkeypatch, content):
    write(tmp_path / "a b.wav")
    stdin = io.TextIOWrapper(io.BytesIO(content))
    monkeypatch.setattr(sys, "stdin", stdin)
    code, lines, err = classify("-")
    assert code == 1 and paths_of(lines) == ["a b.wav"]
    assert "nowhere.wav is missing" in err


@LINUX
def test_links_to_folders_are_followed_once(classify, tmp_path):
    for name in ("a/1.wav", "a/c/2.wav", "other/3.wav"):
        write(tmp_path / name)
    for link, target in (
        ("a/b", "a/c"), ("a/loop", "a"), ("a/up", "."), ("a/out", "other"),
        ("other/back", "a"), ("other/again", "other"),
    ):  # fmt: skip
        (tmp_path / link).symlink_to(tmp_path / target)
    code, lines, err = classify("a")
    assert code == 0 and not err
    assert paths_of(lines) == ["a/1.wav", "a/c/2.wav", "a/out/3.wav"]


@pytest.mark.parametrize("suffix", [".3gp", ".MOV", ".spx", ".gsm", ".ulaw"])
def test_what_phones_and_exchanges_write_is_no_left_out_file(
    classify, tmp_path, suffix
):
    write(tmp_path / "a/1.wav")
    (tmp_path / f"a/2{suffix}").write_bytes(b"\x55\x66" * 999)
    code, lines, err = classify("a")
    assert code == 1 and paths_of(lines) == ["a/1.wav"]
    assert err.count("\n") == 1 and f"2{suffix}" in err


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_paths_on_standard_input_as_power_shell_writes(encoding, monkeypatch):
    content = "a.wav\r\nsäd b.wav\r\n".encode(encoding)
    stdin = SimpleNamespace(buffer=io.BytesIO(content))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert find_recordings(["-"]) == ["a.wav", "säd b.wav"]


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "M4A", "AMR"])
def test_sound_on_standard_input_is_told(classify, monkeypatch, form):
    heads = {
        "M4A": b"\0\0\0\x1cftypM4A \0\0\2\0\nM4A ",
        "AMR": b"#!AMR\n\x3c\x08\n\x11",
    }
    sound = io.BytesIO(heads.get(form, b""))
    if form not in heads:
        soundfile.write(sound, np.zeros(16000), 16000, format=form)
    stdin = io.TextIOWrapper(io.BytesIO(sound.getvalue()))
    monkeypatch.setattr(sys, "stdin", stdin)
    code, lines, err = classify("-")
    assert code == 2 and not lines and err.count("\n") == 1
    assert "holds a recording" in err and "save it to a file" in err


def test_other_bytes_on_standard_input_are_told(classify, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(b"\x01\x02\n\x03\n" * 99))
    monkeypatch.setattr(sys, "stdin", stdin)
    code, lines, err = classify("-")
    assert code == 2 and not lines and err.count("\n") == 1
    assert "holds no text" in err


def test_no_command_is_helped(capsys):
    assert main([]) == 2
    assert "the emotion of each file" in capsys.readouterr().err


@LINUX
@pytest.mark.parametrize("name", [b"caf\xe9.wav", b"\xff\xfe.wav"])
def test_a_name_that_is_no_utf8(classify, tmp_path, name):
    write(os.path.join(os.fsencode(tmp_path), name))
    bad = os.fsencode(tmp_path) + b"/bad" + name
    with open(bad, "wb") as file:
        file.write(b"no audio")
    words = [os.fsdecode(name), os.path.basename(os.fsdecode(bad))]
    code, lines, err = classify(*words, "--json")
    assert code == 1 and "\\udc" in err
    assert os.fsencode(json.loads(lines[0])["path"]) == name
    code, lines, err = classify(*words)
    assert code == 1 and "\\udc" in lines[0] and err.count("\n") == 1
    # Listed by an editor in its own encoding.
    if name.startswith(b"caf"):
        (tmp_path / "l.txt").write_bytes(name + b"\n")
        assert classify("l.txt")[0] == 0


@LINUX
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_in_one_piece_or_two(classify, tmp_path, form):
    write(tmp_path / unicodedata.normalize(form, "é.wav"))
    (tmp_path / "l.txt").write_text(
        unicodedata.normalize("NFC" if form == "NFD" else "NFD", "é.wav")
    )
    assert classify("l.txt")[0] == 0


@LINUX
def test_names_of_two_lines_are_one_line(classify, tmp_path):
    write(tmp_path / "a\tb\nc.wav")
    code, lines, err = classify("a\tb\nc.wav", "x\ny.wav")
    assert len(lines) == 1 and lines[0].startswith("a\\tb\\nc.wav\tloud")
    assert err.count("\n") == 1
    _, lines, _ = classify("a\tb\nc.wav", "--json")
    assert json.loads(lines[0])["path"] == "a\tb\nc.wav"


PROGRAM = """
import sys
from speechbrain_c2ser.cli import main, recordings
sys.path.insert(0, sys.argv[1])
from stub_classifier import Stub
recordings._load = lambda *_: Stub()
sys.exit(main(["classify", "--model", "m", *sys.argv[2:]]))
"""


def start(*words, **options):
    here = os.path.dirname(__file__)
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, here, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1"])
def test_a_terminal_that_lacks_characters(tmp_path, encoding):
    names = ["录音.wav", "é.wav", "a.wav"]
    paths = [write(tmp_path / name) for name in names]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = start(*paths, tmp_path / "无.wav", env=environment)
    out, err = done.communicate()
    assert done.returncode == 1 and b"Traceback" not in err
    assert len(out.decode(encoding).splitlines()) == 3
    assert err.count(b"\n") == 1


def test_a_reader_that_goes_away(tmp_path):
    paths = [write(tmp_path / f"{number}.wav") for number in range(3)]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, os.path.dirname(__file__), *paths],
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    assert done.returncode == 141 and not done.stderr


@LINUX
@pytest.mark.parametrize("form", ["jsonl", "vtt"])
def test_a_pipe_is_written_to_and_stays_one(classify, tmp_path, form):
    write(tmp_path / "a.wav")
    os.mkfifo("out")
    reader = os.open("out", os.O_RDONLY | os.O_NONBLOCK)
    assert classify("a.wav", "--format", form, "-o", "out")[0] == 0
    assert b"loud" in os.read(reader, 1 << 16)
    os.close(reader)
    assert sorted(os.listdir()) == ["a.wav", "out"]
    assert not os.path.isfile("out")


@LINUX
def test_names_of_full_length(classify, tmp_path):
    names = [letter * 251 + ".wav" for letter in "ab"]
    for name in names:
        write(tmp_path / name)
    code, _, told = classify(*names, "--format", "textgrid", "-o", "out")
    assert code == 0 and not told and len(os.listdir("out")) == 2
    assert classify(names[0], "-o", "c" * 255)[0] == 0


@LINUX
def test_closed_streams_are_no_traceback(tmp_path):
    words = [sys.executable, "-m", "speechbrain_c2ser.cli"]
    words += ["classify", "--model", "nowhere", "-"]
    for stream in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        done = subprocess.run(
            ["sh", "-c", f'"$@" {stream}', "sh", *words],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 2 and "Traceback" not in done.stderr


def test_a_name_cannot_turn_the_direction_of_a_line():
    assert one_line("a\u202egnp.wav") == "a\\u202egnp.wav"


def test_an_empty_output_is_refused(classify, tmp_path):
    write(tmp_path / "a.wav")
    code, _, told = classify("a.wav", "-o", "")
    assert code == 2 and "-o is empty" in told


def test_a_clone_that_is_not_installed_answers(classify, tmp_path, monkeypatch):
    """As on a machine that has its path in PYTHONPATH alone."""

    def version(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    write(tmp_path / "a.wav")
    code, lines, _ = classify("a.wav", "--format", "json")
    assert code == 0
    assert json.loads("\n".join(lines))[0]["version"] == __version__


def test_formats(classify, tmp_path):
    write(tmp_path / "a.wav"), write(tmp_path / "b.wav")
    words = ("a.wav", "b.wav", "nowhere.wav", "--window", 0.25, "--format")
    code, lines, _ = classify(*words, "json")
    rows = json.loads("\n".join(lines))
    assert code == 1 and [row["path"] for row in rows] == ["a.wav", "b.wav"]
    assert [(w["start"], w["end"]) for w in rows[0]["windows"]] == [
        (0.0, 0.25), (0.25, 0.5)
    ]  # fmt: skip
    for key in ("version", "model", "label", "score", "calibrated"):
        assert key in rows[0]
    assert rows[0]["probabilities"] == {"loud": 0.75, "quiet": 0.25}
    code, lines, _ = classify(*words, "csv", "-o", "out.csv")
    assert not lines and not (tmp_path / "out.csv.part").exists()
    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["p_loud"]) for row in rows] == [
        ("loud", "0.75")
    ] * 2
    assert json.loads("".join(classify("nowhere", "--format", "json")[1])) == []


def test_many_failures_are_counted(classify, tmp_path):
    write(tmp_path / "a.wav")
    code, lines, err = classify(*["a.wav", "b.wav"] * 10)
    assert code == 1 and len(lines) == 10
    assert err.splitlines()[-1] == "c2ser: 10 of 20 done, 10 failed"


@pytest.mark.parametrize(
    "words, message",
    [
        (("--batch-size", 0), "--batch-size must be a whole number from 1"),
        (("--batch-size", -1), "--batch-size"),
        (("--window", "nan"), "window"),
        (("--window", 0), "window"),
        (("--hop", -1), "hop"),
        (("--hop", 40), "hop"),
        (("--language", "Klingon"), "language 'Klingon': choose one of en, zh"),
        (("--device", "cuda:99"), "leave it out"),
        (("--device", "gpu"), "leave it out"),
        (("--device", "meta"), "leave it out"),
        (("--device", "hpu"), "leave it out"),
        (("--batch-size", 10**20), "--batch-size must be a whole number from"),
    ],
)
def test_options_are_refused_before_a_model_is_loaded(
    classify, monkeypatch, words, message
):
    monkeypatch.setattr(
        recordings, "_load", lambda *_: pytest.fail("a model is loaded")
    )
    code, lines, err = classify("a.wav", *words)
    assert code == 2 and not lines
    assert message in err and err.count("\n") == 1


def test_texts_for_terminals_and_programs():
    assert one_line("a\rb\x85\u2028") == "a\\rb\\x85\\u2028"
    assert json.loads(to_json("\udce9录")) == "\udce9录"
    to_json("\udce9录").encode("utf-8")
    with pytest.raises(ValueError):
        to_json(float("nan"))


TITLE = "\x1b]0;OWNED\x07\x9b31m"  # sets a terminal's title, then its colour
STRANGE = f"lo{TITLE}ud"


class Stranger(Stub):
    """A model of somebody whose labels are orders to a terminal."""

    labels = [STRANGE, "quiet"]


def printed(capsys, *words):
    assert main([*words[:1], "--model", "m", *words[1:]]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ["classify", "diarize"])
@pytest.mark.parametrize("form", ["text", "json", "jsonl", "csv", "rttm"])
def test_a_terminal_takes_no_orders_from_labels(
    command, form, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(recordings, "_load", lambda *_: Stranger())
    path = write(tmp_path / "a.wav")
    words = (command, str(path), "--window", "0.25", "--format", form)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    found = printed(capsys, *words)
    assert "OWNED" in found and not set(found) & set("\x1b\x07\x9b")
    if form == "csv":  # a file keeps what paths and labels are
        out = tmp_path / "out.csv"
        printed(capsys, *words, "-o", str(out))
        with open(out, encoding="utf-8", newline="") as file:
            assert {row["label"] for row in csv.DictReader(file)} == {STRANGE}


def test_words_and_heads_of_a_stranger_are_lines_alone():
    shared = {"path": "a.wav", "score": 1.0, "windows": ()}
    told = {**shared, "label": "sad", "text": f"he\nsays {TITLE}\r\nso"}
    lines = recordings._described(told).split("\n")
    assert lines == [
        "a.wav\tsad\t1.000", "he", "says \\x1b]0;OWNED\\x07\\x9b31m", "so"
    ]  # fmt: skip
    heads = {
        f"h{TITLE}": {"probabilities": {STRANGE: 1.0}, "label": STRANGE},
        "values": {"values": {STRANGE: 1.0}},
        "each": {"each": {STRANGE: 1.0}, "labels": [STRANGE]},
        "when": {"segments": [[0.0, 1.0, STRANGE]]},
        "tracks": {"tracks": {STRANGE: [0.0, 1.0]}},
        "other": {STRANGE: 1},
    }
    found = recordings._classified({**shared, "label": None, "heads": heads})
    assert found.count("\n") == len(heads)
    assert not set(found) & set("\x1b\x07\x9b")


def test_what_libraries_log_is_told_as_ours_is(capsys, monkeypatch):
    from transformers.utils import logging as transformers_logging

    logger = transformers_logging.get_logger("transformers.a.model")
    terminal.prepare_streams()
    terminal.quiet_libraries()
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    for name in (logger.name, "huggingface_hub.a"):
        logging.getLogger(name).warning("A model of type %s,\nso.", STRANGE)
    err = capsys.readouterr().err
    said = "A model of type lo\\x1b]0;OWNED\\x07\\x9b31mud, so."
    assert err == f"c2ser: {said}\n"  # once


def test_reports_say_names_of_others_safely(capsys):
    terminal.say(f"| {STRANGE} |\n| sad |")
    assert capsys.readouterr().out.split("\n") == [
        "| lo\\x1b]0;OWNED\\x07\\x9b31mud |", "| sad |", ""
    ]  # fmt: skip


def test_a_warning_is_told_once(capsys):
    logger = logging.Logger("a window")
    logger.addHandler(terminal._Told(logging.WARNING))
    for name in ("a.wav", "a.wav", "b.wav"):
        logger.warning("%s is damaged.", name)
    lines = capsys.readouterr().err.split("\n")
    assert lines == ["c2ser: a.wav is damaged.", "c2ser: b.wav is damaged.", ""]


def test_results_do_not_take_the_place_of_inputs(classify, tmp_path):
    write(tmp_path / "a.wav")
    (tmp_path / "list.csv").write_text("id,wav\nu,a.wav\n")
    os.symlink("a.wav", tmp_path / "link.wav")
    for words in (
        ("a.wav", "-o", "a.wav"),
        ("a.wav", "-o", "./link.wav"),
        ("list.csv", "-o", "list.csv"),
        ("list.csv", "-o", "a.wav"),
    ):
        before = (tmp_path / words[0]).read_bytes()
        code, _, said = classify(*words)
        assert code == 2 and "is an input and would be overwritten" in said
        assert (tmp_path / words[0]).read_bytes() == before


def test_documents_of_names_that_differ_by_case():
    names = document_paths(["a/Talk.wav", "b/talk.wav", "c/TALK.2.wav"], "vtt")
    assert len({name.casefold() for name in names}) == 3


def shown(text):
    """Lines as a terminal shows them: a return goes over what stands there."""
    lines = []
    for line in text.split("\n"):
        cells: list[str] = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        lines.append("".join(cells).rstrip())
    return lines


def test_errors_and_warnings_stand_above_the_bar(
    classify, tmp_path, monkeypatch
):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    at_once = {"mininterval": 0, "ncols": 60}
    monkeypatch.setattr(
        progress, "tqdm", lambda **options: tqdm(**options | at_once)
    )
    write(tmp_path / "a.wav"), write(tmp_path / "c.wav")
    against = np.stack([TONE, -TONE], 1)
    soundfile.write(tmp_path / "d.wav", against, 16000)
    words = ("a.wav", "b.wav", "c.wav", "d.wav", "--batch-size", 1)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    code, _, err = classify(*words, "-o", "out")
    assert code == 1 and "%|" in err
    lines = [line for line in shown(err) if "c2ser:" in line]
    assert [line[:14] for line in lines] == ["c2ser: The aud"] * 2
    assert lines[0].endswith("is used.")
    assert "b.wav is missing" in lines[1]
    bars = [line for line in shown(err) if "%|" in line]
    assert len(bars) == 1 and bars[0].startswith("4 of 4 files")
