"""Rules of the house that a program can check."""

import ast
import io
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import ruamel.yaml
from hyperpyyaml import resolve_references
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from speechbrain.utils.run_opts import RunOptions

from speechbrain_c2ser.training.experiment import OVERLAY_ON, merge_yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "speechbrain_c2ser"
OURS = "speechbrain_c2ser."
# A room, or a room within it that stands on a floor of its own.
FLOORS = {
    "__version__": 0,
    "arguments": 0,
    "host": 0,
    "processor": 0,
    "versions": 0,
    "labels": 1,
    "audio": 1,
    "losses": 1,
    "evaluation.metrics": 1,
    "data.atomic": 1,
    "data.cells": 1,
    "timelines": 1,
    "lobes": 2,
    "chain_of_thought": 3,
    "checkpoints": 4,
    "evaluation.report": 3,
    "data": 4,
    "inference": 5,
    "training": 5,
    "evaluation": 6,
    "labelling": 6,
    "web": 6,
    "cli": 7,
}


def floor_of(module):
    """(room, floor) of a module's dotted name below the package."""
    parts = module.split(".")
    for room in (".".join(parts[:2]), parts[0]):
        if room in FLOORS:
            return room, FLOORS[room]
    pytest.fail(f"{module} has no floor; give its room one here")


SOURCES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted((ROOT / "recipes").rglob("*.py"))
BLOCKS = sorted((ROOT / "hparams" / "blocks").glob("*.yaml"))
# An overlay holds what changes on other yamls and does not stand alone; its
# first line names them: "# Overlay on: {yaml} {yaml} ...".
OVERLAYS = {
    path: first.removeprefix(OVERLAY_ON).split()
    for path in sorted((ROOT / "hparams").rglob("*.yaml"))
    for first in path.read_text(encoding="utf-8").splitlines()[:1]
    if first.startswith(OVERLAY_ON)
}
OVERLAID = [
    pytest.param(path, ROOT / base, id=f"{path.relative_to(ROOT)} on {base}")
    for path, bases in OVERLAYS.items()
    for base in bases
]
EXPERIMENTS = sorted(
    set((ROOT / "hparams").rglob("*.yaml")) - set(BLOCKS) - set(OVERLAYS)
)
TEXT = (".py", ".md", ".yaml", ".toml", ".cfg", ".json", ".sh", ".txt", "")


def name_of(path):
    return str(path.relative_to(ROOT))


def dotted(path):
    """The module's name below the package; "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def tracked_files():
    """The text files that git knows, or all where there is no git."""
    paths = []
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True
        )
        if listed.returncode == 0:
            paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    if not paths:
        skipped = {".git", ".venv", "results", "__pycache__", "build"}
        paths = [p for p in ROOT.rglob("*") if not skipped & set(p.parts)]
    return [p for p in paths if p.is_file() and p.suffix in TEXT]


def imported_modules(path):
    """Our own modules that the file imports, as dotted names after ours."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            pytest.fail(f"{name_of(path)}: relative import")
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == OURS[:-1]:
                yield from (alias.name for alias in node.names)
            elif node.module.startswith(OURS):
                yield node.module[len(OURS) :]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith(OURS):
                    yield alias.name[len(OURS) :]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_only_from_floors_below(path):
    own = dotted(path)
    if not own:
        assert not list(imported_modules(path))
        return
    room, floor = floor_of(own)
    for module in imported_modules(path):
        other, others_floor = floor_of(module)
        below = other == room or others_floor < floor
        assert below, f"{name_of(path)} imports {module}, not below it"


@pytest.mark.parametrize("path", SOURCES + SCRIPTS, ids=name_of)
def test_a_file_is_one_idea(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 450, f"{lines} lines; rarely over 400: split it"


# Built from a model folder, so no example without files.
EXAMPLES_IN = {"labels", "losses", "metrics", "lobes", "chain_of_thought"}
NO_EXAMPLE = {"LanguageModel", "SpeechEmotionLLM"}


def holds_only_values(node):
    """A dataclass, named tuple or error: fields and nothing to try."""
    outer = [ast.unparse(n) for n in [*node.bases, *node.decorator_list]]
    return any(
        name.endswith(("Error", "NamedTuple")) or "dataclass" in name
        for name in [node.name, *outer]
    )


def public_definitions(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            if not node.name.startswith("_"):
                yield node


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_public_names_are_documented(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{name_of(path)} says not what it is"
    floor = floor_of(dotted(path))[1] if dotted(path) else 0
    missing = []
    for node in public_definitions(path):
        text = ast.get_docstring(node) or ""
        if not text:
            missing.append(f"{node.name}: no docstring")
        elif node.name in NO_EXAMPLE or (
            isinstance(node, ast.ClassDef) and holds_only_values(node)
        ):
            continue
        elif floor in (1, 2, 3) and EXAMPLES_IN & set(path.parts):
            if "Example\n-------" not in text or ">>>" not in text:
                missing.append(f"{node.name}: no Example")
    assert not missing, f"{name_of(path)}: {missing}"


def test_no_machine_paths_and_no_index_hosts():
    # Written so that this file does not match itself.
    machine = re.compile(r"(?<![\w.~])/(?:work|root|home|Users|mnt)/\w")
    hosts = re.compile(
        r"p[y]pi\.org|pyth[o]nhosted|download\.pyt[o]rch|ind[e]x-url|find-l[i]nks"
    )
    found = []
    for path in tracked_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if machine.search(line) or hosts.search(line):
                found.append(f"{name_of(path)}:{number}: {line.strip()[:60]}")
    assert not found, "\n".join(found)


# A path below one of our folders; {name} and * stand for any.
ROOMS = "recipes|hparams|speechbrain_c2ser|tests|benchmarks|tools|docs"
OUR_PATH = re.compile(rf"(?<![\w./<-])((?:{ROOMS})/[\w./*{{}}-]+)")


def test_every_path_that_is_named_exists():
    missing = []
    for path in tracked_files():
        if path.suffix not in (".py", ".md", ".yaml"):
            continue
        text = path.read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), 1):
            for name in OUR_PATH.findall(line):
                name = name.rstrip(".-")
                if "{" not in name and not list(ROOT.glob(name)):
                    missing.append(f"{name_of(path)}:{number}: {name}")
    assert not missing, "\n".join(missing)


def test_nothing_unsafe_is_loaded():
    found = []
    for path in SOURCES + SCRIPTS:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            options = {k.arg: ast.unparse(k.value) for k in node.keywords}
            unsafe = (
                options.get("trust_remote_code") == "True"
                or options.get("allow_pickle") == "True"
                or called in ("pickle.load", "pickle.loads", "eval", "exec")
                or called == "torch.load"
                and options.get("weights_only") != "True"
                # Its own unpickler, which refuses anything that could run.
                and path.name != "safe_pickle.py"
            )
            if unsafe:
                found.append(f"{name_of(path)}:{node.lineno}: {called}")
    assert not found, "\n".join(found)


def test_no_utils():
    assert not list(PACKAGE.rglob("utils*"))


def marks(requirement, extra, **environment):
    """Whether an extra asks for a requirement (on some Python)."""
    environment["extra"] = extra
    return not requirement.marker or requirement.marker.evaluate(environment)


def test_an_extra_brings_the_same_on_every_python(monkeypatch):
    facts = {}
    monkeypatch.setattr("setuptools.setup", lambda **words: facts.update(words))
    runpy.run_path(str(ROOT / "setup.py"))
    pythons = [line.split(" :: ")[-1] for line in facts["classifiers"]]
    assert len(pythons) > 1
    promised = SpecifierSet(facts["python_requires"])
    assert all(python in promised for python in pythons)
    lines = {"": facts["install_requires"], **facts["extras_require"]}
    for extra, texts in lines.items():
        wanted = [Requirement(text) for text in texts]
        names = {
            python: {
                requirement.name
                for requirement in wanted
                if marks(requirement, extra, python_version=python)
            }
            for python in pythons
        }
        for python in pythons:
            missing = names[pythons[-1]] - names[python]
            assert not missing, f"[{extra}] on {python}: {missing}"


def test_installed_requirements_are_within_bounds():
    from importlib.metadata import (
        PackageNotFoundError,
        metadata,
        requires,
        version,
    )

    wanted = [Requirement(line) for line in requires("speechbrain_c2ser")]
    assert wanted
    extras = metadata("speechbrain_c2ser").get_all("Provides-Extra")
    for requirement in wanted:
        operators = {spec.operator for spec in requirement.specifier}
        assert {">=", "<"} <= operators, f"{requirement}: needs both bounds"
        here = [marks(requirement, extra) for extra in extras]
        if not any(here):  # for another Python
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            assert "extra" in str(requirement.marker)  # an extra not asked for
            continue
        assert requirement.specifier.contains(installed)


# What `make test-lowest` leaves at its newest: see tools/lowest.txt.
NEWEST = {"gradio", "fastapi", "uvicorn", "mkdocs", "mkdocstrings-python"}
NEWEST |= {"wandb", "opensmile", "mypy", "ruff", "silero-vad"}
NEWEST |= {"onnx", "onnxruntime", "onnxscript", "krippendorff"}
NEWEST |= {"pymdown-extensions"}


def test_the_lowest_set_is_that_of_the_bounds():
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    bounds = dict(re.findall(r'"([\w.-]+)>=([\w.]+),', text))
    lowest = (ROOT / "tools" / "lowest.txt").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", lowest, re.MULTILINE))
    assert set(pins) == set(bounds) - NEWEST and set(bounds) >= NEWEST
    for name, version in pins.items():
        assert Version(version) == Version(bounds[name]), name


def test_command_line_answers():
    command = Path(sys.executable).parent / "c2ser"
    done = subprocess.run(
        [command, "--help"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


# --- yaml --------------------------------------------------------------


def placeholders(text):
    """Values for the keys that a user must give."""
    names = re.findall(r"^(\w+): *!PLACEHOLDER", text, re.MULTILINE)
    return dict.fromkeys(names, "given")


@pytest.mark.parametrize(
    "path", [*BLOCKS, *OVERLAYS, *EXPERIMENTS], ids=name_of
)
def test_yaml_is_tidy(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#"), "no header that says what it is"
    assert text.endswith("\n") and not text.endswith("\n\n")
    for number, line in enumerate(text.splitlines(), 1):
        place = f"{name_of(path)}:{number}"
        assert len(line) <= 100, f"{place}: {len(line)} characters"
        assert line == line.rstrip() and "\t" not in line, place
    # Refuses a key that is there twice.
    ruamel.yaml.YAML().load(text)


@pytest.mark.parametrize("path", EXPERIMENTS + BLOCKS, ids=name_of)
def test_yaml_resolves(path):
    check_resolves(path.read_text(encoding="utf-8"), path)


def check_resolves(text, path):
    """References, includes and every class and function named are there."""
    stream = io.StringIO(text)
    stream.name = str(path)  # includes are relative to it
    resolved = resolve_references(stream, placeholders(text)).getvalue()
    for name in re.findall(r"!(?:new|name|apply):([\w.]+)", resolved):
        if name.startswith(OURS):
            assert importable(name), f"{name_of(path)}: no {name}"


def importable(name):
    from importlib import import_module

    module, _, attribute = name.rpartition(".")
    try:
        return hasattr(import_module(module), attribute)
    except ModuleNotFoundError:
        return importable(module)


@pytest.mark.parametrize("path", BLOCKS, ids=name_of)
def test_a_block_shows_every_argument(path):
    from inspect import signature

    from speechbrain_c2ser import lobes

    block = ruamel.yaml.YAML().load(path.read_text(encoding="utf-8"))
    kind = getattr(lobes, block.tag.value.rpartition(".")[2])
    assert list(block) == list(signature(kind).parameters)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name_of)
def test_every_top_level_key_is_used(path):
    text = path.read_text(encoding="utf-8")
    keys = re.findall(r"^(\w+):", text, re.MULTILINE)
    applied = re.findall(r"^(\w+): *!apply", text, re.MULTILINE)
    code = "\n".join(
        source.read_text(encoding="utf-8") for source in SOURCES + SCRIPTS
    )
    unused = [
        key
        for key in keys
        if key not in applied
        and key not in RunOptions.__dataclass_fields__
        and not re.search(rf"<{key}[\[\]\w.]*>", text)
        and not re.search(rf"hparams\.{key}\b|[\"']{key}[\"']", code)
    ]
    assert not unused, f"{name_of(path)}: {unused} used nowhere"


@pytest.mark.parametrize("path", OVERLAYS, ids=name_of)
def test_an_overlay_names_its_experiments(path):
    bases = {ROOT / base for base in OVERLAYS[path]}
    assert bases and bases <= set(EXPERIMENTS)


@pytest.mark.parametrize("path, base", OVERLAID)
def test_an_overlay_changes_keys_that_exist(path, base):
    check_resolves(merge_yaml(base, [path]), base)


C2SER = ROOT / "hparams" / "c2ser"


@pytest.mark.parametrize(
    "path",
    sorted({*C2SER.rglob("*.yaml")} & {*OVERLAYS}),
    ids=lambda path: path.stem,
)
@pytest.mark.parametrize(
    "size", sorted((C2SER / "sizes").glob("*.yaml")), ids=lambda path: path.stem
)
def test_an_overlay_stacks_on_every_size(path, size):
    check_resolves(
        merge_yaml(C2SER / "full.yaml", [size, path]), C2SER / "full.yaml"
    )


def test_a_yaml_that_does_not_stand_alone_says_so():
    unsaid = [
        name_of(path)
        for path in EXPERIMENTS
        if not re.search(r"^(output|save)_folder:", path.read_text(), re.M)
    ]
    assert not unsaid, f"{unsaid}: no folder; start with '{OVERLAY_ON} ...'"


# Imported name -> the name to install, where they differ.
INSTALLED_AS = {
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "ruamel": "ruamel.yaml",
    "parselmouth": "praat-parselmouth",
    "espeakng_loader": "espeakng-loader",
    "pympi": "pympi-ling",
    "silero_vad": "silero-vad",
}
# Needed by an option only, with its own clear error: nf4 on CUDA; a stage.
OPTIONAL = {"bitsandbytes", "nemo_curator"}


def test_every_import_is_a_listed_requirement():
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    listed = set(re.findall(r'"([\w.-]+)(?:\[\w+\])?>=', text))
    local = {path.stem for path in SCRIPTS} | {"speechbrain_c2ser"}
    missing = set()
    for path in SOURCES + SCRIPTS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in (full.split(".")[0] for full in names):
                known = name in sys.stdlib_module_names or name in local
                if known or name in OPTIONAL:
                    continue
                if INSTALLED_AS.get(name, name) not in listed:
                    missing.add(f"{name} ({name_of(path)})")
    assert not missing, missing
