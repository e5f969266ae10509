"""Classifier recipes: every yaml in debug mode, folds, resume, bad input."""

import importlib
import json
import os
import random
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from device import DEVICE, needs_processes
from safetensors.torch import load_file
from tiny_encoders import tiny_speaker_encoder
from transformers import HubertConfig, Wav2Vec2FeatureExtractor

from speechbrain_c2ser.checkpoints.classifier_folder import load_classifier
from speechbrain_c2ser.checkpoints.emotion2vec_folder import save_emotion2vec
from speechbrain_c2ser.data.dataset import speech_dataset
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import (
    read_manifest,
    write_manifest,
)
from speechbrain_c2ser.evaluation.predictions import read_predictions
from speechbrain_c2ser.inference import EmotionClassifier
from speechbrain_c2ser.lobes import (
    CategoryHead,
    LogMel,
    LogMelCNN,
    MaskedMean,
    MultiHead,
)
from speechbrain_c2ser.lobes import EmotionClassifier as EmotionModel
from speechbrain_c2ser.lobes.encoders.whisper import WhisperEncoder
from speechbrain_c2ser.training.experiment import load_experiment

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes" / "EmotionRecognition"
HPARAMS = ROOT / "hparams" / "emotion_recognition"
EMOTIONS = ("angry", "happy", "neutral", "sad")
PROBES = ("probe", "emobox")
# Over a Whisper of one layer.
FROZEN = ["--layers=[0]", "--keep_layers=1"]
OVERLAY = "# Overlay on:"
# Every yaml, and every overlay on the first yaml that it names.
CASES = [
    (Path(first.split()[3]).stem, path)
    if first.startswith(OVERLAY)
    else (path.stem, None)
    for path in sorted(HPARAMS.glob("*.yaml"))
    for first in path.read_text().splitlines()[:1]
]


@pytest.fixture(scope="module")
def recipe(classifier_scripts):
    """recipe(name) -> the script as a module."""
    return classifier_scripts


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Manifest of four speakers with four tones, twice each."""
    import soundfile

    folder = tmp_path_factory.mktemp("corpus")
    items = {}
    for speaker in range(4):
        for place, emotion in enumerate(EMOTIONS):
            for take in range(2):
                key = f"s{speaker}_{emotion}_{take}"
                size = 4000 + 800 * take
                pitch = 120 + 90 * place + 5 * speaker
                wave = np.sin(2 * np.pi * pitch * np.arange(size) / 16000)
                soundfile.write(folder / f"{key}.wav", 0.3 * wave, 16000)
                items[key] = {
                    "wav": str(folder / f"{key}.wav"),
                    "duration": size / 16000,
                    "emotion": emotion,
                    "speaker": f"s{speaker}",
                    "gender": ("female", "male")[speaker % 2],
                    "vad": [1 + 2 * place, 7 - place, None],
                    "vad_scale": [1, 7],
                }
    write_manifest(items, folder / "all.json")
    for split, own in {"train": "s0s1", "valid": "s2", "test": "s3"}.items():
        part = {k: v for k, v in items.items() if v["speaker"] in own}
        write_manifest(part, folder / f"{split}.json")
    return folder


@pytest.fixture(scope="module")
def sources(build_emotion2vec, tmp_path_factory):
    """Overlay's name -> folder of a tiny encoder."""
    folder = tmp_path_factory.mktemp("encoders")
    save_emotion2vec(build_emotion2vec(), folder / "emotion2vec")
    whisper = WhisperEncoder(
        num_layers=1, size=12, num_heads=2, ffn_size=16, max_positions=50
    )
    (folder / "whisper").mkdir()
    whisper.save_pretrained(folder / "whisper")
    (folder / "speaker").mkdir()
    torch.save(
        tiny_speaker_encoder().network.state_dict(),
        folder / "speaker" / "embedding_model.ckpt",
    )
    names = ("whisper", "emotion2vec", "speaker")
    found = {name: folder / name for name in names}
    for kind in ("wav2vec2", "hubert", "wavlm"):
        config = HubertConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            conv_dim=[8] * 7,
            num_conv_pos_embedding_groups=2,
            feat_extract_norm="layer",
        ).to_dict()
        classes = importlib.import_module("transformers")
        name = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM"}
        config.pop("model_type")
        own = getattr(classes, f"{name[kind]}Config")(**config)
        model = getattr(classes, f"{name[kind]}Model")(own)
        model.save_pretrained(folder / kind)
        Wav2Vec2FeatureExtractor().save_pretrained(folder / kind)
        found[kind] = folder / kind
    return found


def options(corpus, output, **changes):
    """A run on the processor."""
    settings = {
        "train_manifest": corpus / "train.json",
        "valid_manifest": corpus / "valid.json",
        "test_manifest": corpus / "test.json",
        "output_folder": output,
        "device": DEVICE,
        **changes,
    }
    given = [f"--{k}={v}" for k, v in settings.items() if v is not None]
    return [*given, "--noprogressbar"]


def arguments(base, overlay, sources):
    """The yaml and its overlay with a tiny encoder."""
    argv = [str(HPARAMS / f"{base}.yaml")]
    kind = "emotion2vec"
    if overlay is not None:
        argv += ["--overlay", str(overlay)]
        if overlay.stem.startswith("encoder_"):
            kind = overlay.stem.removeprefix("encoder_")
    if base in PROBES:
        argv.append(f"--encoder_source={sources[kind]}")
    if base == "whisper_frozen":
        argv += [f"--encoder_source={sources['whisper']}", *FROZEN]
    return argv


def test_the_iemocap_protocol_is_the_published_one(
    recipe, corpus, sources, tmp_path
):
    overlay = HPARAMS / "iemocap_linear.yaml"
    argv = arguments("emobox", overlay, sources)
    argv += options(corpus, tmp_path, number_of_epochs=11)
    hparams, run_opts = load_experiment(argv)
    assert hparams["batch_size"] == 128 and hparams["hidden_size"] == 256
    assert hparams["select_by"] == "max valid_wa"
    module, rates = recipe("train"), []
    after_batch = module.EmotionBrain.on_fit_batch_end

    def noted(self, *inputs):
        (optimizer,) = self.optimizers_dict.values()
        assert type(optimizer) is torch.optim.RMSprop
        (group,) = optimizer.param_groups
        assert group["momentum"] == 0.9
        rates.append(group["lr"])
        return after_batch(self, *inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.EmotionBrain, "on_fit_batch_end", noted)
        module.train(hparams, run_opts)
    # a batch an epoch; the eleventh is the first peak
    assert rates == pytest.approx([0.0005 + 0.00005 * k for k in range(11)])


@pytest.mark.parametrize(
    "base, overlay", CASES, ids=[f"{b}+{o and o.stem}" for b, o in CASES]
)
def test_every_yaml_in_debug_mode(
    base, overlay, recipe, corpus, sources, tmp_path
):
    argv = arguments(base, overlay, sources)
    batch_size = None if base == "whisper_frozen" else 5
    argv += options(corpus, tmp_path, batch_size=batch_size)
    hparams, run_opts = load_experiment([*argv, "--debug"])
    found = recipe("train").train(hparams, run_opts)
    assert 0 <= found["valid"]["valid_ua"] <= 1
    rows = read_predictions(tmp_path / "predictions.jsonl")
    assert {row["label"] for row in rows} <= set(EMOTIONS)
    ids = [row["id"] for row in rows]
    assert ids == list(read_manifest(corpus / "test.json"))
    assert sum(rows[0]["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    classifier = EmotionClassifier.from_hparams(tmp_path / "classifier")
    assert classifier.labels == list(EMOTIONS)
    row = rows[0]
    wav = read_manifest(corpus / "test.json")[row["id"]]["wav"]
    probabilities, score, index, label = classifier.classify_file(wav)
    assert label == row["label"] == EMOTIONS[int(index)]
    expected = torch.tensor([row["probabilities"][n] for n in EMOTIONS])
    torch.testing.assert_close(probabilities, expected, atol=1e-4, rtol=1e-4)
    assert classifier.hparams.temperature == found["valid"]["temperature"]
    assert score == probabilities.max()


@pytest.mark.parametrize("stage", ["train_loader", "scoring_loader"])
def test_the_yaml_reaches_the_dataloader(
    stage, recipe, corpus, sources, tmp_path
):
    argv = arguments("from_scratch", HPARAMS / "tiny.yaml", sources)
    argv += options(corpus, tmp_path)
    argv += ["--num_workers=2", "--dataloader_opts={prefetch_factor: 3}"]
    hparams, _ = load_experiment(argv)
    splits = recipe("splits")
    loader = getattr(splits, stage)(
        splits.read_splits(hparams)["train"], hparams
    )
    del loader["batch_sampler"]
    assert loader == {
        "num_workers": 2, "pin_memory": None, "prefetch_factor": 3,
    }  # fmt: skip


def test_a_part_of_a_test_set_is_written_in_its_order(
    recipe, corpus, sources, tmp_path
):
    """In debug mode only the first batches are predicted."""
    argv = arguments("from_scratch", HPARAMS / "tiny.yaml", sources)
    argv += options(corpus, tmp_path, batch_size=2)
    recipe("train").train(*load_experiment([*argv, "--debug"]))
    ids = [r["id"] for r in read_predictions(tmp_path / "predictions.jsonl")]
    everything = list(read_manifest(corpus / "test.json"))
    assert len(ids) == 4
    assert ids == [key for key in everything if key.endswith("_0")]


def test_head_in_closed_form_learns_tones(recipe, corpus, sources, tmp_path):
    argv = arguments("whisper_frozen", None, sources)
    argv += options(corpus, tmp_path)
    found = recipe("train").train(*load_experiment(argv))
    right = [row["emotion"] == row["label"] for row in found["test"]]
    assert sum(right) / len(right) >= 0.75
    # the copies are kept apart from the recordings
    kinds = [path.name for path in (tmp_path / "features").iterdir()]
    assert sorted(name.partition("-")[2] for name in kinds) == [
        "layer_means",
        "layer_means-speed110",
        "layer_means-speed90",
    ]
    folder = load_classifier(tmp_path / "classifier")
    assert folder["extra"]["temperature"] == found["valid"]["temperature"]


def test_copies_of_a_recording_are_held_out_together(recipe):
    groups_of = recipe("closed_form").groups_of
    rows = [{"id": "a", "speaker": "s"}, {"id": "b", "speaker": "s"}]
    assert groups_of(rows) == [("id", "a"), ("id", "b")]
    rows += [{"id": "c", "speaker": "t"}, {"id": "d"}]
    assert groups_of(rows) == [
        ("speaker", "s"),
        ("speaker", "s"),
        ("speaker", "t"),
        ("id", "d"),
    ]


def test_network_from_scratch_learns_tones(recipe, corpus, tmp_path):
    argv = [str(HPARAMS / "functionals.yaml")]
    argv += options(
        corpus, tmp_path, batch_size=8, draws_per_epoch=64, number_of_epochs=6
    )
    found = recipe("train").train(*load_experiment(argv))
    right = [row["emotion"] == row["label"] for row in found["test"]]
    assert sum(right) / len(right) >= 0.75


def test_kept_features_of_a_trained_encoder_are_refused(
    recipe, corpus, sources, tmp_path
):
    argv = arguments("probe", None, sources)
    argv += options(corpus, tmp_path, freeze=False)
    with pytest.raises(ValueError, match="feature_folder"):
        recipe("train").train(*load_experiment(argv))


def test_class_without_a_training_item_is_named(recipe, corpus, tmp_path):
    argv = [str(HPARAMS / "functionals.yaml")]
    argv += options(corpus, tmp_path, label_names="[angry, bored, sad]")
    with pytest.raises(ValueError, match="bored"):
        recipe("train").train(*load_experiment(argv))


def test_leaking_manifests_are_refused(recipe, corpus, tmp_path):
    argv = [str(HPARAMS / "functionals.yaml")]
    argv += options(corpus, tmp_path, test_manifest=corpus / "train.json")
    with pytest.raises(ManifestError, match="in both train and test"):
        recipe("train").train(*load_experiment(argv))


@pytest.mark.parametrize("name", ["words_alone", "llm_layer"])
def test_a_classifier_of_texts(
    name, recipe, corpus, sources, text_folder, tiny_llm, tmp_path
):
    for split in ("train", "valid", "test"):
        rows = read_manifest(corpus / f"{split}.json")
        for row in rows.values():
            row["transcript"] = f"The speaker sounds {row['emotion']}."
            if split == "train":  # as a language model labelled it
                row["weak"] = {"labels": {row.pop("emotion"): 0.8}}
        write_manifest(rows, tmp_path / f"{split}.json")
    settings = f"source: {tiny_llm}"
    if name == "llm_layer":
        settings += ", layer: 1"
    argv = [str(HPARAMS / "probe.yaml"), "--batch_size=5"]
    for overlay in (f"text/{name}", "heads/weak"):
        argv.append(f"--overlay={HPARAMS / overlay}.yaml")
    argv += [
        f"--model={{text_encoder: {{{settings}}}}}",
        f"--label_names=[{', '.join(EMOTIONS)}]",
        "--peak_lr=0.03",
        *options(tmp_path, tmp_path / "out", number_of_epochs=8),
    ]
    found = recipe("train").train(*load_experiment(argv))
    # the tones of test speakers are not told, their words are
    right = [row["emotion"] == row["label"] for row in found["test"]]
    assert sum(right) / len(right) == 1
    folder = tmp_path / "out" / "classifier"
    classifier = EmotionClassifier.from_hparams(folder)
    assert classifier.hparams.model.text_encoder.layer == (
        1 if name == "llm_layer" else None
    )
    rows = list(read_manifest(tmp_path / "test.json").values())
    told = classifier.classify_file(rows[0]).label
    assert told == found["test"][0]["label"]


def test_a_layer_that_the_model_lacks_is_told_before_training(
    recipe, corpus, tiny_llm, tmp_path
):
    argv = [str(HPARAMS / "probe.yaml")]
    argv.append(f"--overlay={HPARAMS / 'text' / 'llm_layer.yaml'}")
    argv.append(f"--model={{text_encoder: {{source: {tiny_llm}}}}}")
    argv += options(corpus, tmp_path / "out")
    with pytest.raises(ValueError, match="has 2 layers: .* not 12"):
        recipe("train").train(*load_experiment(argv))
    assert not (tmp_path / "out" / "features").exists()


@pytest.mark.parametrize(
    "base, change, message",
    [
        ("whisper_frozen", "--layers=[0, 7]", "1 layers, .* no layer 7"),
        (
            "probe",
            "--layer_mix=!new:speechbrain_c2ser.lobes.LayerMix {num_layers: 9}",
            "LayerMix was built for 9: set its num_layers",
        ),
    ],
)
def test_layers_that_the_encoder_lacks_are_told_before_it_runs(
    base, change, message, recipe, corpus, sources, tmp_path
):
    argv = [a for a in arguments(base, None, sources) if "--layers" not in a]
    argv += [change, *options(corpus, tmp_path / "out")]
    with pytest.raises(ValueError, match=message):
        recipe("train").train(*load_experiment(argv))
    assert not (tmp_path / "out" / "features").exists()


@pytest.mark.parametrize("name", ["concat", "gate", "bridge_tokens"])
def test_words_beside_the_voice(
    name, recipe, corpus, sources, text_folder, tmp_path
):
    words = dict(zip(EMOTIONS, ("no", "nice", "it is", "sad"), strict=True))
    for split in ("train", "valid", "test"):
        rows = read_manifest(corpus / f"{split}.json")
        for number, row in enumerate(rows.values()):
            row["transcript"] = words[row["emotion"]] if number != 7 else ""
        write_manifest(rows, tmp_path / f"{split}.json")
    encoder = f"{{text_encoder: {{source: {text_folder('bert')}}}}}"
    overlay = HPARAMS / "text" / f"{name}.yaml"

    def run(output, **more):
        argv = [*arguments("probe", overlay, sources), f"--model={encoder}"]
        argv += options(
            tmp_path,
            tmp_path / output,
            number_of_epochs=1,
            batch_size=5,
            **more,
        )
        found = recipe("train").train(*load_experiment([*argv, "--debug"]))
        log = (tmp_path / output / "train_log.jsonl").read_text()
        return found, json.loads(log.splitlines()[-1])

    kept, log = run("kept")
    heard, same = run("heard", feature_folder="null")
    assert log["train_loss"] == pytest.approx(same["train_loss"], abs=1e-5)
    assert log["valid_loss"] == pytest.approx(same["valid_loss"], abs=1e-5)
    model = load_classifier(tmp_path / "kept" / "classifier")["model"]
    assert model.fusion is not None
    if name == "concat":
        encoder = encoder.replace("}}", ", drop: 0.0}}")
        with pytest.raises(ValueError, match="1 of 16 .*no 'transcript'"):
            run("strict")
        assert not (tmp_path / "strict" / "features").exists()
        rows = read_manifest(tmp_path / "train.json")
        rows = {key: r for key, r in rows.items() if r["transcript"]}
        write_manifest(rows, tmp_path / "train.json")
        run("strict", valid_manifest="null", test_manifest="null")


@pytest.mark.parametrize(
    "base, name, figure",
    [
        ("probe", "supervised", "valid_contrast_neighbour_ua"),
        ("from_scratch", "margin", "valid_contrast_neighbour_ua"),
        ("probe", "anchors", "valid_ua"),
        ("probe", "ranks", "valid_ranks_rank_correlation"),
        ("probe", "voice_and_words", "valid_pairs_words_found"),
        ("probe", "../text/gate+voice_and_words", "valid_pairs_voice_found"),
        ("probe", "two_encoders", "valid_views_second_found"),
    ],
)
def test_contrast(
    base, name, figure, recipe, corpus, sources, text_folder, tmp_path
):
    for split in ("train", "valid", "test"):
        rows = read_manifest(corpus / f"{split}.json")
        for number, row in enumerate(rows.values()):
            row["transcript"] = f"oh {row['emotion']}"
            row["vad"] = [number / len(rows), number % 3 / 2, 0.5]
        write_manifest(rows, tmp_path / f"{split}.json")
    argv = [*arguments(base, None, sources), "--batch_size=5", "--debug"]
    for part in name.split("+"):
        argv += ["--overlay", str(HPARAMS / "contrast" / f"{part}.yaml")]
    if "voice_and_words" in name:
        source = text_folder("bert")
        argv.append(f"--model={{text_encoder: {{source: {source}}}}}")
    if name == "two_encoders":
        argv.append(f"--second_encoder={{source: {sources['wavlm']}}}")
    argv += options(tmp_path, tmp_path / "out")
    found = recipe("train").train(*load_experiment(argv))
    assert figure in found["valid"]
    rows = read_predictions(tmp_path / "out" / "predictions.jsonl")
    assert len(rows) == len(read_manifest(tmp_path / "test.json"))


def test_a_student_learns_a_teachers_shares(
    recipe, corpus, tmp_path, monkeypatch, capsys
):
    for split in ("train", "valid", "test"):
        rows = read_manifest(corpus / f"{split}.json")
        for row in rows.values():
            told = {name: 0.1 for name in EMOTIONS} | {row["emotion"]: 0.7}
            row["weak"] = {"labels": told, "score": 0.7, "source": ["teacher"]}
            if split != "test":
                del row["emotion"]  # a pool that nobody labelled
        write_manifest(rows, tmp_path / f"{split}.json")
    overlay = HPARAMS / "distillation" / "student.yaml"
    argv = arguments("from_scratch", overlay, {})
    argv += [f"--label_names=[{', '.join(EMOTIONS)}]", "--debug"]
    argv += options(tmp_path, tmp_path / "out", batch_size=5)
    hparams, run_opts = load_experiment(argv)
    model = hparams["model"]
    assert sum(p.numel() for p in model.parameters()) <= 100_000
    shares = model.heads.targets([{"weak": {"labels": {"sad": 0.75}}}])
    assert shares["emotion"].tolist() == [[0.0, 0.0, 0.0, 1.0]]
    found = recipe("train").train(hparams, run_opts)
    assert "valid_js" in found["valid"]  # how far from the teacher's shares
    rows = read_predictions(tmp_path / "out" / "predictions.jsonl")
    assert {row["emotion"] for row in rows} <= set(EMOTIONS)
    # and how long it takes, beside itself
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import real_time_factor

    capsys.readouterr()
    folder = str(tmp_path / "out" / "classifier")
    real_time_factor.main(
        [str(tmp_path / "test.json"), folder, folder, "--repeats=1"]
    )
    figures = json.loads(capsys.readouterr().out.splitlines()[0])
    size = sum(p.numel() for p in model.parameters())
    assert figures["parameters"] == size and figures["n"] == len(rows)
    assert figures["agrees_with_last"] == 1 and figures["real_time_factor"] > 0


def test_several_manifests_are_one_training_set(recipe, corpus, tmp_path):
    rows = read_manifest(corpus / "train.json")
    other = tmp_path / "other" / "train.json"
    labels = {"angry": "ang", "sad": "xxx"}
    for row in rows.values():
        row["emotion"] = labels.get(row["emotion"], row["emotion"])
    write_manifest(rows, other)
    part = f"{{manifest: {other}, share: 0.5, map: {{ang: angry, xxx: null}}}}"
    argv = [str(HPARAMS / "functionals.yaml"), "--feature_folder=null"]
    argv += options(
        corpus,
        tmp_path / "out",
        train_manifest=f"[{corpus / 'train.json'}, {part}]",
        draws_per_epoch=16,
        number_of_epochs=1,
    )
    hparams, _ = load_experiment(argv)
    assert hparams["label_names"] == list(EMOTIONS)
    datasets = recipe("train").read_splits(hparams)
    assert len(datasets["train"]) == 16 + 6
    assert next(iter(datasets["train"].data)).startswith(f"{corpus.name}/")
    hparams["test_manifest"] = [other]
    with pytest.raises(ManifestError, match="id 'other/.* train and test"):
        recipe("train").read_splits(hparams)


def cross_validation(corpus, output, *more):
    """Command line of a short cross-validation."""
    return [
        str(HPARAMS / "functionals.yaml"),
        str(corpus / "all.json"),
        str(output),
        *("--seeds", "1", "2"),
        *("--number_of_epochs=1", "--draws_per_epoch=16", "--batch_size=8"),
        *(f"--device={DEVICE}", "--noprogressbar", *more),
    ]


def test_cross_validation_goes_on_where_it_stopped(
    recipe, corpus, tmp_path, monkeypatch, capsys
):
    module = recipe("cross_validate")
    train, runs = module.train, []

    def stopping(hparams, run_opts):
        if len(runs) == 3:
            raise KeyboardInterrupt
        runs.append(hparams["output_folder"])
        return train(hparams, run_opts)

    monkeypatch.setattr(module, "train", stopping)
    argv = cross_validation(corpus, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        module.main(argv)
    monkeypatch.setattr(
        module, "train", lambda h, r: runs.append(0) or train(h, r)
    )
    module.main(argv)
    assert len(runs) == 8  # four folds, two seeds, none twice
    assert list((tmp_path / "features").glob("*-tokens/*.safetensors"))
    result = json.loads((tmp_path / "result.json").read_text())
    rows = read_predictions(tmp_path / "predictions.jsonl")
    assert result["n"] == len(rows) == len({row["id"] for row in rows}) == 32
    accuracy = sum(row["emotion"] == row["label"] for row in rows) / 32
    assert result["pooled"]["wa"] == pytest.approx(accuracy)
    scores = [fold["ua"] for fold in result["folds"].values()]
    assert result["fold_mean"]["ua"] == pytest.approx(sum(scores) / 4)
    assert "pooled: UA" in capsys.readouterr().out
    with pytest.raises(ValueError, match="other arguments"):
        module.main([*argv[:-1], "--dropout=0.1"])


def test_trained_encoders_keep_no_features(recipe):
    keeps = recipe("cross_validate").keeps_features
    probe = HPARAMS / "probe.yaml"
    assert keeps(probe, [])
    assert not keeps(probe, ["--overlay", str(HPARAMS / "fine_tune.yaml")])
    assert not keeps(probe, [f"--overlay={HPARAMS / 'augmentation.yaml'}"])


def test_settings_are_chosen_by_valid_figures(recipe, tmp_path):
    jobs = []
    for setting, scores in {"a": (0.5, 0.7), "b": (0.65, 0.65)}.items():
        for seed, score in enumerate(scores):
            path = tmp_path / f"{setting}{seed}.json"
            row = {"valid": {"valid_ua": score}, "test": []}
            path.write_text(json.dumps(row))
            jobs.append({"fold": 1, "setting": setting, "result": str(path)})
    setting, runs = recipe("cross_validate").choose(jobs)[1]
    assert setting == "b" and len(runs) == 2


def test_valid_speaker_is_the_next_one(recipe, corpus):
    items = read_manifest(corpus / "all.json")
    wanted = Namespace(by="speaker", number=None, folds=None, merge_valid=False)
    folds = recipe("folds").make_folds(items, wanted)
    speakers = [
        [{row["speaker"] for row in fold[part].values()} for part in fold]
        for fold in folds
    ]
    assert speakers[0] == [{"s2", "s3"}, {"s1"}, {"s0"}]
    assert speakers[3] == [{"s1", "s2"}, {"s0"}, {"s3"}]
    wanted.merge_valid = True
    fold = recipe("folds").make_folds(items, wanted)[0]
    assert {row["speaker"] for row in fold["train"].values()} == {
        "s1",
        "s2",
        "s3",
    }
    assert "valid" not in fold


@pytest.mark.parametrize(
    "fold, message",
    [
        ({"train": 1, "test": 2, "kept": 3}, "key 'kept'"),
        ({"train": 1}, "no test part"),
        ({"train": 1, "test": ["nobody"]}, "'nobody' .* not listed"),
        ({"train": 12, "valid": 3, "test": 2}, "in both train and test"),
        ({"train": "sad", "test": 2}, "no utterance that is angry"),
    ],
)
def test_bad_fold_files_are_named(fold, message, recipe, corpus, tmp_path):
    items = read_manifest(corpus / "all.json")
    chosen = {
        1: [k for k in items if k < "s2"],
        2: [k for k in items if k[:2] == "s2"],
        3: [k for k in items if k[:2] == "s3"],
        12: [k for k in items if k < "s3"],
        "sad": [k for k in items if k < "s2" and "sad" in k],
    }
    made = {
        part: chosen[which] if not isinstance(which, list) else which
        for part, which in fold.items()
    }
    path = tmp_path / "folds.json"
    path.write_text(json.dumps([made]))
    wanted = Namespace(
        by="speaker", number=None, folds=str(path), merge_valid=False
    )
    with pytest.raises(ManifestError, match=message):
        recipe("folds").make_folds(items, wanted)


def test_a_fold_file_by_other_names_of_the_splits(recipe, tmp_path):
    items = {str(n): {"wav": f"{n}.wav", "duration": 1.0} for n in range(3)}
    path = tmp_path / "folds.json"
    text = json.dumps([{"train": [0], "dev": [1.0], "test": ["2"]}])
    path.write_text(text, encoding="utf-16")
    (fold,) = recipe("folds").folds_of_file(path, items)
    assert {part: list(rows) for part, rows in fold.items()} == {
        "train": ["0"],
        "valid": ["1"],
        "test": ["2"],
    }
    path.write_text(json.dumps([{"train": [0], "dev": [1], "valid": [2]}]))
    with pytest.raises(ManifestError, match="Fold 1 of .* two parts 'valid'"):
        recipe("folds").folds_of_file(path, items)


def test_fold_folder_of_a_preparer(recipe, corpus, tmp_path):
    for number in (1, 2):
        for split in ("train", "valid", "test"):
            write_manifest(
                read_manifest(corpus / f"{split}.json"),
                tmp_path / f"fold_{number}" / f"{split}.json",
            )
    folds = recipe("folds").folds_of_folder(tmp_path)
    assert len(folds) == 2 and len(folds[0]["test"]) == 8
    # Raters may have found no majority.
    rows = read_manifest(corpus / "train.json")
    del rows["s0_sad_0"]["emotion"]
    write_manifest(rows, tmp_path / "fold_1" / "train.json")
    given = Namespace(
        by="speaker", number=None, folds=str(tmp_path), merge_valid=False
    )
    assert len(recipe("folds").make_folds(None, given)) == 2
    with pytest.raises(ManifestError, match="prepare the corpus"):
        recipe("folds").folds_of_folder(corpus)


def short(corpus, output, **changes):
    """The command line of two epochs from scratch."""
    argv = [str(HPARAMS / "from_scratch.yaml")]
    argv += ["--overlay", str(HPARAMS / "tiny.yaml")]
    return argv + options(corpus, output, **changes)


def test_finished_run_started_again_writes_the_same(recipe, corpus, tmp_path):
    train = recipe("train").train
    first = train(*load_experiment(short(corpus, tmp_path)))
    (tmp_path / "predictions.jsonl").unlink()
    assert train(*load_experiment(short(corpus, tmp_path))) == first
    assert (tmp_path / "predictions.jsonl").is_file()


def test_checkpoint_of_other_labels_is_refused(recipe, corpus, tmp_path):
    items = read_manifest(corpus / "train.json")
    other = {
        k: {**row, "emotion": row["emotion"].replace("happy", "bored")}
        for k, row in items.items()
    }
    write_manifest(other, tmp_path / "other.json")
    changes = {"valid_manifest": None, "test_manifest": None}
    train, output = recipe("train").train, tmp_path / "run"
    train(*load_experiment(short(corpus, output, **changes)))
    changes["train_manifest"] = tmp_path / "other.json"
    again = short(corpus, output, number_of_epochs=3, **changes)
    with pytest.raises(ValueError, match="bored.*another output_folder"):
        load_experiment(again)
    (output / "run.json").unlink()  # then the checkpoint tells
    again = load_experiment(again)
    with pytest.raises(ValueError, match="bored.*another output_folder"):
        train(*again)


@pytest.mark.parametrize("sampling", ["random", "balanced"])
def test_row_without_emotion_does_not_end_a_run(
    sampling, recipe, corpus, tmp_path
):
    items = read_manifest(corpus / "train.json")
    del items["s0_sad_0"]["emotion"]
    write_manifest(items, tmp_path / "train.json")
    argv = short(
        corpus,
        tmp_path,
        train_manifest=tmp_path / "train.json",
        sampling=sampling,
    )
    assert recipe("train").train(*load_experiment(argv))["valid"]
    said = (
        "1 of 16 items of the train set have no emotion"
        in (tmp_path / "log.txt").read_text()
    )
    assert said == (sampling == "balanced")


FORGETFUL = """import torch
class Forgetful(torch.nn.Module):
    def __init__(self, input_size):
        super().__init__()
        self.output_size = input_size
    def forward(self, frames, lengths, tokens=None):
        return frames.mean(1)

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes import CategoryHead

@remember_arguments
class Each(CategoryHead):
    def predict(self, output):
        return output.sigmoid()
"""
# Its probabilities do not sum to 1.
EACH = """heads: !new:speechbrain_c2ser.lobes.MultiHead
    heads:
        emotion: !new:my_pooling.Each
            input_size: !ref <pooling.output_size>
            labels: !ref <label_names>
"""


@pytest.mark.parametrize(
    "overlay, message",
    [
        (
            "pooling: !new:my_pooling.Forgetful {input_size: 8}",
            "pooling is a Forgetful, which does not remember",
        ),
        ("vector_network: !new:torch.nn.Dropout", "vector_network is a Drop"),
        (EACH, r"emotion \(Each\) say .*sum to"),
    ],
)
def test_what_could_not_be_saved_fails_before_training(
    overlay, message, recipe, corpus, tmp_path, monkeypatch
):
    (tmp_path / "my_pooling.py").write_text(FORGETFUL)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "overlay.yaml").write_text(overlay)
    argv = short(corpus, tmp_path / "run")
    argv += ["--overlay", str(tmp_path / "overlay.yaml")]
    if "vector_network" not in overlay:
        # its input is as wide as the pooling that it stood behind
        argv += ["--vector_network=null"]
    with pytest.raises(ValueError, match=message):
        recipe("train").train(*load_experiment(argv))
    assert not list((tmp_path / "run" / "save").iterdir())
    made = {path.name for path in (tmp_path / "run").iterdir()}
    assert not made & {"features", "classifier", "predictions.jsonl"}
    assert "train_log.jsonl" not in made


def test_dry_run_moves_no_random_number(recipe, corpus, tmp_path, monkeypatch):
    module, logs, states = recipe("train"), [], []
    dry_run = module.dry_run

    def watched(*arguments):
        states.append(random_state())
        dry_run(*arguments)
        states.append(random_state())

    monkeypatch.setattr(module, "dry_run", watched)
    for name in ("with", "without"):
        module.train(*load_experiment(short(corpus, tmp_path / name)))
        logs.append((tmp_path / name / "train_log.jsonl").read_text())
        monkeypatch.setattr(module, "dry_run", lambda *_: None)
    assert logs[0] == logs[1]
    before, after = states
    assert before == after


def random_state():
    """Of every generator that a run may draw from."""
    return (
        random.getstate(),
        str(np.random.get_state()),
        torch.get_rng_state().tolist(),
    )


def test_sampling_draws_each_item_once_or_each_class_as_often(recipe):
    """By the recipe's loader; in like lengths where that saves much."""
    head = CategoryHead(2, ["happy", "sad"])
    model = EmotionModel(LogMel(), MultiHead({"emotion": head}), MaskedMean(2))
    rows = {
        str(n): {
            "wav": "a.wav",
            "duration": 1.0 + n % 40,
            "emotion": "sad" if n < 8 else "happy",
        }
        for n in range(400)
    }
    model.encoder = torch.nn.Linear(2, 2)  # is trained
    dataset = speech_dataset(rows)
    hparams = {
        "seed": 1, "model": model, "batch_size": 8, "dataloader_opts": {},
        "sampling": "random", "draws_per_epoch": 600,
    }  # fmt: skip
    splits = recipe("splits")

    def batches(**changes):
        loader = splits.train_loader(dataset, hparams | changes)
        return list(loader["batch_sampler"])

    def spread(batches):
        return np.mean([np.ptp([n % 40 for n in batch]) for batch in batches])

    once = batches()
    assert sorted(sum(once, [])) == list(range(400))
    assert spread(once) < 3
    balanced = batches(sampling="balanced")
    drawn = sum(balanced, [])
    assert len(drawn) == 600
    assert np.mean([n < 8 for n in drawn]) == pytest.approx(0.5, abs=0.08)
    assert spread(balanced) < 3
    scored = splits.scoring_loader(dataset, hparams)["batch_sampler"]
    assert spread(scored) < 1
    model.encoder.requires_grad_(False)
    assert spread(batches()) > 20
    model.encoder.requires_grad_(True)
    model.frame_network = LogMelCNN(64)
    assert spread(batches()) > 20  # for batch norm
    with pytest.raises(ValueError, match="give random or balanced"):
        batches(sampling="even")


def test_fine_tuning_under_torchrun(corpus, sources, tmp_path):
    needs_processes()
    # wav2vec 2.0 has a parameter that never takes a gradient
    argv = arguments("probe", HPARAMS / "encoder_wav2vec2.yaml", sources)
    argv += ["--overlay", str(HPARAMS / "fine_tune.yaml")]
    argv += options(corpus, tmp_path, batch_size=4, number_of_epochs=1)
    # standalone: a port that no other job has
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*launch, "--nproc_per_node=2", str(RECIPES / "train.py"), *argv]
        + ["--distributed_backend=gloo", "--num_workers=0"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    # The rank's own words come first, the launcher's last.
    assert done.returncode == 0, done.stderr[:5000] + done.stderr[-2000:]
    assert (tmp_path / "classifier" / "model.safetensors").is_file()


ADAPTED = {
    "lora": ["--overlay", str(HPARAMS / "partly_trained/lora.yaml")],
    "top_layers": [
        "--overlay",
        str(HPARAMS / "partly_trained/top_layers.yaml"),
        r"--model={encoder: {patterns: ['layers\.0\.']}}",
    ],
}


@pytest.mark.parametrize("name", ADAPTED)
def test_a_part_of_an_encoder_is_trained(
    name, recipe, corpus, sources, tmp_path
):
    """What is trained moves, nothing else does, and the folder has both."""
    argv = [
        str(HPARAMS / "probe.yaml"),
        "--overlay",
        str(HPARAMS / "encoder_whisper.yaml"),
        f"--encoder_source={sources['whisper']}",
        *ADAPTED[name],
        *options(corpus, tmp_path, number_of_epochs=4, num_workers=0),
    ]
    hparams, run_opts = load_experiment(argv)
    model = hparams["model"]
    before = {k: v.clone() for k, v in model.encoder.state_dict().items()}
    trained = {
        k for k, p in model.encoder.named_parameters() if p.requires_grad
    }
    words = {"lora": "lora_", "top_layers": "layers.0."}
    assert trained and all(words[name] in key for key in trained)
    recipe("train").train(hparams, run_opts)
    moved = {
        k
        for k, v in model.encoder.state_dict().items()
        if not torch.equal(v.cpu(), before[k])
    }
    assert moved == trained
    folder = tmp_path / "classifier"
    stored = load_file(folder / "model.safetensors")
    for key, tensor in model.encoder.state_dict().items():
        assert torch.equal(tensor.cpu(), stored[f"encoder.{key}"])
    # where LoRA is part of the weights
    loaded = EmotionClassifier.from_hparams(folder).mods["model"]
    wavs = torch.randn(2, 8000)
    with torch.no_grad():
        ours, theirs = (
            each.cpu().encoder.extract(wavs).frames
            for each in (loaded, model.eval())
        )
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
