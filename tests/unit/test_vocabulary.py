"""States to words: piece by piece as all at once, with the same gradients."""

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM

from speechbrain_c2ser.lobes.speech_llm import vocabulary
from speechbrain_c2ser.lobes.speech_llm.vocabulary import Vocabulary


@pytest.fixture
def model(tiny_llm):
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(tiny_llm)
    return AutoModelForCausalLM.from_config(config).requires_grad_(False)


@pytest.fixture(autouse=True)
def most(monkeypatch):
    """The most logits that were made at a time, of pieces of at most 40."""
    sizes, linear = [0], F.linear

    def spied(x, weight, bias=None):
        y = linear(x, weight, bias)
        sizes.append(y.numel())
        return y

    monkeypatch.setattr(F, "linear", spied)
    monkeypatch.setattr(vocabulary, "LOGITS_AT_A_TIME", 40)
    monkeypatch.setattr(vocabulary, "WORDS_AT_A_TIME", 7)
    monkeypatch.setattr(vocabulary, "FEWEST_ROWS", 2)
    return lambda: max(sizes)


KINDS = ["plain", "trained", "logit_scale", "final_logit_softcapping"]


def changed(model, kind):
    """The model as such a kind, and the logits of all words."""
    if kind == "trained":
        model.get_output_embeddings().requires_grad_(True)
    elif kind != "plain":
        setattr(model.config, kind, 2.0)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_log_probabilities_are_those_of_a_softmax(model, most, kind):
    words = Vocabulary(changed(model, kind))
    states = torch.randn(5, model.config.hidden_size)
    rows, targets = torch.tensor([0, 0, 4, 2, 2]), torch.tensor([3, 8, 0, 8, 8])
    size = model.config.vocab_size
    given = words.log_probs(states, rows, targets)
    assert most() <= (40 if kind == "plain" else 2 * size)
    expected = words.logits(states).log_softmax(-1)[rows, targets]
    torch.testing.assert_close(given, expected)
    assert not given.requires_grad
    assert words.log_probs(states[:0], rows[:0], targets[:0]).shape == (0,)


@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_gradients_are_those_of_cross_entropy(model, most, kind):
    words = Vocabulary(changed(model, kind))
    weight = model.get_output_embeddings().weight
    size = model.config.vocab_size
    hidden = torch.randn(5, model.config.hidden_size, requires_grad=True)
    targets = torch.tensor([1, 7, 7, 0, size - 1])
    weights = torch.tensor([1.0, -2.0, 0.0, 0.5, 3.0])
    losses, logits = words.losses(hidden, targets)
    if kind == "plain":
        assert most() <= 3 * size
    (losses * weights).sum().backward()
    gradient, hidden.grad = hidden.grad, None
    trained, weight.grad = weight.grad, None
    expected = F.cross_entropy(words.logits(hidden), targets, reduction="none")
    (expected * weights).sum().backward()
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(gradient, hidden.grad)
    torch.testing.assert_close(logits(), words.logits(hidden))
    assert (trained is None) is (kind != "trained")
    if trained is not None:
        torch.testing.assert_close(trained, weight.grad)


def test_in_bf16_gradients_are_as_near_as_those_of_cross_entropy(model):
    words = Vocabulary(model)
    hidden = torch.randn(5, model.config.hidden_size, requires_grad=True)
    targets = torch.tensor([1, 7, 7, 0, 3])
    exact = F.cross_entropy(words.logits(hidden), targets)
    (wanted,) = torch.autograd.grad(exact, hidden)
    model.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        loss = words.losses(hidden, targets)[0].mean()
    (gradient,) = torch.autograd.grad(loss, hidden)
    assert gradient.dtype == torch.float32
    torch.testing.assert_close(loss, exact, atol=0.01, rtol=0.01)
    torch.testing.assert_close(gradient, wanted, atol=2e-3, rtol=0.05)
