"""JSON that language models write when nothing makes them write JSON."""

import json

import pytest

from speechbrain_c2ser.chain_of_thought.answer_parsing import parse_answer
from speechbrain_c2ser.cli import main
from speechbrain_c2ser.labels import LabelSpace

SEVEN = LabelSpace.from_name("emo_emilia")
LISTS = '"labels": ["happy", "sad"], "scores": [0.1, 0.9]'


@pytest.mark.parametrize(
    "text",
    [
        '{{"emotion": "sad", "text": "happy"}}',
        "{{'emotion': 'sad'}}",
        '{"answer": {{"emotion": "sad"}}}',
        '{\'a\': {{"emotion": "sad"}}}',
    ],
)
def test_braces_of_a_prompt_are_single_ones(text):
    assert parse_answer(text, SEVEN).emotion == "sad"


@pytest.mark.parametrize("depth", [30, 600, 990, 3000])
@pytest.mark.parametrize("opening, closing", [('{"a":', "}"), ("[", "]")])
def test_deep_nesting_is_no_label(opening, closing, depth):
    deep = opening * depth + "1" + closing * depth
    for text in (deep, f'{{"emotion": {deep}}}', f'[{{"label":{deep},"p":1}}]'):
        assert parse_answer(text, SEVEN).emotion is None


def test_no_answer_ends_an_evaluation(tmp_path, capsys):
    texts = ['{{"emotion": "sad"}}', '{["sad"]}', "{[1]: 2}", "[" * 900, "sad"]
    rows = [
        {"id": str(n), "text": text, "emotion": "sad"}
        for n, text in enumerate(texts)
    ]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["evaluate", str(path), "--samples", "9"]) == 0
    assert "2 of 5 unparsed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text, label",
    [
        # It breaks off.
        ('{"emotion": "sad", "text": "I am so happy', "sad"),
        ('```json\n{"emotion": "sad", "p": 0.8, "reason": "An angry', "sad"),
        ('{"emotion": "sad", "evidence": ["happy words", "slow', "sad"),
        ('[{"emotion": "happy", "p": 0.1}, {"emotion": "sad", "p', None),
        ('{"text": "I am so happy', None),
        ('{"transcription": "I am so happy", "emot', None),
        ('{"emotion": ["sad", "angry"], "text": "I', None),
        # A mark is missing.
        ('{"emotion": "sad", "text": "I am happy}', "sad"),
        ('{"emotion": "sad", "reason": happy}', "sad"),
        ('{"emotion": "sad" "text": "happy"}', "sad"),
        ("{emotion: sad, text: happy}", "sad"),
        # Too many are there.
        ('{"text": "I said "happy" words", "emotion": "sad"}', "sad"),
        ("{'emotion': 'sad', 'text': 'it's happy'}", "sad"),
        # Curly marks, comments.
        ("{“emotion”: “sad”, “transcript”: “I am happy”}", "sad"),
        ('{"emotion": "sad", // not angry\n"text": "happy"}', "sad"),
        ('{"emotion": "sad", /* happy */ "x": 1}', "sad"),
        # Words in braces are no JSON.
        ("{speaker: A} The speaker sounds sad.", "sad"),
    ],
)
def test_broken_json_is_read_by_its_keys(text, label):
    assert parse_answer(text, SEVEN).emotion == label


@pytest.mark.parametrize(
    "text, label",
    [
        (f'{{"sequence": "i am happy", {LISTS}}}', "sad"),
        (f'[{{"key": "happy_1", {LISTS}}}]', "sad"),
        ('{"labels": ["happy", "sad"], "scores": [0.1]}', None),
        ('{"emotions": [{"name": "sad", "score": 0.9}]}', "sad"),
        (
            '{"emotions": [{"name": "happy", "score": 0.1}, '
            '{"name": "sad", "score": 0.9}]}',
            "sad",
        ),
        # Of several the last that answers.
        ('{"emotion": "happy"}\nNo:\n{"emotion": "sad"}', "sad"),
        ('Of ["angry", "sad"]: {"emotion": "sad"}', "sad"),
        ('{"emotion": "sad"}, as in {"text": "happy"}', "sad"),
        ('{"emotion": "sad"}\n{"emotion": "happy"}', None),
        # A value is read as a text is.
        ('{"emotion": "no emotion"}', "neutral"),
        ('{"emotion": "sad (80%), angry (20%)"}', "sad"),
        ('{"emotion": "The emotion is \\"sad\\"."}', "sad"),
        ('{"emotion": {"type": "sad", "intensity": 0.7}}', "sad"),
        # Keys.
        ('{"speech_emotion": "sad", "text_emotion": "happy"}', "sad"),
        ('{"audio_emotion": "sad", "asr": "happy"}', "sad"),
        ('{"top_emotion": "sad", "secondary_emotion": "angry"}', "sad"),
        ('{"主要情绪": "悲伤", "次要情绪": "愤怒"}', "sad"),
        ('{"情感类型": "悲伤", "依据": "他说高兴"}', "sad"),
        ('{"ser": "sad", "caption": "a happy song"}', "sad"),
        ('[{"word": "happy", "confidence": 0.9}]', None),
    ],
)
def test_lists_keys_and_values(text, label):
    assert parse_answer(text, SEVEN).emotion == label
