"""c2ser publish, and the licence that goes where the weights go."""

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import HfApi, ModelCard
from safetensors import safe_open

from speechbrain_c2ser.chain_of_thought.slots import (
    Cues,
    Demonstrations,
    Hint,
    History,
    Quoted,
    Slot,
    Transcript,
)
from speechbrain_c2ser.checkpoints.c2ser_folder import (
    load_c2ser,
    load_weights,
    save_c2ser,
)
from speechbrain_c2ser.checkpoints.classifier_folder import (
    load_classifier,
    save_classifier,
)
from speechbrain_c2ser.checkpoints.converters.emotion2vec import (
    convert,
    load_encoder,
)
from speechbrain_c2ser.checkpoints.emotion2vec_folder import (
    load_emotion2vec,
    save_emotion2vec,
)
from speechbrain_c2ser.checkpoints.licences import (
    LICENCES,
    licence_of,
    licences_of,
    parts_of,
    set_licence,
)
from speechbrain_c2ser.cli import main
from speechbrain_c2ser.data.manifest import write_manifest
from speechbrain_c2ser.inference import fresh
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes import (
    CategoryHead,
    ConcatFusion,
    DimensionHead,
    EmotionClassifier,
    LogMel,
    MaskedMean,
    MeanAndDeviation,
    MultiHead,
    TextEncoder,
)

LABELS = ["angry", "sad"]


def build_classifier(encoder=None):
    encoder = encoder or LogMel(n_mels=4)
    pooling = MeanAndDeviation(encoder.output_size)
    head = CategoryHead(pooling.output_size, LABELS)
    return EmotionClassifier(encoder, MultiHead({"emotion": head}), pooling)


@pytest.fixture
def folder(tmp_path):
    """A run with a classifier and its run.json."""
    run = tmp_path / "run"
    save_classifier(build_classifier(), run / "classifier", LabelSpace(LABELS))
    rows = {
        f"u{i}": {
            "wav": "a.wav", "duration": 1800.0, "emotion": "sad",
            "speaker": f"s{i % 2}", "dataset": "toy", "language": "en",
        }
        for i in range(4)
    }  # fmt: skip
    write_manifest(rows, run / "train.json")
    facts = {
        "script": "train.py",
        "arguments": [f"--train_manifest={run / 'train.json'}"]
        + ["--valid_manifest=/nowhere/valid.json", "--test_manifest=null"],
        "overlays": ["hparams/c2ser/full.yaml", "/opt/me/own.yaml"],
        "seed": 7,
        "versions": {"torch": "2.13"},
        "git": {"commit": "abc123", "modified": True},
    }
    (run / "run.json").write_text(json.dumps(facts))
    return run / "classifier"


@pytest.fixture
def loaded(monkeypatch):
    """The load in another process, as if it had been done; a list of them."""
    asked = []

    def load_fresh(folder):
        asked.append(folder)
        return {
            "kind": "EmotionClassifier", "labels": LABELS,
            "parameters": 1234, "answer": "sad",
        }  # fmt: skip

    monkeypatch.setattr(fresh, "load_fresh", load_fresh)
    return asked


def evaluation(tmp_path, labels=LABELS):
    """An evaluation with suites, as the command writes it."""
    path = tmp_path / "own.jsonl"
    rows = [
        {
            "id": f"u{i}", "emotion": labels[i % 2], "label": labels[i % 3 % 2],
            "speaker": f"s{i % 4}", "dataset": "toy", "language": "en",
        }
        for i in range(12)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "test set"
    command = ["evaluate", str(path), "--output", str(out), "--samples", "20"]
    assert main([*command, "--suites", "labels,fairness"]) == 0
    return out


# --- the card -----------------------------------------------------------


def test_card_tells_what_the_files_tell(folder, tmp_path, loaded, capsys):
    found = evaluation(tmp_path)
    command = ["publish", str(folder), "--licence", "CC-BY-4.0"]
    command += ["--evaluation", str(found), "--name", "me/toy"]
    assert main(command) == 0
    assert loaded == [folder]
    text = (folder / "README.md").read_text()
    data = ModelCard(text).data
    assert data.license == "cc-by-4.0" and data.language == ["en"]
    assert data.pipeline_tag == "audio-classification"
    result = json.loads((found / "result.json").read_text())
    ua = result["readings"]["synonyms"]["ua"]
    low, high = result["readings"]["synonyms"]["interval"]["ua"]
    assert data.eval_results[0].metric_value == round(ua, 4)
    assert data.eval_results[0].dataset_name == "toy"
    for words in (
        "1,234 parameters", f"{ua:.3f} [{low:.3f}, {high:.3f}]", "abc123",
        'from_hparams("me/toy")', "seed: 7", "2.00", "test set",
        "### Labels: what the figures are worth", "### Fairness",
        "Ravanelli", "The weights: cc-by-4.0", "own.yaml", "changed",
        "valid manifest of the run is not at hand",
    ):  # fmt: skip
        assert words in text, words
    # nothing of this machine
    assert "/opt/me" not in text and str(tmp_path) not in text
    assert "not at hand" in capsys.readouterr().out


def test_what_is_not_known_is_said(folder, loaded):
    (folder.parent / "run.json").unlink()
    assert main(["publish", str(folder), "--licence", "mit"]) == 0
    text = (folder / "README.md").read_text()
    assert "How it was trained is not known" in text
    assert "Not evaluated" in text
    assert ModelCard(text).data.eval_results is None
    # anew, under the licence that the folder names
    assert main(["publish", str(folder), "--name", "again"]) == 0
    assert "# again" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    "options, words",
    [
        ([], "names no licence"),
        (["--licence", "free"], "no licence 'free'"),
        (["--licence", "mit", "--upload", "name"], "OWNER/NAME"),
        (["--licence", "mit", "--evaluation", "."], "no result.json"),
        (["--licence", "mit", "--run", "."], "no run.json"),
    ],
)
def test_refusals_come_before_anything_is_done(
    options, words, folder, loaded, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    before = (folder / "hyperparams.yaml").read_text()
    assert main(["publish", str(folder), *options]) == 2
    assert words in capsys.readouterr().err
    assert not loaded and not (folder / "README.md").exists()
    assert (folder / "hyperparams.yaml").read_text() == before


def test_a_card_of_ones_own_is_not_replaced(folder, loaded, capsys):
    (folder / "README.md").write_text("mine")
    assert main(["publish", str(folder), "--licence", "mit"]) == 2
    assert "not replaced" in capsys.readouterr().err
    assert (folder / "README.md").read_text() == "mine" and not loaded


def test_another_models_evaluation_is_refused(folder, tmp_path, loaded, capsys):
    found = evaluation(tmp_path, ["happy", "neutral"])
    command = ["publish", str(folder), "--licence", "mit"]
    assert main([*command, "--evaluation", str(found)]) == 2
    assert "give this model's results" in capsys.readouterr().err
    assert licence_of(folder) is None and not (folder / "README.md").exists()


def test_no_folder_of_ours(tmp_path, capsys):
    assert main(["publish", str(tmp_path), "--licence", "mit"]) == 2
    assert "holds no model of ours" in capsys.readouterr().err


# --- the hub ------------------------------------------------------------


def test_upload_only_when_asked_and_a_failure_is_one_line(
    folder, loaded, capsys, monkeypatch
):
    sent = []

    def create_repo(self, place, **options):
        sent.append((place, options["private"]))

    def upload_folder(self, **options):
        sent.append((options["repo_id"], options["folder_path"]))

    monkeypatch.setattr(HfApi, "create_repo", create_repo)
    monkeypatch.setattr(HfApi, "upload_folder", upload_folder)
    command = ["publish", str(folder), "--licence", "mit"]
    assert main(command) == 0 and not sent
    assert main([*command, "--upload", "me/toy"]) == 0
    assert sent == [("me/toy", True), ("me/toy", str(folder))]
    assert main([*command, "--upload", "me/toy", "--public"]) == 0
    assert sent[2] == ("me/toy", False)

    def offline(self, *arguments, **options):
        raise ConnectionError("no\nnetwork")

    monkeypatch.setattr(HfApi, "upload_folder", offline)
    assert main([*command, "--upload", "me/toy"]) == 2
    said = capsys.readouterr().err.strip()
    assert "was not uploaded to me/toy: ConnectionError: no network" in said
    assert "\n" not in said and (folder / "README.md").is_file()


# --- a new process ------------------------------------------------------


def test_a_folder_is_loaded_elsewhere(folder):
    found = fresh.load_fresh(folder)
    assert found["kind"] == "EmotionClassifier"
    assert found["labels"] == LABELS and found["answer"] in LABELS
    assert found["parameters"] > 0
    (folder / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ValueError, match="does not load .*damaged"):
        fresh.load_fresh(folder)


def test_the_new_process_sees_the_copy_alone(folder, monkeypatch):
    seen = {}

    def run(command, **options):
        seen.update(options, folder=Path(command[-1]))
        return subprocess.CompletedProcess(command, 0, "{}\n", "")

    monkeypatch.setattr(subprocess, "run", run)
    assert fresh.load_fresh(folder) == {}
    assert seen["folder"] == Path(seen["cwd"]) / "model"
    assert Path(seen["cwd"]) != Path.cwd() and not seen["folder"].exists()


def test_places_of_this_machine_are_refused(folder):
    settings = folder / "hyperparams.yaml"
    settings.write_text(settings.read_text() + "source: /opt/me/llm\n")
    with pytest.raises(ValueError, match="names /opt/me/llm, which others"):
        fresh.load_fresh(folder)


def test_an_encoder_answers_with_a_vector(build_emotion2vec, tmp_path):
    save_emotion2vec(build_emotion2vec(), tmp_path / "encoder")
    found = fresh.answer(tmp_path / "encoder")
    assert found["kind"] == "Emotion2VecS" and found["answer"] == 16


def test_a_model_without_a_label_answers_with_its_heads(tmp_path):
    head = DimensionHead(16)
    model = EmotionClassifier(
        LogMel(n_mels=16), MultiHead({"vad": head}), MaskedMean(16)
    )
    save_classifier(model.eval(), tmp_path / "model")
    answered = fresh.answer(tmp_path / "model")
    assert answered["labels"] == [] and answered["answer"] == "vad"


def test_a_model_that_reads_words_is_told_some(text_folder, tmp_path):
    model = EmotionClassifier(
        LogMel(n_mels=16),
        MultiHead({"emotion": CategoryHead(8, LABELS)}),
        MaskedMean(8),
        text_encoder=TextEncoder(text_folder("bert"), 8, key="transcript_asr"),
        fusion=ConcatFusion(16, 8, 8),
    )
    save_classifier(model.eval(), tmp_path / "model")
    found = fresh.load_fresh(tmp_path / "model")
    assert found["labels"] == LABELS and found["answer"] in LABELS


def test_a_prompt_with_slots_is_filled(build_model, tmp_path):
    space = LabelSpace(LABELS)
    slots = [
        History(1, after=1, emotions=True, same_speaker=True, nearest=True),
        Transcript(key="transcript_asr"),
        Hint(),
        Cues("measured"),
        Quoted("topic", "Of {value}."),
        Demonstrations([{"transcript": "No!", "emotion": "sad"}], nearest=1),
    ]
    save_c2ser(
        build_model(), tmp_path / "c2ser", space, slots=slots, include_llm=True
    )
    found = fresh.answer(tmp_path / "c2ser")
    assert found["labels"] == LABELS and found["answer"] in LABELS


def test_a_slot_that_takes_nothing_is_named():
    class Odd(Slot):
        def missing(self, item):
            return "odd"

    with pytest.raises(ValueError, match="slot Odd does not say .*'odd'"):
        fresh.trial_row(SimpleNamespace(slots=[Odd()]))


# --- the licence --------------------------------------------------------


def saved_metadata(folder):
    with safe_open(folder / "model.safetensors", "pt") as weights:
        return weights.metadata()


def test_licence_is_checked_when_a_model_is_saved(tmp_path):
    with pytest.raises(ValueError, match="There is no licence 'Free'"):
        save_classifier(build_classifier(), tmp_path / "a", licence="Free")
    assert not (tmp_path / "a").exists()
    save_classifier(build_classifier(), tmp_path / "a", licence="MIT")
    assert licence_of(tmp_path / "a") == "mit"
    assert saved_metadata(tmp_path / "a")["licence"] == "mit"
    save_classifier(build_classifier(), tmp_path / "b")
    assert licence_of(tmp_path / "b") is None
    assert "other" in LICENCES


def test_licence_goes_with_the_encoder(build_emotion2vec, tmp_path):
    save_emotion2vec(
        build_emotion2vec(), tmp_path / "encoder", licence="cc-by-nc-4.0"
    )
    encoder = load_encoder(tmp_path / "encoder")
    save_classifier(build_classifier(encoder), tmp_path / "whole")
    assert licence_of(tmp_path / "whole") == "cc-by-nc-4.0"
    assert parts_of(tmp_path / "whole") == ["cc-by-nc-4.0"]
    with pytest.raises(ValueError, match="mit leaves out .*no commercial use"):
        save_classifier(
            build_classifier(encoder), tmp_path / "free", licence="mit"
        )
    # read and saved again, also under a name of its own
    again = load_classifier(tmp_path / "whole")["model"]
    save_classifier(again, tmp_path / "again")
    assert licence_of(tmp_path / "again") == "cc-by-nc-4.0"
    save_classifier(again, tmp_path / "other", licence="cc-by-nc-sa-4.0")
    assert parts_of(tmp_path / "other") == ["cc-by-nc-4.0"]
    later = load_classifier(tmp_path / "other")["model"]
    assert licences_of(later) == ["cc-by-nc-4.0", "cc-by-nc-sa-4.0"]


def test_two_licences_of_parts_are_both_kept(build_emotion2vec, tmp_path):
    model = build_classifier(build_emotion2vec())
    model.encoder.licences = ("mit", "apache-2.0")
    save_classifier(model, tmp_path / "two")
    assert licence_of(tmp_path / "two") is None
    assert parts_of(tmp_path / "two") == ["apache-2.0", "mit"]


def test_licence_goes_into_the_second_stage(build_model, tmp_path):
    space = LabelSpace(LABELS)
    first = build_model()
    save_c2ser(first, tmp_path / "one", space, licence="cc-by-sa-4.0")
    assert load_c2ser(tmp_path / "one")["licence"] == "cc-by-sa-4.0"
    second = build_model()
    second.language_model.source = str(tmp_path / "one" / "llm")
    load_weights(second, tmp_path / "one")
    save_c2ser(second, tmp_path / "two", space, include_llm=True)
    assert licence_of(tmp_path / "two") == "cc-by-sa-4.0"


def test_licence_of_what_is_converted(build_emotion2vec, tmp_path, monkeypatch):
    from speechbrain_c2ser.checkpoints.converters import emotion2vec

    found = emotion2vec.Emotion2VecCheckpoint(build_emotion2vec(), None, {})
    read = []

    def load_official(*arguments):
        read.append(arguments)
        return found

    monkeypatch.setattr(emotion2vec, "load_official", load_official)
    command = ["convert", "emotion2vec", "--checkpoint", "x.pt"]
    command += ["--output", str(tmp_path / "ours"), "--licence"]
    assert main([*command, "free"]) == 2 and not read
    assert main([*command, "mit"]) == 0
    assert licence_of(tmp_path / "ours") == "mit"
    found.encoder.licences = ("gpl-3.0",)
    with pytest.raises(ValueError, match="GPL"):
        convert("x.pt", tmp_path / "ours", licence="mit")


def test_naming_a_licence_changes_nothing_else(folder, tmp_path):
    before = load_classifier(folder)["model"].state_dict()
    assert set_licence(folder, "MIT") == "mit"
    assert set_licence(folder, "apache-2.0") == licence_of(folder)
    assert saved_metadata(folder) == {"format": "pt", "licence": "apache-2.0"}
    text = (folder / "hyperparams.yaml").read_text()
    assert text.count("\nlicence:") == 1
    for key, value in load_classifier(folder)["model"].state_dict().items():
        assert torch.equal(value, before[key])
    # saved before there were licences
    text = "\n".join(
        line for line in text.splitlines() if not line.startswith("licence")
    )
    (folder / "hyperparams.yaml").write_text(text)
    assert licence_of(folder) == "apache-2.0"
    set_licence(folder, "mit")
    assert licence_of(folder) == "mit"


def test_two_licences_of_one_folder_are_refused(folder, tmp_path, capsys):
    set_licence(folder, "mit")
    settings = folder / "hyperparams.yaml"
    settings.write_text(
        settings.read_text().replace("licence: mit", "licence: apache-2.0")
    )
    with pytest.raises(ValueError, match="names two licences"):
        licence_of(folder)
    shutil.copytree(folder, tmp_path / "copy")
    assert main(["publish", str(tmp_path / "copy")]) == 2
    assert "names two licences" in capsys.readouterr().err


def test_encoder_folders_of_old_have_no_licence(build_emotion2vec, tmp_path):
    save_emotion2vec(build_emotion2vec(), tmp_path / "old")
    settings = tmp_path / "old" / "hyperparams.yaml"
    lines = settings.read_text().splitlines()
    kept = [line for line in lines if not line.startswith("licence")]
    settings.write_text("\n".join(kept) + "\n")
    assert licences_of(load_emotion2vec(tmp_path / "old")["encoder"]) == []
