"""Side questions: who can answer, when they are asked, what they change."""

import pytest

from speechbrain_c2ser.chain_of_thought.answers import AnswerBuilder
from speechbrain_c2ser.chain_of_thought.forms import AnswerForm
from speechbrain_c2ser.chain_of_thought.side_questions import SideQuestion
from speechbrain_c2ser.chain_of_thought.slots import Transcript
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.losses import hidden_state_loss
from speechbrain_c2ser.training.distillation import EmotionDistillation

SPACE = LabelSpace(["happy", "sad"])
ACTIVE = SideQuestion(
    {"en": "How active?", "zh": "多活跃？"},
    {"en": "It is {arousal}.", "zh": "是{arousal}。"},
)
WORDS = SideQuestion({"en": "What is said?"}, {"en": '"{transcript}"'})


def rows(number, **fields):
    return [
        {
            "id": f"u{i}",
            "emotion": "sad",
            "transcript": "No.",
            "vad": [1, 4, 7],
            "vad_scale": [1, 7],
            **fields,
        }
        for i in range(number)
    ]


def ask(items, moment=3, **options):
    build = AnswerBuilder(SPACE, side_questions=[ACTIVE, WORDS], **options)
    return build(items, ["implicit"] * len(items), moment)


def test_the_share_is_kept_and_draws_are_the_items_own():
    items = rows(400)
    prompts, answers = ask(items, side_share=0.3)
    aside = [
        i
        for i, p in enumerate(prompts)
        if p in ("How active?", "What is said?")
    ]
    assert 0.2 < len(aside) / 400 < 0.4
    assert {answers[i] for i in aside} == {"It is 0.5.", '"No."'}
    assert ask(items[7:9], side_share=0.3)[0] == prompts[7:9]
    assert ask(items, moment=4, side_share=0.3)[0] != prompts
    # the others are asked as without side questions
    plain = AnswerBuilder(SPACE)(items, ["implicit"] * 400, 3)[1]
    others = [i for i in range(400) if i not in set(aside)]
    assert [answers[i] for i in others] == [plain[i] for i in others]


def test_canonical_texts_and_rows_that_cannot_answer_have_none():
    (prompt,) = set(ask(rows(20), moment=None, side_share=1.0)[0])
    assert "emotion" in prompt
    less = rows(20, vad=None)
    assert set(ask(less, side_share=1.0)[0]) == {"What is said?"}
    prompts = ask(rows(20, vad=None, transcript=""), side_share=1.0)[0]
    assert all("emotion" in prompt for prompt in prompts)
    # a half-empty vad answers only what it has
    assert ACTIVE.missing({"vad": [0.1, None, 0.2]}) == "arousal"


def test_language_slots_and_limits():
    items = rows(1, language="zh")
    build = AnswerBuilder(
        SPACE, side_questions=[ACTIVE], side_share=1.0, slots=[Transcript()]
    )
    (prompt,), (answer,) = build(items, ["implicit"], 0)
    assert prompt.endswith("多活跃？") and "No." in prompt
    assert answer == "是0.5。"
    assert answer in AnswerBuilder(
        SPACE, content=False, side_questions=[ACTIVE]
    ).possible(
        {
            **items[0],
            "style": dict.fromkeys(("speed", "pitch", "volume"), "low"),
        }
    )


def test_what_cannot_be_asked_is_told_before_training():
    build = AnswerBuilder(SPACE, side_questions=[ACTIVE, WORDS])
    build.check(rows(2, vad=None))
    build.check([*rows(1), *rows(1, vad=None)], training=True)
    with pytest.raises(
        ValueError,
        match="'How active.' needs the field 'arousal', which none of 2",
    ):
        build.check(rows(2, vad=None), training=True)
    with pytest.raises(ValueError, match="would be the same for all"):
        SideQuestion({"en": "Who?"}, {"en": "Nobody."})
    with pytest.raises(ValueError, match="needs a question and an answer"):
        SideQuestion({}, {"en": "{who}"})
    with pytest.raises(ValueError, match="from 0 to 1, not 1.5"):
        AnswerBuilder(SPACE, side_share=1.5)
    with pytest.raises(ValueError, match="take the side questions out"):
        EmotionDistillation(build, "hidden", hidden_state_loss)


def test_dimensions_of_a_manifest_are_named_and_scaled():
    form = AnswerForm({"en": ["{valence} {arousal} {dominance}: {emotion}"]})
    item = {"emotion": "sad", "vad": [1, 4, 7], "vad_scale": [1, 7]}
    assert form.answers(item, "sad", "en") == ["0.0 0.5 1.0: sad"]
    named = {"emotion": "sad", "vad": {"valence": 0.25, "arousal": 0.5}}
    assert form.missing(named) == "dominance"
    assert form.missing({**item, "vad": [1, None, 2]}) == "arousal"
