"""``c2ser doctor``: it tells what is wrong, and breaks on nothing."""

import json
import os
import shlex
import subprocess
import sys
from email.message import Message

import pytest

from speechbrain_c2ser.cli import examination, main

VERSIONS = {"json": "2.0", "shlex": "1.0", "broken-one": "1.0"}


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """installed(*requirements): what we were installed with, as metadata."""
    (tmp_path / "broken_one.py").write_text("raise OSError('no libfoo.so')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(examination, "_trial", lambda: ("ok", "heard"))

    def version(name):
        if name not in VERSIONS and name != examination.OURS:
            raise examination.metadata.PackageNotFoundError(name)
        return VERSIONS.get(name, "0.1.0")

    def build(*requirements):
        head = Message()
        for extra in ("more", "dev"):
            head["Provides-Extra"] = extra
        monkeypatch.setattr(examination.metadata, "version", version)
        monkeypatch.setattr(examination.metadata, "metadata", lambda _: head)
        monkeypatch.setattr(
            examination.metadata, "requires", lambda _: list(requirements)
        )

    return build


def look():
    return {(check.about, check.name): check for check in examination.examine()}


def pip(*words):
    return shlex.join([sys.executable, "-m", "pip", "install", *words])


def test_packages_missing_broken_and_of_another_version(installed):
    installed(
        "json<3,>=2",
        "shlex>=2",
        "broken-one",
        "not-there>=1.5",
        'only-there>=1; python_version < "3"',
    )
    checks = look()
    assert checks["packages", "json"].state == "ok"
    other = checks["packages", "shlex"]
    assert other.state == "ok" and other.told == "1.0; run with >=2 only"
    assert other.mend == pip("shlex>=2")
    broken = checks["packages", "broken-one"]
    assert broken.state == "wrong" and "no libfoo.so" in broken.told
    assert broken.mend == pip("--force-reinstall", "--no-deps", "broken-one")
    missing = checks["packages", "not-there"]
    assert missing.state == "wrong" and missing.mend == pip("not-there>=1.5")
    assert ("packages", "only-there") not in checks
    assert ("devices", "cpu") in checks  # nothing ended it


def test_extras_and_the_command_that_brings_them(installed):
    installed(
        'json>=2; extra == "more"',
        'not-there>=1; extra == "more"',
        'nor-this; extra == "dev"',
    )
    checks = look()
    extra = checks["extras", "more"]
    assert (extra.state, extra.told) == ("absent", "without not-there")
    assert extra.mend == pip("speechbrain_c2ser[more]")
    assert ("extras", "dev") not in checks
    assert checks["tools", "espeak-ng"].mend == pip(
        "speechbrain_c2ser[prosody]"
    )
    installed('json>=2; extra == "more"')
    assert look()["extras", "more"].told == "json 2.0"


def test_the_exit_code_is_whether_classify_can_run(
    installed, monkeypatch, capsys
):
    installed("json", 'not-there; extra == "more"')
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("\nclassify can run\n")
    installed("json", "not-there")  # some training's
    assert main(["doctor"]) == 0
    assert "classify can run; 1 wrong" in capsys.readouterr().out
    monkeypatch.setattr(examination, "CLASSIFY", ("not-there",))
    assert main(["doctor"]) == 1
    monkeypatch.undo()

    def trial():
        raise OSError("no library\nsndfile")

    monkeypatch.setattr(examination, "_wanted", lambda: [])
    monkeypatch.setattr(examination, "_trial", trial)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "OSError: no library sndfile" in out
    assert "classify cannot run" in out


def test_json_and_a_real_trial(monkeypatch, capsys):
    monkeypatch.setattr(examination, "_wanted", lambda: [])
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["can_classify"] is True and told["executable"]
    assert all(
        set(check) == {"about", "name", "state", "told", "mend"}
        for check in told["checks"]
    )
    trial = told["checks"][-1]
    assert trial["about"] == "classify" and "heard on" in trial["told"]


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "a" / "b"))
    assert examination._cache()[0] == "ok"
    assert not list(tmp_path.iterdir())

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(examination.tempfile, "TemporaryFile", refuse)
    state, told, mend = examination._cache()
    assert (
        state == "wrong" and "Permission denied" in told and "HF_HOME" in mend
    )


def test_an_environment_without_any_package(root, tmp_path):
    # The package alone: beside it an installation may have left metadata.
    (tmp_path / "speechbrain_c2ser").symlink_to(root / "speechbrain_c2ser")
    done = subprocess.run(
        [sys.executable, "-S", "-m", "speechbrain_c2ser.cli", "doctor"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and not done.stderr
    assert pip("speechbrain_c2ser") in done.stdout
    assert "No module named 'torch'" in done.stdout
    assert "ffmpeg: Mod" not in done.stdout  # it needs no package
    assert "classify cannot run" in done.stdout
