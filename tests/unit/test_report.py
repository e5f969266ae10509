"""The report from made-up results."""

import json

import numpy as np
import pytest

from speechbrain_c2ser.evaluation.report import numbers as measured
from speechbrain_c2ser.evaluation.report import pictures
from speechbrain_c2ser.evaluation.report.run_report import write_report

LABELS = ["angry", "sad"]


def predictions(count=12):
    items = []
    for n in range(count):
        emotion = LABELS[n % 2]
        label = None if n == 3 else LABELS[0] if n == 5 else emotion
        items.append(
            {
                "id": f"utt{n}",
                "emotion": emotion,
                "label": label,
                "probabilities": {"angry": 0.75, "sad": 0.25},
                "text": f"spoken slowly, the phrase 'no. {n}' sounds {label}",
                "transcript": f"no. {n}",
                "language": "en" if n % 3 else "zh",
            }
        )
    return items


@pytest.fixture
def output(tmp_path):
    """An output folder as the evaluation leaves it."""
    rates = {"ua": 0.8, "wa": 0.81, "macro_f1": 0.79, "unparsed_rate": 0.083}
    per_language = {"en": rates, "zh": rates}
    explicit = {
        **rates,
        "content_error_rate": 0.05,
        "style_accuracy": 0.9,
        "per_language": per_language,
    }
    run = {
        "corpus": "synthetic",
        "synthetic": True,
        "labels": LABELS,
        "split": "speaker-independent",
        "counts": {"train": 20, "test": 12},
        "ceiling": {"ua": 0.95},
        "versions": {"torch": "2.13.0"},
        "seed": 7,
    }
    files = {
        "evaluation.json": run,
        "explicit.json": {"metrics": explicit, "predictions": predictions()},
        "implicit.json": {"metrics": rates, "predictions": predictions()},
        "times.json": {"synthesise": 10.5, "explicit": 20.0},
    }
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    random = np.random.default_rng(0)
    for moment, distance in (("before", 0.0), ("after", 8.0)):
        emotions = np.array(LABELS * 8)
        vectors = random.normal(size=(16, 6))
        vectors[:, 0] += distance * (emotions == "sad")
        np.savez(
            tmp_path / f"embeddings_{moment}.npz",
            vectors=vectors,
            emotions=emotions,
        )
    for stage in ("emotion2vec_s", "explicit"):
        (tmp_path / stage).mkdir()
        epochs = [
            {"epoch": n, "train_loss": 3 / n, "valid_loss": 4 / n}
            for n in (1, 2, 3)
        ]
        log = "\n".join(json.dumps(epoch) for epoch in epochs)
        (tmp_path / stage / "train_log.jsonl").write_text(log)
    return tmp_path


def test_metrics_and_report(output, run_script):
    done = run_script("recipes/Synthetic/report.py", output)
    assert done.returncode == 0, done.stderr
    report = output / "report"
    # The last words are the table and the path.
    assert done.stdout.strip().endswith(str(report / "report.md"))
    assert "| UA" in done.stdout

    figures = json.loads((report / "metrics.json").read_text())
    assert figures["corpus"] == "synthetic"
    assert figures["seconds"] == 30.5
    assert figures["explicit"]["content_error_rate"] == 0.05
    assert set(measured.ALWAYS["explicit"]) <= set(figures["explicit"])
    assert set(measured.ALWAYS["implicit"]) <= set(figures["implicit"])
    assert figures["embedding_probe"]["after"] == 1.0
    assert figures["embedding_probe"]["before"] < 0.9

    words = (report / "report.md").read_text()
    assert "synthetic corpus" in words and "80.0 %" in words
    assert "> spoken slowly, the phrase 'no. 0' sounds angry" in words
    assert words.count("\n> ") == 3
    for picture in (
        "confusion_explicit.png",
        "confusion_implicit.png",
        "learning_curves.png",
        "embeddings.png",
    ):
        assert f"({picture})" in words
        assert (report / picture).read_bytes().startswith(b"\x89PNG")
    assert not list(report.glob("*.tmp")) + list(report.glob("*.part"))


def test_every_table_says_synthetic(output):
    figures = write_report(output)
    words = (output / "report" / "report.md").read_text()
    assert figures["kind"] == "synthetic corpus"
    table = next(line for line in words.splitlines() if "implicit |" in line)
    assert "synthetic" in table


def test_missing_parts_are_named(output):
    for name in ("explicit.json", "embeddings_before.npz", "times.json"):
        (output / name).unlink()
    (output / "embeddings_after.npz").unlink()
    figures = write_report(output)
    words = (output / "report" / "report.md").read_text()
    assert "explicit" not in figures and figures["seconds"] == 0
    assert "Not measured: no embeddings_*.npz" in words
    assert "Not measured: no explicit answers" in words


def test_unmeasured_rate_is_null_not_nan(output):
    path = output / "explicit.json"
    result = json.loads(path.read_text())
    del result["metrics"]["style_accuracy"]
    result["metrics"]["content_error_rate"] = float("nan")
    path.write_text(json.dumps(result))
    write_report(output)
    text = (output / "report" / "metrics.json").read_text()
    figures = json.loads(text)
    assert "NaN" not in text
    assert figures["explicit"]["style_accuracy"] is None
    assert figures["explicit"]["content_error_rate"] is None
    assert "not measured" in (output / "report" / "report.md").read_text()


def test_bad_input_is_one_line_and_leaves_nothing(output, run_script):
    path = output / "implicit.json"
    result = json.loads(path.read_text())
    result["predictions"][0]["label"] = "hangry"
    path.write_text(json.dumps(result))
    done = run_script("recipes/Synthetic/report.py", output)
    assert done.returncode != 0
    assert "hangry" in done.stderr and "utt0" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (output / "report").exists()
    (output / "evaluation.json").unlink()
    done = run_script("recipes/Synthetic/report.py", output)
    assert done.returncode != 0 and "evaluation.json" in done.stderr


def test_recordings_are_not_called_synthetic(output):
    run = json.loads((output / "evaluation.json").read_text())
    run.update(corpus="toy", synthetic=False, split="random", notes=["short"])
    (output / "evaluation.json").write_text(json.dumps(run))
    write_report(output)
    words = (output / "report" / "report.md").read_text()
    assert "synthetic" not in words
    assert "Split: random" in words and "Note: short" in words


def test_confusion_counts_by_hand(tmp_path):
    counts = pictures.confusion_matrix(
        ["angry", "angry", "sad", "sad"],
        ["angry", "sad", None, "sad"],
        LABELS,
        "toy",
        tmp_path / "toy.png",
    )
    assert counts.tolist() == [[1, 1, 0], [0, 1, 1]]


def test_neighbours_leave_the_own_speaker_out():
    vectors = np.array([[0.0, 1], [0, 2], [1, 0], [2, 0]])
    emotions = np.array(["a", "a", "b", "b"])
    own = np.array(["x", "x", "y", "y"])
    alone = measured.neighbour_ua(vectors, emotions, neighbours=1)
    others = measured.neighbour_ua(vectors, emotions, own, neighbours=1)
    assert alone == 1.0 and others == 0.0
