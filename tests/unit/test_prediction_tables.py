"""Predictions and references of other systems: columns, ids, probabilities."""

import json

import pytest
from json_lines import write_lines

from speechbrain_c2ser.cli import main
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.evaluation import predictions
from speechbrain_c2ser.evaluation.errors import PredictionError
from speechbrain_c2ser.evaluation.predictions import read_predictions
from speechbrain_c2ser.evaluation.references import find_space, read_references
from speechbrain_c2ser.evaluation.scoring import evaluate
from speechbrain_c2ser.labels import LabelSpace

LABELS = ["angry", "happy", "sad"]
SPACE = LabelSpace(LABELS)
TRUE = {str(i): {"emotion": label} for i, label in enumerate(LABELS)}


def score(path, space=SPACE, true=TRUE, **options):
    result = evaluate(read_predictions(path), true, space, samples=9, **options)
    return result, result["readings"][result["main"]]["ua"]


@pytest.mark.parametrize(
    "name, text",
    [
        ("t.csv", "id,label,probabilities\n0,angry,\n1,happy,\n2,sad,\n"),
        ("t.CSV", "id;label\n0;angry\n1;happy\n2;sad\n"),
        ("t.tsv", "id\tlabel\tprobabilities\n0\tangry\t\n1\thappy\t\n2\tsad\t"),
        ("t.csv", "Utt ID,Predicted_Label\n0, Angry\n1,HAPPY \n\n2,sadness\n"),
        ("t.csv", "key,answer\n0,Angry!\n1,so happy\n2,It is sad\n"),
        # what is true beside what was predicted, under three sets of names
        ("t.csv", "id,label,pred\n0,sad,angry\n1,sad,happy\n2,sad,sad\n"),
        ("t.csv", "id,emotion,label\n0,sad,angry\n1,sad,happy\n2,sad,sad\n"),
        ("t.csv", "id,y_true,prediction\n0,x,angry\n1,x,happy\n2,x,sad\n"),
        # nothing but an emotion: it is what was predicted
        ("t.csv", "utt,emotion\n0,angry\n1,happy\n2,sad\n"),
        ("t.json", '{"0": {"label": "angry"}, "1": {"label": "happy"}, '
         '"2": {"label": "sad"}}'),
        ("t.json", '[{"id": 0, "label": "angry"}, {"id": 1.0, "label": '
         '"happy"}, {"id": 2, "label": "sad"}]'),
        # files for ids, of references that are named by their stem
        ("t.csv", "file,label\nw/0.wav,angry\nw/1.wav,happy\nw\\2.wav,sad\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_tables_of_any_kind(tmp_path, name, text, encoding):
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert score(tmp_path / name)[1] == 1


def test_the_truth_is_never_taken_for_a_prediction(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,y_true,y_pred\n0,sad,angry\n")
    assert read_predictions(path)[0]["label"] == "angry"
    path.write_text("id,y_true,ours\n0,sad,angry\n")
    with pytest.raises(PredictionError, match="neither text nor label"):
        read_predictions(path)
    path.write_text("id,emotion,ours\n0,sad,angry\n")
    with pytest.raises(PredictionError, match="'emotion' and 'ours': name the"):
        read_predictions(path)


def test_replies_in_objects(tmp_path):
    reply = {"body": {"choices": [{"message": {"content": "It is sad."}}]}}
    rows = [
        {"custom_id": "0", "response": reply},
        {"custom_id": "1", "response": {"emotion": "happy"}},
    ]
    read = read_predictions(write_lines(tmp_path / "t.jsonl", rows))
    assert [row["text"] for row in read] == [
        "It is sad.",
        '{"emotion": "happy"}',
    ]


def test_a_table_tells_its_own_truth(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("file,label,pred\na.wav,sad,sad\nb.wav,happy,sad\n")
    rows = read_predictions(path)
    assert [row["emotion"] for row in rows] == ["sad", "happy"]
    assert [row["label"] for row in rows] == ["sad", "sad"]


@pytest.mark.parametrize(
    "text, problem",
    [
        ("mood,who\nsad,a\n", "has no id.*it has: mood, who"),
        ("id,mood\na,3\n", "'a'.*neither text nor label.*id, mood.*prediction"),
        ("id,one,two\na,sad,sad\n", "'a'.*neither text nor label"),
        ("id,label\n1,sad\n1,sad\n", "1 ids twice or more .1."),
        ("id,label\n,sad\n", "Prediction 1 .* has no id"),
    ],
)
def test_errors_say_what_was_found(tmp_path, text, problem):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(PredictionError, match=problem):
        read_predictions(tmp_path / "t.csv")


def test_missing_values_are_no_labels(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"id": 0, "label": NaN}\n{"id": 1, "label": "nan"}\n'
        '{"id": 2, "label": "sad", "emotion": NaN}\n'
    )
    rows = read_predictions(path)
    assert [row["label"] for row in rows] == [None, None, "sad"]
    assert "emotion" not in rows[2]


def test_files_of_one_name_are_not_taken_for_each_other(tmp_path):
    true = {
        "a": {"emotion": "sad", "wav": "one/x.wav"},
        "b": {"emotion": "happy", "wav": "two/x.wav"},
    }
    path = tmp_path / "t.csv"
    path.write_text("file,label\nthree/x.wav,sad\nfour/x.wav,happy\n")
    with pytest.raises(PredictionError, match="references do not hold"):
        score(path, true=true)


NINE = ["生气/angry", "厌恶/disgusted", "恐惧/fearful", "开心/happy",
        "中立/neutral", "其他/other", "难过/sad", "吃惊/surprised",
        "<unk>"]  # fmt: skip


def nine(best):
    return {name: 0.92 if best in name else 0.01 for name in NINE}


def test_nine_classes_on_a_smaller_set(tmp_path, capsys):
    rows = [
        {"id": key, "label": item["emotion"],
         "probabilities": nine(item["emotion"])}
        for key, item in TRUE.items()
    ]  # fmt: skip
    path = write_lines(tmp_path / "t.jsonl", rows)
    result, ua = score(path)
    assert ua == result["readings"]["scored"]["ua"] == 1
    assert result["calibration"]["left_out"] == pytest.approx(0.06)
    assert result["calibration"]["ece"] == pytest.approx(1 - 0.92 / 0.94)
    reference = write_lines(
        tmp_path / "true.jsonl", [{"id": k, **v} for k, v in TRUE.items()]
    )
    command = ["evaluate", str(path), "--reference", str(reference)]
    assert main([*command, "--samples", "9"]) == 0
    assert "outside the set are left out: 6.0%" in capsys.readouterr().out


@pytest.mark.parametrize(
    "row",
    [
        # FunASR, a pipeline of Hugging Face, logits, a column a label
        lambda best: {"labels": NINE, "scores": list(nine(best).values())},
        lambda best: {
            "scores": [{"label": k, "score": v} for k, v in nine(best).items()]
        },
        lambda best: {"logits": {k: 9 * (k == best) - 5 for k in LABELS}},
        lambda best: {f"prob_{k}": float(k == best) for k in LABELS},
        lambda best: {k: "0,8" if k == best else "0,1" for k in LABELS},
        lambda best: {"probs": json.dumps(nine(best))},
        lambda best: {"probs": [[k, v] for k, v in nine(best).items()]},
        lambda best: {"probs": {k: f"{v:.0%}" for k, v in nine(best).items()}},
        lambda best: {f"P({k})": float(k == best) for k in LABELS},
        lambda best: {f"{k}_prob": float(k == best) for k in LABELS},
        lambda best: {f"scores.{k}": f"{k == best:.0%}" for k in LABELS},
        lambda best: {f"logit_{k}": 9 * (k == best) for k in LABELS},
        lambda best: {"probs": ",".join(f"{k}:{k == best:d}" for k in LABELS)},
        lambda best: {
            "prediction": [
                {"label": k, "score": v} for k, v in nine(best).items()
            ]
        },
    ],
)
def test_probabilities_in_other_forms(tmp_path, row):
    rows = [{"key": k, **row(v["emotion"])} for k, v in TRUE.items()]
    result, ua = score(write_lines(tmp_path / "t.jsonl", rows))
    assert ua == result["readings"]["scored"]["ua"] == 1


@pytest.mark.parametrize(
    "own, problem",
    [
        ({"sad": 2.0, "happy": -1.0}, "'0'.*not from 0 to 1.*logits"),
        ({"sad": 80, "happy": 20}, "'0'.*not from 0 to 1.*per cent"),
        ({"sad": float("nan"), "happy": 1.0}, "'0'.*not label -> number"),
    ],
)
def test_probabilities_that_are_none(tmp_path, own, problem):
    rows = [{"id": "0", "label": "sad", "probabilities": own}]
    with pytest.raises(PredictionError, match=problem):
        read_predictions(write_lines(tmp_path / "t.jsonl", rows))


def test_the_only_column_of_emotions_is_taken_aloud(tmp_path, caplog):
    path = tmp_path / "t.csv"
    path.write_text("id,mood,who\na,sad,Ann\nb,joy,Bob\n")
    assert [row["label"] for row in read_predictions(path)] == ["sad", "joy"]
    assert "'mood'" in caplog.text and "for the predictions" in caplog.text
    assert read_references(path)["b"]["emotion"] == "joy"
    assert "for the true emotions" in caplog.text


def test_the_sentiment_of_a_text_is_no_label(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,emotion,output,sentiment\n0,sad,Sad.,negative\n")
    (row,) = read_predictions(path)
    assert row["text"] == "Sad." and "label" not in row


@pytest.mark.parametrize(
    "text, read",
    [
        # a sentiment beside the transcript is what was decided
        ("text,sentiment\nI love it,happy\n",
         {"transcript": "I love it", "label": "happy"}),
        ("text,description\nShe is sad.,a woman\n",
         {"text": "She is sad.", "description": "a woman"}),
        # names that are of what is true only where they hold labels
        ("label,annotation\nsad,checked\n",
         {"label": "sad", "annotation": "checked"}),
        ("label,Expected\nsad,3\n", {"label": "sad", "Expected": "3"}),
        ("label,expected\nsad,joy\n", {"label": "sad", "emotion": "joy"}),
        ("pred,y\nodd,odd\n", {"label": "odd", "emotion": "odd"}),
        ("pred,label,y\nsad,joy,sad\n",
         {"label": "sad", "emotion": "joy", "y": "sad"}),
    ],
)  # fmt: skip
def test_what_columns_of_doubtful_names_are(tmp_path, text, read):
    header, row = text.split("\n", 1)
    (tmp_path / "t.csv").write_text(f"id,{header}\na,{row}")
    assert read_predictions(tmp_path / "t.csv") == [{"id": "a", **read}]


def test_references_by_doubtful_names_hold_emotions(tmp_path):
    (tmp_path / "true.csv").write_text("id,y\na,3\n")
    with pytest.raises(PredictionError, match="'a'.*has no emotion"):
        read_references(tmp_path / "true.csv")


@pytest.mark.parametrize(
    "bounds", ["from,to", "offset,end", "t1,t2", "Startzeit,bis", "st,et"]
)
def test_starts_of_segments_by_other_names(tmp_path, bounds):
    path = tmp_path / "t.csv"
    path.write_text(f"file,{bounds},label\na.wav,0,1,sad\na.wav,2,3,sad\n")
    ids = [row["id"] for row in read_predictions(path)]
    assert ids == ["a.wav_0.0", "a.wav_2.0"]
    rows = [{"file": "a.wav", "timestamp": [i, i + 1], "label": "sad"}
            for i in (0, 2)]  # fmt: skip
    path = write_lines(tmp_path / "t.jsonl", rows)
    assert [row["id"] for row in read_predictions(path)] == ids


def test_bounds_are_not_looked_for_in_every_row(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        predictions, "fields_of", lambda row: asked.append(row) or ({}, {})
    )
    lines = [f"u{i}.wav,sad,1\n" for i in range(50)]
    (tmp_path / "t.csv").write_text("file,label,n\n" + "".join(lines))
    read_predictions(tmp_path / "t.csv")
    assert len(asked) < 10


@pytest.mark.parametrize("listed", ["data/u{}.wav", "u{}.wav", "u{}"])
@pytest.mark.parametrize(
    "told", ["u{}", "u{}.flac", "feats/u{}.npy", "U{}.WAV", "w\\u{}.wav"]
)
def test_names_of_one_recording(tmp_path, listed, told):
    true = tmp_path / "true.csv"
    lines = [f"{listed.format(i)},{e}\n" for i, e in enumerate(LABELS)]
    true.write_text("file,emotion\n" + "".join(lines))
    path = tmp_path / "t.csv"
    lines = [f"{told.format(i)},{e}\n" for i, e in enumerate(LABELS)]
    path.write_text("id,label\n" + "".join(reversed(lines)))
    assert score(path, true=read_references(true))[1] == 1


@pytest.mark.parametrize("folder", ["", "else/"])
def test_segments_are_of_one_start(tmp_path, folder):
    true = tmp_path / "true.csv"
    true.write_text(
        "file,start,end,emotion\na.wav,0,1,angry\na.wav,2.50,3,happy\n"
        "b.wav,0,1,sad\n"
    )
    path = tmp_path / "t.csv"
    path.write_text(
        "file,start,end,label\n"
        f"{folder}b.wav,0.0,1,sad\n{folder}a.wav,2.5,3,happy\n"
        f"{folder}a.wav,0.0,1,angry\n"
    )
    assert score(path, true=read_references(true))[1] == 1
    # ids as read_list gives them
    path.write_text("id,label\na.wav_2.50,happy\na.wav,angry\nb.wav,sad\n")
    assert score(path, true=read_references(true))[1] == 1
    path.write_text("file,start,label\nb.wav,0,sad\na.wav,7,happy\n")
    with pytest.raises(PredictionError, match="do not hold .a.wav_7.0"):
        score(path, true=read_references(true))


@pytest.mark.parametrize("number", ["", "index,"])
def test_numbers_of_rows_are_no_ids_where_recordings_are_named(
    tmp_path, number
):
    true = tmp_path / "true.csv"
    lines = [
        f"{f'{i},' if number else ''}u{i}.wav,{e}\n"
        for i, e in enumerate(LABELS)
    ]
    true.write_text(f"{number}file,emotion\n" + "".join(lines))
    path = tmp_path / "t.csv"
    path.write_text(
        "index,file,label\n0,u2.wav,sad\n1,u1.wav,happy\n2,u0.wav,angry\n"
    )
    assert score(path, true=read_references(true))[1] == 1


def test_blanks_case_and_width_of_true_labels(tmp_path):
    path = tmp_path / "true.csv"
    path.write_text(
        "id,Emotion\n0,angry \n1,Happy\n2,ＳＡＤ\n3,Angry\n4,happy\n5,sad\n",
        encoding="utf-8",
    )
    true = read_references(path)
    space = find_space(None, true)
    assert space.names == ["angry", "happy", "sad"]
    rows = [{"id": str(i), "label": LABELS[i % 3]} for i in range(6)]
    result = evaluate(rows, true, space, samples=9)
    assert result["readings"]["synonyms"]["ua"] == 1
    assert space.map("生气／Angry") == "angry"
    with pytest.raises(ValueError, match="occurs twice"):
        LabelSpace(["sad", "Sad "])


@pytest.mark.parametrize("name", ["utterance", "name", "sample", "item"])
def test_references_by_the_ids_of_predictions(tmp_path, name):
    path = tmp_path / "true.csv"
    path.write_text(f"{name},emotion\na,sad\n")
    assert list(read_references(path)) == ["a"]
    path.write_text(f"{name},file,emotion\nAnn,a.wav,sad\nAnn,b.wav,sad\n")
    assert list(read_references(path)) == ["a.wav", "b.wav"]


@pytest.mark.parametrize(
    "name",
    "predicted_labels preds emotion_prediction detected_emotion class_label "
    "dominant_emotion text_lab".split(),
)
def test_more_names_of_a_label(tmp_path, name):
    path = tmp_path / "t.csv"
    path.write_text(f"id,{name}\na,calmish\n")
    assert read_predictions(path)[0]["label"] == "calmish"


@pytest.mark.parametrize(
    "name",
    "gold|y_true|Ground Truth|Wahrheit|truth|expected|annotation|y|y_test|"
    "labels|reference_label".split("|"),
)
def test_references_by_the_names_of_predictions(tmp_path, name):
    path = tmp_path / "true.csv"
    path.write_text(f"id,{name}\n0,angry\n")
    assert read_references(path)["0"]["emotion"] == "angry"


def test_references_by_other_names(tmp_path):
    path = tmp_path / "true.csv"
    path.write_text("File;Emo;begin\na.wav;sad;0,5\n")
    assert read_references(path)["a.wav"]["emotion"] == "sad"
    path.write_text("id,mood\na,3\n")
    with pytest.raises(PredictionError, match="'a'.*it has: mood; looked for"):
        read_references(path)
    with pytest.raises((PredictionError, ManifestError), match="spreadsheet"):
        (tmp_path / "t.xlsx").write_bytes(b"PK")
        read_references(tmp_path / "t.xlsx")


def test_files_of_one_name_in_several_folders(tmp_path):
    (tmp_path / "true.csv").write_text(
        "id,wav,emotion\n0,w/x/a.wav,angry\n1,w\\y\\a.wav,happy\n"
    )
    true = read_references(tmp_path / "true.csv")
    path = tmp_path / "t.csv"
    path.write_text("file,label\nx/a.wav,angry\ny/a.wav,happy\n")
    assert score(path, true=true)[1] == 1
    path.write_text("file,label\na.wav,angry\ny/a.wav,happy\n")
    with pytest.raises(PredictionError, match="do not hold"):
        score(path, true=true)


def test_true_labels_of_one_meaning_are_told(tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_text("id,pred,true\n0,joy,happy\n1,joy,joy\n2,sad,sad\n")
    assert main(["evaluate", str(path), "--samples", "9"]) == 0
    told = "The labels happy and joy mean one emotion and are classes apart."
    assert told in capsys.readouterr().out


def test_groups_by_any_field(tmp_path, capsys):
    true = {
        key: {**item, "condition": "noisy" if key == "2" else 0}
        for key, item in TRUE.items()
    }
    rows = [{"id": key, "label": "sad"} for key in true]
    result = evaluate(rows, true, SPACE, samples=9, group_by=["condition"])
    groups = result["readings"]["synonyms"]["groups"]
    assert set(groups["condition"]) == {"noisy", "0"}
    assert groups["condition"]["noisy"]["wa"] == 1
    with pytest.raises(PredictionError, match="no.*'mood'|'mood' to group"):
        evaluate(rows, true, SPACE, samples=9, group_by=["mood"])
    reference = write_lines(
        tmp_path / "true.jsonl", [{"id": k, **v} for k, v in true.items()]
    )
    path = write_lines(tmp_path / "t.jsonl", rows)
    command = ["evaluate", str(path), "--reference", str(reference),
               "--samples", "9", "--group-by", "condition"]  # fmt: skip
    assert main(command) == 0
    assert "By condition" in (tmp_path / "t/report.md").read_text()
