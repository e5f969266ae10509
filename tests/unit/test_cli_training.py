"""``c2ser train`` and ``c2ser completion``, in a clone and in a wheel."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from speechbrain_c2ser.cli import main, training


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package folder as a wheel has it; the working folder is elsewhere."""
    package = tmp_path / "site/speechbrain_c2ser"
    recipe = package / "recipes/EmotionRecognition"
    recipe.mkdir(parents=True)
    (recipe / "beside.py").write_text('"""No script."""\nWORD = "beside"\n')
    (recipe / "train.py").write_text(
        "#!/usr/bin/env python3\nimport sys\nfrom beside import WORD\n"
        "print(WORD, *sys.argv[1:])\nsys.exit(7 if 'bad' in sys.argv else 0)\n"
    )
    two = package / "recipes/C2SER"
    two.mkdir()
    for name in ("train_explicit", "train_implicit"):
        (two / f"{name}.py").write_text("#!/usr/bin/env python3\n")
    for name in ("probe", "heads/tracks", "heads/frames", "text/frames"):
        path = package / f"hparams/emotion_recognition/{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("lr: 1\n")
    (package / "hparams/c2ser").mkdir()
    (package / "hparams/c2ser" / "probe.yaml").write_text("lr: 2\n")
    monkeypatch.setattr(training, "PACKAGE", package)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return package


def ran(capfd, *words):
    code = main(["train", *words])
    out, err = capfd.readouterr()
    return code, out.strip(), err.strip()


def test_a_recipe_is_run_with_the_same_arguments(installed, capfd):
    hparams = installed / "hparams/emotion_recognition"
    code, out, _ = ran(
        capfd, "EmotionRecognition", "probe.yaml", "--overlay",
        "heads/tracks.yaml", "--overlay=tracks.yaml", "--lr=3", "--device",
        "cpu", "--other=x.yaml",
    )  # fmt: skip
    assert code == 0 and out.split() == [
        "beside", str(hparams / "probe.yaml"), "--overlay",
        str(hparams / "heads/tracks.yaml"),
        f"--overlay={hparams / 'heads/tracks.yaml'}", "--lr=3", "--device",
        "cpu", "--other=x.yaml",
    ]  # fmt: skip
    # As the documents write it; and a file of the reader's own comes first.
    name = "/".join(("hparams", "c2ser", "probe.yaml"))
    code, out, _ = ran(capfd, "EmotionRecognition/train.py", name, "bad")
    assert code == 7 and out.split()[1] == str(installed / name)
    Path("probe.yaml").write_text("lr: 4\n")
    out = ran(capfd, "EmotionRecognition", "probe.yaml")[1]
    assert out == "beside probe.yaml"


@pytest.mark.parametrize(
    "words, message",
    [
        (("EmotionRecogniton",), "the nearest is EmotionRecognition."),
        (("xyz",), "choose one of C2SER, EmotionRecognition."),
        (("C2SER",), "C2SER/train_explicit, C2SER/train_implicit"),
        (("C2SER/train_explict",), "the nearest is train_explicit."),
        (("EmotionRecognition/beside",), "no script 'beside'"),
        (("EmotionRecognition", "prob.yaml"),
         "the nearest is emotion_recognition/probe.yaml"),
        (("EmotionRecognition", "frames.yaml"), "give more of it"),
    ],
)  # fmt: skip
def test_a_wrong_name_gives_the_nearest(installed, capfd, words, message):
    code, out, err = ran(capfd, *words)
    assert code == 2 and not out
    assert message in err and "\n" not in err


def test_alone_it_lists_recipes_and_yamls(installed, capfd):
    code, out, _ = ran(capfd)
    assert code == 0 and "\nEmotionRecognition: train\n" in out
    assert "\n  emotion_recognition/heads/tracks.yaml" in out
    assert "\nC2SER: train_explicit, train_implicit\n" in out


def test_an_overlay_of_ours_is_run_from_anywhere(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = ran(
        capfd, "EmotionRecognition", "attentive_statistics.yaml",
        "--train_manifest=nowhere.json", "--output_folder=out",
    )  # fmt: skip
    # Its base is found too, and asks for what it lacks.
    assert code == 1 and "encoder_source" in err and "Traceback" not in err


def test_without_recipes_it_says_so(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(training, "PACKAGE", tmp_path / "a")
    code, _, err = ran(capfd)
    assert code == 2 and "install the package again" in err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_what_the_shell_reads(shell, capsys, tmp_path):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "diarize" in script and "textgrid" in script
    path = tmp_path / "script"
    path.write_text(script)
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here to read it")
    done = subprocess.run([shell, "-n", path], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr


def completed(script, *words):
    line = " ".join(f"'{word}'" for word in words)
    code = (
        f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
        "COMP_TYPE=9; complete -p c2ser >/dev/null; _shtab_c2ser c2ser "
        f"'{words[-1]}' '{words[-2]}'; echo ${{COMPREPLY[@]}}"
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True)
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_commands_choices_and_folders(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "mode.txt").touch()
    main(["completion", "bash"])
    script = tmp_path / "c"
    script.write_text(capsys.readouterr().out)
    assert completed(script, "c2ser", "cla") == ["classify"]
    words = ("c2ser", "classify", "--channel", "e")
    assert completed(script, *words) == ["each"]
    words = ("c2ser", "classify", "--model", "mo")
    assert completed(script, *words) == ["model"]
    assert "mode.txt" in completed(script, "c2ser", "classify", "mo")


def test_help_imports_no_library_of_theirs(root):
    code = (
        "import sys\nfrom speechbrain_c2ser.cli import main\n"
        "try:\n    main(['train', '--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'shtab', 'packaging', 'difflib'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
