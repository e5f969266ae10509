"""The set-up's decisions and repairs, with pip played by a fake."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from scripts import load_script


@pytest.fixture
def setup_env(root):
    """A fresh copy of the set-up's module."""
    return load_script(root / "tools" / "setup_env.py")


def add_package(site, name, version="1.0", files=("__init__.py",)):
    """What pip leaves after installing a package."""
    info = Path(site) / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {name}\n")
    lines = []
    for file in files:
        path = Path(site) / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("value = 1\n")
        lines.append(f"{name}/{file},sha256=0,10")
    lines.append(f"{info.name}/METADATA,sha256=0,")
    lines.append(f"{name}/__pycache__/never_there.pyc,,")
    (info / "RECORD").write_text("\n".join(lines) + "\n")


READY = dict(
    exists=True,
    same_python=True,
    python_works=True,
    has_pip=True,
    damaged={},
    stamped=True,
)


@pytest.mark.parametrize(
    "found, action",
    [
        ({}, None),
        ({"exists": False, "same_python": False}, "create"),
        ({"same_python": False}, "recreate"),
        ({"python_works": False}, "create"),
        ({"python_works": False, "stamped": False}, "create"),
        ({"has_pip": False}, "bring pip"),
        ({"damaged": {"torch": []}}, "mend"),
        ({"damaged": {"torch": []}, "stamped": False}, "mend"),
        ({"stamped": False}, "install"),
    ],
)
def test_next_action(setup_env, found, action):
    state = setup_env.State(**{**READY, **found})
    assert setup_env.next_action(state) == action


def test_damage_is_found(setup_env, tmp_path):
    for name in ("good", "lost", "cut", "half", "aside"):
        add_package(tmp_path, name, files=("__init__.py", "lib/native.so"))
    assert setup_env.damaged_packages(tmp_path) == {}
    (tmp_path / "lost" / "__init__.py").unlink()
    (tmp_path / "cut" / "__init__.py").write_text("")
    (tmp_path / "half-1.0.dist-info" / "RECORD").unlink()
    (tmp_path / "~orch").mkdir()
    native = tmp_path / "aside" / "lib" / "native.so"
    native.rename(f"{native}{setup_env.ASIDE}")
    damaged = setup_env.damaged_packages(tmp_path)
    assert set(damaged) == {"lost", "cut", "half", "~orch"}
    setup_env.mend(damaged)
    assert setup_env.damaged_packages(tmp_path) == {}
    assert set(setup_env.installed(tmp_path)) == {"good", "aside"}


def test_key_follows_setup_files_python_gpu_and_place(setup_env, tmp_path):
    (tmp_path / "tools").mkdir()
    for name in ("setup.py", "tools/setup_env.py"):
        (tmp_path / name).write_text("one")
    elsewhere = tmp_path.with_name(tmp_path.name + "_2")
    shutil.copytree(tmp_path, elsewhere)
    keys = {
        setup_env.environment_key(False, (3, 11), tmp_path),
        setup_env.environment_key(True, (3, 11), tmp_path),
        setup_env.environment_key(False, (3, 12), tmp_path),
        setup_env.environment_key(False, (3, 11), elsewhere),
    }
    again = setup_env.environment_key(False, (3, 11), tmp_path)
    (tmp_path / "setup.py").write_text("two")
    keys.add(setup_env.environment_key(False, (3, 11), tmp_path))
    assert len(keys) == 5 and again in keys


def test_gpu_is_what_nvidia_smi_says(setup_env, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not setup_env.has_gpu()
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: some'\n")
    tool.chmod(0o755)
    assert setup_env.has_gpu()
    tool.write_text("#!/bin/sh\necho 'no driver'; exit 9\n")
    assert not setup_env.has_gpu()


def test_old_python_is_one_clear_line(setup_env, monkeypatch):
    monkeypatch.setattr(setup_env, "OLDEST", (99, 0))
    with pytest.raises(SystemExit, match=r"Python 99\.0 or newer.*PYTHON="):
        setup_env.main()


@pytest.fixture
def fake(setup_env, tmp_path, monkeypatch):
    """The set-up on an environment in tmp_path; pip only writes files."""
    calls = []

    def pip_install(requirements, title):
        calls.append(requirements)
        site = setup_env.site_packages(setup_env.VENV)
        for name in ("torch", "regex"):
            if name not in setup_env.installed(site):
                shutil.rmtree(site / name, ignore_errors=True)
                add_package(site, name)

    def create():
        log = setup_env.quiet(
            [sys.executable, "-m", "venv", "--without-pip", setup_env.VENV]
        )[1]
        assert (setup_env.VENV / "bin" / "python").exists(), log

    monkeypatch.setattr(setup_env, "VENV", tmp_path / "venv")
    monkeypatch.setattr(setup_env, "IMPORTS", ["torch"])
    monkeypatch.setattr(setup_env, "pip_install", pip_install)
    monkeypatch.setattr(setup_env, "create", create)
    monkeypatch.setattr(setup_env, "has_gpu", lambda: False)
    monkeypatch.setattr(setup_env, "free_torchaudio", lambda: None)
    monkeypatch.setattr(
        setup_env,
        "bring_pip",
        lambda: add_package(setup_env.site_packages(setup_env.VENV), "pip"),
    )
    setup_env.calls = calls
    return setup_env


def test_from_nothing_then_idempotent(fake):
    fake.prepare()
    assert fake.calls[0] == fake.TORCH_CPU
    stamp = fake.read_stamp(fake.VENV)
    assert stamp["packages"]["torch"] == "1.0"
    count = len(fake.calls)
    fake.prepare()
    assert len(fake.calls) == count


def test_deleted_python_keeps_the_packages(fake):
    fake.prepare()
    count = len(fake.calls)
    shutil.rmtree(fake.VENV / "bin")
    fake.prepare()
    assert fake.runs(fake.VENV / "bin" / "python")
    assert len(fake.calls) == count


@pytest.mark.parametrize("lost", ["torch/__init__.py", "regex-1.0.dist-info"])
def test_lost_package_is_installed_again(fake, lost):
    fake.prepare()
    site = fake.site_packages(fake.VENV)
    if (site / lost).is_dir():
        shutil.rmtree(site / lost)
    else:
        (site / lost).unlink()
    fake.prepare()
    assert (site / lost).exists()
    assert fake.next_action(look(fake)) is None


def look(fake):
    return fake.look(fake.VENV, {fake.environment_key(False)})


def test_interrupted_install_goes_on(fake, monkeypatch):
    working = fake.pip_install

    def interrupted(requirements, title):
        site = fake.site_packages(fake.VENV)
        (site / "torch").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(fake, "pip_install", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fake.prepare()
    assert fake.next_action(look(fake)) == "install"
    monkeypatch.setattr(fake, "pip_install", working)
    fake.prepare()
    assert fake.next_action(look(fake)) is None


def test_other_python_starts_over(fake):
    fake.prepare()
    site = fake.site_packages(fake.VENV)
    site.parent.rename(site.parent.with_name("python2.7"))
    fake.prepare()
    assert fake.next_action(look(fake)) is None
    assert not (fake.VENV / "lib" / "python2.7").exists()


def test_beyond_mending_starts_over_once(fake, capsys):
    fake.prepare()
    site = fake.site_packages(fake.VENV)
    module = site / "torch" / "__init__.py"
    # Wrong, but of the recorded size: only the import shows it.
    module.write_text("1 // 0 #\n\n")
    (fake.VENV / "stamp.json").unlink()
    fake.prepare()
    assert module.read_text() == "value = 1\n"
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_failing_for_ever_is_an_error(fake, monkeypatch):
    monkeypatch.setattr(fake, "IMPORTS", ["no_such_module"])
    with pytest.raises(fake.SetupError, match="no_such_module"):
        fake.prepare()
    assert not (fake.VENV / "stamp.json").exists()


def test_environment_for_a_gpu_serves_without_one(fake):
    fake.prepare()
    path = fake.VENV / "stamp.json"
    stamp = json.loads(path.read_text())
    path.write_text(json.dumps({**stamp, "key": fake.environment_key(True)}))
    count = len(fake.calls)
    fake.prepare()
    assert len(fake.calls) == count


@pytest.fixture
def torchaudio(setup_env, tmp_path, monkeypatch):
    """A torchaudio of ours in a small environment: its folder."""
    monkeypatch.setattr(setup_env, "VENV", tmp_path / "venv")
    done = setup_env.quiet(
        [sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"]
    )
    assert done[0], done[1]
    folder = setup_env.site_packages(setup_env.VENV) / "torchaudio"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "_torchaudio.so").write_text("")
    return folder


NEEDS_CUDA = """
from pathlib import Path
if list(Path(__file__).parent.glob("lib/*.so")):
    raise OSError("libcudart.so: cannot open shared object file")
"""


def test_unloadable_torchaudio_library_is_set_aside(
    setup_env, torchaudio, capsys
):
    (torchaudio / "__init__.py").write_text(NEEDS_CUDA)
    setup_env.free_torchaudio()
    assert [p.name for p in (torchaudio / "lib").iterdir()] == [
        "_torchaudio.so.unused"
    ]
    assert "set aside" in capsys.readouterr().out


def test_loadable_torchaudio_is_not_touched(setup_env, torchaudio):
    (torchaudio / "__init__.py").write_text("")
    setup_env.free_torchaudio()
    assert (torchaudio / "lib" / "_torchaudio.so").exists()


def test_otherwise_broken_torchaudio_is_an_error(setup_env, torchaudio):
    (torchaudio / "__init__.py").write_text("raise OSError('other')")
    with pytest.raises(setup_env.SetupError, match="other"):
        setup_env.free_torchaudio()
    assert (torchaudio / "lib" / "_torchaudio.so").exists()
