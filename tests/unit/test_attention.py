"""Keys that are added for a processor's tiles: seen by nothing."""

import copy

import pytest
import torch
from test_packing import batch
from torch import nn
from torch.nn import functional as F
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from speechbrain_c2ser.lobes import attention
from speechbrain_c2ser.lobes.attention import attend, spare_keys
from speechbrain_c2ser.lobes.attention_in_tiles import (
    NAME,
    use_tiles,
    uses_sdpa,
)
from speechbrain_c2ser.lobes.emotion2vec.alibi import attention_bias
from speechbrain_c2ser.lobes.speech_llm.language_model import LanguageModel

CPU = torch.device("cpu")
HALF = torch.bfloat16


@pytest.fixture
def calls(monkeypatch):
    """Keys of each call of torch's attention from now on."""
    counts, real = [], F.scaled_dot_product_attention

    def noted(q, k, v, *args, **kwargs):
        counts.append(k.shape[2])
        return real(q, k, v, *args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", noted)
    return counts


def test_where_keys_are_added():
    with torch.no_grad():
        assert [spare_keys(n, HALF, CPU) for n in (1, 16, 309)] == [15, 0, 11]
        assert spare_keys(309, torch.float32, CPU) == 0
        assert spare_keys(309, HALF, torch.device("meta")) == 0
    assert spare_keys(309, HALF, CPU) == 0, "with gradients"


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("slopes", [None, [0.5, 0.0]])
@torch.no_grad()
def test_biases_hide_what_is_added(slopes, padded, calls):
    valid, scales = None, torch.ones(1, 1)
    if padded:
        valid = (torch.arange(21) < torch.tensor([[21], [17]])).unsqueeze(-1)
    places = torch.arange(21)[None]
    arguments = places, valid, 2, slopes, scales
    bias = attention_bias(*arguments, HALF)(0)
    exact = attention_bias(*arguments)(0)
    if exact is None:
        assert bias is None
        return
    assert (exact.shape[-1], bias.shape[-1]) == (23, 32)
    assert bias[..., 23:].isneginf().all()
    q, k, v = torch.randn(3, 2, 2, 23, 8)
    ours = attend(q.to(HALF), k.to(HALF), v.to(HALF), bias)
    assert calls == [32]
    torch.testing.assert_close(
        ours.float(), attend(q, k, v, exact), atol=0.03, rtol=0.03
    )


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral"])
@torch.no_grad()
def test_language_models_read_the_same(
    family, side, small_llm, calls, monkeypatch
):
    monkeypatch.setattr(attention, "TILE", 12)
    lm = small_llm(family).eval()
    exact = copy.deepcopy(lm)
    _, merged = batch(lm, side=side)
    real = merged.attention_mask.bool()
    states = exact.decode(merged)[real]
    length = merged.embeddings.shape[1]
    assert set(calls) == {length} == {32}, "fp32 as it is"
    calls.clear()
    with torch.autocast("cpu", HALF):
        ours = lm.decode(merged)[real].float()
    assert set(calls) == {36}
    assert (ours - states).norm() < 0.03 * states.norm()


@pytest.mark.parametrize("masked", [True, False])
@torch.no_grad()
def test_whisper_hears_the_same(masked, calls):
    config = WhisperConfig(
        encoder_layers=2, d_model=16, encoder_attention_heads=2,
        encoder_ffn_dim=32, num_mel_bins=8, max_source_positions=21,
        attn_implementation="sdpa",
    )  # fmt: skip
    model = use_tiles(WhisperEncoder(config).eval())
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.3)  # attends to some more than others
    mel = torch.randn(2, 8, 42)
    mask = None
    if masked:
        mask = torch.ones(2, 42, dtype=torch.long)
    exact = model(mel, mask).last_hidden_state
    assert set(calls) == {21}
    calls.clear()
    with torch.autocast("cpu", HALF):
        ours = model(mel, mask).last_hidden_state.float()
    assert set(calls) == {32}
    assert (ours - exact).norm() < 0.03 * exact.norm()


@torch.no_grad()
def test_lobes_attend_in_tiles(encoder_of, tiny_llm):
    assert encoder_of("whisper").encoder.config._attn_implementation == NAME
    config = encoder_of("hubert_group").model.config
    assert config._attn_implementation == NAME
    config = LanguageModel(tiny_llm).model.config
    assert config._attn_implementation == NAME
    assert NAME not in config.to_json_string()
    model = LanguageModel(tiny_llm).model
    model.set_attn_implementation("eager")
    assert not uses_sdpa(use_tiles(model).config)


@torch.no_grad()
def test_one_word_at_a_time_needs_no_tiles(small_llm, calls):
    lm = small_llm("llama", sliding_window=None).eval()
    ids = torch.arange(20)[None]
    with torch.autocast("cpu", HALF):
        whole = lm.model(input_ids=ids)
        calls.clear()
        first = lm.model(input_ids=ids[:, :19], use_cache=True)
        assert set(calls) == {32}
        calls.clear()
        next_word = lm.model(
            input_ids=ids[:, 19:], past_key_values=first.past_key_values
        )
    assert set(calls) == {20}
    torch.testing.assert_close(
        next_word.logits[:, -1].float(),
        whole.logits[:, -1].float(),
        atol=0.05,
        rtol=0.05,
    )
