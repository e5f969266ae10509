"""Weak labels by models: agreement, resuming, bad items, the student."""

import json

import pytest
import torch

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.cli import main
from speechbrain_c2ser.data.manifest import read_manifest, write_manifest
from speechbrain_c2ser.inference import pretrained
from speechbrain_c2ser.inference.classifier import (
    EmotionClassifier as Interface,
)
from speechbrain_c2ser.labelling import run, shards, stages
from speechbrain_c2ser.labelling.weak_labels import (
    ask_words,
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
    assert "4 of 4 items labelled" in capsys.readouterr().out
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
    assert "0 of 4" in told and "4: models disagree" in told
    assert "weak" not in read_manifest(out)["u0"]
    assert main([*words, "--least", "0.99"]) == 0
    assert "below the least score" in capsys.readouterr().out


def test_a_bad_item_costs_nobody_else(pool, tmp_path, capsys):
    model = folder_of(tmp_path / "one", LABELS, [0.0, 2.0, 0.0])
    (tmp_path / "1.wav").write_bytes(b"no sound")
    out = tmp_path / "weak.json"
    assert main(["label", str(pool), str(out), "--model", model]) == 1
    told = capsys.readouterr()
    assert "3 of 4 items labelled" in told.out and "u1" in told.err
    rows = read_manifest(out)
    assert "weak" not in rows["u1"] and "weak" in rows["u2"]
    assert list(rows) == ["u0", "u1", "u2", "u3"]
    failures = (tmp_path / "weak.failures.jsonl").read_text()
    assert json.loads(failures)["id"] == "u1"


def test_the_precision_of_the_computation(pool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pretrained, "processor_has", lambda precision: True)
    model = folder_of(tmp_path / "one", LABELS, [0.0, 2.0, 0.0])
    words = ["label", str(pool), str(tmp_path / "run"), "--model", model]
    words += ["--shortest", "0.1", "--device", "cpu"]
    opened = []
    monkeypatch.setattr(
        stages,
        "open_classifier",
        lambda source, run_opts: (
            opened.append(run_opts) or Interface.from_hparams(source)
        ),
    )
    assert main([*words, "--computation", "bf16"]) == 0
    assert opened == [{"precision": "bf16", "device": "cpu"}]
    assert main(words) == 2  # what a model says depends on it
    assert "precision" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--precision", "bf16"])
    assert "--computation" in capsys.readouterr().err
    monkeypatch.setattr(pretrained, "processor_has", lambda precision: False)
    assert main([*words, "--computation", "bf16"]) == 2
    assert "no instructions for bf16" in capsys.readouterr().err


def test_a_killed_run_goes_on(pool, tmp_path, monkeypatch):
    model = folder_of(tmp_path / "one", LABELS, [0.0, 2.0, 0.0])
    out = tmp_path / "weak.json"
    words = ["label", str(pool), str(out), "--model", model, "--rows", "1"]
    read_shard, asked = shards.read_shard, []

    def stopping(shard):
        asked.append(shard.first)
        if asked == [0, 1, 2]:
            raise KeyboardInterrupt
        return read_shard(shard)

    monkeypatch.setattr(shards, "read_shard", stopping)
    assert main(words) == 130
    assert not out.exists()
    assert main([*words, "--agree"]) == 2  # of another run
    assert main(words) == 0
    assert asked == [0, 1, 2, 2, 3]
    rows = read_manifest(out)
    assert list(rows) == ["u0", "u1", "u2", "u3"]
    assert all("weak" in row for row in rows.values())
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to label with"),
        (["--llm", "x"], "knows no labels"),
        (["--model", "x", "x"], "names a folder twice"),
        (["--model", "x", "--least", "2"], "--least must be"),
        (["--model", "nowhere"], "nowhere"),
        (["--model", "x", "--style", "none.json"], "none.json"),
        (["--model", "x", "--precision", "0.9"], "needs --validation"),
    ],
)
def test_bad_options_are_one_line(words, message, pool, tmp_path, capsys):
    out = tmp_path / "weak.json"
    assert main(["label", str(pool), str(out), *words]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not out.exists()


def test_a_folder_of_somebody_else_is_not_taken(pool, tmp_path, capsys):
    model = folder_of(tmp_path / "one", LABELS, [0.0, 2.0, 0.0])
    words = ["label", str(pool), str(tmp_path / "weak.json"), "--model", model]
    part = tmp_path / "weak.json.part"
    part.write_text("an old journal")
    assert main(words) == 2
    part.unlink()
    part.mkdir()
    (part / "mine.txt").write_text("dear")
    assert main(words) == 2
    assert capsys.readouterr().err.count("move it away") == 2
    assert (part / "mine.txt").exists()


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
    assert set(said) == {"a", "c"}
    assert "too long" in said["c"]["error"]


def test_one_label_out_of_several():
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
        patch.setattr(run, "write_manifest", killed)
        assert main(words) == 130
    heard = []
    monkeypatch.setattr(
        Interface, "predict_batch", lambda *_, **__: heard.append(1)
    )
    assert main(words) == 0
    assert not heard
    assert all("weak" in row for row in read_manifest(out).values())


def test_a_label_comes_with_the_measured_style(pool, tmp_path):
    """The words that annotate_style.py would write for the same rows."""
    from speechbrain_c2ser.chain_of_thought.prosody import annotate

    rows = read_manifest(pool)
    rows["u1"]["gender"], rows["u3"]["truncated"] = "female", True
    write_manifest(rows, pool)
    annotated = read_manifest(pool)
    thresholds = annotate(annotated, progress=False)
    thresholds.cuts["pitch"]["female"] = [1.0, 2.0]
    annotate(annotated, thresholds, progress=False)
    thresholds.save(tmp_path / "thresholds.json")
    model = folder_of(tmp_path / "one", LABELS, [0.0, 2.0, 0.0])
    out = tmp_path / "weak.json"
    words = ["label", str(pool), str(out), "--model", model]
    assert main([*words, "--style", str(tmp_path / "thresholds.json")]) == 0
    labelled = read_manifest(out)
    for key, row in annotated.items():
        assert labelled[key]["style"] == row["style"]
        assert labelled[key]["prosody"] == row["prosody"]
    assert labelled["u1"]["style"]["pitch"] == "high"
    assert labelled["u0"]["prosody"]["rate"]
    assert labelled["u3"]["prosody"]["rate"] is None


def test_words_alone_are_read_without_their_recordings(
    pool, tiny_llm, tmp_path
):
    rows = read_manifest(pool)
    del rows["u2"]["transcript"]
    write_manifest(rows, pool)
    (tmp_path / "1.wav").unlink()
    out = tmp_path / "weak.json"
    words = ["label", str(pool), str(out), "--llm", str(tiny_llm)]
    assert main([*words, "--labels", ",".join(LABELS)]) == 0
    labelled = {k for k, row in read_manifest(out).items() if "weak" in row}
    assert labelled == {"u0", "u1", "u3"}


def test_limits_of_a_manifest_are_those_that_are_asked_for(
    pool, tmp_path, capsys
):
    model = folder_of(tmp_path / "one", LABELS, [0.0, 2.0, 0.0])
    out = tmp_path / "weak.json"
    words = ["label", str(pool), str(out), "--model", model]
    assert main([*words, "--longest", "0.2"]) == 0
    assert "4: longer than" in capsys.readouterr().out
    assert main([*words, "--longest", "9"]) == 0  # and 0.3 s are not too short
    assert "4 of 4 items" in capsys.readouterr().out


def test_a_table_with_recordings_in_its_cells_becomes_a_manifest(
    pool, tmp_path
):
    import pyarrow
    from pyarrow import parquet

    from speechbrain_c2ser.audio import load_audio

    cells = [
        {
            "id": f"u{n}",
            "audio": {"bytes": (tmp_path / f"{n}.wav").read_bytes()},
        }
        for n in range(4)
    ]
    cells[2]["audio"] = None
    parquet.write_table(
        pyarrow.Table.from_pylist(cells), tmp_path / "pool.parquet"
    )
    model = folder_of(tmp_path / "one", LABELS, [0.0, 2.0, 0.0])
    out = tmp_path / "weak.json"
    words = ["label", str(tmp_path / "pool.parquet"), str(out)]
    assert main([*words, "--model", model]) == 1
    rows = read_manifest(out)
    assert list(rows) == ["u0", "u1", "u3"]
    for row in rows.values():
        assert load_audio(row["wav"]).shape == (4800,)
    assert sorted(path.name for path in tmp_path.glob("weak*")) == [
        "weak.failures.jsonl", "weak.json", "weak_audio",
    ]  # fmt: skip
