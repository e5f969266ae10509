"""Free texts: sets of emotions, clues, and several judges of what is meant."""

import json

import numpy as np
import pytest
from json_lines import write_lines
from sklearn.metrics import cohen_kappa_score

from speechbrain_c2ser.cli import main
from speechbrain_c2ser.evaluation.comparing import read_result
from speechbrain_c2ser.evaluation.free_texts import score_free_texts
from speechbrain_c2ser.evaluation.readings import (
    judges_agreement,
    read_labels,
)
from speechbrain_c2ser.labels import LabelSpace

SPACE = LabelSpace(["angry", "happy", "sad"])


def test_sets_of_emotions_by_hand():
    true = {
        "a": {"emotions": ["furious", "Sadness", "wistful"]},
        "b": {"emotions": ["joyful", "glad"]},  # one emotion
        "c": {"emotions": "fear; surprise"},
        "d": {"emotions": ["calm"]},
        "e": {"emotions": []},  # nothing is known of it
    }
    texts = {
        "a": "Angry and, it seems, wistful.",
        "b": "Cheerful, sad and afraid.",
        "c": "Scared, not surprised at all.",
        "d": "I cannot tell.",
        "e": "happy",
    }
    rows = [{"id": key, "text": text} for key, text in texts.items()]
    figures = score_free_texts(rows, true)["emotions"]
    precision = np.mean([2 / 2, 1 / 3, 1 / 1, 0])
    recall = np.mean([2 / 3, 1 / 1, 1 / 2, 0])
    assert figures["n"] == 4
    assert figures["precision"] == pytest.approx(precision)
    assert figures["recall"] == pytest.approx(recall)
    f1 = 2 * precision * recall / (precision + recall)
    assert figures["f1"] == pytest.approx(f1)
    # a label is no set
    only = [{"id": "b", "label": "happy"}]
    assert score_free_texts(only, true) == {}
    assert score_free_texts(rows, {"a": {"emotion": "sad"}}) == {}


@pytest.mark.parametrize(
    "given",
    [
        "[sad, angry]",
        "['sad', 'angry']",
        "悲伤，愤怒",
        "sad/angry",
        "sad|angry",
        ["悲傷", "Anger", None],
    ],
)
def test_a_set_however_a_table_writes_it(given):
    rows = [{"id": "a", "text": "sad and angry"}]
    figures = score_free_texts(rows, {"a": {"emotions": given}})["emotions"]
    assert figures["precision"] == figures["recall"] == 1


def test_two_spellings_of_a_word_of_no_list_are_one():
    rows = [{"id": "a", "text": "She feels let down."}]
    true = {"a": {"emotions": ["let down", "Let_Down", "ｌｅｔ down"]}}
    assert score_free_texts(rows, true)["emotions"]["f1"] == 1


def test_clues_by_hand():
    true = {
        "a": {"clues": "The voice trembles, and it is quiet."},
        "b": {"clues": "声音很低", "language": "zh"},
        "c": {"emotion": "sad"},
    }
    rows = [
        {"id": "a", "text": "A trembling, quiet voice; sad."},
        {"id": "b", "text": "声音低沉"},
        {"id": "c", "text": "sad"},
    ]
    figures = score_free_texts(rows, true)["clues"]
    # voice, quiet of voice, trembles, quiet; of trembling, quiet, voice, sad
    assert figures["n"] == 2
    assert figures["recall"] == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert figures["precision"] == pytest.approx((2 / 4 + 3 / 4) / 2)


def test_a_set_without_one_true_label_is_scored_alone(tmp_path, capsys):
    rows = [
        {"id": "a", "text": "angry", "emotions": ["mad", "sad"]},
        {"id": "b", "text": "I feel joy", "emotions": ["happy"]},
    ]
    path = write_lines(tmp_path / "p.jsonl", rows)
    assert main(["evaluate", str(path)]) == 0
    assert "| sets of emotions" in capsys.readouterr().out
    result = json.loads((tmp_path / "p" / "result.json").read_text())
    assert result["free_texts"]["emotions"]["recall"] == 0.75
    report = (tmp_path / "p" / "report.md").read_text()
    assert "| sets of emotions" in report


def test_sets_and_clues_stand_beside_the_label(tmp_path, capsys):
    rows = [
        {"id": "a", "text": "It is loud, so angry.", "clues": "loud"},
        {"id": "b", "text": "sad", "emotions": ["sad", "tired"]},
    ]
    path = write_lines(tmp_path / "p.jsonl", rows)
    true = [
        {"id": "a", "emotion": "angry", "clues": "It is loud."},
        {"id": "b", "emotion": "sad", "emotions": ["sad"]},
    ]
    reference = write_lines(tmp_path / "true.jsonl", true)
    command = ["evaluate", str(path), "--samples", "9"]
    assert main([*command, "--reference", str(reference)]) == 0
    printed = capsys.readouterr().out
    assert "| clues in words" in printed and "| sets of emotions" in printed
    result = read_result(tmp_path / "p" / "result.json")
    # what the reference says is true
    assert result["free_texts"]["emotions"] == {
        "n": 1,
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
    }
    assert result["free_texts"]["clues"]["recall"] == 1
    report = (tmp_path / "p" / "report.md").read_text()
    assert "## Free texts" in report


def test_most_judges_decide_and_their_agreement_is_told():
    rows = [{"id": str(n), "text": f"text {n}"} for n in range(4)]
    rows.append({"id": "label", "label": "sad"})
    told = [
        ["sad", "sad", "happy", "angry"],
        ["angry", "sad", "happy", "sad"],
        ["angry", "sad", "sad", "happy"],
    ]
    judges = [lambda texts, each=each: each for each in told]
    readings = read_labels(rows, SPACE, judges)
    assert readings["llm"] == ["angry", "sad", "happy", "angry", "sad"]
    assert readings["llm_2"] == [*told[1], "sad"]
    figures = judges_agreement(readings, rows)
    pairs = [(0, 1), (0, 2), (1, 2)]
    agree = [np.mean(np.equal(told[a], told[b])) for a, b in pairs]
    kappas = [cohen_kappa_score(told[a], told[b]) for a, b in pairs]
    assert figures["n"] == 4 and figures["all_agree"] == 0.25
    assert figures["pairs_agree"] == pytest.approx(np.mean(agree))
    assert figures["kappa"] == pytest.approx(np.mean(kappas))
    one = read_labels(rows, SPACE, judges[:1])
    assert "llm_1" not in one and judges_agreement(one, rows) is None


def test_several_language_models_by_command(tiny_llm, tmp_path, capsys):
    rows = [
        {"id": "a", "emotion": "sad", "text": "quite cross"},
        {"id": "b", "emotion": "angry", "text": "over the moon"},
    ]
    path = write_lines(tmp_path / "p.jsonl", rows)
    command = ["evaluate", str(path), "--samples", "9", "--device", "cpu"]
    assert main([*command, "--llm", str(tiny_llm), str(tiny_llm)]) == 0
    printed = capsys.readouterr().out
    assert "The judges agree on 100.0 % of 2 texts" in printed
    assert "llm_2: read by language model 2 alone" in printed
    result = read_result(tmp_path / "p" / "result.json")
    assert {"llm", "llm_1", "llm_2"} <= set(result["readings"])
    assert result["judges"]["kappa"] == 1
    assert "## Judges" in (tmp_path / "p" / "report.md").read_text()
