"""Dropout of few random numbers: as many zeros, anywhere, and torch's own."""

import pytest
import torch
from torch import nn

from speechbrain_c2ser.lobes.quick_dropout import QuickDropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.05, 0.1, 0.5, 0.9])
def test_each_element_is_dropped_as_often(p, dtype):
    torch.manual_seed(0)
    x = torch.ones(1001, 303, dtype=dtype, requires_grad=True)
    y = QuickDropout(p)(x)
    dropped = (y == 0).float()
    # rows, columns, and elements that share a number of 64 bits
    for parts in (
        dropped.mean(),
        dropped.mean(0),
        dropped.mean(1),
        dropped.flatten()[: 75_000 * 4].view(-1, 4).mean(0),
    ):
        count = dropped.numel() / parts.numel()
        spread = (p * (1 - p) / count) ** 0.5
        assert (parts - p).abs().max() < 5 * spread
    neighbours = dropped[:, 1:] * dropped[:, :-1]
    assert neighbours.mean() == pytest.approx(p * p, abs=0.005)
    kept = y[y != 0].detach().float()
    torch.testing.assert_close(
        kept, torch.full_like(kept, 1 / (1 - p)), rtol=4e-3, atol=0
    )
    y.sum().backward()
    assert torch.equal(x.grad, y)


def test_a_seed_draws_the_same_again():
    dropout, x = QuickDropout(0.5), torch.ones(3, 5)
    torch.manual_seed(1)
    first, second = dropout(x), dropout(x)
    torch.manual_seed(1)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("p", [0.0, 1.0, 1e-9])
def test_without_anything_to_draw_it_is_torchs(p):
    x = torch.ones(4, 7)
    assert torch.equal(QuickDropout(p)(x), nn.Dropout(p)(x))
    assert torch.equal(QuickDropout(0.5).eval()(x), x)
    assert QuickDropout(0.5)(x[:0]).shape == (0, 7)
