"""Augmentation of features: what SpecSub copies, and several in turn."""

import pytest
import torch

from speechbrain_c2ser.checkpoints.folder import (
    fingerprint,
    read_model,
    write_model,
)
from speechbrain_c2ser.lobes import SpecAugment, SpecSub, WhisperEncoder

LENGTHS = torch.tensor([200, 40, 1])


def numbered(items, frames, bands=1):
    """Frame t of item i is 1000 i + t at every band, in padding as well."""
    numbers = torch.arange(items)[:, None] * 1000.0 + torch.arange(frames)
    return numbers.unsqueeze(2).repeat(1, 1, bands)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_copied_are_earlier_frames_of_the_same_item(seed):
    torch.manual_seed(seed)
    mel = numbered(3, 200, bands=4)
    changed = SpecSub(3, 30)(mel, LENGTHS)
    assert torch.equal(mel, numbered(3, 200, bands=4))  # it was copied
    assert (changed == changed[..., :1]).all()  # whole frames
    back = (mel - changed)[..., 0]
    assert (back >= 0).all() and (back <= torch.arange(200)).all()
    for steps, length in zip(back, LENGTHS, strict=True):
        assert (steps[length:] == 0).all()
    assert 0 < (back[0] > 0).sum() <= 3 * 30
    assert (back[2] == 0).all()


def test_a_piece_is_drawn_as_the_authors_draw_it():
    torch.manual_seed(0)
    lengths = torch.full((20000,), 12)
    mel = numbered(1, 15).repeat(20000, 1, 1)
    back = (mel - SpecSub(1, 4)(mel, lengths))[..., 0].int()
    widths = (back > 0).sum(1)
    assert widths.max() == 4 and back.max() == 11
    # every place from the second frame to the item's last is replaced
    assert (
        (back > 0).any(0) == torch.arange(15).clamp(1, 11).eq(torch.arange(15))
    ).all()
    for row in back[widths > 1][:500].tolist():
        piece = [step for step in row if step]
        first = row.index(piece[0])
        assert row[first : first + len(piece)] == piece  # one piece
        assert len(set(piece)) == 1  # as it was, one distance back
        assert piece[0] <= first  # which begins within the item
    # starts 1...8 leave room for any width: each is as likely
    first = (back > 0).int().argmax(1)
    inside = widths[(first > 0) & (first < 9)]
    shares = inside.bincount(minlength=5)[1:] / len(inside)
    assert shares.tolist() == pytest.approx([0.25] * 4, abs=0.02)
    # starts lie in the item: it stays as it is where the distance is 0 frames
    alone = sum(1 / (start + 1) for start in range(12)) / 12
    assert (widths == 0).float().mean().item() == pytest.approx(alone, abs=0.02)
    # distances from no frame back to the item's first
    last = back[first == 11].amax(1).bincount(minlength=12)[1:]
    assert (last > 0).all()


def test_no_piece_copies_what_another_has_put_there(monkeypatch):
    # start, width - 1 and distance of two pieces that overlap
    draws = iter([10, 4, 4, 12, 3, 2])
    monkeypatch.setattr(
        "speechbrain_c2ser.lobes.augmentation._random_below",
        lambda limits: torch.full_like(limits, next(draws)),
    )
    changed = SpecSub(2, 5)(numbered(1, 20), torch.tensor([20]))
    wanted = [*range(10), 6, 7, 10, 11, 12, 13, 16, 17, 18, 19]
    assert changed.flatten().int().tolist() == wanted


def test_the_number_of_pieces_counts():
    mel, lengths = numbered(1, 200).repeat(300, 1, 1), torch.full((300,), 200)
    shares = []
    for pieces in (0, 1, 3):
        torch.manual_seed(0)
        changed = SpecSub(pieces, 30)(mel, lengths)
        shares.append((mel != changed).float().mean().item())
    # a piece is 15.5 frames wide on average, less what the end cuts off
    assert shares == pytest.approx([0.0, 0.07, 0.2], abs=0.02)


def test_a_seed_gives_the_same_pieces_and_eval_none():
    mel, substitute = numbered(3, 200), SpecSub()
    changed = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        changed.append(substitute(mel, LENGTHS))
    assert torch.equal(changed[0], changed[1])
    assert not torch.equal(changed[0], changed[2])
    assert torch.equal(substitute.eval()(mel, LENGTHS), mel)


def encoder(spec_augment):
    torch.manual_seed(0)
    sizes = {"num_layers": 1, "size": 16, "num_heads": 2, "ffn_size": 32}
    return WhisperEncoder(**sizes, spec_augment=spec_augment)


def test_several_augmentations_act_in_turn_and_in_training_only():
    blank, substitute = SpecAugment(2, 50, 2, 10), SpecSub(3, 30)
    model = encoder([blank, substitute])
    mel = torch.rand(2, 300, 80)
    lengths = torch.tensor([300, 100])
    torch.manual_seed(4)
    wanted = substitute(blank(mel, lengths), lengths)
    torch.manual_seed(4)
    assert torch.equal(model._augment(mel, lengths), wanted)
    model.eval()
    assert torch.equal(model._augment(mel, lengths), mel)


def test_several_augmentations_are_saved(tmp_path):
    model = encoder([SpecAugment(2, 50, 2, 10), SpecSub(3, 20)])
    write_model(tmp_path, {"model": model}, model)
    loaded = read_model(tmp_path)["model"]
    blank, substitute = loaded.spec_augment
    assert blank.constructor_arguments["time_width"] == 50
    assert substitute.constructor_arguments == {"pieces": 3, "width": 20}
    assert fingerprint(loaded) == fingerprint(model)
    other = encoder([SpecAugment(2, 50, 2, 10), SpecSub(3, 21)])
    assert fingerprint(other) != fingerprint(model)
