"""Results in place of a model, of documents; on a full disk, no UTF-8."""

import io
import json
import os
import sys

import numpy as np
import pytest
import soundfile
from stub_classifier import Stub

from speechbrain_c2ser.cli import main, recordings


@pytest.fixture
def classify(tmp_path, monkeypatch):
    """classify(*words) -> code; beside a model folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recordings, "_load", lambda *_: Stub())
    os.mkdir("m")
    tmp_path.joinpath("m/hyperparams.yaml").write_text("format: 1")
    tmp_path.joinpath("m/model.safetensors").write_bytes(b"trained")
    for name in ("1.wav", "2.wav"):
        soundfile.write(name, 0.3 * np.sin(np.arange(8000) / 7), 16000)
    return lambda *words: main(["classify", "--model", "m", *words])


def test_a_file_of_the_model_is_no_output(classify, capsys):
    os.symlink("m/model.safetensors", "link")
    for output in ("m/model.safetensors", "link", "m/hyperparams.yaml"):
        assert classify("1.wav", "-o", output) == 2
        assert "is a file of the model" in capsys.readouterr().err
    assert open("m/model.safetensors").read() == "trained"
    for _ in range(2):  # a file of results beside it may be written again
        assert classify("1.wav", "-o", "m/out.json") == 0


def test_documents_replace_no_file_of_another(classify, capsys, monkeypatch):
    os.mkdir("tr")
    with open("tr/1.txt", "w") as file:
        file.write("a transcript")
    for name in ("1.wav", "2.wav"):
        os.rename(name, f"tr/{name}")
    words = ("tr/1.wav", "tr/2.wav", "--format", "audacity", "-o")
    with monkeypatch.context() as context:
        load = lambda *_: pytest.fail("a model is loaded")  # noqa: E731
        context.setattr(recordings, "_load", load)
        assert classify(*words, "tr") == 2
        assert classify("tr/1.wav", *words[2:], "tr") == 2
    told = capsys.readouterr().err
    assert told.count("tr/1.txt exists and would be overwritten: give") == 2
    assert open("tr/1.txt").read() == "a transcript"
    assert sorted(os.listdir("tr")) == ["1.txt", "1.wav", "2.wav"]
    os.remove("tr/1.txt")
    # What is no transcript beside its recording is written again.
    for output in ("new", "new", "tr"):
        assert classify(*words, output) == 0
    assert classify(*words, "tr", "--resume") == 0


def test_parts_have_the_process_in_their_name(classify):
    for name in ("out.part", "out"):
        with open(name, "w") as file:
            file.write("mine")
    assert classify("1.wav", "-o", "out") == 0
    assert open("out.part").read() == "mine"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full disk")
@pytest.mark.parametrize("form", ["vtt", "jsonl"])
def test_a_full_disk_is_told_with_what_to_do(classify, capsys, form):
    assert classify("1.wav", "--format", form, "-o", "/dev/full") in (1, 2)
    assert "free some space, or write elsewhere" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8", "UTF8"])
@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_json_on_a_stream_that_is_no_utf8(
    classify, monkeypatch, encoding, form
):
    name = "😀 café.wav"
    os.rename("1.wav", name)
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    assert classify(name, "--format", form) == 0
    text = stream.buffer.getvalue().decode("utf-8")
    value = json.loads(text)
    assert (value[0] if form == "json" else value)["path"] == name
    assert text.isascii() == ("u" not in encoding.lower())
