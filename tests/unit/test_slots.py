"""Slots of a prompt: their texts, what they need, saved and read again."""

import pytest

from speechbrain_c2ser.chain_of_thought.answers import (
    AnswerBuilder,
    parse_answer,
    prompt,
)
from speechbrain_c2ser.chain_of_thought.slots import (
    PUBLIC,
    Cues,
    Definitions,
    Demonstrations,
    Hint,
    History,
    Quoted,
    Retrieved,
    Transcript,
    check_slots,
    fill,
)
from speechbrain_c2ser.checkpoints.description import describe, write_yaml
from speechbrain_c2ser.checkpoints.safe_yaml import build_yaml, parse_yaml
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import write_manifest
from speechbrain_c2ser.data.turns import (
    examples_of,
    passages_of,
    with_turns,
)
from speechbrain_c2ser.labels import LabelSpace

TURNS = [
    ("Ross", "Hi.", "neutral"),
    ("Joey", "You lied to me!", "angry"),
    ("Ross", "I did not.", "fearful"),
    ("Joey", "You did.", "angry"),
]
STYLE = {"speed": "high", "pitch": "low", "volume": "normal"}


def dialogue():
    """Four turns of one dialogue, in another order in the manifest."""
    rows = {
        f"u{turn}": {
            "wav": f"{turn}.wav",
            "duration": 1.0,
            "dialogue": "d1",
            "turn": str(turn),
            "speaker": speaker,
            "transcript": text,
            "emotion": emotion,
        }
        for turn, (speaker, text, emotion) in enumerate(TURNS)
    }
    return {key: rows[key] for key in ("u2", "u0", "u3", "u1")}


def slots():
    """One slot of each kind."""
    space = LabelSpace(["sad", "odd"], definitions={"odd": "Strange."})
    pool = [
        {"id": "u1", "transcript": "You lied!", "emotion": "angry"},
        {"id": "x", "transcript": "You did lie to me.", "emotion": "sad"},
    ]
    return [
        History(turns=2, after=1, emotions=True),
        Definitions(space),
        Hint(k=2),
        Cues(),
        Transcript(),
        Quoted("topic", {"en": "Topic: {value}", "zh": "话题：{value}"}),
        Demonstrations(pool, nearest=1),
        Retrieved(["Lies hurt.", "You lied: anger."], text="Read: {value}"),
    ]


def full_item():
    """The second turn with everything that the slots need."""
    return {
        **with_turns(dialogue())["u1"],
        "id": "u1",
        "style": STYLE,
        "topic": ["a lie", "money"],
        "weak": {"labels": {"sad": 0.2, "angry": 0.5, "happy": 0.3}},
    }


ENGLISH = """Said before:
Ross: "Hi." (neutral)
Said after:
Ross: "I did not." (fearful)
Speaking now: Joey.
Emotions:
- sad: Loss, disappointment or grief.
- odd: Strange.
Hint: the emotion is probably angry, or happy.
Measured: fast pace, low pitch, normal volume.
Transcript: "You lied to me!"
Topic: a lie; money
Examples:
"You did lie to me." -> sad
Read: You lied: anger.
What?"""
CHINESE = """此前的对话：
Ross：“Hi.”（平静）
此后的对话：
Ross：“I did not.”（害怕）
现在说话的是：Joey。
情绪类别：
- 悲伤：失落、失望或悲痛。
- odd：Strange.
提示：情绪很可能是生气或高兴。
测量结果：语速快，音调低，音量正常。
文本：“You lied to me!”
话题：a lie; money
示例：
“You did lie to me.” -> 悲伤
Read: You lied: anger.
What?"""


@pytest.mark.parametrize("language, text", [("en", ENGLISH), ("zh", CHINESE)])
def test_texts(language, text):
    assert fill("What?", slots(), full_item(), language) == text


def test_every_slot_is_tested():
    assert {type(slot).__name__ for slot in slots()} == set(PUBLIC)


def test_rows_get_their_turns():
    rows = with_turns({**dialogue(), "alone": {"wav": "x.wav"}})
    ids = {
        key: [
            [turn["id"] for turn in row[side]] for side in ("before", "after")
        ]
        for key, row in rows.items()
        if key != "alone"
    }
    assert ids["u0"] == [[], ["u1", "u2", "u3"]]
    assert ids["u2"] == [["u0", "u1"], ["u3"]]
    assert list(rows) == ["u2", "u0", "u3", "u1", "alone"]
    assert (
        "before" not in rows["alone"] and "wav" not in rows["u1"]["before"][0]
    )
    assert with_turns(rows) == rows


def test_dialogues_of_data_sets_stay_apart():
    rows = dialogue()
    rows["u1"]["dataset"] = "other"
    rows = with_turns(rows)
    assert rows["u1"]["before"] == [] == rows["u1"]["after"]
    assert [turn["id"] for turn in rows["u3"]["before"]] == ["u0", "u2"]


def test_turns_that_are_given_stay():
    rows = dialogue()
    rows["u3"]["before"] = []
    assert with_turns(rows)["u3"]["before"] == []


def test_a_turn_that_is_no_number_is_named():
    rows = dialogue()
    rows["u1"]["turn"] = "second"
    with pytest.raises(ManifestError, match="'u1': the turn 'second'"):
        with_turns(rows)


def test_the_nearest_turns_count():
    rows = with_turns(dialogue())
    text = History(turns=2, speakers=False).text(rows["u3"], "en")
    assert text == 'Said before:\n"You lied to me!"\n"I did not."'
    text = History(turns=0, after=2, speakers=False).text(rows["u0"], "en")
    assert text == 'Said after:\n"You lied to me!"\n"I did not."'


def test_turns_of_the_same_speaker():
    item = with_turns(dialogue())["u3"]
    text = History(turns=3, same_speaker=True, speakers=False).text(item, "en")
    assert text == 'Said before:\n"You lied to me!"'
    first = with_turns(dialogue())["u0"]
    text = History(turns=1, speakers=False).text(first, "en")
    assert text == "Said before: nothing"


@pytest.mark.parametrize(
    "number, field, lacking",
    [
        (0, "before", {"before": None}),
        (0, "after", {"after": None}),
        (0, "speaker", {"speaker": ""}),
        (0, "before.transcript", {"before": [{"speaker": "A"}]}),
        (
            0,
            "before.emotion",
            {"before": [{"speaker": "A", "transcript": "Hi"}]},
        ),
        (2, "weak", {"weak": {"labels": {}}}),
        (3, "style", {"style": {"speed": "odd"}}),
        (4, "transcript", {"transcript": None}),
        (5, "topic", {"topic": []}),
        (6, "transcript", {"transcript": ""}),
    ],
)
def test_what_is_missing_is_named(number, field, lacking):
    slot, item = slots()[number], full_item()
    assert slot.missing(item) is None
    rows = [item, {**item, **lacking, "id": "bad"}, {**item, **lacking}]
    with pytest.raises(ValueError) as error:
        check_slots([slot], rows)
    message = str(error.value)
    assert message.startswith(
        f"The prompt's slot {type(slot).__name__} needs the field {field!r}, "
        "which 2 of 3 rows lack, such as 'bad'"
    )
    assert "\n" not in message


@pytest.mark.parametrize(
    "value",
    [
        {"labels": {"sad": 0.3, "angry": 0.7}, "score": 0.7},
        {"sad": 0.3, "angry": 0.7},
        ["angry", "sad", "happy"],
    ],
)
def test_hints_in_any_form(value):
    text = Hint(k=2, key="mood").text({"mood": value}, "en")
    assert text == "Hint: the emotion is probably angry, or sad."
    assert "probably sad." in Hint(1, "mood").text({"mood": "sad"}, "en")


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: History(turns=0), "needs turns before or after"),
        (lambda: Hint(k=0), "at least one label"),
        (lambda: Quoted("a", "nothing"), "has no {value}"),
        (lambda: Demonstrations([]), "need an example"),
        (lambda: Demonstrations([{"emotion": "sad"}]), "Example 0"),
    ],
)
def test_slots_that_cannot_be(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_quoted_text_reaches_into_nothing():
    slot = Quoted("note", "Note {value} {value.__class__}")
    text = slot.text({"note": "{0.__class__}"}, "en")
    assert text == "Note {0.__class__} {value.__class__}"


def test_slots_are_saved_and_read_again(tmp_path):
    path = tmp_path / "slots.yaml"
    write_yaml({"slots": describe(slots(), "slots")}, path)
    written = path.read_text(encoding="utf-8")
    assert "!new:speechbrain_c2ser.chain_of_thought.slots.History" in written
    read = build_yaml(parse_yaml(written, path), path)["slots"]
    for language, text in (("en", ENGLISH), ("zh", CHINESE)):
        assert fill("What?", read, full_item(), language) == text


@pytest.mark.parametrize("name", ["Slot", "fill", "check_slots", "base.Slot"])
def test_nothing_else_of_the_room_can_be_built(name):
    text = f"a: !new:speechbrain_c2ser.chain_of_thought.slots.{name} {{}}"
    with pytest.raises(ValueError, match="refused"):
        parse_yaml(text, "x.yaml")


def test_answers_ask_with_slots():
    space = LabelSpace(["angry", "sad"])
    build = AnswerBuilder(space, slots=[Transcript()], prompts="varied")
    item = {**full_item(), "language": "zh"}
    (asked,), _ = build([item], ["implicit"])
    assert asked == f'Transcript: "You lied to me!"\n{prompt("implicit")}'
    drawn = {build([item], ["implicit"], n)[0][0] for n in range(20)}
    assert {"Transcript", "文本：“You li"} == {text[:10] for text in drawn}
    build.check([item])
    with pytest.raises(ValueError, match="Transcript needs .*1 of 1 rows"):
        build.check([{"id": "a"}])


def test_examples_are_of_every_emotion(tmp_path):
    rows = {
        f"r{n}": {
            "wav": "a.wav",
            "duration": 1.0,
            "emotion": emotion,
            "transcript": f"Words {n}.",
        }
        for n, emotion in enumerate(("sad", "sad", "angry", "sad"))
    }
    del rows["r1"]["transcript"]
    path = tmp_path / "train.json"
    write_manifest(rows, path)
    ids = [example["id"] for example in examples_of(path, per_label=2)]
    assert ids == ["r2", "r0", "r3"]
    with pytest.raises(ManifestError, match="demonstration"):
        write_manifest({"r1": rows["r1"]}, path)
        examples_of(path)


def test_answers_of_another_form():
    space = LabelSpace(["angry", "sad"])
    texts = {
        "en": [
            'It sounds {emotion}. The cause: "{cause}"',
            "V {valence}: {emotion}.",
        ],
        "zh": ["音调{pitch}，{emotion}。"],
    }
    build = AnswerBuilder(space, explicit=texts)
    item = {
        "id": "a",
        "emotion": "sad",
        "cause": "He is {angry}.",
        "vad": {"valence": 0.256, "arousal": None},
        "style": STYLE,
    }
    build.check([item])
    answers = build.answer_phrasings(item, "explicit")
    assert answers == [
        'It sounds sad. The cause: "He is {angry}."',
        "V 0.26: sad.",
    ]
    assert all(parse_answer(a, space).emotion == "sad" for a in answers)
    chinese = build.answer_phrasings({**item, "language": "zh"}, "explicit")
    assert chinese == ["音调低，悲伤。"]
    message = "explicit answer needs the field 'cause', which 1 of 2 rows lack"
    with pytest.raises(ValueError, match=message):
        build.check([item, {**item, "cause": ""}])
    with pytest.raises(ValueError, match="does not name the {emotion}"):
        AnswerBuilder(space, explicit={"en": ["Nothing."]})


def test_the_nearest_turns_in_their_order():
    texts = [
        "The cake is in the oven.",
        "I lost my job today.",
        "Which cake?",
        "They closed the whole office.",
        "Well.",
        "The oven is hot.",
    ]
    before = [{"speaker": "A", "transcript": text} for text in texts]
    item = {"speaker": "B", "before": before, "after": [], "id": "x"}
    slot = History(turns=2, nearest=True, speakers=False)
    assert slot.missing(item) == "transcript"
    item["transcript"] = "A job in an office?"
    assert slot.missing(item) is None
    assert slot.text(item, "en").splitlines()[1:] == [
        '"I lost my job today."',
        '"They closed the whole office."',
    ]
    # as many as there are, without any word in common, or without words
    few = {**item, "before": before[:1]}
    assert slot.text(few, "en").splitlines()[1:] == [f'"{texts[0]}"']
    odd = {**item, "transcript": "..."}
    assert len(slot.text(odd, "en").splitlines()) == 3


def test_a_rare_word_counts_more_than_common_ones():
    passages = [
        "It is a thing of the day and of the night.",
        "Insomnia.",
        "It is a thing of the year.",
        "It is the end of a thing.",
    ]
    slot = Retrieved(passages, nearest=1)
    item = {"transcript": "it is insomnia of the kind"}
    assert slot.text(item, "en") == "Known: Insomnia."
    two = Retrieved(passages, nearest=2).text(item, "en")
    assert two.startswith("Known: Insomnia.; It is")
    chinese = Retrieved(["失眠与抑郁有关", "今天天气很好"], nearest=1)
    assert "失眠" in chinese.text({"transcript": "我总是失眠"}, "zh")
    assert slot.missing({}) == "transcript"


@pytest.mark.parametrize(
    "passages, nearest, message",
    [
        ([], 1, "1 of 0 passages"),
        (["a"], 0, "0 of 1 passages"),
        (["a" * 150_000] * 2, 1, "300000 characters"),
    ],
)
def test_passages_that_cannot_be_saved_or_quoted(passages, nearest, message):
    with pytest.raises(ValueError, match=message):
        Retrieved(passages, nearest)


def test_passages_of_a_file(tmp_path):
    path = tmp_path / "guide.txt"
    path.write_text("\ufeffOne,\r\n two.\r\n \r\n\r\nThree.", encoding="utf-8")
    assert passages_of(path) == ["One, two.", "Three."]
    path.write_text(" \n")
    with pytest.raises(ManifestError, match="holds no passage"):
        passages_of(path)
    with pytest.raises(ManifestError, match="cannot be read .*empty line"):
        passages_of(tmp_path / "none.txt")
