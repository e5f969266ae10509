"""benchmarks/words_or_tone.py: its commands, what it keeps, its tables."""

import json
from pathlib import Path

import numpy as np
import pytest

from speechbrain_c2ser.data.manifest import write_manifest
from speechbrain_c2ser.data.synthetic import conflict
from speechbrain_c2ser.evaluation.suites import words

ROOT = Path(__file__).parents[2]
VOICES = ["f1", "f2", "m1", "m2", "m3", "m4", "m5", "m6"]


@pytest.fixture
def benchmark_module(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import words_or_tone

    return words_or_tone


@pytest.fixture
def items():
    planned = conflict.plan_conflicts(VOICES, 1, ("en", "zh"), 1.5, 1)
    return {
        key: {**item, "wav": f"{key}.wav", "duration": 1.0}
        for key, item in planned.items()
    }


def answer(items, field):
    return [{"id": k, "label": row[field]} for k, row in items.items()]


def system(module, items, field, silent=None):
    """Answers of who follows a field, and says one thing in silence."""
    agree = module.matched(items)
    own = answer(agree, field)
    still = [{**row, "label": "sad"} if silent else row for row in own]
    return {
        "conflict": answer(items, field),
        "true_audio": own,
        "silence": still,
        "shuffled": still,
    }


def test_tables_tell_listener_and_reader_apart(
    benchmark_module, items, tmp_path
):
    module = benchmark_module
    voice = system(module, items, "voice_emotion", silent=True)
    said = system(module, items, "word_emotion")
    answers = {
        "explicit": {1: voice, 2: voice},
        "no chain of thought": {1: said, 2: voice},
        "cascade": {0: said},
    }
    text = module.report(answers, items, tmp_path)
    assert "8 voices; 2 seeds" in text
    found = json.loads((tmp_path / "words_or_tone.json").read_text())
    cells = {
        name: own["conflict"]["cells"]["mismatched"]
        for name, own in found["systems"].items()
    }
    told = {n: (c["voice"], c["words"], c["n"]) for n, c in cells.items()}
    assert told == {
        "explicit": (1, 0, 192),
        "no chain of thought": (0.5, 0.5, 192),
        "cascade": (0, 1, 96),
    }
    sensitivity = {
        n: own["sensitivity"]["value"] for n, own in found["systems"].items()
    }
    assert sensitivity["explicit"] == pytest.approx(1 - 1 / 6)
    assert sensitivity["cascade"] == 0
    pair = found["contrasts"]["explicit less no chain of thought"]
    assert pair["disagree: as voice"]["difference"] == 0.5
    assert pair["disagree: as words"]["difference"] == -0.5
    assert pair["agree: right"]["difference"] == 0
    assert pair["neutral words: as voice"]["difference"] == 0.5
    seeds = found["seeds"]["no chain of thought"]
    assert [s["conflict"]["follows"] for s in seeds.values()] == [
        "words",
        "voice",
    ]


def test_a_difference_of_some_voices_has_a_wide_interval(
    benchmark_module, items
):
    listener = answer(items, "voice_emotion")
    half = [
        {**row, "label": items[row["id"]]["word_emotion"]}
        if items[row["id"]]["voice"] in VOICES[:4]
        else row
        for row in listener
    ]
    found = benchmark_module.contrast(
        {1: {"conflict": listener}}, {1: {"conflict": half}}, items
    )
    assert found["disagree: as voice"]["difference"] == 0.5
    low, high = found["disagree: as voice"]["interval"]
    # a share of four voices in eight: +- 1.96 * sqrt(1 / 4 / 8)
    assert low == pytest.approx(0.15, abs=0.06)
    assert high == pytest.approx(0.85, abs=0.06)


def test_cascade_reads_what_the_training_words_meant(
    benchmark_module, items, tmp_path
):
    planned = conflict.plan_agreement(VOICES, 9, ("en", "zh"), 1.5, 1, 0.7)
    answers = benchmark_module.ask_cascade(tmp_path / "a", planned, items)
    as_words = np.mean(
        [
            row["label"] == items[row["id"]]["word_emotion"]
            for row in answers["conflict"]
        ]
    )
    assert as_words > 0.9
    result = benchmark_module.examine({0: answers}, items, 50)
    assert result["sensitivity"]["value"] == 0
    assert result["controls"][words.TRANSCRIPT]["verdict"] == "above"
    # asked again, it is read and not learned anew
    again = benchmark_module.ask_cascade(tmp_path / "a", {}, items)
    assert again == answers


def test_commands_set_keys_that_their_yamls_have(
    benchmark_module, items, tmp_path, monkeypatch
):
    module, commands = benchmark_module, []

    def collect(steps, key="", log=None, before=0):
        commands.extend(step.command for step in steps)
        return {}, key + "x"

    monkeypatch.setattr(module, "run_steps", collect)
    experiment = module.Experiment(tmp_path, ["--train-voices", "2"], [])
    write_manifest(items, experiment.style / "train.json")
    experiment.train(7, experiment.prepare())
    assert len(commands) == 8
    trained = [c for c in commands if any(p.endswith(".yaml") for p in c)]
    assert len(trained) == 5
    for script, yaml, *options in trained:
        assert (ROOT / script).is_file()
        pairs = dict(
            option.removeprefix("--").split("=", 1)
            for option in options
            if "=" in option
        )
        text = (ROOT / yaml).read_text(encoding="utf-8")
        base = text.splitlines()[0].removeprefix("# Overlay on: ")
        if base != text.splitlines()[0]:
            text = (ROOT / base).read_text(encoding="utf-8") + "\n" + text
        known = {line.split(":")[0] for line in text.splitlines()}
        assert pairs.keys() <= known, pairs.keys() - known
    by_place = {Path(c[2]).name: c for c in trained}
    epochs = {
        place: int(option.split("=")[1])
        for place, command in by_place.items()
        for option in command
        if option.startswith("--number_of_epochs")
    }
    both = epochs["explicit"] + epochs["implicit"]
    assert abs(epochs["no_chain_of_thought"] - both) <= 1
    assert module.NO_CHAIN in by_place["no_chain_of_thought"]
    start = f"--start_from={tmp_path / 'seed_7/explicit/c2ser'}"
    assert start in by_place["implicit"]
    assert "--seed=7" in by_place["classifier"]


def test_styles_are_measured_of_the_splits_that_are_named(
    corpus, recipe, tmp_path
):
    source = tmp_path / "source"
    source.mkdir()
    for name, split in (("train", "train"), ("conflict", "test")):
        rows = (corpus / f"{split}.json").read_text(encoding="utf-8")
        rows = rows.replace("{data_root}", str(corpus))
        (source / f"{name}.json").write_text(rows, encoding="utf-8")
    script = recipe("annotate_style")
    script.annotate_corpus(source, tmp_path / "style", ["train", "conflict"])
    written = {path.name for path in (tmp_path / "style").iterdir()}
    assert written == {"train.json", "conflict.json", "thresholds.json"}
    rows = json.loads((tmp_path / "style/conflict.json").read_text())
    assert all("style" in row for row in rows.values())
