"""Predictions that cannot be used: named, counted, and the rest goes on."""

import json

import jsonschema
import numpy as np
import pytest
import soundfile
import toy_systems as toys

from speechbrain_c2ser.cli import main
from speechbrain_c2ser.evaluation.predictions import read_predictions
from speechbrain_c2ser.evaluation.references import own_references
from speechbrain_c2ser.evaluation.suites.asking import (
    as_row,
    ask_all,
    import_system,
)
from speechbrain_c2ser.evaluation.suites.schema import EVIDENCE

pytestmark = pytest.mark.usefixtures("without_pictures")
NAMES = toys.NAMES
NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def without_pictures():
    """Reports of a moment: their pictures are tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "speechbrain_c2ser.evaluation.report.evaluation._draw",
            lambda result, folder: [],
        )
        yield


def make_rows(count=24):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        told = rng.dirichlet(np.ones(3)).tolist()
        rows.append(
            {
                "id": f"u{i}",
                "emotion": NAMES[i % 3],
                "label": NAMES[(i + (i % 5 == 0)) % 3],
                "probabilities": dict(zip(NAMES, told, strict=True)),
                "speaker": f"s{i % 6}",
                "language": ["en", "zh"][i % 2],
            }
        )
    return rows


def evaluate(rows, folder, *options):
    """evidence.json of rows, as the command writes it."""
    path = folder / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["evaluate", str(path), "--suites", "all", "--samples", "10"]
    assert main([*command, *options]) == 0

    def refuse(constant):
        raise AssertionError(f"evidence.json holds {constant}")

    text = (folder / "own" / "evidence.json").read_text()
    found = json.loads(text, parse_constant=refuse)
    jsonschema.validate(found, EVIDENCE)
    return found


def told(found):
    """All notes of a result in one text."""
    notes = [n for own in found["suites"].values() for n in own["notes"]]
    return "\n".join([*found["notes"], *notes])


UNFIT = {
    "not to 1": {"sad": 0.5, "happy": 0.1},
    "no number": {"sad": "high", "happy": 0.5},
    "nan": {"sad": NAN, "happy": 1.0},
    "infinite": {"sad": INF, "happy": 0.0},
    "negative": {"sad": 1.2, "happy": -0.2},
    "per cent": {"sad": 60.0, "happy": 40.0},
    "a list": [0.5, 0.5],
    "a number": 0.5,
    "empty": {},
}


@pytest.mark.parametrize("unfit", UNFIT.values(), ids=UNFIT)
def test_probabilities_that_are_none_are_set_aside(unfit, tmp_path):
    rows = make_rows()
    rows[3]["probabilities"] = unfit
    found = evaluate(rows, tmp_path)
    assert "1 of 24 predictions" in told(found) and "(u3)" in told(found)
    assert found["suites"]["calibration"]["n"] == 23
    assert found["suites"]["labels"]["n"] == 24


@pytest.mark.parametrize(
    "fields",
    [
        {"logits": {"sad": NAN, "happy": 0.0}},
        {"logits": {"sad": "x"}},
        {"labels": ["sad", "happy"], "probabilities": [1.0]},
    ],
)
def test_logits_and_lists_that_are_none_are_set_aside(fields, tmp_path):
    rows = make_rows()
    del rows[3]["probabilities"]
    rows[3] |= fields
    found = evaluate(rows, tmp_path)
    assert "1 of 24 predictions" in told(found) and "(u3)" in told(found)
    assert found["suites"]["calibration"]["n"] == 23
    path = tmp_path / "own.jsonl"
    with pytest.raises(ValueError, match="u3"):
        read_predictions(path)


def test_probabilities_of_other_labels_leave_the_plain_figures(tmp_path):
    rows = make_rows()
    rows[3]["probabilities"] = {"sad": 0.5, "other": 0.5}
    rows[4]["probabilities"] = {"foo": 0.5, "bar": 0.5}
    found = evaluate(rows, tmp_path)
    assert "plain figures leave all probabilities out" in told(found)
    assert "(u4)" in told(found)
    assert found["suites"]["calibration"]["n"] == 23


def test_ids_labels_and_texts_that_are_none_are_counted(tmp_path):
    rows = make_rows()
    del rows[0]["id"]
    rows[1]["id"] = rows[2]["id"] = "twin"
    rows[3]["label"] = 3
    rows[4]["label"] = "bored"
    del rows[5]["label"], rows[5]["probabilities"]
    rows[6]["text"], rows[6]["label"] = ["sad", "so"], "sad"
    found = evaluate(rows, tmp_path)
    for words in (
        "1 of 24 predictions of", "(row 1)", "repeat an id", "(twin)",
        "no label and no text, or one that is no text (u3, u5, u6)",
        "outside the labels and count as unparsed (u4)",
    ):  # fmt: skip
        assert words in told(found), words
    assert found["n"] == 22
    # what is wrong with one of its fields does not take the others
    rows = read_predictions(tmp_path / "own.jsonl", [])
    by_id = {row["id"]: row for row in rows}
    assert by_id["u6"]["label"] == "sad" and "text" not in by_id["u6"]
    assert by_id["u5"]["label"] is None
    assert by_id["twin"]["emotion"] == "happy"


def test_predictions_without_a_true_emotion_are_left_out(tmp_path):
    rows = make_rows()
    del rows[3]["emotion"]
    rows[4]["emotion"] = 4
    found = evaluate(rows, tmp_path)
    assert found["n"] == 22 and "(u3, u4) and are left out" in told(found)
    with pytest.raises(ValueError, match="2 predictions of x"):
        own_references(rows, "x")
    with pytest.raises(ValueError, match="give a reference"):
        own_references(rows[3:5], "x", [])


@pytest.mark.parametrize("emotion", ["sad", "happy"])
def test_one_class_and_one_row(emotion, tmp_path):
    rows = make_rows()
    for row in rows:
        row["emotion"] = emotion
    found = evaluate(rows, tmp_path)
    right = np.mean([row["label"] == emotion for row in rows])
    assert found["suites"]["labels"]["figures"]["ua"] == pytest.approx(right)
    assert f"All utterances are {emotion}" in told(found)
    assert evaluate(rows[:1], tmp_path)["n"] == 1


def test_speakers_and_groups_of_any_type(tmp_path):
    rows = make_rows()
    for i, row in enumerate(rows):
        row["speaker"] = [1, "1", 1.0, 2, "x", ["y", "z"]][i % 6]
        row["gender"] = i % 2
        row["language"] = "fr" if i == 7 else "en"
    found = evaluate(rows, tmp_path)
    # 1, "1" and 1.0 are one voice; a list is none
    assert found["suites"]["labels"]["speakers"] == 3
    assert "4 of 24 utterances have a speaker that is none (u5" in told(found)
    assert set(found["suites"]["fairness"]["attributes"]["sex"]["groups"]) == {
        "0",
        "1",
    }
    assert "left out: fr" in told(found)
    for row in rows:
        row["speaker"] = ""
    found = evaluate(rows, tmp_path)
    assert "No utterance names its speaker" in told(found)


def test_votes_ratings_and_styles_of_any_type(tmp_path):
    rows = make_rows()
    votes = [{"sad": -3}, {"sad": "x"}, {"sad": None}, [1], 5, {"sad": 2}]
    ratings = ["sad", [{"emotions": 5}], 5, [["sad"]], {"a": 1}, ["happy"]]
    styles = ["x", {"speed": 3}, {"speed": ["low"]}, 5, None, {"speed": "high"}]
    for i, row in enumerate(rows):
        row["votes"], row["ratings"] = votes[i % 6], ratings[i % 6]
        row["style"] = styles[i % 6]
        row["text"] = "Spoken with a fast pace, it sounds sad."
    found = evaluate(rows, tmp_path)
    assert found["suites"]["soft"]["n"] == 4
    assert "12 votes are no counts" in told(found)
    speed = found["suites"]["reasoning"]["style"]["speed"]
    assert speed == {"n": 4, "accuracy": 1.0, "constant": 1.0}


@pytest.mark.parametrize("text", ["ฉันเสียใจมาก", "🪑", "...", "", "\x00"])
def test_texts_that_name_nothing_are_unparsed(text, tmp_path, capsys):
    rows = make_rows(6)
    for row in rows:
        del row["label"], row["probabilities"]
        row["text"] = text
    found = evaluate(rows, tmp_path)
    assert found["suites"]["labels"]["figures"]["ua"] == 0
    assert "6 of 6 unparsed" in capsys.readouterr().out


def test_other_systems_are_matched_by_file_and_told_apart(tmp_path):
    rows = make_rows(12)
    references = {
        row["id"]: {"emotion": row["emotion"], "wav": f"{row['id']}.wav"}
        for row in rows
    }
    manifest = tmp_path / "test.json"
    manifest.write_text(json.dumps(references))
    others = []
    for name, label in (("one", "sad"), ("two", "happy")):
        path = tmp_path / name / "pred.jsonl"
        path.parent.mkdir()
        lines = [{"id": f"x/{r['id']}.wav", "label": label} for r in rows]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        others.append(str(path))
    options = ["--reference", str(manifest), "--against", *others]
    found = evaluate(rows, tmp_path, *options)
    systems = {s["name"]: s["ua"] for s in found["suites"]["labels"]["systems"]}
    assert len(systems) == 3 and {systems[o] for o in others} == {1 / 3}


def test_predictions_outside_the_reference_are_left_out(tmp_path):
    rows = make_rows(12)
    manifest = tmp_path / "test.json"
    kept = {row["id"]: {"emotion": row["emotion"]} for row in rows[:9]}
    kept["u0"]["emotion"], kept["lost"] = "bored", {"emotion": "sad"}
    manifest.write_text(json.dumps(kept))
    options = ["--reference", str(manifest), "--labels", ",".join(NAMES)]
    found = evaluate(rows, tmp_path, *options)
    assert found["n"] == 9
    for words in ("(u9, u10, u11)", "(lost)", "(u0)"):
        assert words in told(found)


# --- callables ----------------------------------------------------------


def leave(wave):
    raise SystemExit(3)


def refuse(wave):
    raise RuntimeError("two\nlines")


ODD = {
    "none": (None, 0),
    "number": (3, 4),
    "bytes": (b"sad", 4),
    "label of a number": ({"label": 3}, 4),
    "text of a number": ({"text": 5}, 4),
    "probabilities of a text": ({"probabilities": "x"}, 4),
    "nan": ({"sad": NAN, "happy": 0.5}, 4),
    "per cent": ({"sad": 50.0, "happy": 50.0}, 0),
    "numpy": ({"sad": np.float32(0.5), "happy": np.float32(0.5)}, 0),
    "an array beside": ({"label": "sad", "vector": np.zeros(2)}, 0),
    "half a character": ("sad \ud800", 0),
    "raises": (refuse, 4),
    "leaves": (leave, 4),
}


@pytest.fixture
def manifest(tmp_path):
    rows = {}
    for key, item in toys.make_corpus(12).items():
        path = tmp_path / f"{key}.wav"
        soundfile.write(path, item.pop("wave"), toys.RATE)
        rows[key] = {**item, "wav": str(path), "duration": 0.5}
    path = tmp_path / "test.json"
    path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize("answer, failed", ODD.values(), ids=ODD)
def test_an_odd_answer_costs_only_its_own_item(
    answer, failed, manifest, tmp_path, monkeypatch
):
    def system(wave):
        if toys.strongest(wave, toys.VOICE) == "sad":
            return answer(wave) if callable(answer) else answer
        return {"angry": 0.25, "happy": 0.5, "sad": 0.25}

    monkeypatch.setattr(toys, "odd", system, raising=False)
    command = ["evaluate", "toy_systems:odd", "--reference", str(manifest)]
    command += ["--suites", "labels,calibration", "--samples", "10"]
    assert main([*command, "--output", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out/evidence.json").read_text())
    jsonschema.validate(found, EVIDENCE)
    assert found["n"] == 12
    assert found["suites"]["labels"]["figures"]["ua"] >= 1 / 3
    words = f"failed on {failed} of 12" if failed else "failed"
    assert (words in told(found)) is bool(failed)
    assert all("\n" not in note for note in found["notes"])


def test_errors_are_one_short_line():
    def ask(wave):
        raise ValueError("a\nb" + "c" * 1000)

    _, errors = ask_all(ask, [("a", lambda: (0,))])
    assert errors["a"].startswith("ValueError: a bc")
    assert len(errors["a"]) < 250 and "\n" not in errors["a"]


def test_an_answer_in_types_of_numpy_is_plain():
    row = as_row("a", {"sad": np.float64(0.25), "happy": np.float32(0.75)})
    json.dumps(row)
    assert row["label"] == "happy" and row["probabilities"]["sad"] == 0.25
    row = as_row("a", {"label": "sad", "probabilities": None, "odd": object()})
    assert row == {"id": "a", "label": "sad"}


def test_a_module_that_fails_is_named(tmp_path, monkeypatch):
    (tmp_path / "broken_system.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match="broken_system:x.*ZeroDivision"):
        import_system("broken_system:x")
