"""Weak labels by models: agreement, resuming, bad items, the student."""

import json

import pytest
import torch

from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.cli import main
from speechbrain_c2ser.data.manifest import read_manifest, write_manifest
from speechbrain_c2ser.inference.classifier import (
    EmotionClassifier as Interface,
)
from speechbrain_c2ser.inference.journal import Journal
from speechbrain_c2ser.labelling.weak_labels import (
    ask_words,
    label_rows,
    note,
    place_shares,
    weak_of,
)
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes import (
    CategoryHead,
    EmotionClassifier,
    LogMel,
    MaskedMean,
    MultiHead,
)

LABELS = ["angry", "happy", "sad"]


def folder_of(path, labels, bias):
    """A classifier that always gives the shares of softmax(bias)."""
    head = CategoryHead(8, labels)
    torch.nn.init.zeros_(head.linear.weight)
    head.linear.bias.data = torch.tensor(bias)
    model = EmotionClassifier(
        LogMel(n_mels=8), MultiHead({"emotion": head}), MaskedMean(8)
    )
    save_classifier(model, path, label_space=LabelSpace(labels))
    return str(path)


@pytest.fixture
def pool(tmp_path, write_wav):
    """A manifest of four recordings without emotion."""
    rows = {
        f"u{n}": {
            "wav": str(write_wav(tmp_path / f"{n}.wav", 0.3, 200 + 50 * n)),
            "duration": 0.3,
            "transcript": "oh no",
        }
        for n in range(4)
    }
    write_manifest(rows, tmp_path / "pool.json")
    return tmp_path / "pool.json"


def test_shares_of_two_models_are_brought_to_one_set_and_averaged(
    pool, tmp_path, capsys
):
    one = folder_of(tmp_path / "one", LABELS, [0.0, 2.0, 0.0])
    two = folder_of(tmp_path / "two", ["excited", "bored"], [1.0, 1.0])
    out = tmp_path / "weak.json"
    assert main(["label", str(pool), str(out), "--model", one, two]) == 0
    assert "4 of 4 rows labelled" in capsys.readouterr().out
    weak = read_manifest(out)["u0"]["weak"]
    top = torch.tensor([0.0, 2.0, 0.0]).softmax(0).tolist()
    assert weak["labels"]["happy"] == pytest.approx((top[1] + 1) / 2, abs=1e-5)
    assert sum(weak["labels"].values()) == pytest.approx(1, abs=1e-5)
    assert weak["score"] == weak["labels"]["happy"]
    assert weak["source"] == ["one", "two"]
    assert not list(tmp_path.glob("*.part"))
    # A row is a weakly labelled one to a head.
    head = CategoryHead(2, LABELS, key="weak")
    assert head.truth(read_manifest(out)["u0"])["happy"] > 0.8


def test_only_what_models_agree_on(pool, tmp_path, capsys):
    one = folder_of(tmp_path / "one", LABELS, [0.0, 2.0, 0.0])
    two = folder_of(tmp_path / "two", LABELS, [2.1, 2.0, 0.0])
    out = tmp_path / "weak.json"
    words = ["label", str(pool), str(out), "--model", one, two]
    assert main([*words, "--agree"]) == 0
    told = capsys.readouterr().out
    assert "0 of 4" in told and "4 without: models disagree" in told
    assert "weak" not in read_manifest(out)["u0"]
    assert main([*words, "--least", "0.99"]) == 0
    assert "below the least score" in capsys.readouterr().out


def test_a_bad_item_costs_nobody_else(pool, tmp_path, capsys):
    model = folder_of(tmp_path / "one", LABELS, [0.0, 2.0, 0.0])
    (tmp_path / "1.wav").write_bytes(b"no sound")
    out = tmp_path / "weak.json"
    assert main(["label", str(pool), str(out), "--model", model]) == 1
    told = capsys.readouterr()
    assert "3 of 4 rows labelled" in told.out and "u1" in told.err
    rows = read_manifest(out)
    assert "weak" not in rows["u1"] and "weak" in rows["u2"]


def test_a_killed_run_goes_on(pool, tmp_path, monkeypatch):
    model = folder_of(tmp_path / "one", LABELS, [0.0, 2.0, 0.0])
    out = tmp_path / "weak.json"
    words = ["label", str(pool), str(out), "--model", model]
    iter_files, asked = Interface.iter_files, []

    def stopping(self, rows, *arguments, **options):
        for number, row in enumerate(
            iter_files(self, rows, *arguments, **options)
        ):
            if not asked and number == 2:
                asked.append([r["id"] for r in rows])
                raise KeyboardInterrupt
            yield row
        asked.append([r["id"] for r in rows])

    monkeypatch.setattr(Interface, "iter_files", stopping)
    assert main(words) == 130
    assert not out.exists()
    # What was being written when the run was killed is asked again.
    part = tmp_path / "weak.json.part"
    part.write_text(part.read_text() + '{"model": "one", "id"')
    assert main(words) == 0
    assert asked == [["u0", "u1", "u2", "u3"], ["u2", "u3"]]
    assert all("weak" in row for row in read_manifest(out).values())
    assert not part.exists()
    Journal(part, {"rows": "others"})
    assert main(words) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to label with"),
        (["--llm", "x"], "knows no labels"),
        (["--model", "x", "x"], "names a folder twice"),
        (["--model", "x", "--least", "2"], "--least must be"),
        (["--model", "nowhere"], "nowhere"),
    ],
)
def test_bad_options_are_one_line(words, message, pool, tmp_path, capsys):
    out = tmp_path / "weak.json"
    assert main(["label", str(pool), str(out), *words]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not out.exists()


def test_words_are_read_by_a_language_model():
    class Reader:
        def score(self, questions, answers):
            assert "oh no" in questions[0] and set(answers) == set(LABELS)
            if "bad" in questions[0]:
                raise RuntimeError("too long")
            return [{"angry": 0.1, "happy": 0.2, "sad": 0.7}]

    rows = [
        {"id": "a", "transcript": "oh no"},
        {"id": "b"},
        {"id": "c", "transcript_asr": "oh no bad"},
    ]
    said = dict(ask_words(rows, Reader(), LabelSpace(LABELS)))
    assert said["a"]["labels"]["sad"] == 0.7
    assert "no transcript" in said["b"]["error"]
    assert "too long" in said["c"]["error"]


def test_one_label_out_of_several(tmp_path):
    space = LabelSpace(LABELS)
    assert place_shares({"bored": 1.0}, space) == {}
    answers = {
        "a": {"labels": {"sad": 0.6, "angry": 0.4}, "vad": {"valence": 0.2}},
        "b": {"vad": {"valence": 0.4}},
    }
    weak, _ = weak_of(answers, space)
    assert weak["vad"]["valence"] == pytest.approx(0.3)
    assert weak["labels"] == {"sad": 0.6, "angry": 0.4}
    weak, reason = weak_of({"a": {"labels": {"bored": 1.0}}}, space)
    assert weak is None and "no model tells" in reason
    journal = Journal(tmp_path / "j", {})
    note(journal, "a", "u", {"labels": {"sad": 1.0}})
    rows = {"u": {"wav": "u.wav", "weak": {"labels": {"angry": 1.0}}}}
    found, *_ = label_rows(rows, journal, ["a"], space)
    assert found["u"]["weak"]["labels"] == {"sad": 1.0}


def test_error_rate_of_recognised_words(pool, tmp_path):
    rows = read_manifest(pool)
    rows["u0"]["transcript_asr"] = "oh yes"
    write_manifest(rows, pool)
    model = folder_of(tmp_path / "one", LABELS, [0.0, 2.0, 0.0])
    out = tmp_path / "weak.json"
    assert main(["label", str(pool), str(out), "--model", model]) == 0
    rows = json.loads(out.read_text())
    assert rows["u0"]["wer"] == 0.5 and "wer" not in rows["u1"]


def test_a_run_killed_before_writing_asks_nobody_again(
    pool, tmp_path, monkeypatch
):
    model = folder_of(tmp_path / "one", LABELS, [0.0, 2.0, 0.0])
    out = tmp_path / "weak.json"
    words = ["label", str(pool), str(out), "--model", model]

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("speechbrain_c2ser.data.manifest.write_manifest", killed)
        assert main(words) == 130
    heard = []
    monkeypatch.setattr(
        Interface, "predict_batch", lambda *_, **__: heard.append(1)
    )
    assert main(words) == 0
    assert not heard
    assert all("weak" in row for row in read_manifest(out).values())
