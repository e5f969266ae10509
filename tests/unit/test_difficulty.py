"""Easy first: shifts of a dialogue, groups, the order of batches."""

import pytest

from speechbrain_c2ser.data.difficulty import (
    EasyFirst,
    EasyFirstSampler,
    emotion_shifts,
)
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.turns import with_turns


def dialogue(emotions, speakers, name="d"):
    return {
        f"{name}{turn}": {
            "wav": "a.wav",
            "dialogue": name,
            "turn": turn,
            "emotion": emotion,
            "speaker": speaker,
        }
        for turn, (emotion, speaker) in enumerate(
            zip(emotions, speakers, strict=True)
        )
    }


def test_shifts_of_one_speaker_weigh_twice_and_all_turns_share_them():
    # a→b and b→a within A (2 each), a→c to B (1), c→c (0): 5 over 5 turns
    rows = with_turns(dialogue("abacc", "AAABB"))
    assert {emotion_shifts(row) for row in rows.values()} == {1.0}
    rows = with_turns(dialogue("abbc", "ABBA"))
    assert {emotion_shifts(row) for row in rows.values()} == {0.5}
    assert emotion_shifts({"emotion": "a"}) == 0


def test_groups_are_even_and_from_easy_to_hard():
    easy = EasyFirst(groups=3, by="noise")
    rows = [{"id": str(i), "noise": n} for i, n in enumerate([5, 1, 4, 0, 3])]
    groups = [group.tolist() for group in easy.divide(rows)]
    assert groups == [[3, 1], [4, 2], [0]]
    with pytest.raises(ManifestError, match="'noise', which 1 of 6.*'x'"):
        easy.divide([*rows, {"id": "x", "noise": "much"}])
    with pytest.raises(ManifestError, match="give dialogue and turn"):
        EasyFirst().divide(rows)
    with pytest.raises(ManifestError, match="2 rows cannot be divided into 3"):
        easy.divide(rows[:2])
    with pytest.raises(ValueError, match="at least 2 groups and 1 epoch"):
        EasyFirst(groups=1)


def test_order_is_kept_for_its_epochs_and_each_epoch_is_the_same_again():
    groups = [list(range(0, 12, 2)), list(range(1, 12, 2))]
    sampler = EasyFirstSampler(
        [1.0] * 12, groups, 2, 5, max_batch_length=2.0, num_buckets=1
    )
    orders = {}
    for epoch in (1, 2, 3, 4, 2):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler) == 6
        assert sorted(sum(batches, [])) == list(range(12))
        assert orders.setdefault(epoch, batches) == batches
        # no batch holds rows of two groups
        assert all(len({i % 2 for i in batch}) == 1 for batch in batches)
        hard = [batch[0] % 2 for batch in batches]
        assert (hard == sorted(hard)) is (epoch <= 2)
    assert len({str(order) for order in orders.values()}) == 4
    # Ranks take its batches in turn: both are at the easy ones at a time.
    for epoch in (1, 3):
        sampler.set_epoch(epoch)
        shares = []
        for rank in range(4):
            sampler.take_turns(rank, 4)
            assert len(sampler) == 2
            shares.append(list(sampler))
        turns = [batch for turn in zip(*shares, strict=True) for batch in turn]
        assert turns == [*orders[epoch], *orders[epoch][:2]]
        sampler.take_turns(0, 1)
