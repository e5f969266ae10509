"""The demo's steps: done once, resumed, redone when something changed."""

import importlib
import json
import sys

import pytest


@pytest.fixture
def steps(root, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "recipes" / "Synthetic"))
    module = importlib.import_module("steps")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


@pytest.fixture
def script(tmp_path):
    """A script that appends to a file, and fails while it is told to."""
    path = tmp_path / "script.py"
    path.write_text(
        "import sys, pathlib\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "if pathlib.Path('fail').exists(): sys.exit('told to fail')\n"
        "with open(folder / 'ran', 'a') as f: f.write('x')\n"
    )
    return path


def ran(folder):
    return (folder / "ran").read_text()


def test_finished_step_is_not_repeated(steps, script, tmp_path):
    folder = tmp_path / "out" / "a"
    step = steps.Step("a", folder, [script, folder])
    first, key = steps.run_steps([step])
    again, same = steps.run_steps([step])
    assert ran(folder) == "x" and key == same
    assert first == again and first["a"] > 0


def test_changed_command_or_yaml_redoes_it_and_what_follows(
    steps, script, tmp_path
):
    yaml = tmp_path / "a.yaml"
    yaml.write_text("lr: 1\n")
    one, two = tmp_path / "out" / "one", tmp_path / "out" / "two"
    job = [
        steps.Step("one", one, [script, one, "a.yaml"]),
        steps.Step("two", two, [script, two]),
    ]
    steps.run_steps(job)
    yaml.write_text("lr: 2\n")
    (one / "old").touch()
    steps.run_steps(job)
    assert not (one / "old").exists()
    assert ran(one) == "x" and ran(two) == "x"


def test_the_yaml_below_an_overlay_redoes_it_too(steps, script, tmp_path):
    (tmp_path / "b.yaml").write_text("# Overlay on: a.yaml\nlr: 2\n")
    (tmp_path / "a.yaml").write_text("lr: 1\n")
    step = steps.Step("one", tmp_path / "one", [script, "b.yaml"])
    key = step.key("")
    (tmp_path / "a.yaml").write_text("lr: 1\nseed: 3\n")
    assert step.key("") != key


def test_interrupted_step_keeps_its_files_and_time(steps, script, tmp_path):
    folder = tmp_path / "out" / "a"
    step = steps.Step("a", folder, [script, folder])
    folder.mkdir(parents=True)
    (folder / "ran").write_text("x")
    begun = {"key": step.key(""), "seconds": 100.0}
    (folder / "begun.json").write_text(json.dumps(begun))
    times, _ = steps.run_steps([step])
    assert ran(folder) == "xx" and times["a"] > 100


def test_refused_step_leaves_nothing(steps, script, tmp_path):
    (tmp_path / "fail").touch()
    folder = tmp_path / "out" / "a"
    with pytest.raises(steps.StepFailed):
        steps.run_steps([steps.Step("a", folder, [script, folder])])
    assert not (tmp_path / "out").exists()


def test_commands_run_with_this_python(steps, tmp_path):
    folder = tmp_path / "out"
    check = tmp_path / "check.py"
    check.write_text(f"import sys; assert sys.executable == {sys.executable!r}")
    steps.run_steps([steps.Step("a", folder, [check])])
    assert (folder / "finished.json").is_file()


def test_a_step_is_one_line_and_its_words_are_in_the_log(
    steps, tmp_path, capfd
):
    talker = tmp_path / "talker.py"
    talker.write_text(
        "import sys\n"
        "print('loads a library')\n"
        "sys.stderr.write('\\r 10%|#   |\\r 90%|### |\\n')\n"
    )
    log, folder = tmp_path / "log.txt", tmp_path / "out"
    step = steps.Step(
        "a", folder, [talker], "does it", lambda place: f"UA of {place.name}"
    )
    steps.run_steps([step], log=log)
    shown = capfd.readouterr()
    assert len(shown.out.splitlines()) == 1 and not shown.err
    for words in ("1 a", "does it", " s ", "UA of out"):
        assert words in shown.out
    kept = log.read_text()
    assert "talker.py" in kept and "loads a library" in kept
    assert "10%" not in kept
    steps.run_steps([step], log=log)
    assert "done before" in capfd.readouterr().out


def test_a_failed_step_says_its_last_words_and_the_log(steps, tmp_path):
    script = tmp_path / "fails.py"
    script.write_text(
        "import sys\nprint('much', 'talk')\nsys.exit('no such corpus: x')\n"
    )
    log = tmp_path / "log.txt"
    step = steps.Step("a", tmp_path / "out", [script])
    with pytest.raises(steps.StepFailed, match="a failed: no such corpus") as e:
        steps.run_steps([step], log=log)
    assert str(log) in str(e.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("state", ["finished", "begun"])
def test_results_of_other_data_are_never_emptied(
    steps, script, tmp_path, state
):
    folder = tmp_path / "out" / "a"
    first = steps.Step("a", folder, [script, folder], source="first/set")
    steps.run_steps([first])
    if state == "begun":
        (folder / "finished.json").rename(folder / "begun.json")
    (folder / "notes.txt").write_text("mine")
    command = [script, folder, "--other"]
    second = steps.Step("a", folder, command, source="second/set")
    with pytest.raises(steps.StepFailed, match="results of first/set.*OUTPUT"):
        steps.run_steps([second])
    assert (folder / "notes.txt").read_text() == "mine"
    again = steps.Step("a", folder, command, source="first/set")
    steps.run_steps([again])
    assert not (folder / "notes.txt").exists()
