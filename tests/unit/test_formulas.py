"""Texts of strangers in our tables: no formulas, and read back as they were."""

import csv
import io
import json
import os

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_c2ser.cli import main, recordings
from speechbrain_c2ser.data.tables import read_table
from speechbrain_c2ser.evaluation.predictions import read_predictions
from speechbrain_c2ser.evaluation.report.evaluation import _csv
from speechbrain_c2ser.inference.file_classifier import FileClassifier
from speechbrain_c2ser.web.downloads import write_downloads

FORMULAS = [
    '=HYPERLINK("http://evil.example","sad")', "'=1+1", "''@x", "-2+3", "+1",
    "@SUM(A1)", "\t=1", "\r=1", "\n=1", '="007"', "=", "\uff1d1+1", "'-'",
    "-it's'",
]  # fmt: skip
PLAIN = ["sad", "it's", "'tis", "'quoted'", "a=b", 'say="hi"', "a-b", "悲伤"]
BEGINS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


class Formulas(FileClassifier):
    """Its labels are formulas; all are as probable, but the first."""

    # A column p_LABEL is known by the label without blanks around it.
    labels = [text for text in FORMULAS + PLAIN if text == text.strip()]

    def __init__(self):
        super().__init__(torch.nn.Linear(1, 1), {}, {"device": "cpu"})

    def names_of(self):
        return self.labels

    def classify_batch(self, wavs, wav_lens=None):
        shares = torch.ones(len(wavs), len(self.labels))
        shares[:, 0] = 2
        return (shares / shares.sum(-1, keepdim=True),)


def record(text, label):
    segment = {"start": 0.0, "end": 1.0, "label": label}
    return {
        "version": "1", "model": text, "path": text.replace("/", "_"),
        "id": text, "end": 1.0,
        "segments": [{**segment, "probabilities": {label: -0.5}}],
    }  # fmt: skip


def cells_of(content):
    return [cell for row in csv.reader(io.StringIO(content, newline=""))
            for cell in row]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS + PLAIN)
def test_the_pages_table_has_no_formula(tmp_path, text):
    path, _, _ = write_downloads([record(text, text)], tmp_path)
    with open(path, encoding="utf-8-sig", newline="") as file:
        cells = cells_of(file.read())
    numbers = [c for c in cells if c == "-0.5"]
    assert len(numbers) == 2  # a number stays one
    assert not [c for c in cells if c.startswith(BEGINS) and c != "-0.5"]
    (row,) = read_table(path)
    assert row["label"] == row["model"] == text
    assert row["path"] == text.replace("/", "_")
    assert f"p_{text}" in row


@pytest.mark.parametrize("delimiter", ["\t", ";"])
def test_a_table_that_a_spreadsheet_saved_anew_is_read_back(
    tmp_path, delimiter
):
    for number, text in enumerate(FORMULAS + PLAIN):
        path, _, _ = write_downloads([record(text, text)], tmp_path)
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
        other = tmp_path / f"{number}.tsv"
        with open(other, "w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows(rows)
        assert read_table(other)[0]["label"] == text


def test_another_ones_table_is_read_as_it_stands(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('id,text\na,\'@home\' he said\nb,="007"\nc,x="1" y\n')
    texts = [row["text"] for row in read_table(path)]
    assert texts == ["'@home' he said", "007", 'x="1" y']


def test_a_report_holds_no_formula():
    cells = cells_of(_csv([{"label": "=1+1", "difference": -0.25}]))
    assert cells == ["label", "difference", "'=1+1", "-0.25"]


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Recordings whose names are formulas, and a model of such labels."""
    monkeypatch.setattr(recordings, "_load", lambda *_: Formulas())
    monkeypatch.chdir(tmp_path)
    tone = (0.3 * np.sin(np.arange(8000) / 7)).astype("f4")
    for name in ("-2+3.wav", "@home.wav", "=1.wav", "'=1.wav", "'a.wav"):
        with open(name, "wb") as file:
            soundfile.write(file, tone, 16000, format="WAV")
    return tmp_path


@pytest.mark.parametrize("command", ["classify", "diarize"])
def test_our_own_tables_are_evaluated_and_gone_on_with(folder, command):
    names = sorted(os.listdir(folder))
    words = ["--model", "m", "--format", "csv", "-o", "out.csv"]
    assert main([command, *words, "--", *names]) == 0
    content = (folder / "out.csv").read_bytes().decode("utf-8")
    assert not [c for c in cells_of(content) if c.startswith(BEGINS)]
    assert f"p_{FORMULAS[0]}" in cells_of(content)
    predictions = read_predictions("out.csv")
    assert {row["label"] for row in predictions} == {FORMULAS[0]}
    if command == "classify":
        assert [row["id"] for row in predictions] == names
        found = list(predictions[0]["probabilities"])
        assert found == Formulas.labels
        # And as a list of what to listen to.
        assert main(["classify", "--model", "m", "out.csv", "-o", "2"]) == 0
        truth = [{"id": n, "emotion": FORMULAS[0]} for n in names]
        (folder / "truth.jsonl").write_text("\n".join(map(json.dumps, truth)))
    assert main([command, *words, "--resume", "--", *names]) == 0
    assert (folder / "out.csv").read_bytes().decode("utf-8") == content


def test_evaluate_finds_the_paths_of_our_own_table(folder, monkeypatch):
    monkeypatch.setattr(Formulas, "labels", ["sad", "happy"])
    names = sorted(os.listdir(folder))
    words = ["--model", "m", "--format", "csv", "-o", "out.csv"]
    shares = torch.tensor([[0.75, 0.25]])
    monkeypatch.setattr(
        Formulas,
        "classify_batch",
        lambda _, wavs, __: (shares[[0] * len(wavs)],),
    )
    assert main(["classify", *words, "--", *names]) == 0
    truth = [json.dumps({"id": n, "emotion": "sad"}) for n in names]
    (folder / "truth.jsonl").write_text("\n".join(truth))
    assert main(["evaluate", "out.csv", "--reference", "truth.jsonl"]) == 0
    told = json.loads((folder / "out" / "result.json").read_text())
    assert told["missing"] == 0
    assert [row["id"] for row in told["utterances"]] == names
