"""The distillation term: where it reads, what it moves."""

from types import SimpleNamespace

import pytest
import torch

from speechbrain_c2ser.chain_of_thought.answers import AnswerBuilder
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.losses import distillation_loss, hidden_state_loss
from speechbrain_c2ser.training.distillation import EmotionDistillation

LOSSES = {"logits": distillation_loss, "hidden": hidden_state_loss}
ITEMS = [
    {
        "id": name,
        "emotion": emotion,
        "language": language,
        "transcript": words,
        "style": {"speed": "low", "pitch": "high", "volume": "normal"},
    }
    for name, emotion, language, words in (
        ("a", "happy", "en", "I feel sad."),
        ("b", "sad", "zh", "他走了。"),
        ("c", "angry", "en", "No."),
    )
]
SPACE = LabelSpace(["happy", "sad", "angry"])


def term(model, clips, states, modes, loss=None):
    """The term of a batch in these modes, and the batch's own output."""
    build = AnswerBuilder(SPACE)
    prompts, answers = build(ITEMS, modes)
    batch = SimpleNamespace(
        signals=clips,
        item=ITEMS,
        modes=modes,
        answers=answers,
        moment=None,
        vectors=None,
    )
    output = model(*clips, prompts, answers)
    distil = EmotionDistillation(build, states, loss or LOSSES[states])
    explicit = build(ITEMS, ["explicit"] * 3)
    return distil(model, output, batch), output, explicit


@pytest.mark.parametrize("states", LOSSES)
def test_the_term_by_hand(model, clips, alone, states):
    modes = ["implicit", "explicit", "implicit"]
    ours, _, (prompts, answers) = term(model, clips, states, modes)
    build = AnswerBuilder(SPACE)
    values = []
    for index in (0, 2):
        rows = []
        for prompt, answer in (
            [text[0] for text in build([ITEMS[index]], ["implicit"])],
            (prompts[index], answers[index]),
        ):
            output = model(*alone(index), [prompt], [answer])
            word = " " + ITEMS[index]["emotion"]
            before = answer[: answer.rindex(word)]
            place = len(model.answer_ids(before, end=False))
            rows.append(getattr(output, states)[place : place + 1])
        values.append(LOSSES[states](*rows))
    expected = torch.stack(values).mean()
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


def test_no_implicit_item_no_term(model, clips):
    ours, *_ = term(model, clips, "logits", ["explicit"] * 3)
    assert ours.item() == 0.0


def test_gradient_flows_to_the_student_alone(build_model, clips):
    model = build_model(acoustic=False).train()
    ours, output, _ = term(model, clips, "hidden", ["implicit"] * 3)
    assert model.training
    (gradient,) = torch.autograd.grad(ours, output.hidden, retain_graph=True)
    moved = gradient.abs().sum(1) > 0
    assert moved.sum() == 3  # one row of each answer
    ours.backward()
    assert all(
        p.grad is None or p.grad.isfinite().all() for p in model.parameters()
    )


def test_the_teacher_has_no_dropout_and_no_graph(build_model, clips):
    """Whatever is drawn, the teacher says the same, and keeps nothing."""
    model = build_model(acoustic=False).train()
    for module in model.perception.connector.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    teachers, students = [], []

    def loss(student, teacher):
        students.append(student)
        teachers.append(teacher)
        return student.sum()

    for seed in range(2):
        torch.manual_seed(seed)
        term(model, clips, "hidden", ["implicit"] * 3, loss)
    assert torch.equal(*teachers) and not torch.equal(*students)
    assert students[0].requires_grad and not teachers[0].requires_grad


def test_unknown_states_are_refused():
    with pytest.raises(ValueError, match="'words'"):
        EmotionDistillation(None, "words", distillation_loss)
