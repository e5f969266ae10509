"""The authors' C2SER file: every key placed, sizes read, folders written."""

import json

import pytest
import torch

from speechbrain_c2ser.checkpoints.c2ser_folder import load_c2ser
from speechbrain_c2ser.checkpoints.converters import c2ser
from speechbrain_c2ser.checkpoints.converters.c2ser_keys import (
    CONNECTOR,
    CONNECTOR_LAYER,
    LANGUAGE_MODEL,
    SEMANTIC,
    SEMANTIC_LAYER,
    rename,
    sizes,
)
from speechbrain_c2ser.checkpoints.converters.emotion2vec import (
    Emotion2VecCheckpoint,
)
from speechbrain_c2ser.lobes.speech_llm.language_model import LanguageModel

PLAIN = {
    SEMANTIC + "conv1": "encoder.embed.conv.0",
    SEMANTIC + "conv2": "encoder.embed.conv.2",
    SEMANTIC + "layer_norm": "encoder.after_norm",
    CONNECTOR + "input_layer.0": "speech_transformer.embed.out.0",
    CONNECTOR + "input_layer.1": "speech_transformer.embed.out.1",
    CONNECTOR + "norm": "speech_transformer.after_norm",
    CONNECTOR + "projection": "speech_llama_proj",
    CONNECTOR + "downsampler.convs.0": "down_sample_2.conv.1",
    CONNECTOR + "downsampler.convs.1": "down_sample_2.conv.4",
    CONNECTOR + "downsampler.convs.2": "down_sample_2.conv.7",
}


def official_state(model):
    """A model's tensors under the authors' names, the other way round."""
    official = {
        "ln_speech.weight": torch.ones(3),
        "speaker_head.weight": torch.ones(7, 3),
        "embed_tokens.weight": torch.ones(2),
        "speech_transformer.embed.pos_enc.pe": torch.ones(1, 5, 3),
    }
    layers = (
        (SEMANTIC + "layers", "encoder.encoders", SEMANTIC_LAYER),
        (CONNECTOR + "layers", "speech_transformer.encoders", CONNECTOR_LAYER),
    )
    for name, tensor in model.state_dict().items():
        stem, _, kind = name.rpartition(".")
        if stem in PLAIN:
            official[f"{PLAIN[stem]}.{kind}"] = tensor
        elif name == SEMANTIC + "embed_positions.weight":
            official["encoder.embed.pos_enc.pe"] = tensor.unsqueeze(0)
        elif name == "speech_boundaries.weight":
            rest = torch.zeros(7, tensor.shape[1])
            official["speech_token_emded.weight"] = torch.cat([rest, tensor])
        elif name.startswith(LANGUAGE_MODEL):
            inner = name.removeprefix(LANGUAGE_MODEL)
            official["llama_model.base_model.model." + inner] = tensor
        for ours, theirs, table in layers:
            if not name.startswith(ours + "."):
                continue
            number, _, inner = name.removeprefix(ours + ".").partition(".")
            stem, _, kind = inner.rpartition(".")
            prefix = f"{theirs}.{number}"
            if kind.startswith("in_proj_"):
                parts = zip("qkv", tensor.chunk(3), strict=True)
                for letter, part in parts:
                    key = f"{prefix}.self_attn.linear_{letter}"
                    official[f"{key}.{kind[8:]}"] = part
            else:
                back = {ours: theirs for theirs, ours in table.items()}
                official[f"{prefix}.{back[stem]}.{kind}"] = tensor
    return official


@pytest.fixture(scope="module")
def trained(build_model):
    """A model with LoRA, as published in everything but size."""
    model = build_model(lora={"rank": 4, "alpha": 8}, lower_case=True)
    model.perception.utterance_source = "first_frames"
    return model


@pytest.fixture(scope="module")
def base_folder(trained, tiny_llm, tmp_path_factory):
    """The language model that LoRA was trained on, as a folder."""
    plain = LanguageModel(str(tiny_llm))
    adapted = trained.language_model.model.state_dict()
    plain.model.load_state_dict(
        {
            name.replace(".base_layer", ""): tensor
            for name, tensor in adapted.items()
            if ".lora_" not in name
        }
    )
    folder = tmp_path_factory.mktemp("base")
    plain.model.save_pretrained(folder)
    plain.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def convert(trained, base_folder, tmp_path, monkeypatch, build_emotion2vec):
    """convert(official, **arguments) -> folder."""

    def emotion2vec_s(path, arguments):
        assert arguments == {"normalize": False, "freeze": True}
        return Emotion2VecCheckpoint(build_emotion2vec(), None, {})

    monkeypatch.setattr(c2ser, "load_official", emotion2vec_s)

    def run(official, **arguments):
        torch.save(official, tmp_path / "C2SER_llm.pt")
        arguments = {
            "llm_folder": base_folder,
            "emotion2vec_s_checkpoint": "checkpoint.pt",
            "output": tmp_path / "c2ser",
            "encoder_heads": 2,
            "connector_heads": 2,
            "lora_alpha": 8,
            "dtype": "float32",
            "end_token_id": trained.end_token_id,
            **arguments,
        }
        return c2ser.convert_c2ser(tmp_path / "C2SER_llm.pt", **arguments)

    return run


def test_every_key_of_the_full_size_has_a_place(shared_dir):
    path = shared_dir / "reference" / "full_size_keys_c2ser_llm.json"
    keys = json.loads(path.read_text())["keys"]
    official = {k: torch.empty(s, device="meta") for k, s in keys.items()}
    tensors, unused = rename(official)
    packed = 2 * sum(".in_proj_" in name for name in tensors)
    assert len(tensors) + packed + len(unused) == len(official) == 1128
    assert sorted(unused) == [
        "embed_tokens.weight",
        "lm_head.weight",
        "ln_speech.bias",
        "ln_speech.weight",
        "speaker_head.bias",
        "speaker_head.weight",
        "speech_transformer.embed.pos_enc.pe",
    ]
    assert sizes(official) == {
        "semantic_encoder": {
            "num_layers": 24,
            "size": 1024,
            "ffn_size": 4096,
            "n_mels": 80,
            "max_positions": 1500,
        },
        "connector": {
            "input_size": 1024,
            "output_size": 3584,
            "downsample_rate": 4,
            "left_padding": 2,
            "num_layers": 4,
            "ffn_size": 2560,
        },
        "lora_rank": 8,
    }


def test_names_there_and_back(trained):
    tensors, unused = rename(official_state(trained))
    ours = {
        name: tensor
        for name, tensor in trained.state_dict().items()
        if not name.startswith("perception.acoustic_encoder.")
    }
    assert tensors.keys() == ours.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensors[name], tensor), name
    assert len(unused) == 4


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_converted_folder_computes_the_same(convert, trained, clips, wrapped):
    official = official_state(trained)
    folder = convert({"module": official} if wrapped else official)
    loaded = load_c2ser(folder)
    model = loaded["model"].eval()
    assert loaded["languages"] == ["en", "zh"]
    assert len(loaded["label_space"]) == 7
    assert model.perception.utterance_source == "first_frames"

    batch = (*clips, ["Please describe the speech."] * 3, ["happy"] * 3)
    with torch.no_grad():
        torch.testing.assert_close(model(*batch).logits, trained(*batch).logits)


def test_a_key_of_something_else_is_an_error(convert, trained, tmp_path):
    official = official_state(trained)
    official["vocoder.weight"] = torch.ones(1)
    with pytest.raises(ValueError, match="vocoder.weight"):
        convert(official)
    assert not (tmp_path / "c2ser").exists()


@pytest.mark.parametrize(
    "key",
    [
        "encoder.after_norm.weight",
        "speech_transformer.encoders.0.self_attn.linear_q.weight",
        "speech_token_emded.weight",
        "encoder.embed.conv.0.weight",
    ],
)
def test_a_missing_tensor_is_an_error(convert, trained, key):
    official = official_state(trained)
    del official[key]
    with pytest.raises(ValueError, match="missing|lacks|has no"):
        convert(official)


def test_another_language_model_is_an_error(
    convert, trained, base_folder, tmp_path
):
    other = LanguageModel(str(base_folder))
    with torch.no_grad():
        other.model.get_input_embeddings().weight.add_(0.1)
    other.model.save_pretrained(tmp_path / "other")
    other.tokenizer.save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match="not the language model"):
        convert(official_state(trained), llm_folder=tmp_path / "other")


def test_a_language_model_of_another_width_is_an_error(
    convert, trained, make_tiny_models, tmp_path
):
    other = make_tiny_models.make_llm(
        tmp_path / "wide", ["a"], hidden_size=48, layers=1, heads=2
    )
    with pytest.raises(ValueError, match="width 32.*is 48 wide"):
        convert(official_state(trained), llm_folder=other)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [torch.ones(1)]])
def test_a_file_without_a_state_dict_is_an_error(convert, content):
    with pytest.raises(ValueError, match="holds no state dict"):
        convert(content)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        c2ser.read(tmp_path / "C2SER_llm.pt")
