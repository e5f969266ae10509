"""Labels scored behind a written answer, of which nothing is read again."""

from contextlib import contextmanager
from itertools import count

import pytest
import torch

QUESTION = "Please describe the speech."
# One stops within the quotation, one says nothing.
ANSWERS = ['quickly says "the high" sounds happy.', 'slowly "the', ""]
PREFIXES = ['quickly says "the high" sounds', 'slowly "the" sound', "sounds"]
LABELS = {"happy": [" happy.", " very happy."], "sad": [" sad."]}
WORDS = {"happy": ["happy", "The happy speaker"], "sad": ["sad"]}


@pytest.fixture(scope="module")
def teller(build_model):
    return build_model(end_token_id=0)


@contextmanager
def dictated(model, answers):
    """Makes greedy writing give these answers, whatever is likely."""
    rows = [model.answer_ids(answer) for answer in answers]
    steps = count()

    def forward(module, args, logits):
        step = next(steps)
        for row, ids in zip(logits, rows, strict=True):
            row[-1, ids[step] if step < len(ids) else 0] = 1e4

    head = model.language_model.model.get_output_embeddings()
    hook = head.register_forward_hook(forward)
    yield
    hook.remove()


@contextmanager
def positions_read(model):
    """Number of positions of each pass of the decoder."""
    decoder, passes = model.language_model.model.get_decoder(), []
    hook = decoder.register_forward_hook(
        lambda _, args, output: passes.append(
            output.last_hidden_state.shape[:2].numel()
        )
    )
    yield passes
    hook.remove()


def assert_same(model, speech, prompts, written, labels, prefixes):
    behind = model.score_labels(
        speech, prompts, labels, prefixes, written=written
    )
    whole = model.score_labels(speech, prompts, labels, prefixes)
    torch.testing.assert_close(behind, whole, atol=1e-5, rtol=0)
    assert (whole[0] - whole[1]).abs().max() > 1e-4
    return behind


@torch.no_grad()
@pytest.mark.parametrize("prompts", [[QUESTION] * 3, [QUESTION, "", "What?"]])
@pytest.mark.parametrize("limit", [1, 5, 40])
def test_labels_behind_an_answer(teller, clips, alone, prompts, limit):
    """Rows of unlike length, ended or cut, an empty one; alone and not."""
    speech = teller.listen(*clips)
    with dictated(teller, ANSWERS):
        written = teller.write(speech, prompts, limit)
    if limit == 40:
        assert written.texts == ANSWERS
    for labels, prefixes in ((LABELS, PREFIXES), (WORDS, None)):
        batch = assert_same(teller, speech, prompts, written, labels, prefixes)
        for i in range(3):
            one = teller.listen(*alone(i))
            with dictated(teller, ANSWERS[i : i + 1]):
                answer = teller.write(one, prompts[i : i + 1], limit)
            score = teller.score_labels(
                one,
                prompts[i : i + 1],
                labels,
                prefixes and prefixes[i : i + 1],
                written=answer,
            )
            torch.testing.assert_close(score[0], batch[i], atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("beams", [1, 3])
def test_labels_behind_what_a_model_likes_to_write(teller, clips, beams):
    speech, prompts = teller.listen(*clips), [QUESTION] * 3
    options = {"num_beams": beams, "repetition_penalty": 1.05}
    written = teller.write(speech, prompts, 8, **options)
    assert written.texts == teller.generate(speech, prompts, 8, **options)
    read = zip(teller.merge(speech, prompts).lengths, written.ids, strict=True)
    read = [asked + len(ids) - (beams > 1) for asked, ids in read]
    assert written.past.mask.sum(1).tolist() == read
    for prefixes in (written.texts, PREFIXES):
        for _ in range(2):  # a past may be read on from again
            assert_same(teller, speech, prompts, written, LABELS, prefixes)


@torch.no_grad()
def test_only_labels_are_read_behind_an_answer(teller, clips):
    speech, prompts = teller.listen(*clips), [QUESTION] * 3
    answers = [ANSWERS[0], 'slowly "the" sounds sad.', "sounds sad."]
    prefixes = [answer.rsplit(" ", 1)[0] for answer in answers]
    endings = [
        [teller.answer_ids(text) for texts in LABELS.values() for text in texts]
    ]
    with dictated(teller, answers):
        written = teller.write(speech, prompts, 40)
    with positions_read(teller) as passes:
        teller.score_labels(speech, prompts, LABELS, prefixes, written=written)
    # the last token before the emotion, and of each ending all but its last
    limit = 1 + sum(len(ending) - 1 for ending in endings[0])
    assert len(passes) == 1 and passes[0] <= 3 * limit


@torch.no_grad()
@pytest.mark.parametrize("name", ["mistral", "gemma2", "gemma3_text"])
def test_labels_behind_an_answer_longer_than_a_window(
    name, small_llm, build_model, clips
):
    model = build_model(end_token_id=0)
    model.language_model = small_llm(name).eval()
    speech, prompts = model.listen(*clips), ["What?", "", QUESTION]
    with dictated(model, ANSWERS):
        written = model.write(speech, prompts, 40)
    assert_same(model, speech, prompts, written, LABELS, PREFIXES)


def test_a_model_that_keeps_no_positions_writes(teller, clips, monkeypatch):
    monkeypatch.setattr(teller.language_model.model, "_is_stateful", True)
    written = teller.write(teller.listen(*clips), [QUESTION] * 3, 2)
    assert written.past is None and len(written.texts) == 3
