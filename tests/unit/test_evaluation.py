"""Evaluation of predictions: formats, readings, figures, comparison, files."""

import csv
import json

import numpy as np
import pytest
import torch
from json_lines import write_lines
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    precision_recall_fscore_support,
)

from speechbrain_c2ser.cli import main
from speechbrain_c2ser.evaluation.answering import warn_of_cut
from speechbrain_c2ser.evaluation.comparing import compare, read_result
from speechbrain_c2ser.evaluation.errors import PredictionError
from speechbrain_c2ser.evaluation.predictions import (
    read_predictions,
    write_predictions,
)
from speechbrain_c2ser.evaluation.probabilities import within
from speechbrain_c2ser.evaluation.readings import read_labels
from speechbrain_c2ser.evaluation.references import read_references
from speechbrain_c2ser.evaluation.scoring import evaluate
from speechbrain_c2ser.inference.text_llm import TextLLM, label_judge
from speechbrain_c2ser.labels import LabelSpace

LABELS = ["angry", "happy", "sad"]
SPACE = LabelSpace(LABELS)


def references(count=60, seed=0):
    rng = np.random.default_rng(seed)
    return {
        f"u{i}": {
            "emotion": str(rng.choice(LABELS, p=[0.5, 0.3, 0.2])),
            "language": ["en", "zh"][i % 2],
            "gender": ["female", "male"][i // 2 % 2],
            "dataset": ["one", "two"][i // 4 % 2],
            "speaker": f"s{i % 5}",
        }
        for i in range(count)
    }


def draw_predictions(true, accuracy=0.6, seed=1):
    rng = np.random.default_rng(seed)
    rows = []
    for key, item in true.items():
        label = item["emotion"]
        if rng.random() > accuracy:
            label = str(rng.choice(LABELS))
        scores = rng.random(3) + 2 * np.equal(LABELS, label)
        probabilities = dict(
            zip(LABELS, (scores / scores.sum()).tolist(), strict=True)
        )
        rows.append({"id": key, "label": label, "probabilities": probabilities})
    return rows


def test_figures_equal_scikit_learn_in_all_and_in_each_group():
    true = references()
    rows = draw_predictions(true)
    result = evaluate(rows, true, samples=20)
    figures = result["readings"][result["main"]]
    said = {row["id"]: row["label"] for row in rows}

    def check(own, keys):
        target = [true[key]["emotion"] for key in keys]
        guess = [said[key] for key in keys]
        assert own["n"] == len(keys)
        assert own["wa"] == pytest.approx(accuracy_score(target, guess))
        recalls = precision_recall_fscore_support(
            target, guess, labels=sorted(set(target)), zero_division=0
        )[1]
        assert own["ua"] == pytest.approx(np.mean(recalls))
        for average in ("macro", "weighted"):
            assert own[f"{average}_f1"] == pytest.approx(
                f1_score(target, guess, average=average, zero_division=0)
            )

    check(figures, list(true))
    assert figures["ua"] == pytest.approx(
        balanced_accuracy_score(
            [i["emotion"] for i in true.values()], list(said.values())
        )
    )
    fields = {"language": 2, "gender": 2, "dataset": 2, "speaker": 5}
    for field, count in fields.items():
        group = figures["groups"]["corpus" if field == "dataset" else field]
        assert len(group) == count
        for value, own in group.items():
            check(own, [k for k, i in true.items() if i[field] == value])
    low, high = figures["interval"]["ua"]
    assert low <= figures["ua"] <= high


def test_calibration_is_of_the_most_probable_label():
    true = {"a": {"emotion": "sad"}, "b": {"emotion": "happy"}}
    sure = {"angry": 0.1, "happy": 0.1, "sad": 0.8}
    rows = [{"id": k, "label": "sad", "probabilities": sure} for k in true]
    result = evaluate(rows, true, SPACE, samples=9)
    assert result["calibration"]["ece"] == pytest.approx(0.3)
    assert result["calibration"]["selective"]["accuracy"] == [0.5]
    assert result["readings"]["scored"]["wa"] == 0.5


def test_readings_are_apart():
    rows = [
        {"id": "name", "text": "The speaker sounds angry."},
        {"id": "synonym", "text": 'She says "so sad" and is furious.'},
        {"id": "none", "text": "I cannot tell."},
        {"id": "two", "text": "happy or sad"},
        {"id": "empty", "text": ""},
        {"id": "label", "label": "Joy"},
    ]
    asked = []

    def judge(texts):
        asked.extend(texts)
        return ["sad"] * len(texts)

    found = read_labels(rows, SPACE, [judge])
    assert found["strict"] == ["angry", None, None, None, None, None]
    assert found["synonyms"] == ["angry", "angry", None, None, None, "happy"]
    assert found["llm"] == ["sad", "sad", "sad", "sad", None, "happy"]
    assert len(asked) == 4
    assert "label" not in found and "scored" not in found


def test_a_systems_own_label_counts_before_its_text():
    rows = [{"id": "a", "text": "She may be sad.", "label": "happy"}]
    result = evaluate(rows, {"a": {"emotion": "happy"}}, SPACE, samples=9)
    assert result["main"] == "label"
    assert result["readings"]["label"]["wa"] == 1
    assert result["readings"]["synonyms"]["wa"] == 0


def test_unparsed_is_counted():
    true = {"a": {"emotion": "sad"}, "b": {"emotion": "sad"}}
    rows = [{"id": "a", "label": None}, {"id": "b", "label": "sad"}]
    figures = evaluate(rows, true, SPACE, samples=9)["readings"]["synonyms"]
    assert figures["unparsed"] == 1 and figures["unparsed_rate"] == 0.5
    assert figures["wa"] == 0.5


@pytest.mark.parametrize(
    "rows, problem",
    [
        ([{"id": "u0", "label": "sad"}] * 2, "1 ids twice or more .u0."),
        ([{"label": "sad"}], "Prediction 1 .* has no id"),
        ([{"id": 3.5, "label": "sad"}], "has no id"),
        ([{"id": "u0"}], "'u0' .* neither text nor label"),
        ([{"id": "u0", "text": 3}], "'u0' .* text 3 is no text"),
        (
            [{"id": "u0", "label": "sad", "probabilities": {"sad": 40}}],
            "'u0' .* probabilities",
        ),
    ],
)
def test_bad_predictions_are_named(tmp_path, rows, problem):
    path = write_lines(tmp_path / "bad.jsonl", rows)
    with pytest.raises(PredictionError, match=problem):
        read_predictions(path)
    with pytest.raises(PredictionError, match=problem):
        write_predictions(rows, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_what_does_not_belong_together_is_refused():
    true = references(4)
    rows = [{"id": key, "label": "sad"} for key in true]
    with pytest.raises(PredictionError, match="1 of 4 .* no prediction .u3"):
        evaluate(rows[:3], true, SPACE)
    counted = evaluate(
        rows[:3], true, SPACE, missing_as_unparsed=True, samples=9
    )
    assert counted["missing"] == 1
    assert counted["readings"]["synonyms"]["unparsed"] == 1
    with pytest.raises(PredictionError, match="1 predictions .* do not hold"):
        evaluate([*rows, {"id": "x", "label": "sad"}], true, SPACE)
    rows[2]["label"] = "hangry"
    with pytest.raises(PredictionError, match="hangry .first: 'u2'"):
        evaluate(rows, true, SPACE)
    counted = evaluate(rows, true, SPACE, outside_as_unparsed=True, samples=9)
    assert counted["readings"]["synonyms"]["unparsed"] == 1
    true["u1"]["emotion"] = "bored"
    with pytest.raises(PredictionError, match="'u1': its true emotion 'bored'"):
        evaluate(rows, true, SPACE)
    half = draw_predictions(references(4))
    del half[1]["probabilities"]
    with pytest.raises(PredictionError, match="1 of 4 .* no probabilities"):
        evaluate(half, references(4), SPACE)
    half[1]["probabilities"] = {"angry": 1.0}
    with pytest.raises(PredictionError, match="'u1' has probabilities of"):
        evaluate(half, references(4), SPACE)


def test_true_labels_of_another_set_are_mapped_and_counted():
    true = {"a": {"emotion": "exc"}, "b": {"emotion": "sad"}}
    rows = [{"id": "a", "label": "happy"}, {"id": "b", "label": "sad"}]
    result = evaluate(rows, true, LabelSpace.from_name("iemocap4"), samples=9)
    assert result["mapped"] == {"exc": 1}
    assert result["readings"]["synonyms"]["wa"] == 1


def test_probabilities_of_another_label_set():
    own = {"hap": 0.25, "exc": 0.25, "sad": 0.0, "xxx": 0.5}
    assert within(own, SPACE) == {"angry": 0.0, "happy": 1.0, "sad": 0.0}
    assert set(within({"sad": 0.0, "xxx": 1.0}, SPACE).values()) == {1 / 3}
    with pytest.raises(PredictionError, match="None of the system's labels"):
        within({"yes": 0.5, "no": 0.5}, SPACE)


def test_references_in_every_form(tmp_path):
    wav = "./wav/ZH_1.wav"
    row = {"index": "ZH_1", "emotion": "sad", "wav": wav, "text": "好"}
    as_list = write_lines(tmp_path / "list.jsonl", [row])
    (tmp_path / "emobox.json").write_text(
        '{"k1": {"wav": "a.wav", "length": 1.5, "emo": "hap", "dataset": "x"}}'
    )
    (tmp_path / "table.csv").write_text("id,emotion,language\nc1,sad,de\n")
    found = read_references(
        [as_list, tmp_path / "emobox.json", tmp_path / "table.csv"]
    )
    assert found["ZH_1"]["language"] == "zh"
    assert found["ZH_1"]["transcript"] == "好"
    assert found["ZH_1"]["wav"] == str(tmp_path / "wav" / "ZH_1.wav")
    assert found["k1"]["emotion"] == "hap" and found["k1"]["duration"] == 1.5
    assert found["c1"]["language"] == "de"


@pytest.mark.parametrize(
    "name, text, problem",
    [
        ("a.json", '{"a": {"emotion": "x"}, "a": {}}', "'a' is there twice"),
        ("a.json", '{"a": {}}', "Item 'a' .* no emotion"),
        ("a.json", "[1]", "no manifest"),
        ("a.json", "{", "cannot be read"),
        ("a.jsonl", '{"emotion": "sad"}', "Row 1 .* has no id"),
        ("a.jsonl", '{"id": "a", "emotion": "x"}\n' * 2, "'a' is there twice"),
    ],
)
def test_bad_references_are_named(tmp_path, name, text, problem):
    (tmp_path / name).write_text(text)
    with pytest.raises(PredictionError, match=problem):
        read_references(tmp_path / name)
    with pytest.raises(PredictionError, match="no reference file"):
        read_references(tmp_path / "nowhere.json")


def test_compare_pairs_by_id():
    true = references()
    good = draw_predictions(true, 0.95)
    poor = draw_predictions(true, 0.3, seed=2)
    one = evaluate(poor, true, samples=9)
    # Another order of the same utterances must not matter.
    turned = dict(reversed(true.items()))
    two = evaluate(good, turned, samples=9)
    found = compare(one, two, samples=200)
    ua = found["metrics"]["ua"]
    assert ua["difference"] == pytest.approx(ua["second"] - ua["first"])
    assert ua["interval"][0] > 0 and ua["p_value"] < 0.05
    back = compare(two, one, samples=200)["metrics"]["ua"]
    assert back["difference"] == pytest.approx(-ua["difference"])
    same = compare(one, one, samples=50)["metrics"]["wa"]
    assert same["difference"] == 0 and same["p_value"] == 1
    del turned["u3"]
    fewer = evaluate([r for r in good if r["id"] != "u3"], turned, samples=9)
    with pytest.raises(PredictionError, match="1 utterances .* only .u3."):
        compare(one, fewer)
    true["u3"]["emotion"] = "sad" if true["u3"]["emotion"] != "sad" else "angry"
    with pytest.raises(PredictionError, match="1 utterances have another"):
        compare(one, evaluate(good, true, samples=9))
    with pytest.raises(PredictionError, match="no reading 'llm'"):
        compare(one, two, "llm")


def test_command_writes_everything_and_speaks_of_unparsed(tmp_path, capsys):
    true = references()
    manifest = tmp_path / "test.json"
    manifest.write_text(
        json.dumps({k: {**v, "wav": "a.wav"} for k, v in true.items()})
    )
    rows = draw_predictions(true)
    rows[0]["label"] = None
    rows[0]["probabilities"] = dict.fromkeys(LABELS, 1 / 3)
    path = write_lines(tmp_path / "model.jsonl", rows)
    command = ["evaluate", str(path), "--samples", "50"]
    assert main([*command, "--reference", str(manifest)]) == 0
    out = capsys.readouterr().out
    assert "1 of 60 unparsed" in out and "unparsed, for example: u0" in out
    folder = tmp_path / "model"
    assert {p.name for p in folder.iterdir()} == {
        "result.json", "scores.csv", "classes.csv", "report.md",
        "confusion_strict.png", "confusion_synonyms.png",
        "confusion_scored.png", "reliability.png", "coverage.png",
        "report.html", "model_card.md",
    }  # fmt: skip
    result = read_result(folder / "result.json")
    with open(folder / "scores.csv", newline="") as file:
        scores = list(csv.DictReader(file))
    whole = next(r for r in scores if r["reading"] == "synonyms")
    figures = result["readings"]["synonyms"]
    assert float(whole["ua"]) == figures["ua"]
    assert float(whole["ua_low"]) == figures["interval"]["ua"][0]
    assert len(scores) == 3 * (1 + 2 + 2 + 2 + 5)
    words = (folder / "report.md").read_text()
    assert "By speaker" in words and f"{100 * figures['ua']:.1f} %" in words
    both = [str(folder / "result.json")] * 2
    output = tmp_path / "both.json"
    assert main(["compare", *both, "--output", str(output)]) == 0
    assert json.loads(output.read_text())["metrics"]["ua"]["difference"] == 0
    assert "UA" in capsys.readouterr().out


def test_command_errors_are_one_line(tmp_path, capsys):
    path = write_lines(tmp_path / "p.jsonl", [{"id": "a", "label": "sad"}])
    assert main(["evaluate", str(path)]) == 2
    assert "give a reference" in capsys.readouterr().err
    assert main(["compare", str(path), str(path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "result.json" in err
    assert list(tmp_path.iterdir()) == [path]


def test_the_published_emo_emilia_list_is_a_reference(
    shared_dir, tmp_path, capsys
):
    path = shared_dir / "data" / "emo_emilia" / "Emo-Emilia-ALL.jsonl"
    if not path.is_file():
        pytest.skip("needs Emo-Emilia's list in ../shared")
    true = read_references(path)
    rows = [{"id": k, "text": f"{v['emotion']}!"} for k, v in true.items()]
    predictions = write_lines(tmp_path / "p.jsonl", rows)
    command = ["evaluate", str(predictions), "--reference", str(path)]
    command += ["--labels", "emo_emilia", "--samples", "20"]
    assert main(command) == 0
    result = read_result(tmp_path / "p" / "result.json")
    assert result["n"] == 1400 and result["readings"]["strict"]["ua"] == 1
    languages = result["readings"]["strict"]["groups"]["language"]
    assert {k: v["n"] for k, v in languages.items()} == {"en": 700, "zh": 700}


@pytest.fixture(scope="module")
def llm(tiny_llm):
    return TextLLM(tiny_llm, device="cpu", progress=False)


QUESTIONS = ["What is it?", "Which one of these emotions is meant now?", "A"]


def test_text_llm_scores_as_the_plain_model_does(llm):
    answers = {"sad": ["sad"], "happy": ["happy", "very happy"]}
    rows = llm.score(QUESTIONS, answers)
    model, tokenizer = llm.model.model, llm.model.tokenizer
    for question, row in zip(QUESTIONS, rows, strict=True):
        prompt = tokenizer(f"{question}\n")["input_ids"]
        totals = []
        for texts in answers.values():
            forms = []
            for text in texts:
                ids = [*tokenizer(text)["input_ids"], llm.end_token_id]
                with torch.no_grad():
                    logits = model(torch.tensor([prompt + ids])).logits[0]
                logs = logits.log_softmax(-1)[len(prompt) - 1 : -1]
                forms.append(logs[range(len(ids)), ids].sum())
            totals.append(torch.stack(forms).logsumexp(0))
        expected = torch.stack(totals).softmax(0)
        torch.testing.assert_close(
            torch.tensor(list(row.values())), expected, atol=1e-5, rtol=0
        )


def test_a_chat_model_gets_its_own_frame(llm, monkeypatch):
    seen = []
    monkeypatch.setattr(
        llm.model.tokenizer,
        "chat_template",
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}",
    )
    tokenize = llm.model.tokenize
    monkeypatch.setattr(
        llm.model, "tokenize", lambda text: seen.append(text) or tokenize(text)
    )
    llm.generate(["Who?"], max_new_tokens=2)
    assert seen == ["<user>Who?<assistant>"]


def test_cut_answers_are_counted_once(caplog):
    warn_of_cut([{"cut": False}] * 3)
    assert not caplog.records
    warn_of_cut([{"cut": True}, {"cut": False}, {"cut": True}])
    assert "2 of 3 answers were cut" in caplog.text
    assert len(caplog.records) == 1


def test_text_llm_answers_alone_as_in_a_batch(llm):
    together = llm.generate(QUESTIONS, max_new_tokens=6)
    alone = [llm.generate([q], max_new_tokens=6)[0] for q in QUESTIONS]
    assert together == alone
    answers = {name: [name] for name in LABELS}
    together = llm.score(QUESTIONS, answers)
    for question, row in zip(QUESTIONS, together, strict=True):
        assert llm.score([question], answers)[0] == pytest.approx(row, abs=1e-5)


def test_a_local_llm_reads_free_text(llm, tiny_llm, tmp_path, capsys):
    judged = label_judge(llm, SPACE)(["quite cross", "over the moon"])
    assert len(judged) == 2 and set(judged) <= set(LABELS)
    true = {"a": {"emotion": "sad"}, "b": {"emotion": "angry"}}
    rows = [
        {"id": key, **item, "text": "quite cross"} for key, item in true.items()
    ]
    path = write_lines(tmp_path / "p.jsonl", rows)
    command = ["evaluate", str(path), "--llm", str(tiny_llm)]
    assert main([*command, "--samples", "9", "--device", "cpu"]) == 0
    result = read_result(tmp_path / "p" / "result.json")
    assert set(result["readings"]) == {"strict", "synonyms", "llm"}
    assert result["readings"]["llm"]["unparsed"] == 0
    assert result["readings"]["synonyms"]["unparsed"] == 2
