"""Where stage 2 starts: a folder's weights, with its own language model."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from speechbrain_c2ser.checkpoints.base_model import base_fingerprint
from speechbrain_c2ser.checkpoints.c2ser_folder import (
    load_c2ser,
    load_weights,
    save_c2ser,
)
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


@pytest.fixture(scope="module")
def other_llm(tiny_llm, tmp_path_factory):
    """A base of the same shape, a little further trained."""
    lm = LanguageModel(tiny_llm, freeze=False)
    with torch.no_grad():
        for parameter in lm.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    folder = tmp_path_factory.mktemp("other")
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(params=[torch.float32, torch.bfloat16])
def adapter(request, build_model, tiny_llm, tmp_path):
    """A folder of LoRA without its base, saved in either of its types."""
    model = lora_on(build_model, tiny_llm)
    model.language_model.hold_for(request.param)
    folder = save_c2ser(model, tmp_path / "by", SPACE, include_llm=False)
    assert not (folder / "llm").exists()
    return folder


def without_hash(folder):
    """The folder as it was written before a base had a fingerprint."""
    path = folder / "hyperparams.yaml"
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if "language_model_hash" not in line]
    assert len(kept) == len(lines) - 1
    path.write_text("".join(kept))


def lora_on(build_model, source, dtype="float32"):
    return with_llm(build_model, str(source), lora={"rank": 2}, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_lora_goes_on_with_its_base_in_any_type(
    adapter, build_model, tiny_llm, tmp_path, dtype
):
    copy = shutil.copytree(tiny_llm, tmp_path / "copy")
    load_weights(lora_on(build_model, copy, dtype), adapter)
    load_c2ser(adapter)
    load_c2ser(adapter, llm=copy)


def test_lora_on_another_base_of_its_shape_is_refused(
    adapter, build_model, other_llm
):
    model = lora_on(build_model, other_llm)
    before = model.speech_boundaries.weight.clone()
    with pytest.raises(ValueError, match=r"beside another .*--llm_source="):
        load_weights(model, adapter)
    assert torch.equal(model.speech_boundaries.weight, before)
    with pytest.raises(ValueError, match=r"beside another .*\(llm=FOLDER\)"):
        load_c2ser(adapter, llm=other_llm)


def test_a_base_that_changed_where_it_lies_is_refused(
    build_model, tiny_llm, other_llm, tmp_path
):
    base = shutil.copytree(tiny_llm, tmp_path / "base")
    folder = save_c2ser(
        lora_on(build_model, base), tmp_path / "by", SPACE, include_llm=False
    )
    load_c2ser(folder)
    shutil.copytree(other_llm, base, dirs_exist_ok=True)
    with pytest.raises(ValueError, match="whose weights differ"):
        load_c2ser(folder)


def test_a_folder_without_the_bases_fingerprint_loads_as_before(
    adapter, build_model, other_llm
):
    without_hash(adapter)
    load_weights(lora_on(build_model, other_llm), adapter)
    load_c2ser(adapter, llm=other_llm)


def test_a_base_that_cannot_be_told_is_not_compared(
    build_model, tiny_llm, other_llm, tmp_path
):
    """As of one in 4 bits: float16 rounds otherwise than bfloat16."""
    model = lora_on(build_model, tiny_llm, "float16")
    folder = save_c2ser(model, tmp_path / "by", SPACE, include_llm=False)
    text = (folder / "hyperparams.yaml").read_text()
    assert "language_model_hash: null\n" in text
    load_weights(lora_on(build_model, other_llm), folder)
    load_c2ser(folder, llm=other_llm)


def test_the_fingerprint_is_the_bases_alone(build_model, tiny_llm):
    plain = LanguageModel(tiny_llm).model
    adapted = lora_on(build_model, tiny_llm).language_model.model
    assert base_fingerprint(adapted) == base_fingerprint(plain) is not None
    quantized = torch.nn.Linear(2, 2).requires_grad_(False)
    quantized.weight.data = quantized.weight.data.to(torch.uint8)
    assert base_fingerprint(quantized) is None
    with torch.device("meta"):
        assert base_fingerprint(torch.nn.Linear(2, 2)) is None
    laid_out = torch.nn.Linear(2, 2)
    del laid_out._parameters["weight"]
    assert base_fingerprint(laid_out) is None


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
