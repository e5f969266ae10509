"""Prompts, answers and their parsers."""

import itertools
import logging
from random import Random

import pytest

from speechbrain_c2ser.chain_of_thought import languages
from speechbrain_c2ser.chain_of_thought.answer_texts import implicit_answers
from speechbrain_c2ser.chain_of_thought.answers import (
    AnswerBuilder,
    answer_language,
    explicit_answer,
    label_answers,
    parse_answer,
    prompt,
    split_before_emotion,
)
from speechbrain_c2ser.chain_of_thought.templates import (
    EXPLICIT,
    IMPLICIT,
    LABEL_FIRST,
    PROMPTS,
)
from speechbrain_c2ser.labels import LabelSpace

SPACES = [
    LabelSpace.from_name("emo_emilia"),
    LabelSpace.from_name("emotion2vec"),
    LabelSpace.from_name("emodb"),
    LabelSpace(["low", "normal", "very_odd"]),
]
VALUES = ("low", "normal", "high")
STYLE = {"speed": "low", "pitch": "high", "volume": "normal"}
# Words of emotions and styles, quotes and another language inside.
TRANSCRIPT = 'I\'m "happy", not sad: a fast pace! 他说“很生气”。'


class Phrasing:
    """Draws one fixed phrasing."""

    def __init__(self, index):
        self.index = index

    def choice(self, texts):
        return texts[self.index]


def item(emotion="happy", language="en", **fields):
    row = {"id": "u1", "emotion": emotion, "language": language}
    return {**row, "style": STYLE, "transcript": TRANSCRIPT, **fields}


@pytest.mark.parametrize("space", SPACES, ids=lambda s: s.names[0])
@pytest.mark.parametrize("language", ["en", "zh", "de"])
def test_explicit_answers_read_back(space, language):
    """Every phrasing × label × style × language, as written or lower-cased."""
    written = answer_language(language)
    continuations = label_answers(space, "explicit", language)
    kinds = [
        (index, first)
        for texts, first in ((EXPLICIT, False), (LABEL_FIRST, True))
        for index in range(len(texts[written]))
    ]
    for label, values, (index, first), content in itertools.product(
        space, itertools.product(VALUES, repeat=3), kinds, (True, False)
    ):
        style = dict(zip(STYLE, values, strict=True))
        row = item(label, language, style=style)
        answer = explicit_answer(row, Phrasing(index), space, content, first)
        for text, quoted in (
            (answer, TRANSCRIPT),
            (answer.lower(), TRANSCRIPT.lower()),
        ):
            parsed = parse_answer(text, space)
            assert parsed.style == style
            assert parsed.content == (quoted if content else None)
            assert parsed.emotion == label
            assert parsed.language == written
        prefix = split_before_emotion(answer)
        assert answer.startswith(prefix + continuations[label][0])
        if not first:
            assert answer == prefix + continuations[label][0]
            assert (TRANSCRIPT in prefix) == content
            assert split_before_emotion(prefix) == prefix


@pytest.mark.parametrize("space", SPACES, ids=lambda s: s.names[0])
@pytest.mark.parametrize("language", ["en", "zh", "de"])
def test_implicit_answers_read_back(space, language):
    written = answer_language(language)
    listed = label_answers(space, "implicit", language, phrasings=None)
    for label in space:
        texts = implicit_answers(item(label), space, written)
        assert texts == listed[label]
        assert len(texts) == len(IMPLICIT[written])
        for text in texts:
            assert parse_answer(text, space).emotion == label
            assert parse_answer(text, space).style is None
    canonical = label_answers(space, "implicit", language)
    assert all(len(texts) == 1 for texts in canonical.values())


def test_the_emotion_comes_after_style_and_content():
    for language, word in (("en", "happy"), ("zh", "高兴")):
        for index in range(len(EXPLICIT[language])):
            text = explicit_answer(item(language=language), Phrasing(index))
            assert text.rstrip(".。").endswith(word)


@pytest.mark.parametrize(
    "text, style, content, emotion",
    [
        (
            "spoken by a young woman with a slow pace, normal pitch, and low "
            "energy, the phrase 'it's over' conveys a happy and sincere tone.",
            {"speed": "low", "pitch": "normal", "volume": "low"},
            "it's over",
            "happy",
        ),
        (
            "说话人语速较快，音高偏高，声音很小，说“你好”，听得出很生气。",
            {"speed": "high", "pitch": "high", "volume": "low"},
            "你好",
            "angry",
        ),
        ("The pitch is high.", {"pitch": "high"}, None, None),
        ("slow pace, a fast pace, happy", None, None, "happy"),
        ('slow pace, the words "I am hap', {"speed": "low"}, None, None),
        ('"I am so sad" sounds happy', None, "I am so sad", "happy"),
        ('The words "I am sad" sound', None, "I am sad", None),
        ("happy. no, sad.", None, None, None),
        ("happy and sad", None, None, None),
        ('""', None, None, None),
        ("", None, None, None),
        (None, None, None, None),
    ],
)
def test_free_text(text, style, content, emotion):
    parsed = parse_answer(text, SPACES[0])
    if style is not None:
        style = {**dict.fromkeys(STYLE), **style}
    assert (parsed.style, parsed.content, parsed.emotion) == (
        style,
        content,
        emotion,
    )


@pytest.mark.parametrize(
    "text, prefix",
    [
        ('The "words" convey a happy tone.', 'The "words" convey a'),
        ("语速慢，说“你好”，流露出高兴的情绪。", "语速慢，说“你好”，流露出"),
        (
            "Spoken with a slow pace",
            "Spoken with a slow pace. The voice sounds",
        ),
        ('The words "I feel', 'The words "I feel" sound'),
        ("语速慢，说的是“我", "语速慢，说的是“我”，情绪是"),
        ("语速慢，", "语速慢。情绪是"),
        ("", "The voice sounds"),
        (None, "The voice sounds"),
    ],
)
def test_split_of_texts_that_end_early_or_otherwise(text, prefix):
    assert split_before_emotion(text) == prefix


def test_languages_without_texts_are_answered_in_english(caplog):
    languages._log_fallback.cache_clear()
    with caplog.at_level(logging.INFO):
        assert answer_language("sv") == answer_language("sv-FI") == "en"
    assert len(caplog.records) == 1
    assert "'sv'" in caplog.text
    assert [answer_language(x) for x in ("zh_CN", "cmn", "EN-us")] == [
        "zh",
        "zh",
        "en",
    ]
    build = AnswerBuilder(SPACES[0])
    rows = [item(language=x) for x in ("de", "de", None, "cmn", "en")]
    _, texts = build(rows, ["explicit"] * 5)
    assert build.fallbacks == {"de": 2, "unknown": 1}
    assert texts[0] == texts[4]


def test_possible_answers_are_those_that_are_drawn():
    build = AnswerBuilder(SPACES[0])
    drawn = set()
    for moment in range(60):
        for mode in ("explicit", "implicit"):
            drawn.update(build([item()], [mode], moment)[1])
    assert set(build.possible(item())) == drawn
    assert len(AnswerBuilder(SPACES[0], phrasings=1).possible(item())) == 2


def test_what_is_missing_is_named():
    for field, remedy in (
        ("transcript", "without content"),
        ("style", "annotate"),
        ("emotion", "label"),
    ):
        for empty in (None, "", "  "):
            with pytest.raises(
                ValueError, match=f"'u1' has no {field}.*{remedy}"
            ):
                explicit_answer(item(**{field: empty}))
    with pytest.raises(ValueError, match="'u1' has no emotion"):
        implicit_answers(item(emotion=None), None, "en")
    with pytest.raises(ValueError, match="'u1': Unknown emotion 'bored'"):
        implicit_answers(item("bored"), SPACES[0], "en")
    with pytest.raises(ValueError, match="'u1'.*pitch is 'deep'"):
        explicit_answer(item(style={**STYLE, "pitch": "deep"}))
    for call in (
        lambda: prompt("silent"),
        lambda: label_answers(SPACES[0], "silent", "en"),
        lambda: AnswerBuilder(SPACES[0])([item()], ["silent"]),
    ):
        with pytest.raises(ValueError, match="'silent'"):
            call()
    with pytest.raises(ValueError, match="'own'"):
        AnswerBuilder(SPACES[0], prompts="own")


def test_builder_takes_canonical_texts_without_a_moment():
    build = AnswerBuilder(SPACES[0], prompts="varied")
    prompts, texts = build([item(), item()], ["explicit", "implicit"])
    assert prompts == [prompt("explicit"), prompt("implicit")]
    implicit = implicit_answers(item(), SPACES[0], "en")[0]
    assert texts == [explicit_answer(item()), implicit]


def test_builder_draws_the_same_alone_and_in_any_batch():
    build = AnswerBuilder(SPACES[0], prompts="varied", seed=3)
    rows = [item(id=f"u{i}", language="zh") for i in range(20)]
    modes = ["explicit", "implicit"] * 10
    prompts, texts = build(rows, modes, moment=4)
    again = AnswerBuilder(SPACES[0], prompts="varied", seed=3)
    for i in reversed(range(20)):
        assert again([rows[i]], [modes[i]], moment=4) == (
            [prompts[i]],
            [texts[i]],
        )
    assert len(set(texts)) == len(EXPLICIT["zh"]) + len(IMPLICIT["zh"])
    known = [t for texts in PROMPTS.values() for m in texts for t in texts[m]]
    assert len(set(prompts)) > 6 and set(prompts) <= set(known)
    assert build(rows, modes, moment=5)[1] != texts


def test_builder_options():
    rows, modes = [item()] * 30, ["explicit"] * 30
    one = AnswerBuilder(SPACES[0], phrasings=1)
    texts = {t for m in range(9) for t in one(rows, modes, moment=m)[1]}
    assert texts == {explicit_answer(item())}
    build = AnswerBuilder(SPACES[0], content=False)
    _, [text] = build([item(transcript=None)], ["explicit"])
    assert parse_answer(text, SPACES[0]).content is None
    first = AnswerBuilder(SPACES[0], label_first=True)
    _, [text] = first([item()], ["explicit"])
    assert text.startswith("The speaker sounds happy.")


def test_random_phrasings_all_occur():
    rng = Random(0)
    drawn = {explicit_answer(item(), rng) for _ in range(50)}
    assert len(drawn) == len(EXPLICIT["en"])
