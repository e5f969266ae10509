"""C2SER asked with slots: validation, evaluation, interface, command alike."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from device import DEVICE

from speechbrain_c2ser.cli import main
from speechbrain_c2ser.data.dataset import speech_dataset
from speechbrain_c2ser.data.difficulty import EasyFirst, emotion_shifts
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import (
    read_manifest,
    write_manifest,
)
from speechbrain_c2ser.inference import C2SER
from speechbrain_c2ser.training.experiment import load_experiment

ROOT = Path(__file__).parents[2]
HPARAMS = ROOT / "hparams" / "c2ser"
TINY = str(HPARAMS / "sizes" / "tiny.yaml")
PROMPTS = sorted(
    path
    for folder in ("prompts", "answers", "orders")
    for path in HPARAMS.glob(f"{folder}/*.yaml")
)
BATCHING = "{batch_seconds: 12.0, num_buckets: 2}"


@pytest.fixture(scope="module")
def talk(corpus, tmp_path_factory):
    """The corpus as dialogues of four turns, with hints and knowledge."""
    folder = tmp_path_factory.mktemp("talk")
    for split in ("train", "valid"):
        items = read_manifest(corpus / f"{split}.json")
        labels = sorted({item["emotion"] for item in items.values()})
        for number, item in enumerate(items.values()):
            guess = labels[number % len(labels)]
            item |= {
                "language": "en",
                "dialogue": f"{split}_{number // 4}",
                "turn": number % 4,
                "weak": {"labels": {item["emotion"]: 0.6, guess: 0.3}},
                "transcript_asr": item["transcript"],
                "caption": "A quiet voice.",
                "cause": "he left",
                "clues": "the voice is quiet.",
                "vad": [1 + number % 7, 4, None],
                "vad_scale": [1, 7],
                "knowledge": f"This is number {number}.",
            }
        write_manifest(items, folder / f"{split}.json")
    (folder / "guide.txt").write_text("Quiet.\n\nSadness is quiet.\n")
    return folder


@pytest.fixture(scope="module")
def arguments(talk, models, options):
    """arguments(output, overlay, *more) -> a command line at tiny size."""

    def build(output, overlay, *more, **changes):
        changes = {"number_of_epochs": 1, **changes}
        given = options(talk, output, models, **changes)
        (overlay,) = HPARAMS.glob(f"*/{overlay}.yaml")
        if overlay.stem == "retrieved_passages":
            more = (*more, f"--passages={talk / 'guide.txt'}")
        return [TINY, *given, f"--overlay={overlay}", "--languages=[en]", *more]

    return build


@pytest.fixture(scope="module")
def trained(recipe, arguments, tmp_path_factory):
    """(output folder, Brain) of a run with history, definitions and hint."""
    output = tmp_path_factory.mktemp("conversation")
    stage = recipe("train_implicit")
    argv = arguments(output, "conversation")
    return output, stage.train(stage.ImplicitBrain, *load_experiment(argv))


def by_id(rows):
    return {row["id"]: list(row["probabilities"].values()) for row in rows}


def test_evaluation_interface_and_command_answer_as_validation(
    recipe, trained, talk, tmp_path, monkeypatch, capsys
):
    output, brain = trained
    manifest = talk / "valid.json"
    argv = [
        "evaluate.py",
        str(HPARAMS / "evaluate.yaml"),
        f"--output_folder={tmp_path}",
        f"--c2ser_folder={output / 'c2ser'}",
        f"--test_manifest={manifest}",
        f"--batching={BATCHING}",
        "--mode=implicit",
        "--max_new_tokens=8",
        f"--device={DEVICE}",
    ]
    monkeypatch.setattr(sys, "argv", argv)
    recipe("evaluate").main()
    result = json.loads((tmp_path / "implicit.json").read_text())
    evaluated = result["predictions"]

    # batches in the same order as validation's
    c2ser = C2SER.from_hparams(output / "c2ser", run_opts={"device": DEVICE})
    temperature = c2ser.hparams.temperature
    labels = c2ser.labels
    assert [row["emotion"] for row in evaluated] == brain.true
    for row, probabilities in zip(evaluated, brain.probabilities, strict=True):
        powers = [p ** (1 / temperature) for p in probabilities]
        expected = [p / sum(powers) for p in powers]
        assert list(row["probabilities"]) == labels
        assert list(row["probabilities"].values()) == pytest.approx(
            expected, abs=1e-5
        )
        best = labels[probabilities.index(max(probabilities))]
        assert row["scored_label"] == best
    ua = json.loads((output / "train_log.jsonl").read_text())["valid_ua"]
    assert result["metrics"]["scored_ua"] == pytest.approx(ua)

    expected = by_id(evaluated)
    texts = {row["id"]: row["text"] for row in evaluated}
    rows = [{**r, "id": k} for k, r in read_manifest(manifest).items()]
    asked = c2ser.describe_files(rows, mode="implicit", max_new_tokens=8)
    for row, answer in zip(rows, asked, strict=True):
        said = answer.result
        assert said.text == texts[row["id"]]
        assert list(said.probabilities.values()) == pytest.approx(
            expected[row["id"]], abs=1e-5
        )
    capsys.readouterr()
    options = ["--model", str(output / "c2ser"), "--device", DEVICE, "--json"]
    assert main(["classify", str(manifest), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    for row, line in zip(rows, lines, strict=True):
        assert list(
            json.loads(line)["probabilities"].values()
        ) == pytest.approx(expected[row["id"]], abs=1e-5)
    # what the slots tell matters, so that dropping them would be seen
    c2ser.hparams.slots = []
    bare = c2ser.classify_files(rows, progress=False)
    assert not any(
        answer.result.probabilities.tolist()
        == pytest.approx(expected[row["id"]], abs=1e-3)
        for row, answer in zip(rows, bare, strict=True)
    )


def test_a_model_with_slots_is_not_asked_without(trained, talk):
    c2ser = C2SER.from_hparams(trained[0] / "c2ser")
    wavs, wav_lens = 0.1 * torch.randn(3, 8000), torch.ones(3)
    message = "slot History needs the field 'before', which 3 of 3 rows lack"
    for ask in (c2ser.classify_batch, c2ser.describe_batch):
        with pytest.raises(ValueError, match=f"{message}.*items="):
            ask(wavs, wav_lens)
    items = read_manifest(talk / "valid.json")
    name, row = next(iter(items.items()))
    for ask in (c2ser.classify_file, c2ser.describe_file):
        with pytest.raises(ValueError, match="'before', which 1 of 1 rows"):
            ask(row["wav"])
    # one bad row does not cost the others
    del row["weak"]
    rows = [{**item, "id": key} for key, item in items.items()][:3]
    bad, *good = c2ser.classify_files(rows, progress=False)
    assert "Hint needs the field 'weak'" in bad.error
    assert all(answer.error is None for answer in good)
    with pytest.raises(ValueError, match="2 items were given for 3"):
        c2ser.classify_batch(wavs, wav_lens, items=rows[1:])


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_missing_field_is_told_before_training(
    recipe, arguments, talk, tmp_path, split
):
    items = read_manifest(talk / f"{split}.json")
    names = list(items)[1:3]
    for name in names:
        del items[name]["weak"]
    write_manifest(items, tmp_path / f"{split}.json")
    stage = recipe("train_explicit")
    changed = {f"{split}_manifest": tmp_path / f"{split}.json"}
    argv = arguments(tmp_path / "out", "conversation", **changed)
    with pytest.raises(ValueError) as error:
        stage.train(stage.ExplicitBrain, *load_experiment(argv))
    assert str(error.value) == (
        f"The prompt's slot Hint needs the field 'weak', which 2 of "
        f"{len(items)} rows lack, such as {names[0]!r}."
    )
    assert not (tmp_path / "out" / "train_log.jsonl").exists()


@pytest.mark.parametrize("overlay", PROMPTS, ids=lambda path: path.stem)
def test_prompts_run(recipe, arguments, talk, tmp_path, overlay):
    debug = ("--debug", "--debug_batches=1", "--debug_epochs=1")
    stage = recipe("train_explicit")
    argv = arguments(tmp_path, overlay.stem, *debug)
    brain = stage.train(stage.ExplicitBrain, *load_experiment(argv))
    trained = brain.hparams.answers.slots
    saved = C2SER.from_hparams(tmp_path / "c2ser").slots
    assert [type(slot) for slot in saved] == [type(slot) for slot in trained]
    (row, *_) = read_manifest(talk / "valid.json").values()
    item = {**row, "before": [], "after": [], "id": "a"}
    assert [slot.text(item, "en") for slot in saved] == [
        slot.text(item, "en") for slot in trained
    ]


def test_easy_dialogues_come_first(recipe, arguments, talk, tmp_path):
    """In the first epoch alone; every row is met once in both."""
    stage = recipe("train_explicit")
    order = []

    class Watching(stage.ExplicitBrain):
        def compute_forward(self, batch, stage):
            if self.modules.training:
                order.append([emotion_shifts(item) for item in batch.item])
            return super().compute_forward(batch, stage)

    items = read_manifest(talk / "train.json")
    for number, row in enumerate(items.values()):
        if number // 4 < 4:
            row["emotion"] = "sad"
    manifest = tmp_path / "train.json"
    write_manifest(items, manifest)
    changes = {"number_of_epochs": 2, "train_manifest": manifest}
    argv = arguments(tmp_path / "out", "easy_first", **changes)
    stage.train(Watching, *load_experiment(argv))
    first, second = order[: len(order) // 2], order[len(order) // 2 :]
    assert sorted(sum(first, [])) == sorted(sum(second, []))
    rows = speech_dataset(manifest)
    rows = [rows.data[key]["row"] for key in rows.data_ids]
    groups = EasyFirst(groups=3).divide(rows)
    shifts = [[emotion_shifts(rows[i]) for i in group] for group in groups]
    assert shifts[0][-1] < shifts[2][0]
    seen = sum(first, [])
    for group in shifts:
        part, seen = seen[: len(group)], seen[len(group) :]
        assert sorted(part) == sorted(group)
    assert [x for batch in second for x in batch] != sum(first, [])


def test_rows_without_an_order_are_told_before_training(
    recipe, arguments, corpus, tmp_path
):
    stage = recipe("train_explicit")
    changed = {
        s + "_manifest": corpus / f"{s}.json" for s in ("train", "valid")
    }
    argv = arguments(tmp_path / "out", "easy_first", **changed)
    with pytest.raises(ManifestError, match="give dialogue and turn"):
        stage.train(stage.ExplicitBrain, *load_experiment(argv))
    assert not (tmp_path / "out" / "train_log.jsonl").exists()


def test_training_asks_side_questions_and_validation_does_not(
    recipe, arguments, tmp_path
):
    stage = recipe("train_explicit")
    asked = {True: Counter(), False: Counter()}

    class Watching(stage.ExplicitBrain):
        def compute_forward(self, batch, stage):
            output = super().compute_forward(batch, stage)
            asked[self.modules.training].update(batch.prompts)
            for prompt, answer in zip(
                batch.prompts, batch.answers, strict=True
            ):
                assert ("Valence" in answer) is ("pleasant" in prompt)
            return output

    argv = arguments(tmp_path, "several_questions")
    stage.train(Watching, *load_experiment(argv))
    (question,) = asked[False]
    assert set(asked[True]) > {question} and len(asked[True]) == 4
    # 28 draws; tests of the builder count the share
    aside = asked[True].total() - asked[True][question]
    assert 0.25 < aside / asked[True].total() < 0.9
