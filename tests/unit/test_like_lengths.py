"""Batches of like length: random, of one size, little padding."""

import numpy as np
import pytest

from speechbrain_c2ser.data.like_lengths import LikeLengthSampler

LENGTHS = np.random.default_rng(0).lognormal(1.4, 1.0, 4096).clip(0.5, 30)


def padding(sampler):
    """Share of all that is read that is padding."""
    lengths = sampler.lengths
    read = sum(lengths[batch].max() * len(batch) for batch in sampler)
    return 1 - sum(lengths[batch].sum() for batch in sampler) / read


def test_each_item_comes_once_in_an_epoch_with_little_padding():
    sampler = LikeLengthSampler(LENGTHS, 32)
    batches = list(sampler)
    assert len(sampler) == len(batches) == 128
    assert {len(batch) for batch in batches} == {32}
    assert sorted(sum(batches, [])) == list(range(4096))
    assert padding(sampler) < 0.04
    sampler.take_turns(1, 2)
    assert list(sampler) == batches[1::2]


@pytest.mark.parametrize("number", [60, 4096])
def test_companions_change_from_epoch_to_epoch_and_can_be_made_again(number):
    sampler = LikeLengthSampler(LENGTHS[:number], 8, seed=3)
    epochs = []
    for epoch in (1, 2, 3):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
    companions = [
        {frozenset((a, b)) for batch in epoch for a in batch for b in batch}
        for epoch in epochs
    ]
    shared = len(companions[0] & companions[1]) - number
    assert shared < 0.7 * (len(companions[0]) - number)
    again = LikeLengthSampler(LENGTHS[:number], 8, seed=3)
    again.set_epoch(2)
    assert list(again) == epochs[1]
    other = LikeLengthSampler(LENGTHS[:number], 8, seed=9)
    other.set_epoch(2)
    assert list(other) != epochs[1]


def test_the_order_of_batches_is_not_that_of_lengths():
    longest = [LENGTHS[batch].max() for batch in LikeLengthSampler(LENGTHS, 32)]
    places = np.argsort(np.argsort(longest))
    assert abs(np.corrcoef(places, np.arange(128))[0, 1]) < 0.3


def test_classes_are_drawn_as_often_with_replacement():
    classes = np.repeat([0, 1, 2], [4000, 90, 6])
    sampler = LikeLengthSampler(LENGTHS, 32, classes, draws=6000)
    batches = list(sampler)
    drawn = classes[sum(batches, [])]
    assert len(drawn) == 6000
    assert np.bincount(drawn) / 6000 == pytest.approx([1 / 3] * 3, abs=0.03)
    assert padding(sampler) < 0.04
    sampler.set_epoch(1)
    assert sorted(sum(sampler, [])) != sorted(sum(batches, []))


@pytest.mark.parametrize(
    "number, size, sizes",
    [
        (17, 8, {5, 6}), (33, 32, {16, 17}), (3, 2, {3}), (1, 8, {1}),
        (5, 2, {2, 3}), (4, 1, {1}), (7, 100, {7}), (9, 3, {3}),
    ],
)  # fmt: skip
def test_no_batch_holds_a_single_item(number, size, sizes):
    batches = list(LikeLengthSampler(LENGTHS[:number], size))
    assert {len(batch) for batch in batches} == sizes
    assert sorted(sum(batches, [])) == list(range(number))


def test_in_order_nothing_is_left_to_chance():
    sampler = LikeLengthSampler(LENGTHS[:50], 8, shuffle=False)
    batches = list(sampler)
    assert sum(batches, []) == np.argsort(LENGTHS[:50]).tolist()
    sampler.set_epoch(1)
    assert list(sampler) == batches


def test_equal_lengths_make_random_batches():
    sampler = LikeLengthSampler(np.ones(64), 8)
    assert np.mean([np.ptp(batch) for batch in sampler]) > 30


def test_an_empty_manifest_is_named():
    with pytest.raises(ValueError, match="is the manifest empty"):
        LikeLengthSampler([], 2)
