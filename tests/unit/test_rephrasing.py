"""Rephrased answers: what is kept, what is refused, and how it is used."""

import json
import runpy
import sys

import pytest

from speechbrain_c2ser.chain_of_thought.answers import AnswerBuilder
from speechbrain_c2ser.chain_of_thought.rephrasing import Rephraser
from speechbrain_c2ser.labels import LabelSpace

SPACE = LabelSpace.from_name("emo_emilia")
ITEM = {
    "id": "a",
    "emotion": "sad",
    "language": "en",
    "transcript": "I am so happy!",
    "style": {"speed": "low", "pitch": "high", "volume": "normal"},
}
ZH = {**ITEM, "language": "zh", "transcript": "我很高兴。"}
GOOD = 'A slow voice of high pitch says "I am so happy!" and sounds sad.'
GOOD_ZH = "说话人语速缓慢，音调较高，说“我很高兴”，听起来很悲伤。"


def rephrase(text, item=ITEM, **options):
    build = Rephraser(lambda asked: [text] * len(asked), SPACE, **options)
    return build([item])[0], dict(build.counts)


def test_a_text_that_says_the_same_is_kept():
    assert rephrase(GOOD) == (GOOD, {"kept": 1})
    assert rephrase(GOOD_ZH, ZH) == (GOOD_ZH, {"kept": 1})
    lines = GOOD.replace(" and", "\n and")
    assert rephrase(lines) == (GOOD, {"kept": 1})
    plain = "A slow, sad voice."
    assert rephrase(plain, content=False) == (plain, {"kept": 1})


@pytest.mark.parametrize(
    "text, item, why",
    [
        ("", ITEM, "empty"),
        (None, ITEM, "empty"),
        (GOOD.replace("sad", "angry"), ITEM, "emotion"),
        (GOOD.replace("sad", "sad or angry"), ITEM, "emotion"),
        (GOOD.replace("sounds sad", "ends"), ITEM, "emotion"),
        (GOOD.replace("so happy", "so sad"), ITEM, "content"),
        (GOOD.replace('"', ""), ITEM, "emotion"),
        ("A slow, high pitch. It sounds sad.", ITEM, "content"),
        (GOOD_ZH.replace("我很高兴", "I am so happy!"), ITEM, "language"),
        (GOOD.replace("high pitch", "low pitch"), ITEM, "style"),
        (GOOD.replace("slow voice", "fast voice"), ITEM, "style"),
        (GOOD.replace("slow", "slow, quietly spoken"), ITEM, "style"),
        (GOOD.replace("slow", "deep, slow"), ITEM, "style"),
        ('Sad, slow: "I am so happy!"', ITEM, "order"),
        (GOOD_ZH.replace("悲伤", "愤怒"), ZH, "emotion"),
    ],
)
def test_what_says_something_else_is_refused_and_counted(text, item, why):
    assert rephrase(text, item) == (None, {why: 1})


def test_the_model_is_told_the_emotion_and_the_answer():
    asked = []

    def generate(instructions):
        asked.extend(instructions)
        return [GOOD, GOOD_ZH]

    assert Rephraser(generate, SPACE)([ITEM, ZH]) == [GOOD, GOOD_ZH]
    assert '"sad"' in asked[0] and '"I am so happy!" sound sad.' in asked[0]
    assert "悲伤" in asked[1] and "“我很高兴。”" in asked[1]
    with pytest.raises(ValueError, match="gave 2 texts for 1"):
        Rephraser(generate, SPACE)([ITEM])
    with pytest.raises(ValueError, match="'a' has no transcript"):
        Rephraser(generate, SPACE)([{**ITEM, "transcript": ""}])


def test_training_uses_the_rephrased_answer():
    item = {**ITEM, "explicit_answer": GOOD}
    build = AnswerBuilder(SPACE)
    for moment in (None, 1, 2):
        assert build([item], ["explicit"], moment)[1] == [GOOD]
    assert build([item], ["implicit"])[1] == ["The speaker sounds sad."]
    assert GOOD in build.possible(item)
    first = AnswerBuilder(SPACE, label_first=True)
    assert first([item], ["explicit"])[1][0].startswith("The speaker sounds")


def test_the_recipe_with_a_real_model_folder(
    root, tiny_llm, tmp_path, monkeypatch, capsys
):
    """Random weights write nonsense: all is refused, items stay."""
    items = {
        key: {**ITEM, "wav": "/nowhere.wav", "duration": 1.0}
        for key in ("a", "b", "c")
    }
    source, target = tmp_path / "train.json", tmp_path / "out" / "train.json"
    source.write_text(json.dumps(items))
    script = str(root / "recipes" / "C2SER" / "rephrase_answers.py")
    argv = [script, str(source), str(target), "--llm", str(tiny_llm)]
    argv += ["--max-new-tokens", "8", "--batch-size", "2", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", argv)
    recipe = runpy.run_path(script, run_name="__main__")
    assert "0 of 3 answers rephrased, 3 refused" in capsys.readouterr().out
    assert json.loads(target.read_text()) == items

    class Writer:
        def generate(self, questions, max_new_tokens):
            return [GOOD] * len(questions)

    counts = recipe["rephrase_manifest"](items, Writer(), True, 8, 2)
    assert counts == {"kept": 3}
    assert all(item["explicit_answer"] == GOOD for item in items.values())
