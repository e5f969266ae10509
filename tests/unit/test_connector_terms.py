"""Terms that teach the connector, against slow references."""

from types import SimpleNamespace

import pytest
import torch

from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes import ContrastHead, FrameHead
from speechbrain_c2ser.lobes.speech_llm.merging import Speech
from speechbrain_c2ser.training.connector_terms import (
    ConnectorCrossEntropy,
    HeadTerm,
    TranscriptTeacher,
)

SPACE = LabelSpace(["angry", "happy", "sad"])
ROWS = [
    {"id": "a", "emotion": "sad", "transcript": "Leave me."},
    {"id": "b", "emotion": "angry", "transcript": "You lied to me, Ross!"},
    {"id": "c", "emotion": "sad", "transcript": "No."},
]
ANSWERS = ["It sounds sad.", "Angry.", "The voice sounds sad."]
PROMPTS = ["Which emotion?", "What?", "Which emotion?"]


def test_the_connectors_cross_entropy_by_hand(model, clips):
    term = ConnectorCrossEntropy(SPACE, 32)
    assert term.linear.bias is None
    output = model(*clips, PROMPTS, ANSWERS)
    ours = term(model, output, SimpleNamespace(item=ROWS))
    total = 0.0
    weights = term.linear.weight.double()
    for number, row in enumerate(ROWS):
        length = int(output.speech.lengths[number])
        frames = output.speech.embeddings[number, :length].double()
        mean = sum(frames) / length
        scores = [float((w * mean).sum()) for w in weights]
        logs = torch.tensor(scores, dtype=torch.float64).log_softmax(0)
        total -= float(logs[SPACE.names.index(row["emotion"])]) / 3
    assert ours.item() == pytest.approx(total, abs=1e-6)
    ours.backward()
    assert term.linear.weight.grad.any()


def test_contrast_between_connector_outputs_by_hand(model, clips):
    head = ContrastHead(32, SPACE.names, output_size=6, weight=0.5)
    term, output = HeadTerm(head), model(*clips, PROMPTS, ANSWERS)
    ours = term(model, output, SimpleNamespace(item=ROWS))
    vectors = []
    for number in range(3):
        length = int(output.speech.lengths[number])
        mean = output.speech.embeddings[number, :length].mean(0)
        vector = head.project(mean).double()
        vectors.append(vector / vector.norm())
    # "a" and "c" are sad; "b" has no other of its emotion
    total = 0.0
    for one, pair, other in ((0, 2, 1), (2, 0, 1)):
        near = (vectors[one] @ vectors[pair] / 0.1).exp()
        away = (vectors[one] @ vectors[other] / 0.1).exp()
        total -= (near / (near + away)).log().item() / 2
    assert ours.item() == pytest.approx(total, abs=1e-5) and total > 1e-3
    assert term.weight == 0.5
    ours.backward()
    assert all(p.grad is not None for p in term.parameters())
    with pytest.raises(ValueError, match="FrameHead takes frames or words"):
        HeadTerm(FrameHead(4, ["sad", "neutral"], 25.0))


def test_padding_does_not_count():
    term = ConnectorCrossEntropy(SPACE, 4)
    embeddings, lengths = torch.randn(2, 5, 4), torch.tensor([5, 2])
    first = term.loss(Speech(embeddings, lengths), ["sad", "happy"])
    embeddings[1, 2:] = 9.0
    again = term.loss(Speech(embeddings, lengths), ["sad", "happy"])
    assert torch.equal(first, again)


def test_the_transcript_teacher_by_hand(model, clips, alone):
    output = model(*clips, PROMPTS, ANSWERS)
    batch = SimpleNamespace(item=ROWS, prompts=PROMPTS, answers=ANSWERS)
    ours = TranscriptTeacher(temperature=2.0)(model, output, batch)
    lm, total, number = model.language_model, 0.0, 0
    decoder, head = lm.model.get_decoder(), lm.model.get_output_embeddings()
    boundaries = model.speech_boundaries.weight
    for index, row in enumerate(ROWS):
        ids = model.answer_ids(ANSWERS[index])
        prompt, words, answer = lm.embed(
            [lm.tokenize(PROMPTS[index]), lm.tokenize(row["transcript"]), ids]
        )
        heard = model.listen(*alone(index)).embeddings[0]
        logs = []
        for middle in (words, heard):
            whole = torch.cat(
                (prompt, boundaries[:1], middle, boundaries[1:], answer)
            )
            states = decoder(inputs_embeds=whole[None]).last_hidden_state[0]
            logits = head(states[-len(ids) - 1 : -1]).double() / 2.0
            logs.append(logits.log_softmax(-1))
        teacher, student = logs
        total += float((teacher.exp() * (teacher - student)).sum())
        number += len(ids)
    assert ours.item() == pytest.approx(4.0 * total / number, rel=1e-4)
    assert ours.item() > 1e-3 and ours.requires_grad


def test_the_teacher_gets_no_gradient_and_modes_stay(build_model, clips):
    model = build_model().train()
    output = model(*clips, PROMPTS, ANSWERS)
    batch = SimpleNamespace(item=ROWS, prompts=PROMPTS, answers=ANSWERS)
    term = TranscriptTeacher()
    teacher = term._teach(model, batch)
    assert not teacher.logits.requires_grad and model.training
    assert teacher.num_tokens.tolist() == output.num_tokens.tolist()


def test_a_row_without_transcript_is_named(model):
    batch = SimpleNamespace(item=[{"id": "a"}])
    with pytest.raises(ValueError, match="'a' has no transcript"):
        TranscriptTeacher()(model, None, batch)
