"""The merge of speech and text, by toy numbers."""

import pytest
import torch

from speechbrain_c2ser.lobes.speech_llm.merging import (
    Speech,
    merge,
    without_first,
)


def vectors(*numbers):
    return torch.tensor([[float(n)] for n in numbers])


def toy(padding_side="right", answers=True):
    """Two items: prompts 1, 2 and 3; speech 4 and 5-7; BOS 8, EOS 9."""
    speech = torch.stack((vectors(4, 0, 0), vectors(5, 6, 7)))
    extra = {}
    if answers:
        extra["answers"] = [vectors(10, 11), vectors(12)]
        extra["labels"] = [[20, 21], [22]]
    return merge(
        prompts=[vectors(1, 2), vectors(3)],
        speech=Speech(speech, torch.tensor([1, 3])),
        boundaries=vectors(8, 9),
        padding_side=padding_side,
        **extra,
    )


def test_right_padding():
    merged = toy()
    assert merged.embeddings[..., 0].tolist() == [
        [1, 2, 8, 4, 9, 10, 11],
        [3, 8, 5, 6, 7, 9, 12],
    ]
    assert merged.labels.tolist() == [
        [-100, -100, -100, -100, -100, 20, 21],
        [-100, -100, -100, -100, -100, -100, 22],
    ]
    assert merged.attention_mask.tolist() == [[1] * 7] * 2
    assert merged.position_ids.tolist() == [list(range(7))] * 2
    items, positions = merged.answer_positions
    assert items.tolist() == [0, 0, 1]
    assert positions.tolist() == [5, 6, 6]


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_is_at_one_end_only(side):
    merged = toy(side, answers=False)
    first = [1, 2, 8, 4, 9]
    mask = [1, 1, 1, 1, 1]
    expected = {
        "right": ([*first, 0], [*mask, 0], [0, 1, 2, 3, 4, 4]),
        "left": ([0, *first], [0, *mask], [0, 0, 1, 2, 3, 4]),
    }[side]
    assert merged.embeddings[0, :, 0].tolist() == expected[0]
    assert merged.attention_mask[0].tolist() == expected[1]
    assert merged.position_ids[0].tolist() == expected[2]
    assert merged.embeddings[1, :, 0].tolist() == [3, 8, 5, 6, 7, 9]
    assert (merged.labels == -100).all()


def test_an_ignored_answer_token_is_no_label():
    merged = merge(
        [vectors(1)],
        Speech(vectors(2)[None], torch.tensor([1])),
        vectors(8, 9),
        [vectors(3, 4)],
        [[-100, 5]],
    )
    assert merged.labels[0].tolist() == [-100, -100, -100, -100, -100, 5]


def test_empty_prompt():
    speech = Speech(vectors(2)[None], torch.tensor([1]))
    merged = merge([vectors(1)[:0]], speech, vectors(8, 9))
    assert merged.embeddings[0, :, 0].tolist() == [8, 2, 9]


def test_gradients_reach_every_part():
    parts = [vectors(1).requires_grad_() for _ in range(2)]
    bounds = vectors(8, 9).requires_grad_()
    speech = vectors(2, 3)[None].requires_grad_()
    merged = merge(
        [parts[0]],
        Speech(speech, torch.tensor([1])),
        bounds,
        [parts[1]],
        [[5]],
    )
    merged.embeddings.sum().backward()
    assert all(p.grad.item() == 1 for p in parts)
    assert bounds.grad.flatten().tolist() == [1, 1]
    assert speech.grad.flatten().tolist() == [1, 0]  # the rest is padding


@pytest.mark.parametrize(
    "change, message",
    [
        ({"prompts": []}, "0 prompts"),
        ({"padding_side": "top"}, "padding_side"),
        ({"labels": [[1, 2]]}, "as many token ids"),
    ],
)
def test_parts_that_do_not_belong_together(change, message):
    arguments = {
        "prompts": [vectors(1)],
        "speech": Speech(vectors(2)[None], torch.tensor([1])),
        "boundaries": vectors(8, 9),
        "answers": [vectors(3)],
        "labels": [[5]],
    }
    with pytest.raises(ValueError, match=message):
        merge(**{**arguments, **change})


def test_what_was_read_is_left_out():
    rest = without_first(toy(), [5, 3])
    assert rest.embeddings[..., 0].tolist() == [[10, 11, 0, 0], [6, 7, 9, 12]]
    assert rest.labels.tolist() == [
        [20, 21, -100, -100],
        [-100, -100, -100, 22],
    ]
    assert rest.attention_mask.tolist() == [[1, 1, 0, 0], [1] * 4]
    assert rest.position_ids.tolist() == [[0, 1, 1, 1], [0, 1, 2, 3]]
    assert rest.lengths == [2, 4]
