"""Folders that are no model, or a damaged one: what they are, what to do."""

import os
import shutil

import pytest

from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.checkpoints.folder import find_folder, read_model
from speechbrain_c2ser.checkpoints.licences import licence_of
from speechbrain_c2ser.cli import main
from speechbrain_c2ser.lobes import (
    CategoryHead,
    EmotionClassifier,
    MaskedMean,
    MultiHead,
    WhisperEncoder,
)
from speechbrain_c2ser.lobes.pretrained_files import check_pretrained

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n"


@pytest.mark.parametrize(
    "files, told",
    [
        ([], "it is empty"),
        (["model.pt", "tokens.txt", "config.yaml"], "convert emotion2vec"),
        (["C2SER_llm.pt"], "holds the checkpoint C2SER_llm.pt.*convert c2ser"),
        (["config.json", "model.safetensors"], "is a whisper model"),
        (["adapter_config.json", "adapter_model.safetensors"], "an adapter"),
        (["model.onnx"], "model.onnx, which is for onnxruntime"),
        (["hyperparams.yaml", "model.ckpt"], "of SpeechBrain itself"),
        (
            [
                "hyperparams.yaml",
                "save/CKPT/model.ckpt",
                "c2ser/hyperparams.yaml",
                "c2ser/model.safetensors",
            ],
            "the model folders in it are .*c2ser: give one",
        ),
        (["hyperparams.yaml"], "download or copy it again"),
    ],
)
def test_another_folder_is_told_by_its_files(tmp_path, files, told):
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"model_type": "whisper"}')
    with pytest.raises(FileNotFoundError, match=f"it has no .*{told}"):
        read_model(find_folder(tmp_path))


def test_a_file_in_place_of_its_folder(tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    path.touch()
    with pytest.raises(FileNotFoundError, match="give the folder that it is"):
        find_folder(path)
    (tmp_path / "published").mkdir()
    words = ["--checkpoint", str(tmp_path / "published"), "--output", "out"]
    assert main(["convert", "emotion2vec", *words]) == 2
    assert "is a folder: give the file in it" in capsys.readouterr().err


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A classifier with the configuration of its encoder."""
    folder = tmp_path_factory.mktemp("whole")
    sizes = {"num_layers": 1, "size": 16, "num_heads": 2, "ffn_size": 16}
    WhisperEncoder(**sizes, n_mels=80).save_pretrained(folder / "whisper")
    encoder = WhisperEncoder(str(folder / "whisper"))
    head = CategoryHead(16, ["angry", "sad"])
    model = EmotionClassifier(
        encoder, MultiHead({"emotion": head}), MaskedMean(16)
    )
    return save_classifier(model.eval(), folder / "model")


@pytest.fixture
def model(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


@pytest.mark.parametrize(
    "content, told",
    [
        (LFS, "is a Git LFS pointer"),
        (b"", "is damaged.*Download or copy it again"),
        (b"<!DOCTYPE html>404", "is damaged.*Download or copy it again"),
    ],
)
def test_damaged_weights(model, content, told):
    (model / "model.safetensors").write_bytes(content)
    for read in (read_model, licence_of):
        with pytest.raises(ValueError, match=f"model.safetensors {told}"):
            read(model)


@pytest.mark.parametrize("lost", ["", "config.json"])
def test_a_lost_part(model, lost):
    part = next(path for path in model.iterdir() if path.is_dir())
    read_model(model)
    if lost:
        (part / lost).unlink()
    else:
        shutil.rmtree(part)
    told = f"{part.name}.*{lost}.*: download or copy it again"
    with pytest.raises(FileNotFoundError, match=told):
        read_model(model)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_json_of_another_shape(tmp_path, name):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / name).write_text("[]")
    with pytest.raises(ValueError, match=f"{name} is damaged.*no mapping"):
        check_pretrained(tmp_path)


def test_weights_that_a_part_loads_are_gone(model):
    part = next(path for path in model.iterdir() if path.is_dir())
    settings = model / "hyperparams.yaml"
    text = settings.read_text()
    settings.write_text(text.replace("pretrained: false", "pretrained: true"))
    with pytest.raises(FileNotFoundError, match=f"{part.name} holds no weight"):
        read_model(model)
    (part / "model.safetensors").write_bytes(LFS)
    with pytest.raises(ValueError, match="is a Git LFS pointer"):
        read_model(model)


def test_a_link_to_weights_that_are_gone(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    os.symlink("../blobs/abc", tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="a link to one that is not there"):
        check_pretrained(tmp_path)
