"""Endings side by side, by toy numbers."""

import torch

from speechbrain_c2ser.lobes.speech_llm.branches import (
    branch_out,
    grow_tree,
    seen_positions,
)
from speechbrain_c2ser.lobes.speech_llm.merging import Merged


def vectors(*numbers):
    return torch.tensor([[float(n)] for n in numbers])


def toy(rows=None):
    """Sequences 1, 2 and 3; branches 4 and 5, 6 behind the one, 8 behind 3."""
    merged = Merged(
        embeddings=torch.stack((vectors(1, 2), vectors(3, 0))),
        attention_mask=torch.tensor([[1, 1], [1, 0]]),
        position_ids=torch.tensor([[0, 1], [0, 0]]),
        labels=torch.tensor([[-100, 7], [-100, -100]]),
    )
    words = [vectors(4, 5, 6), vectors(8)]
    return grow_tree(merged, words, [[0, 1, 1], [0]], rows)


def test_branches_see_their_sequence_and_themselves():
    tree = toy()
    assert tree.embeddings[..., 0].tolist() == [
        [1, 2, 4, 5, 6],
        [3, 8, 0, 0, 0],
    ]
    assert tree.position_ids.tolist() == [[0, 1, 2, 2, 3], [0, 1, 0, 0, 0]]
    assert tree.starts == [(0, 0), (1, 0)]
    sees = seen_positions(tree).int().tolist()
    assert sees[0] == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 1, 0],
        [1, 1, 0, 1, 1],
    ]
    # What is padding is seen by no real position; no row sees nothing.
    assert sees[1][:2] == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0]]
    assert all(any(row) for item in sees for row in item)


def test_sequences_of_a_row_do_not_see_each_other():
    tree = toy(rows=[[1, 0]])
    assert tree.embeddings[0, :, 0].tolist() == [3, 8, 1, 2, 4, 5, 6]
    assert tree.position_ids.tolist() == [[0, 1, 0, 1, 2, 2, 3]]
    assert tree.starts == [(0, 2), (0, 0)]
    before = torch.tensor([[1, 1]])
    assert seen_positions(tree, before)[0].int().tolist() == [
        [1, 1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 1, 1, 0, 0, 0],
        [1, 1, 0, 0, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 1, 0, 1, 0],
        [1, 1, 0, 0, 1, 1, 0, 1, 1],
    ]


def test_endings_laid_out_by_hand():
    """Two sequences of 2 and 1 with endings of 1-3 tokens."""
    branches = branch_out(
        [[[5, 6, 7], [8]], [[9], [10, 11], [12, 13]]], lengths=[2, 1]
    )
    assert branches.read == [[5, 6], [10, 12]]
    assert branches.branch == [[0, 0], [1, 2]]
    assert branches.targets == [5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert branches.items == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert branches.endings == [0, 0, 0, 1, 0, 1, 1, 2, 2]
    # at the sequence's end, then at each token that was read
    assert branches.positions == [1, 2, 3, 1, 0, 0, 1, 0, 2]


def test_a_window_counts_along_the_branch_and_over_the_prompt():
    before = torch.tensor([[1, 0, 1], [0, 1, 1]])
    sees = seen_positions(toy(), before, window=3).int().tolist()
    # columns: a prompt of 2 with padding, the sequence, the branches
    assert sees[0] == [
        [1, 0, 1, 1, 0, 0, 0, 0],
        [0, 0, 1, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 0, 1, 0],
        [0, 0, 0, 0, 1, 0, 1, 1],
    ]
    assert sees[1][1] == [0, 0, 1, 1, 1, 0, 0, 0]
