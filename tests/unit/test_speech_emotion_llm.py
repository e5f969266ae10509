"""The whole model: batch = single, scores against naive ones."""

import pytest
import torch

from speechbrain_c2ser.lobes.speech_llm.language_model import LanguageModel
from speechbrain_c2ser.lobes.speech_llm.speech_emotion_llm import (
    SpeechEmotionLLM,
)

PROMPTS = ["Please describe the speech."] * 2 + ["Describe."]
ANSWERS = ["The speaker sounds happy.", "sad", "The speaker sounds angry."]
LABELS = {
    "happy": ["The speaker sounds happy.", "The happy speaker"],
    "sad": ["The speaker sounds sad."],
    "angry": ["angry"],
}


def naive(model, wavs, prompt, labels, prefix="", per_token=False):
    """Label probabilities of one item by one forward per answer."""
    told = len(model.answer_ids(prefix, end=False))
    scores = []
    for texts in labels.values():
        forms = []
        for text in texts:
            out = model(wavs, None, [prompt], [prefix + text])
            token_scores = out.logits.log_softmax(-1)
            picked = token_scores.gather(1, out.targets[:, None])[told:, 0]
            forms.append(picked.mean() if per_token else picked.sum())
        scores.append(torch.stack(forms).logsumexp(0))
    return torch.stack(scores).softmax(-1)


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@torch.no_grad()
def test_loss_in_a_batch_is_that_of_each_item_alone(model, clips, alone):
    output = model(*clips, PROMPTS, ANSWERS)
    for i in range(3):
        one = model(*alone(i), PROMPTS[i : i + 1], ANSWERS[i : i + 1])
        close(one.loss, output.item_loss[i])
        assert one.num_tokens[0] == output.num_tokens[i]


@torch.no_grad()
def test_probabilities_in_a_batch_are_those_of_each_item_alone(
    model, clips, alone
):
    probabilities = model.score_labels(model.listen(*clips), PROMPTS, LABELS)
    assert (probabilities[0] - probabilities[1]).abs().max() > 1e-3
    for i in range(3):
        one = model.score_labels(
            model.listen(*alone(i)), PROMPTS[i : i + 1], LABELS
        )
        close(one[0], probabilities[i])
    for pair in ([0, 1], [1, 0], [1, 2]):
        wavs, wav_lens = clips
        speech = model.listen(wavs[pair], wav_lens[pair])
        prompts = [PROMPTS[i] for i in pair]
        two = model.score_labels(speech, prompts, LABELS)
        close(two, probabilities[pair])


@torch.no_grad()
def test_texts_in_a_batch_are_those_of_each_item_alone(model, clips, alone):
    for beams in (1, 2):
        options = {"max_new_tokens": 5, "num_beams": beams}
        texts = model.generate(model.listen(*clips), PROMPTS, **options)
        for i in range(3):
            one = model.generate(
                model.listen(*alone(i)), PROMPTS[i : i + 1], **options
            )
            assert one == texts[i : i + 1]


def test_an_answer_without_its_end_token_was_cut(model, clips, monkeypatch):
    ids = torch.tensor([[5, 9, 9], [5, 6, 7], [5, 6, 9]])
    monkeypatch.setattr(LanguageModel, "generate", lambda *_, **__: (ids, None))
    monkeypatch.setattr(model, "end_token_id", 9)
    written = model.write(model.listen(*clips), PROMPTS)
    assert written.cut == [False, True, False]


@torch.no_grad()
@pytest.mark.parametrize("per_token", [True, False])
def test_scores_are_the_naive_ones(model, clips, alone, per_token):
    probabilities = model.score_labels(
        model.listen(*clips), PROMPTS, LABELS, per_token=per_token
    )
    for i in range(3):
        expected = naive(
            model, alone(i)[0], PROMPTS[i], LABELS, per_token=per_token
        )
        close(probabilities[i], expected)
    close(probabilities.sum(-1), torch.ones(3))


@torch.no_grad()
def test_a_question_that_all_are_asked_changes_nothing(model, clips, alone):
    for prompt in ("Please describe the speech.", ""):
        probabilities = model.score_labels(
            model.listen(*clips), [prompt] * 3, LABELS
        )
        for i in range(3):
            expected = naive(model, alone(i)[0], prompt, LABELS)
            close(probabilities[i], expected)


@torch.no_grad()
def test_scores_after_what_was_already_answered(model, clips, alone):
    prefixes = ["The speaker sounds", "", "说话人"]
    labels = {"happy": [" happy."], "sad": [" sad.", " very sad."]}
    probabilities = model.score_labels(
        model.listen(*clips), PROMPTS, labels, answer_prefixes=prefixes
    )
    for i in range(3):
        expected = naive(model, alone(i)[0], PROMPTS[i], labels, prefixes[i])
        close(probabilities[i], expected)


@torch.no_grad()
def test_every_item_may_have_answers_of_its_own(model, clips):
    chinese = {"happy": ["高兴", "快"], "sad": ["慢"], "angry": ["高"]}
    mixed = model.score_labels(
        model.listen(*clips), PROMPTS, [LABELS, chinese, LABELS]
    )
    all_own = model.score_labels(model.listen(*clips), PROMPTS, LABELS)
    all_chinese = model.score_labels(model.listen(*clips), PROMPTS, chinese)
    close(mixed[[0, 2]], all_own[[0, 2]])
    close(mixed[1], all_chinese[1])


@torch.no_grad()
def test_prior_and_temperature(model, clips):
    plain = model.score_labels(model.listen(*clips), PROMPTS, LABELS)
    prior = [0.5, 0.3, 0.2]
    corrected = model.score_labels(
        model.listen(*clips), PROMPTS, LABELS, prior=prior
    )
    expected = plain / torch.tensor(prior)
    close(corrected, expected / expected.sum(-1, keepdim=True))
    sharp = model.score_labels(
        model.listen(*clips), PROMPTS, LABELS, temperature=0.5
    )
    close(sharp, plain**2 / (plain**2).sum(-1, keepdim=True))


@torch.no_grad()
def test_one_label_and_noise(model):
    only = model.score_labels(
        model.listen(torch.randn(4, 8000)),
        ["Describe."] * 4,
        {"sad": ["sad"]},
    )
    close(only, torch.ones(4, 1))


@torch.no_grad()
def test_one_listening_serves_loss_text_and_labels(model, clips):
    """Each encoder and the connector run once for all that is asked."""
    perception, calls = model.perception, []
    hooks = [
        perception.connector.register_forward_hook(
            lambda *_: calls.append("connector")
        )
    ]
    with pytest.MonkeyPatch.context() as patch:
        for name, method in (
            ("semantic_encoder", "extract"),
            ("acoustic_encoder", "extract_tokens"),
        ):
            encoder = getattr(perception, name)
            function = counted(getattr(encoder, method), calls, name)
            patch.setattr(encoder, method, function)
        speech = model.listen(clips[0])  # of equal length
        loss = model.loss(speech, PROMPTS, ANSWERS).loss
        model.generate(speech, PROMPTS, max_new_tokens=2)
        model.score_labels(speech, PROMPTS, LABELS)
    for hook in hooks:
        hook.remove()
    parts = ["acoustic_encoder", "connector", "semantic_encoder"]
    assert sorted(calls) == parts
    close(loss, model(clips[0], None, PROMPTS, ANSWERS).loss)


def counted(function, calls, name):
    def call(*args, **kwargs):
        calls.append(name)
        return function(*args, **kwargs)

    return call


def test_label_without_answer(model, clips):
    with pytest.raises(ValueError, match="'sad' has no answer"):
        model.score_labels(model.listen(*clips), PROMPTS, {"sad": []})


@torch.no_grad()
def test_cached_utterance_vectors_give_the_same(model, clips):
    vectors = model.perception.utterance_vectors(*clips)
    close(
        model.score_labels(model.listen(*clips, vectors), PROMPTS, LABELS),
        model.score_labels(model.listen(*clips), PROMPTS, LABELS),
    )


@torch.no_grad()
def test_token_ids_instead_of_text(model, clips):
    lm = model.language_model
    as_ids = model(
        *clips,
        [lm.tokenize(p) for p in PROMPTS],
        [model.answer_ids(a) for a in ANSWERS],
    )
    close(as_ids.loss, model(*clips, PROMPTS, ANSWERS).loss)


def test_rows_behind_a_prefix_predict_the_emotion(model, clips):
    output = model(*clips, PROMPTS, ANSWERS)
    prefixes = ["The speaker sounds", "", "The speaker sounds"]
    rows = model.rows_behind(output, ANSWERS, prefixes)
    words = [
        model.language_model.tokenizer.decode([token])
        for token in output.targets[rows].tolist()
    ]
    assert output.items[rows].tolist() == [0, 1, 2]
    for word, label in zip(words, ("happy", "sad", "angry"), strict=True):
        assert word.strip() and label.startswith(word.strip())


def test_published_text_form(build_model):
    model = build_model(lower_case=True, end_token_id=7)
    ids = model.answer_ids("SAD")
    assert ids == [*model.language_model.tokenize("sad"), 7]


def test_what_is_trained(build_model, clips):
    model = build_model(lora={"rank": 2}).train()
    assert not model.perception.acoustic_encoder.training
    model(*clips, PROMPTS, ANSWERS).loss.backward()
    without = {
        name
        for name, p in model.named_parameters()
        if p.grad is None and p.requires_grad
    }
    assert not without
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert all(
        n.startswith("perception.acoustic_encoder.")
        or (n.startswith("language_model.") and "lora_" not in n)
        or n.endswith("embed_positions.weight")  # Whisper's sinusoids
        for n in frozen
    )
    assert model.speech_boundaries.weight.grad.abs().sum() > 0


def test_widths_must_agree(build_model, tiny_llm, make_tiny_models, tmp_path):
    wide = make_tiny_models.make_llm(
        tmp_path / "wide", ["a b"], hidden_size=64, layers=1, heads=2
    )
    perception = build_model(acoustic=False).perception
    with pytest.raises(ValueError, match="output_size to 64"):
        SpeechEmotionLLM(perception, LanguageModel(wide))


def test_bfloat16_autocast_stays_near(model, clips):
    exact = model.score_labels(model.listen(*clips), PROMPTS, LABELS)
    with torch.autocast("cpu", torch.bfloat16):
        near = model.score_labels(model.listen(*clips), PROMPTS, LABELS)
        loss = model(*clips, PROMPTS, ANSWERS).loss
        texts = model.generate(model.listen(*clips), PROMPTS, max_new_tokens=3)
    assert near.dtype == loss.dtype == torch.float32
    assert torch.isfinite(loss) and len(texts) == 3
    torch.testing.assert_close(near, exact, atol=0.1, rtol=0)


def test_learns_two_clips_by_heart(build_model):
    model = build_model(acoustic=False).train()
    wavs = torch.stack([torch.randn(4000), torch.sin(torch.arange(4000) / 5.0)])
    prompts = ["Describe."] * 2
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(40):
        optimiser.zero_grad()
        model(wavs, None, prompts, ["happy", "sad"]).loss.backward()
        optimiser.step()
    model.eval()
    labels = {"happy": ["happy"], "sad": ["sad"]}
    probabilities = model.score_labels(model.listen(wavs), prompts, labels)
    assert probabilities.argmax(-1).tolist() == [0, 1]
    assert model.generate(model.listen(wavs), prompts, 10) == ["happy", "sad"]
