"""The emotion by CTC, against every path written out."""

import itertools

import pytest
import torch

from speechbrain_c2ser.lobes import CTCHead

LABELS = ["angry", "happy", "sad"]
ROWS = [
    {"emotion": "sad"},
    {},
    {"emotion": "angry"},
]


def slow_likelihood(logs, label):
    """Sum over all paths that are the label once repeats and blanks go."""
    total = 0.0
    for path in itertools.product(range(logs.shape[1]), repeat=len(logs)):
        merged = [step for step, _ in itertools.groupby(path) if step]
        if merged == [label]:
            steps = [logs[t, step].item() for t, step in enumerate(path)]
            total += float(torch.tensor(steps, dtype=torch.float64).sum().exp())
    return torch.tensor(total, dtype=torch.float64).log()


def test_likelihoods_are_sums_over_all_paths():
    head = CTCHead(4, LABELS)
    frames, lengths = torch.randn(3, 5, 4), torch.tensor([5, 1, 3])
    output = head(None, frames, lengths)
    slow = torch.stack(
        [
            torch.stack(
                [
                    slow_likelihood(
                        head.linear(item[:length]).double().log_softmax(-1),
                        1 + place,
                    )
                    for place in range(3)
                ]
            )
            for item, length in zip(frames, lengths, strict=True)
        ]
    )
    assert (output.double() - slow).abs().max() <= 1e-5
    loss = head.loss(output, head.targets(ROWS))
    expected = -(slow[0, 2] + slow[2, 0]) / 2
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    votes = [{"emotion": {"sad": 3, "happy": 1}}, {}, {}]
    loss = head.loss(output, head.targets(votes))
    expected = -(3 * slow[0, 2] + slow[0, 1]) / 4
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    shares = head.predict(output)
    expected = slow.exp() / slow.exp().sum(1, keepdim=True)
    assert (shares.double() - expected).abs().max() <= 1e-5


def test_alone_as_in_a_batch_and_learned():
    head = CTCHead(4, LABELS)
    frames, lengths = torch.randn(3, 30, 4), torch.tensor([30, 2, 17])
    together = head(None, frames, lengths)
    for i, length in enumerate(lengths.tolist()):
        single = head(None, frames[i : i + 1, :length], lengths[i : i + 1])
        assert (single[0] - together[i]).abs().max() <= 1e-5
    head.loss(together, head.targets(ROWS)).backward()
    assert head.linear.weight.grad.any()
    assert head.loss(together, head.targets([{}, {}, {}])) == 0
