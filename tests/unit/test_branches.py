"""Endings side by side, by toy numbers."""

import torch

from speechbrain_c2ser.lobes.speech_llm.branches import (
    add_branches,
    branch_out,
    within_window,
)
from speechbrain_c2ser.lobes.speech_llm.merging import Merged


def vectors(*numbers):
    return torch.tensor([[float(n)] for n in numbers])


def test_branches_see_their_sequence_and_themselves():
    merged = Merged(
        embeddings=torch.stack((vectors(1, 2), vectors(3, 0))),
        attention_mask=torch.tensor([[1, 1], [1, 0]]),
        position_ids=torch.tensor([[0, 1], [0, 0]]),
        labels=torch.tensor([[-100, 7], [-100, -100]]),
    )
    tree = add_branches(
        merged,
        [vectors(4, 5, 6), vectors(8)],
        [[0, 1, 1], [0]],
    )
    assert tree.embeddings[..., 0].tolist() == [
        [1, 2, 4, 5, 6],
        [3, 0, 8, 0, 0],
    ]
    assert tree.position_ids[0].tolist() == [0, 1, 2, 2, 3]
    assert tree.position_ids[1, :3].tolist() == [0, 0, 1]
    assert tree.labels.tolist() == [[-100, 7] + [-100] * 3, [-100] * 5]
    sees = (tree.attention_mask[:, 0] == 0).int().tolist()
    assert sees[0] == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 1, 0],
        [1, 1, 0, 1, 1],
    ]
    # What is padding is seen by no real position; no row sees nothing.
    assert sees[1][0] == [1, 0, 0, 0, 0]
    assert sees[1][2] == [1, 0, 1, 0, 0]
    assert all(any(row) for item in sees for row in item)


def test_endings_laid_out_by_hand():
    """Two sequences of 2 and 1, padded to 2, with endings of 1-3 tokens."""
    branches = branch_out(
        [[[5, 6, 7], [8]], [[9], [10, 11], [12, 13]]], lengths=[2, 1], start=2
    )
    assert branches.read == [[5, 6], [10, 12]]
    assert branches.branch == [[0, 0], [1, 2]]
    assert branches.targets == [5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert branches.items == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert branches.endings == [0, 0, 0, 1, 0, 1, 1, 2, 2]
    # at the sequence's end, then at each token that was read
    assert branches.positions == [1, 2, 3, 1, 0, 0, 2, 0, 3]


def test_a_window_counts_along_the_branch_and_over_the_prompt():
    merged = Merged(
        embeddings=torch.stack((vectors(1, 2), vectors(3, 0))),
        attention_mask=torch.tensor([[1, 1], [1, 0]]),
        position_ids=torch.tensor([[0, 1], [0, 0]]),
        labels=torch.full((2, 2), -100),
    )
    tree = add_branches(
        merged,
        [vectors(4, 5, 6), vectors(8)],
        [[0, 1, 1], [0]],
        before=torch.tensor([[1, 0, 1], [0, 1, 1]]),
    )
    sees = (within_window(tree, 3)[:, 0] == 0).int().tolist()
    # columns: a prompt of 2 with padding, the sequence, the branches
    assert sees[0] == [
        [1, 0, 1, 1, 0, 0, 0, 0],
        [0, 0, 1, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 0, 1, 0],
        [0, 0, 0, 0, 1, 0, 1, 1],
    ]
    assert sees[1][2] == [0, 0, 1, 1, 0, 1, 0, 0]
