"""Items of a batch in one row: the same as alone, and no padding computed."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from speechbrain_c2ser.lobes import FrameProjection, LogMelCNN
from speechbrain_c2ser.lobes.classifier.rows import Row, row_of

LENGTHS = torch.tensor([50, 7, 23, 1, 33])
NETWORKS = {
    "projection": lambda: FrameProjection(16, 8),
    "convolutions": lambda: LogMelCNN(16, (3, 4), 8),
}


def operations(network, frames, lengths):
    with FlopCounterMode(display=False) as counter:
        network(frames, lengths)
    return counter.get_total_flops()


@pytest.mark.parametrize("name", NETWORKS)
def test_in_a_row_as_alone(name):
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    frames = torch.randn(5, 50, 16, requires_grad=True)
    together, lengths = network(frames, LENGTHS)
    (gradient,) = torch.autograd.grad(together.square().sum(), frames)
    for item, length in enumerate(LENGTHS.tolist()):
        one = frames.detach()[item : item + 1, :length].requires_grad_()
        alone, _ = network(one, LENGTHS[item : item + 1])
        found = together[item, : lengths[item]]
        assert torch.allclose(found, alone[0], atol=1e-5)
        assert together[item, lengths[item] :].abs().sum() == 0
        (own,) = torch.autograd.grad(alone.square().sum(), one)
        assert torch.allclose(gradient[item, :length], own[0], atol=1e-5)
        assert gradient[item, length:].abs().sum() == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_padding_costs_nothing(name):
    network = NETWORKS[name]()
    lengths = torch.tensor([500, 100, 100, 100])
    done = operations(network, torch.randn(4, 500, 16), lengths)
    useful = operations(network, torch.randn(1, 800, 16), torch.tensor([800]))
    assert useful <= done < 1.08 * useful


@pytest.mark.parametrize("size", [50, 60])  # the longest padded, too, or not
def test_a_network_learns_the_same_as_with_padding(size, monkeypatch):
    """Outputs, gradients and the statistics of batch norm."""
    frames = torch.randn(5, size, 16).double()
    results = []
    for rows in (True, False):
        if not rows:
            networks = "speechbrain_c2ser.lobes.classifier.networks"
            monkeypatch.setattr(f"{networks}.row_of", lambda *args: None)
        torch.manual_seed(0)
        network = LogMelCNN(16, (3, 4), 8, dropout=0.0).double().train()
        for _ in range(2):
            output, _ = network(frames, LENGTHS)
        output.square().sum().backward()
        results.append((output, network))
    (one, ours), (two, theirs) = results
    two = two[:, : one.shape[1]]
    assert torch.allclose(one, two, atol=1e-9)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine.grad, other.grad, atol=1e-9)
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        assert torch.allclose(mine, other, atol=1e-9)


def test_a_row_is_taken_where_it_is_shorter():
    assert row_of(torch.tensor([40, 40, 39]), 40, stride=4, reach=1) is None
    assert row_of(torch.tensor([40, 10, 10]), 40, stride=4, reach=1) is not None


def test_items_begin_at_multiples_of_the_stride():
    row = Row(torch.tensor([3, 5]), 5, stride=2, reach=1)
    frames = torch.arange(1.0, 11).view(2, 5, 1)
    assert row.enter(frames).flatten().tolist() == [
        1, 2, 3, 0, 0, 0, 0, 0, 6, 7, 8, 9, 10, 0, 0, 0,
    ]  # fmt: skip
    valid = [*[True] * 2, *[False] * 2, *[True] * 3, False]
    assert row.valid.flatten().tolist() == valid
