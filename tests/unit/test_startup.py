"""What a command imports: no library that it does not use."""

import subprocess
import sys
from importlib.metadata import version

import numpy
import pytest
import soundfile
from packaging.version import Version

from speechbrain_c2ser.checkpoints.c2ser_folder import save_c2ser
from speechbrain_c2ser.labels import LabelSpace

# Each costs a tenth of a second to a second of processor time.
UNUSED = ["speechbrain", "peft", "matplotlib"]
# Earlier ones (the newest of Python 3.10 among them) import scikit-learn by
# themselves, and that imports pandas.
if Version(version("transformers")) >= Version("5.21"):
    UNUSED += ["sklearn", "pandas"]
CODE = """
import sys
from speechbrain_c2ser.cli import main
code = main(sys.argv[2:])
loaded = [name for name in sys.argv[1].split(",") if name in sys.modules]
assert not loaded, loaded
sys.exit(code)
"""


@pytest.fixture(scope="module")
def folder(build_model, tmp_path_factory):
    place = tmp_path_factory.mktemp("startup")
    space = LabelSpace(["angry", "happy", "neutral", "sad"])
    save_c2ser(build_model(), place / "c2ser", space)
    tone = numpy.sin(numpy.arange(16000) / 10).astype("float32") / 2
    soundfile.write(place / "a.wav", tone, 16000)
    return place


def run(*words):
    done = subprocess.run(
        [sys.executable, "-c", CODE, ",".join(UNUSED), *map(str, words)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_classify_imports_what_it_uses(folder):
    out = run("classify", "--model", folder / "c2ser", folder / "a.wav")
    assert "a.wav" in out


def test_describe_imports_what_it_uses(folder):
    out = run("describe", "--model", folder / "c2ser", folder / "a.wav")
    assert "a.wav" in out


def test_a_lobe_does_not_wait_for_language_models():
    code = (
        "import sys\n"
        "from speechbrain_c2ser.lobes import Emotion2VecS\n"
        "assert 'transformers' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
