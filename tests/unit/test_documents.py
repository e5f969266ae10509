"""Commands and examples of the documents are what the programs take."""

import dataclasses
import glob
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import ruamel.yaml
import soundfile
import torch
from speechbrain.utils.run_opts import RunOptions

from speechbrain_c2ser import cli
from speechbrain_c2ser.checkpoints.c2ser_folder import save_c2ser
from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes import (
    CategoryHead,
    EmotionClassifier,
    LogMel,
    MaskedMean,
    MultiHead,
)
from speechbrain_c2ser.training.experiment import find_base, merge_yaml

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("recipes/*/README.md"),
        *ROOT.glob("benchmarks/*.md"),
    ]
)
USAGES = sorted([*ROOT.glob("recipes/**/*.py"), *ROOT.glob("benchmarks/*.py")])
SPACE = LabelSpace.from_name("emo_emilia")
RUN_OPTIONS = {field.name for field in dataclasses.fields(RunOptions)}
COMMAND = re.compile(
    r"^(?:> |\$ )?((?:\w+=\S+ )*(?:\.venv/bin/)?"
    r"(?:c2ser(?= [a-z-])|make|torchrun|python(?= (?:recipes|benchmarks)/))"
    r"\b.*)$"
)


def commands(text):
    """Command lines of a document's blocks, or of a script's docstring."""
    lines = iter(text.splitlines())
    for line in lines:
        # in a document a command stands indented or fenced, in a docstring
        # behind ">"; prose that begins with "make" is neither
        match = COMMAND.match(line.strip())
        if not match or not line.startswith(("    ", ">", "c2ser", ".venv")):
            continue
        command = match[1]
        while command.endswith("\\"):
            command = command[:-1] + next(lines).strip()
        yield command


def cases():
    for path in DOCUMENTS + USAGES:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            text = text.split('"""')[1]
        for command in commands(text):
            name = f"{path.relative_to(ROOT)}: {command[:60]}"
            yield pytest.param(command, id=name)


CASES = list(cases())


def words_of(command):
    """The command's words, without settings before and remarks behind it."""
    words = shlex.split(command, comments=True)
    while re.match(r"[A-Z0-9_]+=", words[0]):
        words.pop(0)
    optional = [word.strip("[]") for word in words]  # [--seed N]
    return [word for word in optional if word not in ("|", "...", "")]


def yaml_keys(words):
    """Keys that a recipe's command line may set: those of its merged yaml."""
    paths = [word for word in words[1:] if word.endswith(".yaml")]
    known = [word for word in paths if (ROOT / word).is_file()]
    if not known:
        return None  # YAML, mine.yaml: the reader's own
    base, overlays = find_base(ROOT / known[0], [ROOT / p for p in known[1:]])
    merged = merge_yaml(base, overlays)
    return set(ruamel.yaml.YAML().load(merged))


def given(words):
    """Options that a command names."""
    return [w.split("=")[0] for w in words if re.match(r"--[a-z]", w)]


def check_script(words):
    """A recipe's or benchmark's script and every option it is given."""
    path = ROOT / words[0]
    assert path.is_file(), f"no {words[0]}"
    program = path.read_text(encoding="utf-8")
    assert "__main__" in program, f"{words[0]} does nothing by itself"
    if path.name == "prepare.py":
        return  # its options are arguments of a corpus, tested with these
    programs = "".join(
        other.read_text(encoding="utf-8") for other in path.parent.glob("*.py")
    )
    keys = yaml_keys(words)
    if keys is None and "load_experiment" in program:
        return  # YAML: of the reader's own
    ours = ("overlay", "user_modules", "help")
    known = {*(keys or ()), *RUN_OPTIONS, *ours}
    for option in given(words):
        name = option[2:]
        literal = f'"{option}"' in programs or (
            f'"{name}"' in programs and 'f"--{' in programs  # in a loop
        )
        assert literal or name in known, f"{words[0]} has no {option}"


@pytest.mark.parametrize("command", CASES)
def test_a_command_is_what_the_program_takes(command):
    words = words_of(command)
    program = Path(words.pop(0)).name
    if program == "c2ser":
        try:
            cli._parser().parse_args(words)
        except SystemExit as error:
            assert error.code == 0, f"c2ser refuses: {command}"
    elif program == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        for word in words:
            variable = re.match(r"([A-Z0-9]+)=", word)
            pattern = f"^{variable[1]} " if variable else f"^{word}:"
            assert re.search(pattern, makefile, re.M), f"make has no {word}"
    else:
        first = next(i for i, w in enumerate(words) if w.endswith(".py"))
        check_script([w for w in words[first:] if not w.startswith("$")])


def test_there_are_commands():
    """The search finds them: every recipe's README has one."""
    ids = " ".join(case.id for case in CASES)
    for name in ("README.md: .venv/bin/c2ser", "recipes/C2SER/README.md: py"):
        assert name in ids
    assert len(CASES) > 40


@pytest.fixture
def workplace(model, tmp_path, monkeypatch):
    """A folder with what the documents' examples name, as current folder."""
    save_c2ser(model, tmp_path / "results/demo/c2ser", SPACE)
    encoder = LogMel(n_mels=16)
    classifier = EmotionClassifier(
        encoder,
        MultiHead({"emotion": CategoryHead(16, SPACE.names)}),
        MaskedMean(16),
    )
    save_classifier(classifier.eval(), tmp_path / "results/wavlm/classifier")
    soundfile.write(
        tmp_path / "call.wav", 0.1 * torch.randn(8000).numpy(), 16000
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(path):
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    # That of an exported model is run where one is: test_exporting.py.
    return [block for block in found if "onnxruntime" not in block]


@pytest.mark.parametrize(
    "path",
    [path for path in DOCUMENTS if blocks(path)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_python_examples_run(path, workplace):
    for block in blocks(path):
        code = compile(block, path.name, "exec")
        exec(code, {"__name__": "example"})  # of our own documents


NOTEBOOKS = sorted(ROOT.glob("docs/notebooks/*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path, workplace, capsys):
    """Their cells hold plain Python, so that no kernel is needed."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    names: dict = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "save it without outputs"
            code = compile("".join(cell["source"]), path.name, "exec")
            exec(code, names)  # of our own documents
    if path.stem == "compose_it":
        assert names["accuracy"] > 0.9
    else:
        assert names["records"][0]["label"] == names["label"]
        assert "nowhere.wav is missing" in capsys.readouterr().out


def test_there_are_two_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["compose_it", "use_it"]


def test_the_first_commands_run(workplace, capsys):
    """What README's section Use types, on a folder that a demo leaves."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    typed = [words_of(c)[1:] for c in commands(text) if "/c2ser c" in c]
    typed += [words_of(c)[1:] for c in commands(text) if "/c2ser d" in c]
    assert {words[0] for words in typed} >= {"classify", "describe"}
    for words in typed:
        names = [n for word in words for n in glob.glob(word) or [word]]
        assert cli.main(names) == 0, " ".join(words)
        assert capsys.readouterr().out.strip()


def test_the_ablation_of_the_reader(tmp_path):
    """README's five lines, laid on the yaml that it names."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = next(
        b
        for b in re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S)
        if b.startswith("# Overlay on:")
    )
    shutil.copytree(ROOT / "hparams", tmp_path / "hparams")
    (tmp_path / "mine.yaml").write_text(block)
    base = tmp_path / block.splitlines()[0].split(":")[1].strip()
    merged = ruamel.yaml.YAML().load(merge_yaml(base, [tmp_path / "mine.yaml"]))
    assert merged["connector"]["num_layers"] == 2
    assert merged["acoustic_encoder"] is None
