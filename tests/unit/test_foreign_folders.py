"""Folders of another kind, or damaged ones: one sentence that names them."""

import ast
import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    ViTConfig,
    Wav2Vec2FeatureExtractor,
)

from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.checkpoints.emotion2vec_folder import save_emotion2vec
from speechbrain_c2ser.cli import main
from speechbrain_c2ser.inference import (
    C2SER,
    Emotion2VecSEncoder,
    EmotionClassifier,
)
from speechbrain_c2ser.lobes import (
    CategoryHead,
    Emotion2VecS,
    LanguageModel,
    MaskedMean,
    MultiHead,
    SelfSupervisedEncoder,
    TextEncoder,
    WhisperEncoder,
    pretrained_files,
)
from speechbrain_c2ser.lobes import EmotionClassifier as Model
from speechbrain_c2ser.lobes.pretrained_files import check_pretrained
from speechbrain_c2ser.lobes.speech_llm.llm_loading import load_model

NINE = ["生气/angry", "开心/happy", "难过/sad", "<unk>"]


@pytest.fixture
def folders(tmp_path):
    """An encoder's folder, a classifier's as emotion2vec+ is, a recording."""
    torch.manual_seed(0)
    encoder = Emotion2VecS(
        conv_layers=[(16, 10, 5), (16, 8, 8), (16, 8, 8)],
        embed_dim=16,
        num_heads=2,
        prenet_depth=1,
        depth=1,
    )
    head = CategoryHead(16, NINE)
    model = Model(encoder, MultiHead({"emotion": head}), MaskedMean(16))
    save_emotion2vec(encoder.eval(), tmp_path / "encoder")
    save_classifier(model.eval(), tmp_path / "plus")
    wave = 0.1 * np.random.default_rng(0).standard_normal(16000)
    soundfile.write(tmp_path / "a.wav", wave, 16000)
    return tmp_path


def test_any_classifier_classifies(folders, capsys):
    wav = str(folders / "a.wav")
    command = ["classify", wav, "--model", str(folders / "plus")]
    assert main(command) == 0
    label = capsys.readouterr().out.split("\t")[1]
    assert label in NINE
    assert main([*command, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["label"] == label and list(row["probabilities"]) == NINE
    # A bad file is told, the good one answered.
    assert main(["classify", str(folders / "no.wav"), *command[1:]]) == 1
    told = capsys.readouterr()
    assert label in told.out and "no.wav" in told.err
    classifier = EmotionClassifier.from_hparams(folders / "plus")
    assert classifier.classify_file(wav).label == label
    assert main([*command, "--language", "en"]) == 2
    assert "leave out --language" in capsys.readouterr().err


def test_a_folder_of_another_kind_is_named(folders, capsys):
    encoder = folders / "encoder"
    command = ["classify", str(folders / "a.wav"), "--model", str(encoder)]
    assert main(command) == 2
    assert "encoder of the emotion2vec family" in capsys.readouterr().err
    for interface in (C2SER, EmotionClassifier):
        with pytest.raises(ValueError, match="holds an encoder.*c2ser feat"):
            interface.from_hparams(encoder)
    with pytest.raises(ValueError, match="holds an emotion classifier, not"):
        C2SER.from_hparams(folders / "plus")
    # emotion2vec+ has an encoder, which gives features.
    Emotion2VecSEncoder.from_hparams(folders / "plus")


@pytest.fixture
def llm(tmp_path):
    """A folder with the files of a language model, whole."""
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    (tmp_path / "tokenizer.json").write_text("{}")
    save_file({"w": torch.zeros(64)}, tmp_path / "one.safetensors")
    index = {"metadata": {}, "weight_map": {"w": "one.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    return tmp_path


@pytest.mark.parametrize(
    "name, content, problem",
    [
        ("config.json", b'{"model', "config.json is damaged"),
        ("config.json", b"", "config.json is damaged"),
        ("tokenizer.json", b"\xff\xfe\x00", "tokenizer.json is damaged"),
        ("one.safetensors", b"1234", "one.safetensors is damaged"),
        ("one.safetensors", None, "index.json names the weights one.safet"),
        ("model.safetensors.index.json", b"[]", "index.json is damaged"),
        (
            "one.safetensors",
            b"version https://git-lfs.github.com/spec/v1\n",
            "one.safetensors is a Git LFS pointer",
        ),
        (
            "model.safetensors.index.json",
            b'{"metadata": {}, "weight_map": {"w": "../other.safetensors"}}',
            "names weights in another folder",
        ),
        (
            "adapter_config.json",
            b'{"base_model_name_or_path": "/elsewhere"}',
            "makes the folder an adapter of another model",
        ),
        (
            "config.json",
            b'{"text_config": {"attn_implementation": "someone/kernels"}}',
            "asks for other code by attn_implementation",
        ),
        (
            "config.json",
            b'{"attn_implementation": "flash_attention_of/kernels"}',
            "asks for other code by attn_implementation",
        ),
    ],
)
def test_damaged_models_are_named(llm, name, content, problem):
    check_pretrained(llm)
    if content is None:
        (llm / name).unlink()
    else:
        (llm / name).write_bytes(content)
    with pytest.raises(ValueError, match=problem):
        check_pretrained(llm)


def test_positions_that_an_older_library_passes_over(llm, monkeypatch):
    path = llm / "config.json"
    config = json.loads(path.read_text())
    theta = {"rope_theta": 1e6, "rope_type": "default"}
    config = {"text_config": {**config, "rope_parameters": theta}}
    config["text_config"].pop("rope_theta", None)
    path.write_text(json.dumps(config))
    for version in ("5.0.0", "4.57.1"):
        monkeypatch.setattr(pretrained_files, "version", lambda _, v=version: v)
        if version == "5.0.0":
            check_pretrained(llm)
            continue
        with pytest.raises(ValueError, match="was written by transformers 5"):
            check_pretrained(llm)
    # As transformers 4 writes it, and reads it.
    config["text_config"]["rope_theta"] = 1e6
    path.write_text(json.dumps(config))
    check_pretrained(llm)


def test_a_pipe_in_place_of_a_file(llm):
    (llm / "config.json").unlink()
    os.mkfifo(llm / "config.json")
    with pytest.raises(ValueError, match="config.json is no regular file"):
        check_pretrained(llm)


CODE = "open('OWNED', 'w')\nclass Thing:\n    pass\n"
NAMED = {f"Auto{kind}": "evil.Thing" for kind in ("Config", "Model")}
NAMED["AutoModelForCausalLM"] = "evil.Thing"


@pytest.mark.parametrize(
    "build",
    [
        LanguageModel,
        lambda source: LanguageModel(source, pretrained=False),
        SelfSupervisedEncoder,
        lambda source: SelfSupervisedEncoder(source, pretrained=False),
        WhisperEncoder,
    ],
)
def test_code_beside_a_model_is_not_asked_about(llm, build, monkeypatch):
    monkeypatch.chdir(llm)
    (llm / "evil.py").write_text(CODE)
    (llm / "config.json").write_text(
        json.dumps({"model_type": "evil", "auto_map": NAMED})
    )
    (llm / "tokenizer_config.json").write_text(
        json.dumps({"auto_map": {"AutoTokenizer": ["evil.Thing", None]}})
    )
    # Transformers would ask, and take a waiting "y" for a yes.
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises((ValueError, OSError)):
        build(str(llm))
    assert not (llm / "OWNED").exists()


def test_a_dtype_is_one_of_numbers(llm):
    with pytest.raises(ValueError, match="There is no dtype 'load'"):
        load_model(str(llm), "load", None, None, True)


def test_weights_that_broke_off(llm):
    whole = (llm / "one.safetensors").read_bytes()
    (llm / "one.safetensors").write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="one.safetensors is damaged"):
        check_pretrained(llm)


TINY = {"vocab_size": 20, "hidden_size": 8, "intermediate_size": 8}
TINY |= {"num_hidden_layers": 1, "num_attention_heads": 2}
WAVES = {"conv_dim": [4], "conv_stride": [2], "conv_kernel": [4]}
WAVES |= {"num_conv_pos_embedding_groups": 2, "num_feat_extract_layers": 1}
WAVES |= {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}
SPOKEN = {"d_model": 8, "encoder_layers": 1, "encoder_attention_heads": 2}
SPOKEN |= {"encoder_ffn_dim": 8, "decoder_layers": 1, "decoder_ffn_dim": 8}
SPOKEN |= {"decoder_attention_heads": 2, "vocab_size": 8, "pad_token_id": 0}
# Kind of model -> its sizes, and what builds an encoder or a model of it.
READERS = {
    "qwen2": (
        TINY | {"num_key_value_heads": 1, "tie_word_embeddings": True},
        lambda folder: load_model(folder, "float32", None, None, True),
    ),
    "bert": (TINY, lambda folder: TextEncoder(folder, 4)),
    "whisper": (SPOKEN, WhisperEncoder),
    "hubert": (
        TINY | WAVES,
        lambda folder: SelfSupervisedEncoder(folder, "hubert"),
    ),
}


@pytest.fixture
def part(request, tmp_path, tiny_llm):
    """A pretrained model's folder, and what reads it."""
    sizes, read = READERS[request.param]
    config = AutoConfig.for_model(request.param, **sizes)
    kind = AutoModelForCausalLM if request.param == "qwen2" else AutoModel
    kind.from_config(config).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    for path in Path(tiny_llm).glob("token*"):
        shutil.copy(path, tmp_path)
    return tmp_path, read


@pytest.mark.parametrize("part", READERS, indirect=True)
@pytest.mark.parametrize("size", ["width", "layers", "more_layers"])
def test_a_model_is_no_larger_than_its_weights(part, size):
    folder, read = part
    read(str(folder))
    path = folder / "config.json"
    config = json.loads(path.read_text())
    wide = "d_model" if "d_model" in config else "intermediate_size"
    deep = "encoder_layers" if "d_model" in config else "num_hidden_layers"
    name, number, problem = {
        "width": (wide, 8_000_000, "asks for a model of .* numbers or more"),
        "layers": (deep, 9999, "asks for a model of .* tensors or more"),
        "more_layers": (deep, 10**9, f"a {deep} of more than 1000000"),
    }[size]
    path.write_text(json.dumps({**config, "layer_types": None, name: number}))
    with pytest.raises(ValueError, match=problem):
        read(str(folder))


class Touches:
    """A pickle that leaves a mark when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("part", ["whisper", "hubert", "qwen2"], indirect=True)
def test_a_pickle_is_one_sentence_and_runs_nothing(part):
    folder, read = part
    (folder / "model.safetensors").unlink()
    torch.save({"a": Touches(folder / "mark")}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="are a pickle of more than tensors"):
        read(str(folder))
    assert not (folder / "mark").exists()


def test_files_of_the_hub_are_checked_as_those_of_a_folder(llm, monkeypatch):
    """By a model's name a stranger's yaml reaches any folder of the hub."""
    asked = []

    def fetch(name, cache_dir, allow_patterns):
        asked.append((name, cache_dir, allow_patterns))
        return str(llm)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    check_pretrained("someone/model", "cache")
    assert asked == [("someone/model", "cache", ["*.json"])]
    (llm / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match="an adapter of another model"):
        WhisperEncoder("someone/model")


FOREIGN = "open({!r}, 'w').close()\nclass Foreign: pass\n"


@pytest.mark.parametrize("pretrained", [True, False])
@pytest.mark.parametrize("file", ["preprocessor_config.json", "config.json"])
def test_nobody_is_asked_to_run_an_extractors_code(
    ssl_folder, tmp_path, monkeypatch, file, pretrained
):
    """Who types y, or pipes `yes`, runs none either."""
    folder = shutil.copytree(ssl_folder("wav2vec2_layer"), tmp_path / "folder")
    ran = tmp_path / "ran"
    (folder / "foreign.py").write_text(FOREIGN.format(str(ran)))
    content = json.loads((folder / file).read_text())
    content.pop("feature_extractor_type", None)
    content["auto_map"] = {"AutoFeatureExtractor": "foreign.Foreign"}
    if file == "config.json":
        (folder / "preprocessor_config.json").write_text("{}")
    (folder / file).write_text(json.dumps(content))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with suppress(ValueError):  # or it takes its own, by the model's kind
        SelfSupervisedEncoder(str(folder), "wav2vec2", pretrained=pretrained)
    assert not ran.exists()


def test_nobody_is_asked_to_run_a_tokenizers_code(tmp_path, monkeypatch):
    ran = tmp_path / "ran"
    (tmp_path / "foreign.py").write_text(FOREIGN.format(str(ran)))
    content = {"auto_map": {"AutoTokenizer": ["foreign.Foreign", None]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(content))
    ViTConfig().save_pretrained(tmp_path)  # transformers has none for it
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises((ValueError, OSError)):
        TextEncoder(str(tmp_path), 4, pretrained=False)
    assert not ran.exists()


def test_every_call_says_that_no_code_is_run():
    root = Path(pretrained_files.__file__).parents[2]
    folders = ("speechbrain_c2ser", "recipes", "benchmarks")
    calls = 0
    for path in [p for f in folders for p in (root / f).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if re.fullmatch(r"Auto\w+\.from_(pretrained|config)", name):
                calls += 1
                said = {k.arg: ast.unparse(k.value) for k in node.keywords}
                where = f"{path}:{node.lineno}"
                assert said.get("trust_remote_code") == "False", where
    assert calls > 9
