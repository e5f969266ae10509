"""What is trained on, and what is said of the rest."""

import logging

import pytest

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.selection import (
    describe_training_set,
    long_enough,
    within_limits,
)
from speechbrain_c2ser.labels import LabelSpace


def items_of(**durations):
    return {
        key: {"duration": seconds, "emotion": "sad", "said": [key * 300]}
        for key, seconds in durations.items()
    }


def answers(item):
    return item["said"]


def test_each_reason_is_counted_and_named(caplog):
    items = items_of(a=1.0, b=29.1, c=29.0, d=99.0)
    items["e"] = {"duration": 1.0, "said": ["fine"]}
    with caplog.at_level(logging.WARNING):
        kept, left_out = within_limits(
            items, answers, lambda text: 200 + (text[0] == "c"), 2900, 200
        )
    assert list(kept) == ["a", "e"]
    assert set(left_out) == {"b", "c", "d"}
    assert "2 of 5 items are left out, audio over 2900 mel" in caplog.text
    assert "1 of 5 items are left out, answer over 200 tokens: c" in caplog.text


def test_a_clip_too_short_is_named(caplog):
    items = items_of(a=1.0, b=0.02)
    with caplog.at_level(logging.WARNING):
        kept, left_out = within_limits(items, answers, len, None, None)
    assert list(kept) == ["a"] and left_out == {"b": "audio under 0.1 s"}
    assert "1 of 2 items are left out, audio under 0.1 s: b" in caplog.text
    assert list(long_enough(items, 0.0)) == ["a", "b"]
    with pytest.raises(ManifestError, match="None of the 2 .*under 5 s"):
        long_enough(items, 5)


def test_no_limits_keep_all(caplog):
    items = items_of(a=1.0, b=500.0)
    with caplog.at_level(logging.WARNING):
        assert within_limits(items, answers, len, None, None) == (items, {})
    assert not caplog.records


def test_nothing_left_is_an_error():
    with pytest.raises(ManifestError, match="None of the 1 items.*change them"):
        within_limits(items_of(a=30.0), answers, len, 2900, None)


def test_many_ids_are_cut_short(caplog):
    items = {f"id{i}": {"duration": 99.0} for i in range(8)}
    items["ok"] = {"duration": 1.0}
    with caplog.at_level(logging.WARNING):
        within_limits(items, lambda item: [], len, 2900, None)
    assert "id4 and 3 more" in caplog.text


def test_missing_classes_and_languages_are_said(caplog):
    items = {
        "a": {"emotion": "sad", "language": "de"},
        "b": {"emotion": "sad", "language": "zh-CN"},
        "c": {"emotion": "sad"},
    }
    with caplog.at_level(logging.WARNING):
        found = describe_training_set(items, LabelSpace(["happy", "sad"]))
    assert found == {
        "emotions": {"happy": 0, "sad": 3},
        "languages": {"de": 1, "unknown": 1},
    }
    assert "no item for happy" in caplog.text
    assert "1 items are in 'de'" in caplog.text


def test_an_item_without_duration_is_named():
    items = items_of(a=1.0) | {"b": {"emotion": "sad"}}
    with pytest.raises(ManifestError, match="'b' has no 'duration': give"):
        long_enough(items, 0.1)
