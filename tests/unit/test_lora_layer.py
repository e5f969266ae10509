"""LoRA's layer against peft's own: results, gradients, dropout."""

import copy

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from speechbrain_c2ser.lobes.lora import add_lora, train_adapters
from speechbrain_c2ser.lobes.lora_layer import LoraLinear, _draw, _mask


def pair(dropout=0.0, bias=True, dtype=torch.float32):
    """Ours and peft's, of the same weights."""
    torch.manual_seed(0)
    base = nn.ModuleDict({"q_proj": nn.Linear(24, 40, bias=bias)})
    base.requires_grad_(False)
    theirs = copy.deepcopy(base)
    add_lora(base, rank=3, alpha=12, dropout=dropout, targets=["q_proj"])
    config = LoraConfig(
        r=3, lora_alpha=12, lora_dropout=dropout, target_modules=["q_proj"]
    )
    inject_adapter_in_model(config, theirs)
    for name, weight in base.named_parameters():
        if "lora_" in name:
            weight.data.normal_()
        else:
            weight.data = weight.data.to(dtype)
    theirs.load_state_dict(base.state_dict())
    for name, weight in theirs.named_parameters():
        if "lora_" not in name:
            weight.data = weight.data.to(dtype)
    ours, theirs = base["q_proj"], theirs["q_proj"]
    assert type(ours) is LoraLinear and type(theirs) is not LoraLinear
    return ours, theirs


def results(layer, x, autocast=False):
    """What a layer gives, and the gradients of x, A and B."""
    x = x.clone().requires_grad_(True)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y = layer(x)
    factors = torch.linspace(-1, 1, y.numel()).view(y.shape)
    parameters = [p for p in layer.parameters() if p.requires_grad]
    gradients = torch.autograd.grad((y * factors).sum(), [x, *parameters])
    return [y, *gradients]


@pytest.mark.parametrize("shape", [(2, 5, 24), (7, 24), (24,)])
@pytest.mark.parametrize("bias", [True, False])
def test_results_and_gradients_are_pefts(shape, bias):
    ours, theirs = pair(bias=bias)
    x = torch.randn(shape)
    for one, two in zip(results(ours, x), results(theirs, x), strict=True):
        torch.testing.assert_close(one, two)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_bf16_as_near_to_fp32_as_pefts(dtype):
    ours, theirs = pair(dtype=dtype)
    x = torch.randn(2, 50, 24).bfloat16().float()
    exact = results(pair()[0], x)
    for one, two, three in zip(
        results(ours, x.to(dtype), autocast=True),
        results(theirs, x.to(dtype), autocast=True),
        exact,
        strict=True,
    ):
        assert one.dtype == two.dtype
        error, usual = ((y.float() - three).norm() for y in (one, two))
        assert error < 1.2 * usual


def test_without_autocast_a_narrow_base_keeps_its_type():
    ours, theirs = pair(dtype=torch.bfloat16)
    x = torch.randn(3, 24).bfloat16()
    with torch.no_grad():
        assert ours(x).dtype == theirs(x).dtype == torch.bfloat16
        torch.testing.assert_close(ours(x), theirs(x), atol=0.05, rtol=0.02)


def test_dropout_is_in_training_only_and_its_gradient_is_its_own():
    ours, theirs = pair(dropout=0.5)
    x = torch.randn(4, 24)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(x), theirs(x))
    train_adapters(ours, True)
    torch.manual_seed(3)
    one = results(ours, x)
    assert not torch.allclose(one[0], theirs(x))
    torch.manual_seed(3)
    again = results(ours, x)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    # By the mask that was drawn, in peft's way.
    torch.manual_seed(3)
    kept, share = _draw(x, 0.5)
    ours.eval()
    wanted = ours.base_layer(x) + (ours(kept * x / share) - ours.base_layer(
        kept * x / share
    ))  # fmt: skip
    torch.testing.assert_close(one[0], wanted)
    factors = torch.linspace(-1, 1, one[0].numel()).view(one[0].shape)
    down, up = ours.lora_A["default"].weight, ours.lora_B["default"].weight
    inner = factors @ up * ours.scaling["default"]
    torch.testing.assert_close(
        one[1], factors @ ours.base_layer.weight + inner @ down * kept / share
    )
    torch.testing.assert_close(one[2], inner.t() @ (x * kept / share))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("share", [0.1, 0.5, 1e-9])
def test_so_many_are_dropped(share, dtype):
    torch.manual_seed(0)
    rows = torch.ones(301, 999, dtype=dtype)
    kept, kept_share = _draw(rows, share)
    assert abs(kept_share - (1 - share)) < 1e-5
    if share < 1e-6:
        assert kept is None
        return
    assert _mask(rows, kept).dtype == dtype and set(kept.unique().tolist()) == {
        0,
        1,
    }
    counts = _mask(rows, kept).float()
    assert torch.equal(counts, kept.float())
    for mean in (counts.mean(), *counts.flatten()[:300000].view(-1, 4).mean(0)):
        assert abs(mean - kept_share) < 0.005
    # neighbours know nothing of each other
    apart = counts - counts.mean()
    assert abs((apart[:, 1:] * apart[:, :-1]).mean()) < 0.002
    assert abs((apart[1:] * apart[:-1]).mean()) < 0.002


@pytest.mark.parametrize("autocast", [True, False])
def test_a_base_that_is_more_than_a_frozen_matrix_computes_itself(autocast):
    ours, theirs = pair(dtype=torch.bfloat16 if autocast else torch.float32)
    x, calls = torch.randn(2, 24), []
    expected = results(ours, x, autocast)
    ours.base_layer.register_forward_hook(lambda *_: calls.append(1))
    hooked = results(ours, x, autocast)
    assert calls == [1]
    tolerance = {"atol": 0.05, "rtol": 0.02} if autocast else {}
    for one, two in zip(hooked, expected, strict=True):
        torch.testing.assert_close(one, two, **tolerance)
    theirs.base_layer.requires_grad_(True)
    ours.base_layer.requires_grad_(True)
    if not autocast:
        pairs = zip(results(ours, x), results(theirs, x), strict=True)
        for one, two in pairs:
            torch.testing.assert_close(one, two)


def test_what_is_more_than_plain_is_left_to_peft(monkeypatch):
    ours, theirs = pair()
    x = torch.randn(2, 24)
    ours.merge(), theirs.merge()
    torch.testing.assert_close(ours(x), theirs(x))
    ours.unmerge()
    ours.enable_adapters(False)
    torch.testing.assert_close(ours(x), ours.base_layer(x))
