"""Networks over frames: alone as in a batch, and what reaches what."""

import pytest
import torch
from torch.nn import functional as F

from speechbrain_c2ser.lobes import HierarchicalTransformer, TwoWayDilated

NETWORKS = {
    "two_way": lambda: TwoWayDilated(4, 8, num_blocks=3),
    "hierarchical": lambda: HierarchicalTransformer(
        4, 8, stretch=5, num_heads=2, ffn_size=16
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_alone_as_in_a_batch(name):
    network = NETWORKS[name]()
    # batch norms that are not at their start
    for _ in range(3):
        network.train()(torch.randn(3, 23, 4) * 2, torch.tensor([23, 5, 17]))
    network.eval()
    frames, lengths = torch.randn(3, 23, 4), torch.tensor([23, 1, 12])
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            together, sizes = network(frames, lengths)
            assert together.shape[1] == int(sizes.max())
            for i, length in enumerate(lengths.tolist()):
                single, size = network(
                    frames[i : i + 1, :length], lengths[i : i + 1]
                )
                assert int(size) == int(sizes[i])
                own = together[i, : int(size)]
                assert (single[0] - own).abs().max() <= 1e-5
                assert own.any() and not together[i, int(size) :].any()


@pytest.mark.parametrize("name", NETWORKS)
def test_in_training_padding_has_no_gradient(name):
    network = NETWORKS[name]().train()
    frames = torch.randn(2, 12, 4, requires_grad=True)
    lengths = torch.tensor([12, 7])
    outputs, _ = network(frames, lengths)
    outputs.square().sum().backward()
    used = frames.grad.abs().sum(-1) > 0
    assert used[0].all() and used[1, :7].all() and not used[1, 7:].any()
    assert all(p.grad is not None for p in network.parameters())


def test_batch_norm_counts_valid_frames_alone():
    network = TwoWayDilated(4, 8, num_blocks=1, dropout=0.0).train()
    frames, lengths = torch.randn(2, 9, 4), torch.tensor([9, 4])
    one = network(frames, lengths)[0]
    longer = F.pad(frames, (0, 0, 0, 20), value=7.0)
    other = network(longer, lengths)[0]
    assert (one - other[:, :9]).abs().max() <= 1e-5


def test_one_chain_reaches_back_and_the_other_forth():
    network = TwoWayDilated(4, 8, num_blocks=3).eval()
    reach = 2 * (1 + 2 + 4)  # two convolutions of two taps in each block
    frames = torch.randn(1, 41, 4, requires_grad=True)
    full = torch.tensor([41])
    network(frames, full)[0][0, 20].sum().backward()
    reached = (frames.grad[0].abs().sum(-1) > 0).nonzero().flatten()
    assert reached.tolist() == list(range(20 - reach, 21 + reach))
    # without the second chain there is no future
    with torch.no_grad():
        network.inputs[1].weight.zero_()
        network.inputs[1].bias.zero_()
    frames.grad = None
    network(frames, full)[0][0, 20].sum().backward()
    reached = (frames.grad[0].abs().sum(-1) > 0).nonzero().flatten()
    assert reached.tolist() == list(range(20 - reach, 21))


@torch.no_grad()
def test_frames_attend_within_their_stretch_before_stretches_do():
    network = NETWORKS["hierarchical"]().eval()
    seen = []
    network.within.register_forward_hook(
        lambda module, inputs, output: seen.append(output)
    )
    frames, full = torch.randn(1, 15, 4), torch.tensor([15])
    first = network(frames, full)[0]
    changed = frames.clone()
    changed[0, 7] += 1
    other = network(changed, full)[0]
    differs = (seen[0] - seen[1]).abs().amax((1, 2)) > 1e-6
    assert differs.tolist() == [False, True, False]
    assert ((first - other).abs().amax(-1) > 1e-6).all()
    # a stretch's place counts
    swapped = torch.cat([frames[:, 5:10], frames[:, :5], frames[:, 10:]], 1)
    again = network(swapped, full)[0]
    assert (again[0, 1] - first[0, 0]).abs().max() > 1e-4


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: TwoWayDilated(4, 8, num_blocks=0), "0 blocks"),
        (lambda: HierarchicalTransformer(4, 8, stretch=0), "of 0 frames"),
        (lambda: HierarchicalTransformer(4, 9, num_heads=2), "2 heads do not"),
    ],
)
def test_impossible_sizes(build, message):
    with pytest.raises(ValueError, match=message):
        build()
