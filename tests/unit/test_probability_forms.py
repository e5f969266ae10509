"""Probabilities as systems write them: cells, columns, parts of them."""

import pytest
from json_lines import write_lines

from speechbrain_c2ser.evaluation.errors import PredictionError
from speechbrain_c2ser.evaluation.predictions import read_predictions
from speechbrain_c2ser.evaluation.scoring import evaluate
from speechbrain_c2ser.labels import LabelSpace

LABELS = ["angry", "happy", "sad"]
TRUE = {str(i): {"emotion": label} for i, label in enumerate(LABELS)}
NINE = ["生气/angry", "厌恶/disgusted", "恐惧/fearful", "开心/happy",
        "中立/neutral", "其他/other", "难过/sad", "吃惊/surprised",
        "<unk>"]  # fmt: skip


def nine(best):
    return {name: 0.92 if best in name else 0.01 for name in NINE}


def score(path):
    result = evaluate(
        read_predictions(path), TRUE, LabelSpace(LABELS), samples=9
    )
    return result, result["readings"][result["main"]]["ua"]


@pytest.mark.parametrize(
    "own, problem",
    [
        ({"probabilities": {"sad": 0.4, "happy": 0.3}}, "sum to 0.700"),
        ({"label": "sad", "probabilities": [0.5, 0.5]}, "have no labels"),
        ({"label": "sad", "scores": 0.9}, "have no labels"),
        ({"label": "sad", "scores": "0.9;0.1"}, "have no labels"),
    ],
)
def test_partial_probabilities_are_set_aside_aloud(
    tmp_path, caplog, own, problem
):
    whole = {"id": "1", "label": "sad", list(own)[-1]: {"sad": 1.0}}
    path = write_lines(tmp_path / "t.jsonl", [{"id": "0", **own}, whole])
    rows = read_predictions(path)
    assert [row["label"] for row in rows] == ["sad", "sad"]
    assert not any("probabilities" in row for row in rows)
    assert "1 of 2 predictions" in caplog.text and problem in caplog.text


@pytest.mark.parametrize("column", ["prob_{}", "proba_{}", "{}"])
@pytest.mark.parametrize("row", [0, 1])
def test_a_blank_probability_is_named(tmp_path, column, row):
    rows = [
        {"id": key, **{column.format(k): 0.5 for k in ("sad", "happy")}}
        for key in "01"
    ]
    rows[row][column.format("sad")] = None
    rows[row][column.format("angry")] = 0.1
    rows[1 - row][column.format("angry")] = 0.0
    path = write_lines(tmp_path / "t.jsonl", rows)
    with pytest.raises(PredictionError, match=f"'{row}'.*of sad is blank"):
        read_predictions(path)


@pytest.mark.parametrize("form", ["{0}/{1}", "{0}_{1}", "{0}:{1}", "{1}({0})"])
@pytest.mark.parametrize("beside", [{}, {"prediction": "sad"}])
def test_columns_of_two_languages(tmp_path, form, beside):
    rows = [
        {
            "id": key,
            **beside,
            **{
                form.format(*name.split("/")) if "/" in name else name: share
                for name, share in nine(item["emotion"]).items()
            },
        }
        for key, item in TRUE.items()
    ]
    result, ua = score(write_lines(tmp_path / "t.jsonl", rows))
    assert result["readings"]["scored"]["ua"] == 1
    assert ua == (1 if not beside else pytest.approx(1 / 3))


@pytest.mark.parametrize(
    "form",
    "proba_{}|{}_proba|.pred_{}|prob {}|confidence_{}|softmax_{}|y_proba_{}|"
    "pred_prob_{}|pred_{}|emotions.{}|{} (%)|{}_logit|Conf.: {}".split("|"),
)
def test_whatever_stands_around_the_labels_of_columns(tmp_path, form):
    whole = 100 if "%" in form else 1
    rows = [
        {
            "id": key,
            **{
                form.format(label): whole
                * (0.2 + 0.4 * (label == v["emotion"]))
                for label in LABELS
            },
        }
        for key, v in TRUE.items()
    ]
    result, ua = score(write_lines(tmp_path / "t.jsonl", rows))
    assert ua == result["readings"]["scored"]["ua"] == 1


@pytest.mark.parametrize(
    "forms", [["emotion_{}"], ["votes_{}"], ["rating_{}"], ["a_{}", "b_{}"]]
)
def test_columns_that_are_no_systems_distribution(tmp_path, forms):
    number = 3 if forms == ["rating_{}"] else 1
    rows = [
        {
            "id": key,
            "prediction": "sad",
            **{
                form.format(label): number * (label == item["emotion"])
                for label in LABELS
                for form in forms
            },
        }
        for key, item in TRUE.items()
    ]
    rows[0][forms[0].format("sad")] += number == 3
    assert score(write_lines(tmp_path / "t.jsonl", rows))[0]["calibration"] is (
        None
    )


@pytest.mark.parametrize(
    "form",
    "is_{} label_{} human_{} rater1_{} annotators_{} f0_{} emotions.{} "
    "pred_{} human_prob_{} soft_{}".split(),
)
@pytest.mark.parametrize("beside", [{}, {"prediction": "angry"}])
def test_true_labels_in_columns_are_no_probabilities(tmp_path, form, beside):
    share = 0.25 if form in ("human_prob_{}", "soft_{}") else 0
    own = {form.format("angry"): share, form.format("sad"): 1 - share}
    path = write_lines(tmp_path / "t.jsonl", [{"id": "a", **beside, **own}])
    if beside:
        assert read_predictions(path) == [{"id": "a", "label": "angry", **own}]
    else:
        with pytest.raises(PredictionError, match="neither text nor label"):
            read_predictions(path)


def test_columns_that_are_taken_for_probabilities_are_told(tmp_path, caplog):
    row = {"id": "a", "pred_sad": 0.75, "pred_happy": 0.25}
    path = write_lines(tmp_path / "t.jsonl", [row])
    assert read_predictions(path)[0]["label"] == "sad"
    assert "pred_sad, pred_happy are taken" in caplog.text


@pytest.mark.parametrize("name", "max min mean scale sum target".split())
@pytest.mark.parametrize("form", ["{}_logit", "logit_{}"])
def test_statistics_of_logits_are_no_classes(tmp_path, name, form):
    row = {form.format(k): 1.0 for k in ("sad", "happy", name)}
    path = write_lines(tmp_path / "t.jsonl", [{"id": "a", **row}])
    (read,) = read_predictions(path)
    assert read["probabilities"] == {"sad": 0.5, "happy": 0.5}


def test_logits_of_labels_that_mean_no_emotion_count(tmp_path):
    row = {"id": "0", "logit_sad": 0.0, "logit_happy": 0.0, "logit_odd": 0.0}
    (read,) = read_predictions(write_lines(tmp_path / "t.jsonl", [row]))
    assert read["probabilities"]["odd"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "own",
    [
        lambda shares: {f"prob_{k}": v for k, v in shares.items()},
        lambda shares: {"probabilities": shares},
        lambda shares: {f"proba_{k}": v for k, v in shares.items()},
    ],
)
def test_a_transcript_beside_probabilities_is_no_answer(tmp_path, own):
    said = "I am so happy to see you"
    rows = [
        {"id": key, "text": said, **own(nine(item["emotion"]))}
        for key, item in TRUE.items()
    ]
    path = write_lines(tmp_path / "t.jsonl", rows)
    result, ua = score(path)
    assert ua == result["readings"]["scored"]["ua"] == 1
    assert read_predictions(path)[0]["transcript"] == said
    rows = [
        {**row, "answer": f"It is {TRUE[row['id']]['emotion']}."}
        for row in rows
    ]
    (first, *_) = read_predictions(write_lines(path, rows))
    assert first["text"] == "It is angry." and "label" not in first


@pytest.mark.parametrize(
    "own",
    [
        lambda shares: {
            "result": {"labels": [*shares], "scores": [*shares.values()]}
        },
        lambda shares: {"result": {"emotion": shares}},
        lambda shares: {
            "predictions": str(
                [{"label": k, "score": v} for k, v in shares.items()]
            )
        },
        lambda shares: {
            "predictions": [
                [{"label": k, "score": v} for k, v in shares.items()]
            ]
        },
        lambda shares: {
            "labels": ";".join(shares),
            "scores": ";".join(map(str, shares.values())),
        },
        lambda shares: {
            "labels": str([*shares]),
            "scores": f"[{' '.join(map(str, shares.values()))}]",
        },
        lambda shares: {
            "probabilities": "{"
            + ", ".join(f"{k!r}: np.float32({v})" for k, v in shares.items())
            + "}"
        },
    ],
)
def test_probabilities_that_are_wrapped(tmp_path, own):
    rows = [{"key": k, **own(nine(v["emotion"]))} for k, v in TRUE.items()]
    result, ua = score(write_lines(tmp_path / "t.jsonl", rows))
    assert ua == result["readings"]["scored"]["ua"] == 1
