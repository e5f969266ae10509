"""The ``c2ser`` command: what it prints and what it exits with."""

import json
import subprocess
import sys

import numpy as np
import pytest

from speechbrain_c2ser.checkpoints.c2ser_folder import save_c2ser
from speechbrain_c2ser.checkpoints.emotion2vec_folder import save_emotion2vec
from speechbrain_c2ser.cli import main
from speechbrain_c2ser.labels import LabelSpace

SPACE = LabelSpace.from_name("emo_emilia")


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return save_c2ser(model, tmp_path_factory.mktemp("cli") / "c2ser", SPACE)


def arguments(*parts):
    return [str(part) for part in parts]


def test_classify(folder, write_wav, tmp_path, capsys):
    good = write_wav(tmp_path / "a.wav")
    code = main(arguments("classify", good, "--model", folder))
    path, label, score = capsys.readouterr().out.strip().split("\t")
    assert code == 0
    assert path == str(good) and label in SPACE.names
    assert 1 / 7 <= float(score) <= 1


def test_a_bad_file_is_one_line_and_code_1(folder, write_wav, tmp_path, capsys):
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    good = write_wav(tmp_path / "a.wav")
    code = main(arguments("classify", bad, good, "--model", folder, "--json"))
    out, err = capsys.readouterr()
    assert code == 1
    assert err.startswith("c2ser: ") and "bad.wav" in err
    assert err.count("\n") == 1
    row = json.loads(out)
    assert list(row["probabilities"]) == list(SPACE.names)
    assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_windows(folder, write_wav, tmp_path, capsys):
    path = write_wav(tmp_path / "a.wav", seconds=1.0)
    main(arguments("classify", path, "--model", folder, "--window", 0.5))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines[1:]] == [
        "  0.0-0.5 s",
        "  0.5-1.0 s",
    ]


def test_describe(folder, write_wav, tmp_path, capsys):
    path = write_wav(tmp_path / "a.wav", seconds=0.3)
    code = main(arguments("describe", path, "--model", folder, "--json"))
    said = json.loads(capsys.readouterr().out)
    assert code == 0
    assert said["label"] in SPACE.names and "text" in said
    assert main(arguments("describe", "nowhere", "--model", folder)) == 1
    assert "nowhere" in capsys.readouterr().err


def test_features(build_emotion2vec, write_wav, tmp_path, capsys):
    model = save_emotion2vec(build_emotion2vec(), tmp_path / "e2v")
    scp = tmp_path / "wav.scp"
    scp.write_text(f"one {write_wav(tmp_path / 'a.wav')}\n")
    command = ("features", scp, tmp_path / "out", "--model", model)
    assert main(arguments(*command, "--granularity", "mean")) == 0
    assert np.load(tmp_path / "out" / "one.npy").shape == (16,)
    scp.write_text("two nowhere.wav\n")
    assert main(arguments(*command)) == 1
    assert "two" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ("classify", "a.wav", "--model", "nowhere"),
        ("features", "nowhere.scp", "out", "--model", "nowhere"),
        (
            "convert", "c2ser", "--c2ser-checkpoint", "nowhere.pt", "--llm",
            "nowhere", "--emotion2vec-s", "nowhere.pt", "--output", "out",
        ),
        ("convert", "emotion2vec", "--checkpoint", "nowhere.pt",
         "--output", "out"),
    ],
)  # fmt: skip
def test_errors_are_one_line_and_code_2(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(list(command)) == 2
    err = capsys.readouterr().err
    assert err.startswith("c2ser: ") and err.count("\n") == 1
    assert "nowhere" in err
    assert not list(tmp_path.iterdir())


def test_help_is_quick_and_needs_no_model(root):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "from speechbrain_c2ser.cli import main\n"
            "try:\n    main(['--help'])\n"
            "except SystemExit as end:\n"
            "    assert end.code == 0\n"
            "assert 'torch' not in sys.modules",
        ],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "classify" in done.stdout
