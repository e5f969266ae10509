"""Where stage 2 starts: a folder's weights, with its own language model."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from speechbrain_c2ser.checkpoints.c2ser_folder import load_weights, save_c2ser
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes.speech_llm.language_model import LanguageModel
from speechbrain_c2ser.lobes.speech_llm.speech_emotion_llm import (
    SpeechEmotionLLM,
)
from speechbrain_c2ser.training.trained_tensors import TrainedTensors

SPACE = LabelSpace(["angry", "sad"])


@pytest.fixture
def trained(build_model, tmp_path):
    """The folder of a model whose every weight has moved."""
    model = build_model(acoustic=False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return save_c2ser(model, tmp_path / "stage_1", SPACE)


def with_llm(build_model, source, **options):
    fresh = build_model(acoustic=False)
    return SpeechEmotionLLM(fresh.perception, LanguageModel(source, **options))


def test_the_folders_weights_are_loaded(build_model, trained):
    model = with_llm(build_model, trained / "llm", freeze=False)
    load_weights(model, trained)
    for key, tensor in load_file(trained / "model.safetensors").items():
        assert torch.equal(model.state_dict()[key], tensor), key


def test_another_language_model_is_refused(build_model, trained, tiny_llm):
    model = with_llm(build_model, tiny_llm, freeze=False)
    before = model.speech_boundaries.weight.clone()
    with pytest.raises(ValueError, match=r"--llm_source=\S*stage_1/llm"):
        load_weights(model, trained)
    assert torch.equal(model.speech_boundaries.weight, before)


def test_a_copy_of_the_language_model_will_do(build_model, tmp_path, tiny_llm):
    """A small frozen base is saved along; it is the same anywhere."""
    model = build_model(acoustic=False, lora={"rank": 2})
    folder = save_c2ser(model, tmp_path / "lora", SPACE)
    copy = shutil.copytree(tiny_llm, tmp_path / "copy")
    for dtype in ("float32", "bfloat16"):
        again = with_llm(build_model, copy, lora={"rank": 2}, dtype=dtype)
        load_weights(again, folder)
        key = "language_model.model.model.layers.0.self_attn.q_proj"
        lora = f"{key}.lora_B.default.weight"
        assert torch.equal(again.state_dict()[lora], model.state_dict()[lora])


class Quantised(torch.nn.Linear):
    """As bitsandbytes: a state that is neither parameter nor buffer."""

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}weight.absmax"] = torch.zeros(3)


def test_a_checkpoint_holds_no_state_of_quantisation():
    module = torch.nn.Sequential(
        Quantised(2, 2).requires_grad_(False), torch.nn.BatchNorm1d(2)
    )
    assert "0.weight.absmax" in module.state_dict()
    assert sorted(TrainedTensors(module).tensors()) == [
        "1.bias",
        "1.num_batches_tracked",
        "1.running_mean",
        "1.running_var",
        "1.weight",
    ]
