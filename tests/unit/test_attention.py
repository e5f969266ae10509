"""Attention of shared heads against transformers' own."""

from types import SimpleNamespace

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from speechbrain_c2ser.lobes import attention
from speechbrain_c2ser.lobes.attention import NAME, shared_heads
from speechbrain_c2ser.lobes.encoders.whisper import WhisperEncoder
from speechbrain_c2ser.lobes.speech_llm.language_model import LanguageModel

TIME = 9


def inputs(shared=2, dtype=torch.float32):
    torch.manual_seed(0)
    shapes = (2, 6, TIME, 8), (2, shared, TIME, 8), (2, shared, TIME, 8)
    return [torch.randn(s).to(dtype).requires_grad_(True) for s in shapes]


def masks():
    allowed = torch.ones(2, 1, TIME, TIME).tril().bool()
    allowed[1, :, :, :3] = False
    allowed[1, :, :3, :3] = torch.eye(3).bool()  # no row without any
    keys = torch.ones(2, 1, 1, TIME).bool()
    keys[0, ..., -2:] = False
    additive = torch.zeros(allowed.shape).masked_fill(~allowed, -1e30)
    return {"causal": None, "bool": allowed, "keys": keys, "added": additive}


def results(function, tensors, mask, causal=True, **more):
    module = SimpleNamespace(
        is_causal=causal,
        num_key_value_groups=tensors[0].shape[1] // tensors[1].shape[1],
    )
    y, _ = function(module, *tensors, mask, scaling=0.3, **more)
    factors = torch.linspace(-1, 1, y.numel()).view(y.shape)
    gradients = torch.autograd.grad((y.float() * factors).sum(), tensors)
    return [y, *gradients]


@pytest.mark.parametrize("shared", [1, 2, 6])
@pytest.mark.parametrize("kind", list(masks()))
def test_in_fp32_it_is_transformers(kind, shared):
    mask = masks()[kind]
    for one, two in zip(
        results(shared_heads, inputs(shared), mask),
        results(sdpa_attention_forward, inputs(shared), mask),
        strict=True,
    ):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("shared", [2, 6])
@pytest.mark.parametrize("kind", list(masks()))
def test_trained_in_bf16_it_is_near_to_fp32(kind, shared, autocast):
    mask = masks()[kind]
    exact = results(sdpa_attention_forward, inputs(shared), mask)
    dtype = torch.float32 if autocast else torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        ours = results(shared_heads, inputs(shared, dtype), mask)
    assert ours[0].dtype == torch.bfloat16 and ours[1].dtype == dtype
    for one, two in zip(ours, exact, strict=True):
        assert (one.float() - two).norm() < 0.02 * two.norm()


def test_without_a_mask_and_not_causal_all_is_seen():
    bf16 = inputs(2, torch.bfloat16)
    ours = results(shared_heads, bf16, None, causal=False)
    exact = results(sdpa_attention_forward, inputs(), None, causal=False)
    for one, two in zip(ours, exact, strict=True):
        assert (one.float() - two).norm() < 0.02 * two.norm()


def test_what_else_there_is_goes_to_transformers(monkeypatch):
    calls = []
    monkeypatch.setattr(
        attention,
        "sdpa_attention_forward",
        lambda *x, **more: calls.append(more) or sdpa_attention_forward(*x, **more),
    )  # fmt: skip
    query, key, value = inputs()
    module = SimpleNamespace(is_causal=True, num_key_value_groups=3)
    for more in ({"dropout": 0.5}, {"position_bias": torch.zeros(1)}):
        shared_heads(module, query, key, value, None, **more)
    shared_heads(module, query[:, :, -1:], key, value, None)
    shared_heads(module, query[:, :, -2:], key, value, None)
    assert len(calls) == 4
    shared_heads(module, query, key, value, None, output_attentions=False)
    assert len(calls) == 4


@pytest.mark.parametrize("training", [True, False])
def test_models_have_it(tiny_llm, monkeypatch, training):
    def never(*x, **more):
        raise AssertionError(f"left to transformers: {more}")

    monkeypatch.setattr(attention, "sdpa_attention_forward", never)
    lm = LanguageModel(tiny_llm, lora={"rank": 2}).train(training)
    assert lm.model.config._attn_implementation == NAME
    ids, padding = torch.tensor([[1, 2, 3], [1, 2, 3]]), torch.ones(2, 3)
    whisper = WhisperEncoder(num_layers=1, size=16, num_heads=2, ffn_size=32)
    assert whisper.encoder.config._attn_implementation == NAME
    with torch.autocast("cpu", torch.bfloat16):
        for mask in (None, padding.tril(1)):
            lm.model(ids, attention_mask=mask, use_cache=False)
        whisper.train(training)(torch.randn(2, 4000), torch.tensor([1, 0.5]))
