"""Losses against numbers worked out by hand."""

import logging
import math

import pytest
import torch

from speechbrain_c2ser.losses import (
    PairLoss,
    concordance_loss,
    data2vec_loss,
    distillation_loss,
    hidden_state_loss,
    soft_label_loss,
)


def test_data2vec_loss_by_hand():
    predictions = torch.tensor([[1.0, 2, 3, 4], [0, 0, 0, 0]])
    targets = torch.tensor([[0.0, 2, 1, 4], [1, 1, 1, 1]])
    # rows: 1 + 4 = 5 and 4; mean 4.5; times 1 / sqrt(4)
    assert data2vec_loss(predictions, targets).item() == pytest.approx(2.25)


def test_data2vec_loss_stops_the_teachers_gradient():
    predictions = torch.ones(2, 4, requires_grad=True)
    targets = torch.zeros(2, 4, requires_grad=True)
    data2vec_loss(predictions, targets).backward()
    assert targets.grad is None and predictions.grad.abs().sum() > 0


def test_data2vec_loss_refuses_bad_input():
    with pytest.raises(ValueError, match=r"\(2, 4\).*\(2, 5\)"):
        data2vec_loss(torch.zeros(2, 4), torch.zeros(2, 5))
    with pytest.raises(ValueError, match="mask_prob"):
        data2vec_loss(torch.zeros(0, 4), torch.zeros(0, 4))


def test_pair_loss_by_hand():
    # unit axes at length 5 and 1: cosines a.b = 1, a.c = b.c = 0
    vectors = torch.tensor([[5.0, 0], [1.0, 0], [0.0, 2.0], [0.0, -7.0]])
    labels = torch.tensor([0, 0, 1, -1])
    # row a: candidates b (cos 1) and c (cos 0) at t = 0.5: 2 and 0;
    # c has no positive and the unlabelled row takes no part
    expected = -math.log(math.exp(2) / (math.exp(2) + 1))
    loss = PairLoss(temperature=0.5)(vectors, labels)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_pair_loss_spreads_the_target_over_all_positives():
    vectors = torch.eye(3)
    labels = torch.tensor([2, 2, 2])
    # all cosines 0: each row is even over two positives, nothing else
    loss = PairLoss(temperature=0.1)(vectors, labels)
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)


def test_pair_loss_ignores_unlabelled_items():
    torch.manual_seed(0)
    vectors = torch.randn(6, 4, requires_grad=True)
    labels = torch.tensor([0, -1, 1, 0, -1, 1])
    known = labels >= 0
    loss = PairLoss()(vectors, labels)
    assert torch.allclose(loss, PairLoss()(vectors[known], labels[known]))
    loss.backward()
    assert vectors.grad[~known].abs().max() == 0
    assert vectors.grad[known].abs().min() > 0


def test_pair_loss_warns_once_without_a_pair(caplog):
    loss = PairLoss()
    vectors = torch.randn(3, 4, requires_grad=True)
    with caplog.at_level(logging.WARNING):
        value = loss(vectors, torch.tensor([0, 1, 2]))
        loss(vectors, torch.tensor([-1, -1, 2]))
    assert value.item() == 0 and value.requires_grad
    assert [r.message.count("no pair") for r in caplog.records] == [1]


def test_pair_loss_refuses_a_temperature_of_zero():
    with pytest.raises(ValueError, match="temperature"):
        PairLoss(temperature=0.0)


def test_concordance_loss_by_hand():
    predictions = torch.tensor([1.0, 2.0, 3.0])
    targets = torch.tensor([2.0, 3.0, 4.0])
    # covariance 2/3, variances 2/3 each, means differ by 1
    expected = 1 - (2 * 2 / 3) / (2 / 3 + 2 / 3 + 1)
    loss = concordance_loss(predictions, targets)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_concordance_loss_masks_and_averages_dimensions():
    predictions = torch.tensor([[1.0, 1.0], [9.0, 9.0], [3.0, 3.0]])
    targets = torch.tensor([[1.0, 3.0], [0.0, 0.0], [3.0, 1.0]])
    mask = torch.tensor([True, False, True])
    # first dimension agrees (0), second is exactly opposed (CCC -1: 2)
    loss = concordance_loss(predictions, targets, mask)
    assert loss.item() == pytest.approx(1.0, abs=1e-6)
    assert concordance_loss(predictions[:1], targets[:1]).item() == 0


def test_soft_label_loss_by_hand():
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]))
    votes = torch.tensor([[2.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    expected = -(0.5 * math.log(0.5) + 0.5 * math.log(0.25))
    loss = soft_label_loss(logits, votes)
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="Votes"):
        soft_label_loss(logits, -votes)


def test_distillation_loss_by_hand():
    student = torch.log(torch.tensor([[0.5, 0.5]])).requires_grad_()
    teacher = torch.log(torch.tensor([[0.75, 0.25]])).requires_grad_()
    loss = distillation_loss(student, teacher)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    loss.backward()
    assert teacher.grad is None and student.grad.abs().sum() > 0


def test_distillation_temperature_keeps_the_gradient_scale():
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    soft = torch.softmax(torch.tensor([1.0, 0.0]), 0)
    expected = 4 * float((soft * (soft / 0.5).log()).sum())
    loss = distillation_loss(student, teacher, temperature=2.0)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_hidden_state_loss_by_hand():
    student = torch.tensor([[3.0, 1.0]])
    # scale and shift do not count; the sign does
    same = hidden_state_loss(student, 10 * student + 2).item()
    assert same == pytest.approx(0, abs=1e-5)
    other = hidden_state_loss(student, -student).item()
    assert other == pytest.approx(4, abs=1e-3)


def pair_loss_batch():
    """Five items whose only positives for label 1 lie on two ranks."""
    torch.manual_seed(3)
    return torch.randn(5, 4), torch.tensor([0, 1, 0, 1, -1])


def pair_loss_on_a_rank(rank, folder):
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=2,
    )
    vectors, labels = pair_loss_batch()
    # two items here, three there: dynamic batches differ in size
    own = slice(0, 2) if rank == 0 else slice(2, 5)
    vectors = vectors[own].requires_grad_()
    loss = PairLoss(temperature=0.5)(vectors, labels[own])
    loss.backward()
    result = {"loss": loss.detach(), "gradient": vectors.grad}
    torch.save(result, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_pair_loss_over_two_ranks_is_that_of_one(tmp_path):
    vectors, labels = pair_loss_batch()
    vectors.requires_grad_()
    loss = PairLoss(temperature=0.5)(vectors, labels)
    loss.backward()
    context = torch.multiprocessing.get_context("fork")
    ranks = [
        context.Process(target=pair_loss_on_a_rank, args=(rank, tmp_path))
        for rank in range(2)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    assert all(torch.allclose(x["loss"], loss) for x in found)
    # DDP then averages over ranks, which takes the factor of two away
    gradient = torch.cat([x["gradient"] for x in found]) / 2
    assert torch.allclose(gradient, vectors.grad, atol=1e-6)
