"""Items that share a row of the language model: the same as alone."""

import copy

import pytest
import torch
from transformers import DynamicCache

from speechbrain_c2ser.lobes.speech_llm.language_model import LanguageModel
from speechbrain_c2ser.lobes.speech_llm.merging import Speech, merge
from speechbrain_c2ser.lobes.speech_llm.packing import RowPacking, share_rows

PROMPTS = ["a b c d e f a b c d e f", "a", "", "ab", "c"]
ANSWERS = [[5, 6, 7], [8], [9, 10, 11, 12], [13, 14], [15]]
FAMILIES = ["llama", "qwen2", "mistral", "gemma2", "gemma3_text"]


def batch(lm, items=range(5), side="right", noise=None):
    """Items of unlike length, and the speech that they hear."""
    torch.manual_seed(0)
    speech = torch.randn(5, 6, lm.hidden_size)
    if noise is not None:
        speech[noise] += 1.0
    speech = speech[list(items)].requires_grad_()
    lengths = torch.tensor([6, 2, 1, 3, 5])[list(items)]
    boundaries = torch.randn(2, lm.hidden_size)
    answers = [ANSWERS[i] for i in items]
    words = lm.embed([*(lm.tokenize(PROMPTS[i]) for i in items), *answers])
    merged = merge(
        words[: len(answers)],
        Speech(speech, lengths),
        boundaries,
        words[len(answers) :],
        answers,
        padding_side=side,
    )
    return speech, merged


def rows_read(lm, monkeypatch):
    """Sizes [rows, length] that the decoder reads from now on."""
    sizes, decoder = [], lm.model.get_decoder()
    decode = decoder.forward

    def noted(*args, **kwargs):
        read = kwargs.get("inputs_embeds")
        read = kwargs["input_ids"] if read is None else read
        sizes.append(tuple(read.shape[:2]))
        return decode(*args, **kwargs)

    monkeypatch.setattr(decoder, "forward", noted)
    return sizes


def masks_given(lm, monkeypatch):
    """Masks that the decoder is given from now on."""
    masks, decoder = [], lm.model.get_decoder()
    decode = decoder.forward

    def noted(*args, **kwargs):
        masks.append(kwargs["attention_mask"])
        return decode(*args, **kwargs)

    monkeypatch.setattr(decoder, "forward", noted)
    return masks


@pytest.fixture
def lm(tiny_llm):
    return LanguageModel(tiny_llm, freeze=False).train()


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_is_alone(family, side, small_llm, monkeypatch):
    lm = small_llm(family)
    assert lm._packing.keeps_apart
    sizes = rows_read(lm, monkeypatch)
    speech, merged = batch(lm, side=side)
    longest = merged.attention_mask.shape[1]
    assert longest > 8, "longer than the windows"
    output = lm(merged)
    assert sizes[0][0] < 5, sizes
    output.loss.backward()
    for item in range(5):
        own, single = batch(lm, [item])
        one = lm(single)
        mine = output.items == item
        torch.testing.assert_close(
            output.logits[mine], one.logits, atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(
            output.item_loss[item], one.loss, atol=1e-5, rtol=0
        )
        (one.loss * len(one.items) / len(output.items)).backward()
        torch.testing.assert_close(
            speech.grad[item], own.grad[0], atol=1e-6, rtol=1e-4
        )


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("windows", [True, False])
def test_padding_behind_changes_nothing(
    windows, attention, small_llm, monkeypatch
):
    """Without a mask of it, where the model's attention allows that."""
    lm = small_llm("qwen2", use_sliding_window=windows).eval()
    lm.model.set_attn_implementation(attention)
    _, merged = batch(lm)
    masked = lm.model.get_decoder()(
        inputs_embeds=merged.embeddings,
        attention_mask=merged.attention_mask,
        position_ids=merged.position_ids,
        use_cache=False,
    ).last_hidden_state
    real = merged.attention_mask.bool()
    given = masks_given(lm, monkeypatch)
    states = lm.decode(merged)
    assert torch.allclose(states[real], masked[real], atol=1e-5)
    unmasked = given == [{"full_attention": None}]
    assert unmasked == (attention == "sdpa" and not windows)
    # padding before the items, or what continues a cache, is masked
    before = batch(lm, side="left")[1]
    assert torch.allclose(
        lm.decode(before)[before.attention_mask.bool()], states[real], atol=1e-5
    )


def test_weights_learn_the_same_as_with_padding(lm, monkeypatch):
    alike = copy.deepcopy(lm)
    alike._packing._apart = False  # every item keeps its row
    for each in (lm, alike):
        sizes = rows_read(each, monkeypatch)
        each(batch(each)[1]).loss.backward()
        assert (sizes[-1][0] < 5) == (each is lm)
    for (name, ours), theirs in zip(
        lm.named_parameters(), alike.parameters(), strict=True
    ):
        torch.testing.assert_close(
            ours.grad, theirs.grad, atol=1e-6, rtol=1e-4, msg=name
        )


@pytest.mark.parametrize("changed", range(5))
def test_items_of_a_row_never_see_each_other(lm, changed):
    before = lm(batch(lm)[1])
    after = lm(batch(lm, noise=changed)[1])
    others = before.items != changed
    torch.testing.assert_close(
        before.logits[others], after.logits[others], atol=1e-6, rtol=0
    )
    assert not torch.allclose(before.logits[~others], after.logits[~others])


def test_lora_and_recomputed_layers_share_rows(tiny_llm, monkeypatch):
    gradients = []
    for checkpointing in (True, False):
        torch.manual_seed(0)
        lm = LanguageModel(
            tiny_llm,
            lora={"rank": 2, "dropout": 0.0},
            gradient_checkpointing=checkpointing,
        ).train()
        lm._packing._apart = checkpointing
        lm(batch(lm)[1]).loss.backward()
        modes = [layer.training for layer in lm.model.model.layers]
        assert all(mode == checkpointing for mode in modes)
        gradients.append(
            [p.grad for p in lm.parameters() if p.grad is not None]
        )
    assert gradients[0]
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)


def test_a_try_keeps_nothing_for_the_step_that_follows(lm, monkeypatch):
    """Older torch keeps converted weights, those without gradients too."""
    packing, modes = lm._packing, []
    decode = packing._decode

    def noted(*inputs):
        kept = torch.is_autocast_cache_enabled()
        modes.append((torch.is_autocast_enabled("cpu"), kept))
        return decode(*inputs)

    monkeypatch.setattr(packing, "_decode", noted)
    for enabled in (True, False):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            assert packing._try()
        assert set(modes) == {(enabled, False)}
        modes.clear()


def test_a_try_draws_nothing_and_leaves_the_modes(tiny_llm):
    lm = LanguageModel(tiny_llm, lora={"dropout": 0.5}).train()
    modes = [m.training for m in lm.modules()]
    state = torch.get_rng_state()
    assert lm._packing.keeps_apart
    assert torch.equal(torch.get_rng_state(), state)
    assert [m.training for m in lm.modules()] == modes


def test_layers_that_see_past_the_mask_keep_rows_of_their_own(
    small_llm, monkeypatch
):
    """Convolutions over positions: an item would hear the one before it."""
    lm = small_llm("lfm2", layer_types=["conv", "full_attention", "conv"])
    sizes = rows_read(lm, monkeypatch)
    assert not lm._packing.keeps_apart
    output = lm(batch(lm)[1])
    assert sizes[-1][0] == 5 and output.loss.isfinite()


def test_sharing_never_costs_more():
    generator = torch.Generator().manual_seed(0)
    shared = 0
    for size in range(1, 40):
        lengths = torch.randint(1, 300, (size,), generator=generator).tolist()
        for breadth in (30, 1500, 30000):
            rows = share_rows(lengths, breadth)
            assert sorted(sum(rows, [])) == list(range(size))
            length = max(sum(lengths[i] for i in row) for row in rows)
            cost = len(rows) * length * (1 + length / breadth)
            padded = size * max(lengths) * (1 + max(lengths) / breadth)
            assert cost <= padded
            shared += len(rows) < size
    assert shared > 60
    # items of like length have nothing to gain
    assert share_rows([100, 101, 99, 100], 1500) == [[0], [1], [2], [3]]
    # where attention is dear, rows stay short
    assert len(share_rows([200, 120, 110, 60], 50)) == 3
    assert len(share_rows([200, 120, 110, 60], 50000)) == 1


def test_breadth_counts_the_layers_alone(lm):
    """A layer's weights, against 2 operations of each value and position."""
    config = lm.model.config
    layer = sum(p.numel() for p in lm.model.model.layers[0].parameters())
    breadth = RowPacking(lm.model).breadth
    assert breadth == pytest.approx(layer / (2 * config.hidden_size), abs=2)


def test_in_half_precision_rows_stay_shorter(lm, monkeypatch):
    sizes = rows_read(lm, monkeypatch)
    _, merged = batch(lm)
    lm._packing.breadth = 5000
    lm(merged)
    with torch.autocast("cpu", torch.bfloat16):
        lm(merged)
    plain, half = (rows for rows, length in sizes if length > 4)  # no try
    assert plain < half


@torch.no_grad()
@pytest.mark.parametrize("prompt", [None, "a b c d e f a b"])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_in_a_shared_row_are_those_alone(
    family, prompt, small_llm, monkeypatch
):
    lm = small_llm(family)
    prompt = prompt and lm.tokenize(prompt)
    endings = [[[8, 9, 10], [11]], [[9], [12] * 9], [[1, 2]], [[3]], [[4, 5]]]
    sizes = rows_read(lm, monkeypatch)
    scores = lm.score(batch(lm)[1], endings, prompt)
    assert sizes[-1][0] < 5, sizes
    for item in range(5):
        one = lm.score(batch(lm, [item])[1], endings[item : item + 1], prompt)
        torch.testing.assert_close(
            scores[item, : one.shape[1]], one[0], atol=1e-5, rtol=0
        )


@torch.no_grad()
@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("prompt", ["", "a b c d e f a b"])
@pytest.mark.parametrize("family", FAMILIES)
def test_answers_from_a_shared_row_are_transformers_own(
    family, prompt, beams, small_llm, monkeypatch
):
    lm = small_llm(family)
    settings = {"max_new_tokens": 12, "num_beams": beams, "pad_token_id": 0}
    expected = []
    for item in range(5):
        merged = batch(lm, [item])[1]
        (words,) = lm.embed([lm.tokenize(prompt)])
        whole = torch.cat((words[None], merged.embeddings), 1)
        ids = lm.model.generate(
            inputs_embeds=whole, past_key_values=DynamicCache(), **settings
        )
        expected.append(ids[0].tolist())
    sizes = rows_read(lm, monkeypatch)
    merged = batch(lm, side="left")[1]
    ids, past = lm.generate(merged, -1, 12, beams, prompt=lm.tokenize(prompt))
    assert ids.tolist() == expected
    # the prompt once; the items in shared rows, not once for each beam
    prompts = [(1, len(lm.tokenize(prompt)))] if prompt else []
    assert sizes[: len(prompts)] == prompts
    assert sizes[len(prompts)][0] < 5 and sizes[-1] == (5 * beams, 1)
    count = len(sizes)
    again, _ = lm.generate(merged, -1, 12, beams, prompt=lm.tokenize(prompt))
    assert again.tolist() == expected
    assert len(sizes) == 2 * count - len(prompts)
