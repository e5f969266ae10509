"""LabelSpace: names, words, strict reading, mapping."""

import json

import pytest

from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.labels.emotion_words import (
    CONCEPTS,
    SPACE_OF_SIZE,
    SPACES,
    words_of,
)

SEVEN = LabelSpace.from_name("emo_emilia")


@pytest.mark.parametrize(
    "text, label",
    [
        ("happy", "happy"),
        ("The speaker sounds HAPPY.", "happy"),
        ("the emotion is sadness", "sad"),
        ("他听起来非常开心", "happy"),
        ("说话人的情绪是难过。", "sad"),
        ("Sie klingt sehr wütend", "angry"),
        ("this is happy的语气", "happy"),
        ("happy, joyful, cheerful", "happy"),
        ("excited", "happy"),
        ("not happy but sad", "sad"),
        ("nicht traurig, sondern fröhlich", "happy"),
        # Unparsed, never a guess.
        ("", None),
        (None, None),
        ("happy or sad", None),
        ("又高兴又难过", None),
        ("unhappy", "sad"),
        ("not unhappy", None),
        ("sadistic", None),
        ("\u017fad", None),
        ("not happy", None),
        ("doesn't sound happy", None),
        ("isn’t very angry", None),
        ("neither happy", None),
        ("不高兴", None),
        ("一点也不太高兴", None),
        ("高兴不起来", None),
        ("kein Ärger", None),
        ("non-angry", None),
        ("bored", None),
        ("I cannot tell.", None),
        # Signs that nobody sees, and letters of another style.
        ("The speaker is s\u200bad.", "sad"),
        ("s\u00adad", "sad"),
        ("𝐬𝐚𝐝", "sad"),
        # Words that are part of another.
        ("The clip is composed of words, and she is sad.", "sad"),
        ("She is composed.", "neutral"),
        ("The sentence is composed by an angry author.", "angry"),
        ("He composed a sad song.", "sad"),
        ("不满意", None),
        ("语气不满", "angry"),
        ("Zum Glück ist sie traurig", "sad"),
        ("As a matter of fact, she is sad.", "sad"),
        ("a matter-of-fact tone", "neutral"),
        ("沮丧", "sad"),
    ],
)
def test_parse(text, label):
    assert SEVEN.parse(text) == label


@pytest.mark.parametrize("name", SPACES)
def test_every_word_of_a_space_names_its_label(name):
    space = LabelSpace.from_name(name)
    for label in space:
        assert space.parse(label) == label
        for word in words_of(label):
            assert space.parse(f"… {word}.") == label
        for language in ("en", "zh", "de", "sv"):
            assert space.parse(space.surface(label, language)) == label


def test_no_word_stands_under_two_concepts():
    owners = {}
    for concept in CONCEPTS:
        for word in set(words_of(concept)):
            assert owners.setdefault(word, concept) == concept, word


def test_catch_all_labels_give_way_to_named_emotions():
    space = LabelSpace.from_name("emotion2vec")
    assert space.parse("other") == "other"
    assert space.parse("the other speaker is sad") == "sad"
    assert space.parse("unknown or other") is None


def test_a_label_of_the_set_is_no_synonym_of_another():
    ravdess = LabelSpace.from_name("ravdess")
    assert ravdess.parse("calm") == "calm"
    assert SEVEN.parse("calm") == "neutral"
    assert SEVEN.parse("calm", synonyms=False) is None
    both = LabelSpace(
        ["a", "b"], aliases={"a": {"en": ["x"]}, "b": {"en": ["x"]}}
    )
    assert both.parse("x") is None


def test_language_restricts_words_but_not_names():
    assert SEVEN.parse("froh", "de") == "happy"
    assert SEVEN.parse("froh", "en") is None
    assert SEVEN.parse("happy", "zh") == "happy"


def test_own_labels_and_words():
    space = LabelSpace(
        ["boredom", "Very_Odd"],
        aliases={"Very_Odd": {"en": ["weird", "strange"]}},
        definitions={"Very_Odd": "Like nothing else."},
        parents={"Very_Odd": "boredom"},
    )
    assert space.surface("boredom") == "bored"
    assert space.surface("Very_Odd") == "weird"
    assert space.surface("Very_Odd", "zh") == "Very Odd"
    assert space.parse("it is strange") == "Very_Odd"
    assert space.parse("very odd indeed") == "Very_Odd"
    assert space.parse("gelangweilt") == "boredom"
    assert space.definitions["Very_Odd"] == "Like nothing else."
    again = LabelSpace(**json.loads(json.dumps(space.to_dict())))
    assert again == space
    assert again.parse("weird") == "Very_Odd"
    assert LabelSpace(**space.constructor_arguments) == space


@pytest.mark.parametrize(
    "raw, label",
    [
        ("Anger", "angry"),
        ("boredem", "bored"),
        ("Neutral", "neutral"),
        ("exc", "happy"),
        ("fear", "fearful"),
        ("生气/angry", "angry"),
        ("happy/sad", None),
        ("pleasure", "happy"),
        ("pain, groan", None),
        (None, None),
    ],
)
def test_map(raw, label):
    assert LabelSpace.from_name("emodb").map(raw) == label


def test_mapping_between_sets():
    nine = LabelSpace.from_name("emotion2vec")
    four = LabelSpace.from_name("iemocap4")
    assert nine.mapping_to(four) == {
        "angry": "angry",
        "disgusted": None,
        "fearful": None,
        "happy": "happy",
        "neutral": "neutral",
        "other": None,
        "sad": "sad",
        "surprised": None,
        "unknown": None,
    }
    eight = LabelSpace.from_name("ravdess")
    assert eight.mapping_to(SEVEN)["calm"] == "neutral"


def test_from_items():
    items = {"a": {"emotion": "sad"}, "b": {"emotion": "angry"}, "c": {}}
    assert LabelSpace.from_items(items).names == ["angry", "sad"]
    with pytest.raises(ValueError, match="No item"):
        LabelSpace.from_items({"a": {}})
    items["c"] = items["d"] = {"emotion": "happy;sad"}
    with pytest.raises(ValueError, match="2 items .*'happy;sad'.*happy_sad"):
        LabelSpace.from_items(items)
    for one in ("生气/angry", "happy/excited", "Anger & Rage", "wind, rain"):
        assert LabelSpace.from_items([{"emotion": one}]).names == [one]


def test_errors_name_what_is_wrong_and_what_is_known():
    with pytest.raises(ValueError, match="'plutchik'.*emo_emilia"):
        LabelSpace.from_name("plutchik")
    with pytest.raises(ValueError, match="'bored'.*known: angry, happy"):
        SEVEN.index("bored")
    with pytest.raises(ValueError, match="'glad'"):
        LabelSpace(["happy"], aliases={"glad": {"en": ["glad"]}})
    with pytest.raises(ValueError, match="twice"):
        LabelSpace(["happy", "Happy"])
    with pytest.raises(ValueError, match="empty"):
        LabelSpace([])


def test_mentions_give_positions():
    text = "一点也不难过，很高兴"
    [(label, start, end)] = SEVEN.mentions(text)
    assert (label, text[start:end]) == ("happy", "高兴")


@pytest.mark.parametrize("size", SPACE_OF_SIZE)
@pytest.mark.parametrize("name", SPACES)
def test_every_set_maps_into_the_usual_ones(name, size):
    space, coarse = LabelSpace.from_name(name), LabelSpace.from_name(size)
    assert len(coarse) == size
    placed = space.mapping_to(coarse)
    assert set(placed) == set(space)
    for label, place in placed.items():
        # What is in both stays; the rest has a broader place or none.
        assert place == label if label in coarse else place != label
        assert place is None or place in coarse
    assert coarse.mapping_to(coarse) == {label: label for label in coarse}


def test_broader_places():
    four, seven = LabelSpace.from_name(4), LabelSpace.from_name(7)
    ravdess = LabelSpace.from_name("ravdess").mapping_to(four)
    assert ravdess["calm"] == "neutral" and ravdess["fearful"] is None
    msp = LabelSpace.from_name("msp_podcast").mapping_to(seven)
    assert msp["contemptuous"] == "disgusted"
    emov = LabelSpace.from_name("emovdb").mapping_to(four)
    assert emov["amused"] == "happy" and emov["sleepy"] is None
    asvp = LabelSpace.from_name("asvp_esd").mapping_to(seven)
    assert asvp["pleased"] == "happy" and asvp["pained"] is None


def test_a_word_of_an_emotion_that_a_set_may_lack():
    space = LabelSpace(["angry", "happy", "neutral", "sad", "frustrated"])
    for each in (space, LabelSpace(**space.to_dict())):
        assert each.surface("frustrated", "zh") == "沮丧"
        assert each.parse("她听起来很沮丧。") == "frustrated"
        assert each.map("沮丧") == "frustrated"
    assert LabelSpace.from_name(4).parse("她听起来很沮丧。") == "sad"
    assert LabelSpace(["angry", "happy"]).map("沮丧") == "angry"


@pytest.mark.parametrize(
    "names", [["sad?", "sad"], ["a*", "a"], ["happy", "<happy>"]]
)
def test_marks_tell_given_names_apart(names):
    space = LabelSpace(names)
    assert LabelSpace(**space.to_dict()).names == names
    assert [space.map(name) for name in names] == names
    assert LabelSpace(["sad?", "sad"]).map("Sad.") == "sad"


def test_unhappy_is_no_happy_where_nothing_is_sad():
    assert LabelSpace(["angry", "happy"]).parse("unhappy") is None


def test_labels_in_traditional_characters():
    space = LabelSpace(["悲傷", "高興"])
    for text in ("悲傷", "悲伤", "sad", "她聽起來很悲傷。"):
        assert space.parse(text) == space.map(text.split("很")[-1]) == "悲傷"
    assert space.parse("不高興") is None
    assert LabelSpace(["sad", "happy"]).map("悲傷") == "sad"
    assert LabelSpace.from_names(["悲傷", "悲伤"]).names == ["悲伤"]


@pytest.mark.parametrize(
    "alias, text",
    [
        ("歡騰", "他很歡騰"),
        ("ｚｅｓｔｙ", "zesty"),
        (" Zesty ", "zesty"),
        ("fro\u0308hlichst", "fröhlichst"),
    ],
)
def test_an_alias_is_found_however_it_is_spelled(alias, text):
    space = LabelSpace(["happy", "sad"], aliases={"happy": {"en": [alias]}})
    assert space.parse(text) == "happy"


@pytest.mark.parametrize(
    "raw",
    ["'sad'", '"sad"', "sad.", "sad\0\0", "\u202asad\u202c", "sad\u200d"]
    + ["sad\ufe0f", "sad\x1a", "【sad】"],
)
def test_marks_and_unseen_signs_make_no_class(raw):
    assert LabelSpace.from_names([raw, "sad", "happy"]).names == [
        "happy",
        "sad",
    ]
    assert LabelSpace(["sad", "happy"]).map(raw) == "sad"


@pytest.mark.parametrize(
    "text, label",
    [
        ("very-sad", "very sad"),
        ("Very_Sad", "very sad"),
        ("very  sad", "very sad"),
        ("neutral_state", "neutral-state"),
        ("neutral state", "neutral-state"),
        ("very, sad", None),
    ],
)
def test_a_gap_in_a_label_is_any_gap(text, label):
    space = LabelSpace(["very sad", "neutral-state"])
    assert space.parse(text) == space.map(text) == label


def test_words_given_in_another_form():
    words = {"happy": {"en": "joyful"}}
    space = LabelSpace(["happy", "sad"], aliases=words)
    assert space.surface("happy") == "joyful"
    assert space.parse("a j day") is None
    for listed in (["joyful"], "joyful", None):
        with pytest.raises(ValueError, match="aliases of 'happy'.*language"):
            LabelSpace(["happy"], aliases={"happy": listed})
    with pytest.raises(ValueError, match="'sad': give a list"):
        LabelSpace("sad")


def test_emotions_of_items_that_are_no_words():
    rows = [{"emotion": e} for e in (0, 1, None, "", float("nan"))]
    assert LabelSpace.from_items(rows).names == ["0", "1"]
    with pytest.raises(ValueError, match="item 'b' is .*votes"):
        LabelSpace.from_items({"b": {"emotion": ["sad"]}})


def test_an_own_name_is_itself_whatever_marks_it_holds():
    space = LabelSpace(["angry/sad", "(calm)", "happy"])
    assert [space.map(name) for name in space] == space.names
