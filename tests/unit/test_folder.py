"""A saved C2SER: the same in a fresh process, loud when it does not fit."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from speechbrain_c2ser.checkpoints import folder as module
from speechbrain_c2ser.checkpoints.c2ser_folder import load_c2ser, save_c2ser
from speechbrain_c2ser.checkpoints.emotion2vec_folder import (
    load_emotion2vec,
    save_emotion2vec,
)
from speechbrain_c2ser.checkpoints.folder import find_folder, fingerprint
from speechbrain_c2ser.labels import LabelSpace

SPACE = LabelSpace.from_name("emo_emilia")
LABELS = {"happy": ["happy"], "sad": ["sad"], "angry": ["说"]}
FRESH = """
import json, sys, torch
from speechbrain_c2ser.checkpoints.c2ser_folder import load_c2ser
model = load_c2ser(sys.argv[1])["model"]
wavs = torch.sin(torch.arange(16000) / 9.0).reshape(2, 8000)
labels = {"happy": ["happy"], "sad": ["sad"], "angry": ["说"]}
scores = model.score_labels(model.listen(wavs), ["a"] * 2, labels)
print(json.dumps(scores.tolist()))
"""


def probabilities(model):
    wavs = torch.sin(torch.arange(16000) / 9.0).reshape(2, 8000)
    return model.score_labels(model.listen(wavs), ["a"] * 2, LABELS)


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    return save_c2ser(model, tmp_path_factory.mktemp("saved") / "c2ser", SPACE)


@pytest.fixture
def copied(model, tmp_path):
    return save_c2ser(model, tmp_path / "c2ser", SPACE)


def test_fresh_process_without_network(saved, model, root):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FRESH, saved],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    fresh = torch.tensor(json.loads(done.stdout.splitlines()[-1]))
    torch.testing.assert_close(fresh, probabilities(model), atol=1e-6, rtol=0)


def test_everything_travels(build_model, tmp_path):
    model = build_model(lower_case=True, end_token_id=5)
    save_c2ser(
        model,
        tmp_path / "c2ser",
        SPACE,
        prompts={"implicit": 'Emotion: "what"? 情感'},
        languages=("en", "zh"),
        temperature=0.7,
        prior=[1 / 7] * 7,
        extra={"converted_from": "x.pt"},
    )
    settings = load_c2ser(tmp_path / "c2ser")
    assert settings["label_space"].names == SPACE.names
    assert settings["prompts"] == {"implicit": 'Emotion: "what"? 情感'}
    assert settings["languages"] == ["en", "zh"]
    assert settings["sample_rate"] == 16000
    assert settings["temperature"] == 0.7
    assert settings["prior"] == [1 / 7] * 7
    assert settings["extra"] == {"converted_from": "x.pt"}
    loaded = settings["model"]
    assert (loaded.lower_case, loaded.end_token_id) == (True, 5)
    encoder = loaded.perception.acoustic_encoder
    assert settings["acoustic_encoder_hash"] == fingerprint(encoder)
    own, other = model.state_dict(), loaded.state_dict()
    assert own.keys() == other.keys()
    assert all(torch.equal(own[key], other[key]) for key in own)


def test_nothing_is_pickled(saved):
    kinds = {path.suffix for path in saved.rglob("*") if path.is_file()}
    assert kinds <= {".yaml", ".json", ".safetensors", ".txt", ".jinja"}


def test_ablations_are_saved_too(build_model, tmp_path):
    model = build_model(acoustic=False)
    save_c2ser(model, tmp_path / "c2ser", SPACE)
    settings = load_c2ser(tmp_path / "c2ser")
    assert settings["acoustic_encoder_hash"] is None
    torch.testing.assert_close(
        probabilities(settings["model"]), probabilities(model)
    )


def test_lora_refers_to_its_base(build_model, tiny_llm, tmp_path):
    model = build_model(lora={"rank": 2})
    # The fixture changes the base; an adapter belongs to an unchanged one.
    base = type(model.language_model)(str(tiny_llm)).model.state_dict()
    model.language_model.model.load_state_dict(
        {
            k: base.get(k.replace(".base_layer.", "."), v)
            for k, v in model.language_model.model.state_dict().items()
        }
    )
    folder = save_c2ser(model, tmp_path / "c2ser", SPACE, include_llm=False)
    assert not (folder / "llm").exists()
    keys = load_file(folder / "model.safetensors").keys()
    assert any("lora_B" in key for key in keys)
    assert not any("base_layer" in key or "embed_tokens" in key for key in keys)
    expected = probabilities(model)
    for settings in (load_c2ser(folder), load_c2ser(folder, llm=tiny_llm)):
        torch.testing.assert_close(probabilities(settings["model"]), expected)
    with pytest.raises(ValueError, match="nowhere"):
        load_c2ser(folder, llm="nowhere")


def test_lora_with_its_base(build_model, tmp_path):
    model = build_model(lora={"rank": 2})
    folder = save_c2ser(model, tmp_path / "c2ser", SPACE)
    loaded = load_c2ser(folder)["model"]
    torch.testing.assert_close(probabilities(loaded), probabilities(model))


def test_a_trained_llm_must_be_saved_along(model, tmp_path):
    with pytest.raises(ValueError, match="include_llm=True"):
        save_c2ser(model, tmp_path / "c2ser", SPACE, include_llm=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["missing", "unexpected", "another shape"])
def test_weights_that_do_not_fit(copied, kind):
    tensors = load_file(copied / "model.safetensors")
    key = "speech_boundaries.weight"
    if kind == "missing":
        del tensors[key]
    elif kind == "unexpected":
        key = "stranger.weight"
        tensors[key] = torch.zeros(2)
    else:
        tensors[key] = torch.zeros(2, 5)
    save_file(tensors, copied / "model.safetensors")
    with pytest.raises(ValueError, match=f"{kind}.*{key}"):
        load_c2ser(copied)


def test_damaged_and_missing_files(copied):
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged"):
        load_c2ser(copied)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="model.safetensors"):
        load_c2ser(copied)


def test_folder_whose_llm_has_no_tokenizer(copied):
    for path in (copied / "llm").glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ValueError, match="no tokenizer"):
        load_c2ser(copied)


@pytest.mark.parametrize(
    "line",
    [
        "a: !apply:os.getcwd []",
        "a: !name:os.system [date]",
        "a: !new:subprocess.Popen [date]",
        "a: !new:speechbrain_c2ser.lobes.padding.torch.nn.Linear [1, 1]",
        "a: [{b: !module:os }]",
        "a: !include:/etc/hostname",
    ],
)
def test_a_strangers_yaml_runs_nothing(copied, line):
    path = copied / "hyperparams.yaml"
    path.write_text(path.read_text() + f"\n{line}\n")
    with pytest.raises(ValueError, match="refused"):
        load_c2ser(copied)


def test_newer_format(copied):
    path = copied / "hyperparams.yaml"
    path.write_text(path.read_text().replace("format: 1", "format: 2"))
    with pytest.raises(ValueError, match="format 2"):
        load_c2ser(copied)


def test_interrupted_save_keeps_the_old_folder(copied, model, monkeypatch):
    before = sorted(copied.parent.rglob("*"))

    def full_disk(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(module, "save_file", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_c2ser(model, copied, SPACE)
    assert sorted(copied.parent.rglob("*")) == before
    monkeypatch.undo()
    load_c2ser(copied)


def test_a_foreign_folder_is_not_replaced(model, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="no model folder"):
        save_c2ser(model, tmp_path, SPACE)
    assert (tmp_path / "thesis.tex").is_file()


def test_module_that_cannot_be_described(build_model, tmp_path):
    model = build_model(acoustic=False)
    connector = torch.nn.Module()
    model.perception.constructor_arguments["connector"] = connector
    with pytest.raises(ValueError, match="remember_arguments"):
        save_c2ser(model, tmp_path / "c2ser", SPACE)
    assert not list(tmp_path.iterdir())


def test_emotion2vec_folder(build_emotion2vec, tmp_path):
    encoder = build_emotion2vec().eval()
    save_emotion2vec(encoder, tmp_path / "e2v")
    settings = load_emotion2vec(tmp_path / "e2v")
    wavs = torch.randn(1, 8000)
    torch.testing.assert_close(settings["model"](wavs), encoder(wavs))
    assert settings["acoustic_encoder_hash"] == fingerprint(settings["model"])


def test_fingerprint_sees_weights_and_settings(build_emotion2vec):
    one, two = build_emotion2vec(), build_emotion2vec()
    assert fingerprint(one) == fingerprint(two)
    two.constructor_arguments["normalize"] = False
    assert fingerprint(one) != fingerprint(two)
    two = build_emotion2vec()
    with torch.no_grad():
        next(two.parameters()).flatten()[0] += 1e-3
    assert fingerprint(one) != fingerprint(two)


@pytest.mark.parametrize("source", ["/no/where", "./c2ser", "c2ser", "a/b/c"])
def test_source_that_is_not_there(source):
    with pytest.raises(FileNotFoundError, match="no folder"):
        find_folder(source)


def test_hub_id_without_network():
    with pytest.raises(FileNotFoundError, match="downloaded"):
        find_folder("nobody/nothing")
