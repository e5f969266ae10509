"""What is installed from a wheel alone: yamls, recipes and all."""

import os
import subprocess
import sys
import tarfile
import zipfile

import pytest


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """A wheel of the files that git knows, as anybody would build it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    if not (root / ".git").exists():
        pytest.skip("no git checkout to build a wheel from")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (root / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((root / name).read_bytes())
    return built("wheel", source, folder)


def built(kind, source, folder):
    """The wheel or sdist of a source tree."""
    code = (
        "import sys\n"
        f"from setuptools.build_meta import build_{kind}\n"
        f"print(build_{kind}(sys.argv[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / done.stdout.splitlines()[-1]


def test_the_sdist_builds_the_same_wheel(wheel, tmp_path):
    source = wheel.parent / "source"
    with tarfile.open(built("sdist", source, tmp_path)) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    again = built("wheel", unpacked, tmp_path)
    contents = []
    for path in (wheel, again):
        with zipfile.ZipFile(path) as archive:
            contents.append({n: archive.read(n) for n in archive.namelist()})
    assert set(contents[0]) == set(contents[1])
    assert contents[0] == contents[1]


def test_a_wheel_has_yamls_recipes_and_types(root, wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    inside = {
        f"speechbrain_c2ser/{name}" for name in ("py.typed", "__init__.py")
    }
    for folder in ("hparams", "recipes"):
        for path in (root / folder).rglob("*"):
            if path.suffix in (".yaml", ".py", ".safetensors", ".json"):
                inside.add(f"speechbrain_c2ser/{path.relative_to(root)}")
    assert not inside - names, sorted(inside - names)[:5]
    assert not [name for name in names if name.startswith("tests/")]


def test_a_recipe_runs_from_the_wheel(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    package = tmp_path / "site" / "speechbrain_c2ser"
    done = subprocess.run(
        [
            sys.executable,
            str(package / "recipes/Synthetic/prepare.py"),
            str(package / "hparams/synthetic/corpus.yaml"),
            f"--save_folder={tmp_path / 'corpus'}",
            "--train_voices=1",
            "--valid_voices=1",
            "--test_voices=1",
            "--train_repeats=1",
            "--valid_repeats=1",
            "--test_repeats=1",
            "--num_workers=1",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "corpus" / "train.json").is_file()
