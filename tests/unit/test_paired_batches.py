"""Batches of so many seconds: full, of like length, with pairs."""

import numpy as np
import pytest
import torch
from speechbrain.dataio.sampler import (
    DistributedSamplerWrapper,
    DynamicBatchSampler,
)

from speechbrain_c2ser.data.sampling import PairedBatchSampler, cut

RANDOM = np.random.default_rng(0)
LENGTHS = np.clip(RANDOM.lognormal(1.3, 0.5, 3000), 0.5, 30)
LABELS = RANDOM.integers(-1, 5, 3000)


def seconds_of(batches, lengths=LENGTHS):
    return np.array([lengths[batch].max() * len(batch) for batch in batches])


def lacking(batches, labels=LABELS):
    """How many batches of several items have a label and no pair."""
    count = 0
    for batch in batches:
        known = [labels[item] for item in batch if labels[item] >= 0]
        count += len(batch) > 1 and 0 < len(known) == len(set(known))
    return count


def test_paired_batches_hold_every_item_and_a_pair():
    generator = torch.Generator().manual_seed(0)
    lengths = (1 + torch.rand(60, generator=generator)).tolist()
    labels = torch.randint(-1, 7, (60,), generator=generator).tolist()
    sampler = PairedBatchSampler(lengths, labels, 8.0, num_buckets=3)
    for epoch in (1, 2):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert sorted(sum(batches, [])) == list(range(60))
        assert all(len(b) * max(lengths[i] for i in b) <= 8.0 for b in batches)
        for batch in batches:
            known = [labels[i] for i in batch if labels[i] >= 0]
            assert len(batch) == 1 or len(set(known)) < len(known)
        # entered again, as on a restart, the epoch is the same
        assert list(sampler) == batches
    sampler.set_epoch(1)
    assert list(sampler) != batches


@pytest.mark.parametrize("labels", [np.full(3000, -1), LABELS])
def test_batches_are_full_and_of_like_length(labels):
    """Against the buckets of SpeechBrain's sampler, in number and padding."""
    bounds = np.unique(np.quantile(LENGTHS, np.linspace(0, 1, 21)[1:]))
    theirs = DynamicBatchSampler(
        LENGTHS.tolist(), 39.0, bucket_boundaries=bounds.tolist(),
        lengths_list=LENGTHS.tolist(),
    )  # fmt: skip
    ours = list(PairedBatchSampler(LENGTHS, labels, 39.0))
    assert len(ours) < 0.9 * len(theirs._batches)
    assert LENGTHS.sum() > 0.97 * seconds_of(ours).sum()
    assert seconds_of(ours).max() <= 39.0
    # what 39 s cannot hold with a partner stays without
    assert lacking(ours, labels) <= 0.01 * len(ours)


def test_an_exchange_never_makes_a_batch_too_long():
    """Where few have a label, and where each label is rare, too."""
    few = np.where(RANDOM.random(3000) < 0.1, LABELS, -1)
    many = RANDOM.integers(0, 300, 3000)
    plain = list(PairedBatchSampler(LENGTHS, np.full(3000, -1), 60.0))
    for labels in (few, many):
        batches = list(PairedBatchSampler(LENGTHS, labels, 60.0))
        assert sorted(sum(batches, [])) == list(range(3000))
        assert seconds_of(batches).max() <= 60.0
        assert seconds_of(batches).sum() < 1.02 * seconds_of(plain).sum()
        assert lacking(batches, labels) < 0.3 * lacking(plain, labels)


def test_two_batches_without_a_pair_make_one_of_what_they_have():
    """A label that no other item of its batch has is no loss to it."""
    labels = [0, -1, 0, -1]
    sampler = PairedBatchSampler(np.ones(4), labels, 2.0, shuffle=False)
    assert sorted(map(sorted, sampler)) == [[0, 2], [1, 3]]


def test_companions_change_and_more_so_with_fewer_buckets():
    def companions(sampler, epoch):
        sampler.set_epoch(epoch)
        return {
            (one, other)
            for batch in sampler
            for one in batch
            for other in batch
            if one < other
        }

    def spread(sampler):
        return np.mean([np.ptp(LENGTHS[batch]) for batch in sampler])

    for lengths in (LENGTHS, np.ones(3000)):  # also where all are as long
        sampler = PairedBatchSampler(lengths, LABELS, 39.0)
        first, second = companions(sampler, 1), companions(sampler, 2)
        assert len(first & second) < 0.6 * len(first)
    apart = np.mean([other - one for one, other in first])
    assert apart == pytest.approx(1000, rel=0.1)  # as of any two
    few = PairedBatchSampler(LENGTHS, LABELS, 39.0, num_buckets=4)
    many = PairedBatchSampler(LENGTHS, LABELS, 39.0)
    assert spread(few) > 3 * spread(many)
    assert len(list(few)) < 1.3 * len(list(many))


def test_short_batches_do_not_come_first():
    batches = list(PairedBatchSampler(LENGTHS, LABELS, 39.0))
    longest = [LENGTHS[batch].max() for batch in batches]
    half = len(longest) // 2
    assert np.mean(longest[:half]) == pytest.approx(
        np.mean(longest[half:]), rel=0.3
    )


def test_a_fixed_order_is_that_of_length():
    sampler = PairedBatchSampler(LENGTHS, [-1] * 3000, 39.0, shuffle=False)
    row = sum(sampler, [])
    assert row == np.argsort(LENGTHS, kind="stable").tolist()
    sampler.set_epoch(1)
    assert sum(sampler, []) == row


def test_ranks_take_what_speechbrains_wrapper_gives_them():
    ours = PairedBatchSampler(LENGTHS, LABELS, 39.0)
    wrapped = [
        DistributedSamplerWrapper(
            ours, num_replicas=3, rank=rank, shuffle=False
        )
        for rank in range(3)
    ]
    expected = [list(each) for each in wrapped]
    for rank in range(3):
        ours.take_turns(rank, 3)
        assert list(ours) == expected[rank] and len(ours) == len(expected[rank])


@pytest.mark.parametrize("lengths", [LENGTHS[:32], LENGTHS[:300]])
def test_few_items_of_unlike_length_are_not_stretched(lengths):
    sampler = PairedBatchSampler(lengths, [-1] * len(lengths), 39.0)
    padded = seconds_of(sampler, lengths).sum()
    assert lengths.sum() > 0.93 * padded


def test_the_last_two_batches_are_alike_where_they_can_be():
    assert cut(np.ones(9), 8.0).tolist() == [5, 4]
    assert cut(np.ones(8), 8.0).tolist() == [8]
    # eight short ones and a long one that leaves no room for a second
    assert cut(np.array([1.0] * 8 + [7.0]), 8.0).tolist() == [8, 1]
    assert cut(np.array([1.0, 9.0, 9.0]), 8.0).tolist() == [1, 1, 1]
    assert cut(np.array([1.0, 1.0, 1.3]), 8.0).tolist() == [2, 1]  # padding
