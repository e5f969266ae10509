"""The commands of recipes/Corpora."""

import json
import re
from inspect import signature
from pathlib import Path

import pytest
from scripts import load_script

from speechbrain_c2ser.data.manifest import write_manifest

ROOT = Path(__file__).parents[2]
DATA = ROOT / "speechbrain_c2ser/data"


def script(name):
    return load_script(ROOT / f"recipes/Corpora/{name}.py")


@pytest.fixture(scope="module")
def prepare():
    return script("prepare")


@pytest.fixture
def corpus(corpus_folder):
    return corpus_folder(per_emotion=6)


def test_every_preparer_is_listed(prepare, capsys):
    with_prepare = {
        path.stem
        for room in ("corpora", "importers")
        for path in (DATA / room).glob("*.py")
        if "\ndef prepare(" in path.read_text(encoding="utf-8")
    }
    assert set(prepare.CORPORA) == with_prepare
    prepare.main(["--list"])
    assert len(capsys.readouterr().out.splitlines()) == len(prepare.CORPORA)
    readme = (ROOT / "recipes/Corpora/README.md").read_text(encoding="utf-8")
    for name in prepare.CORPORA:
        assert f"`{name}`" in readme


def test_a_corpus_tells_its_layout_and_options(prepare, capsys):
    prepare.main(["iemocap"])
    told = capsys.readouterr().out
    assert "EmoEvaluation" in told and "merge_excited" in told


def test_every_option_of_every_corpus_is_described(prepare):
    for name in prepare.CORPORA:
        corpus = prepare.module_of(name).prepare
        described = prepare.describe(corpus)
        assert described.count("\nReturns\n") == 1
        for option in signature(corpus).parameters:
            entry = rf"^(\w+, )*{option}(, \w+)* : "
            assert re.search(entry, described, re.M), f"{name}: {option}"


def test_prepare(prepare, corpus, tmp_path, capsys):
    out = tmp_path / "out"
    prepare.main(["generic", str(corpus), str(out), "--seed=2"])
    told = capsys.readouterr().out
    description = json.loads((out / "corpus.json").read_text())
    assert "train" in told and description["split"] in told
    assert sum(description["counts"].values()) == len(
        (corpus / "corpus.jsonl").read_text().splitlines()
    )
    with pytest.raises(ValueError, match="--sed=2' is no option.*--seed=..."):
        prepare.main(["generic", str(corpus), str(out), "--sed=2"])
    with pytest.raises(ValueError, match="^--labels=.* no YAML"):
        prepare.main(["generic", str(corpus), str(out), '--labels={x: "y'])
    with pytest.raises(ValueError, match="pattern .* fits none"):
        # signs that mean something in YAML, and a space that is not one's end
        pattern = r"--pattern=[OYX]AF_\w+ (?P<emotion>[a-z]+): "
        prepare.main(["generic", str(corpus), str(out), pattern])
    with pytest.raises(ValueError, match="no label space 'twelve'"):
        prepare.main(["generic", str(corpus), str(out), "--label_space=twelve"])
    with pytest.raises(ValueError, match="looked for .* in .*nothing"):
        (tmp_path / "nothing").mkdir()
        prepare.main(["casia", str(tmp_path / "nothing"), str(out)])


def test_leakage(tmp_path, capsys):
    check = script("check_leakage").main
    paths = {}
    for name, dataset, speaker in (
        ("train", "CREMA-D", "1"),
        ("other", "nemo", "2"),
        ("same", "cameo/crema_d", "3"),
        ("spoken", "CREMA-D", "1"),
    ):
        item = {"wav": f"{name}.wav", "duration": 1.0, "dataset": dataset}
        paths[name] = str(tmp_path / f"{name}.json")
        write_manifest({name: {**item, "speaker": speaker}}, paths[name])
    check(["--train", paths["train"], "--test", paths["other"], "--foreign"])
    assert "Nothing shared: 1 train, 0 valid" in capsys.readouterr().out
    check(["--train", paths["train"], "--test", paths["same"]])
    with pytest.raises(ValueError, match="dataset 'cameo/crema_d'"):
        check(["--train", paths["train"], "--test", paths["same"], "--foreign"])
    with pytest.raises(ValueError, match="speaker '1' of item 'spoken'"):
        check(["--train", paths["train"], "--test", paths["spoken"]])
    with pytest.raises(ValueError, match="the id 'train'"):
        check(["--train", paths["train"], "--test", paths["train"]])
