"""An archive is labelled, and stages 0 and 1 train on what came of it."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from device import DEVICE
from scripts import load_script
from tiny_classifier import uneven_classifier

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

from speechbrain_c2ser.chain_of_thought.prosody import annotate
from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.cli import main
from speechbrain_c2ser.data import pools
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import read_manifest
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.training.experiment import load_experiment

ROOT = Path(__file__).parents[2]
LABELS = ["angry", "happy", "sad"]


@pytest.fixture(scope="module")
def archive(corpus, tmp_path_factory):
    """The training voices as Emilia's tar, their emotions forgotten."""
    folder = tmp_path_factory.mktemp("archive")
    with tarfile.open(folder / "EN-0.tar", "w") as out:
        for key, row in read_manifest(corpus / "train.json").items():
            told = {"id": key, "text": row["transcript"], "language": "en"}
            told |= {"duration": row["duration"], "speaker": row["speaker"]}
            parts = {
                "wav": Path(row["wav"]).read_bytes(),
                "json": json.dumps(told).encode(),
            }
            for suffix, content in parts.items():
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(content)
                out.addfile(info, io.BytesIO(content))
    return folder / "EN-0.tar"


@pytest.fixture(scope="module")
def labelled(archive, corpus, tmp_path_factory):
    """What ``c2ser label`` makes of it."""
    folder = tmp_path_factory.mktemp("labelled")
    model = uneven_classifier(LABELS)
    save_classifier(model, folder / "probe", label_space=LabelSpace(LABELS))
    rows = read_manifest(corpus / "train.json")
    annotate(rows, progress=False).save(folder / "style.json")
    words = ["label", str(archive), str(folder / "out"), "--shortest", "0.1"]
    words += ["--model", str(folder / "probe")]
    assert main([*words, "--style", str(folder / "style.json")]) == 0
    return folder / "out" / "labelled.arrow"


@pytest.fixture
def pretrain():
    return load_script(ROOT / "recipes/Emotion2VecS/pretrain.py")


def weakly(manifest):
    return f"{{manifest: {manifest}, label: weak}}"


def test_stage_0_learns_from_weak_labels(
    labelled, corpus, pretrain, tmp_path, monkeypatch, capsys
):
    def run(name, train):
        argv = [
            str(ROOT / "hparams" / "emotion2vec_s" / "tiny.yaml"),
            f"--train_manifest={train}",
            f"--valid_manifest={corpus}/valid.json",
            f"--output_folder={tmp_path / name}",
            "--labelled_fraction=1.0", "--number_of_epochs=1",
            "--max_batch_seconds=12", "--num_buckets=2", f"--device={DEVICE}",
            f"--emotions=[{', '.join(LABELS)}, neutral, fearful, surprised, "
            "disgusted]", "--noprogressbar",
        ]  # fmt: skip
        monkeypatch.setattr("sys.argv", ["pretrain.py", *argv])
        pretrain.main()
        (line,) = (tmp_path / name / "train_log.jsonl").read_text().splitlines()
        return json.loads(line)

    weak = run("weak", weakly(labelled))
    told = "".join(capsys.readouterr())
    assert "28 of 28 rows are labelled by models (probe), not by" in told
    assert weak["train_category_loss"] > 0 and weak["train_head_loss"] > 0
    bare = run("bare", labelled)  # without being asked for they are no labels
    assert bare["train_head_loss"] == 0


def test_stage_1_learns_from_weak_labels(
    labelled, corpus, recipe, models, options, tmp_path, monkeypatch
):
    whole = read_manifest(labelled)
    weak = {k: max(r["weak"]["labels"], key=r["weak"]["labels"].get)
            for k, r in whole.items()}  # fmt: skip
    assert (
        len(set(weak.values())) > 1 and "emotion" not in whole[next(iter(weak))]
    )
    module = recipe("train_explicit")
    taught = {}

    class Noting(module.ExplicitBrain):
        def compute_forward(self, batch, stage):
            output = super().compute_forward(batch, stage)
            if self.modules.training:
                taught.update(zip(batch.id, batch.answers, strict=True))
            return output

    def run(name, train):
        changes = {"train_manifest": train, "number_of_epochs": 1}
        argv = options(corpus, tmp_path / name, models, **changes)
        tiny = ROOT / "hparams" / "c2ser" / "sizes" / "tiny.yaml"
        return module.train(Noting, *load_experiment([str(tiny), *argv]))

    run("whole", f"[{weakly(labelled)}]")  # a pool of one: read whole
    expected, losses = dict(taught), []
    monkeypatch.setattr(
        pools, "read_pool", {f"{corpus}/valid.json": read_manifest(
            corpus / "valid.json")}.__getitem__,
    )  # fmt: skip
    taught.clear()
    run("stream", weakly(labelled))
    assert taught == expected and set(taught) == set(weak)
    assert all(weak[key] in answer for key, answer in taught.items())
    for name in ("whole", "stream"):
        text = (tmp_path / name / "train_log.jsonl").read_text()
        losses.append(json.loads(text)["train_loss"])
    assert losses[0] == losses[1]
    monkeypatch.undo()
    with pytest.raises(ManifestError, match="has no 'emotion'"):
        run("bare", labelled)
