"""Heads by yaml alone: trained, chosen, scored, saved, asked."""

import json
from pathlib import Path

import numpy as np
import pytest
from device import DEVICE

from speechbrain_c2ser import cli
from speechbrain_c2ser.checkpoints.emotion2vec_folder import save_emotion2vec
from speechbrain_c2ser.data.manifest import read_manifest, write_manifest
from speechbrain_c2ser.evaluation.head_results import HeadResults
from speechbrain_c2ser.evaluation.predictions import read_predictions
from speechbrain_c2ser.inference import EmotionClassifier
from speechbrain_c2ser.training.experiment import load_experiment

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes" / "EmotionRecognition"
HPARAMS = ROOT / "hparams" / "emotion_recognition"
EMOTIONS = ("angry", "happy", "neutral", "sad")
# Overlay -> the figure that chooses the epoch, and heads beside the emotion.
OVERLAYS = {
    "dimensions": ("max valid_vad_ccc", ["vad"]),
    "one_dimension": ("max valid_valence_ccc", ["valence"]),
    "best_worst": ("max valid_intensity_spearman", ["intensity"]),
    "votes": ("min valid_js", ["emotion"]),
    "weak": ("max valid_ua", ["emotion"]),
    "focal": ("max valid_ua", []),
    "mixed_emotions": ("max valid_mixed_macro_f1", ["mixed"]),
    "two_labels": ("max valid_intent_ua", ["emotion", "intent"]),
    "speaker_adversarial": ("max valid_ua", ["emotion", "speaker"]),
    "diarization": ("min valid_frames_eder", ["frames"]),
    "tracks": ("max valid_tracks_ccc", ["tracks"]),
    "ctc": ("max valid_ua", []),
}
SPLITS = ("train", "valid", "test")
MIXUP = "!new:speechbrain_c2ser.lobes.Mixup {alpha: 0.3}"
# on an encoder that tells its frame rate
FRAMED = ("diarization", "tracks", "ctc")


@pytest.fixture(scope="module")
def train(classifier_scripts):
    """The recipe's function."""
    return classifier_scripts("train").train


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Three speakers' tones, with something true for every head."""
    import soundfile

    folder = tmp_path_factory.mktemp("tones")
    for number, split in enumerate(("train", "valid", "test")):
        items = {}
        for place, emotion in enumerate(EMOTIONS):
            for take in range(2):
                key = f"s{number}_{emotion}_{take}"
                size = 8000 + 1600 * take
                pitch = 120 + 90 * place + 5 * number
                wave = np.sin(2 * np.pi * pitch * np.arange(size) / 16000)
                soundfile.write(folder / f"{key}.wav", 0.3 * wave, 16000)
                other = EMOTIONS[place - 1]
                items[key] = {
                    "wav": str(folder / f"{key}.wav"),
                    "duration": size / 16000,
                    "emotion": emotion,
                    "speaker": f"s{number}",
                    "intent": ("ask", "tell")[(place + take) % 2],
                    "votes": {emotion: 2, other: 1 + take},
                    "weak": {"labels": {emotion: 0.8}, "source": "other"},
                    "emotions": [emotion, other][: 1 + take],
                    "vad": [1 + place, 5 - place, 1 + take],
                    "vad_scale": [1, 5],
                    "best_worst": {"best": place, "worst": 1, "shown": 4},
                    "segments": [[0.1, 0.3, emotion]],
                    "tracks": {
                        "rate": 10.0,
                        "valence": [0.2 * place, 0.1, 0.1 * take, 0.5, 0.4],
                        "arousal": [0.1, 0.2 * place, 0.3, 0.1, 0.0],
                    },
                }
        write_manifest(items, folder / f"{split}.json")
    return folder


@pytest.fixture(scope="module")
def encoder(build_emotion2vec, tmp_path_factory):
    """The folder of a tiny encoder."""
    folder = tmp_path_factory.mktemp("encoder") / "emotion2vec"
    save_emotion2vec(build_emotion2vec(), folder)
    return folder


def arguments(corpus, output, overlays, encoder=None, **changes):
    """Command line of two epochs on the processor."""
    argv = [str(HPARAMS / "from_scratch.yaml")]
    argv += ["--overlay", str(HPARAMS / "tiny.yaml")]
    if encoder is not None:
        argv = [str(HPARAMS / "probe.yaml"), f"--encoder_source={encoder}"]
        changes = {"number_of_epochs": 2, "batch_size": 4, **changes}
    for overlay in overlays:
        argv += ["--overlay", str(overlay)]
    settings = {
        **{f"{k}_manifest": corpus / f"{k}.json" for k in SPLITS},
        "output_folder": output,
        "device": DEVICE,
        **changes,
    }
    return [
        *argv,
        *(f"--{k}={v}" for k, v in settings.items() if v is not None),
    ]


@pytest.mark.parametrize("name", OVERLAYS)
def test_head_by_yaml_alone(name, train, corpus, encoder, tmp_path, capsys):
    select_by, heads = OVERLAYS[name]
    direction, figure = select_by.split()
    overlay = HPARAMS / "heads" / f"{name}.yaml"
    argv = arguments(
        corpus, tmp_path, [overlay], encoder if name in FRAMED else None
    )
    hparams, run_opts = load_experiment([*argv, "--noprogressbar"])
    assert hparams["select_by"] == select_by
    found = train(hparams, run_opts)
    lines = (tmp_path / "train_log.jsonl").read_text().splitlines()
    numbers = [json.loads(line)[figure] for line in lines]
    assert len(numbers) == 2
    best = {"max": max, "min": min}[direction](numbers)
    assert found["valid"][figure] == best

    # in the predictions, and scored by the command
    rows = read_predictions(tmp_path / "predictions.jsonl")
    assert all(list(row.get("heads", {})) == heads for row in rows)
    assert ("label" in rows[0]) == (heads == [] or "emotion" in heads)
    evaluate = ["evaluate", str(tmp_path / "predictions.jsonl")]
    assert cli.main([*evaluate, "--samples=9"]) == 0
    printed = capsys.readouterr().out
    assert all(f"| {head} " in printed for head in heads if head != "speaker")

    # saved, and asked by the interface and the command
    wav = read_manifest(corpus / "test.json")[rows[0]["id"]]["wav"]
    classifier = EmotionClassifier.from_hparams(tmp_path / "classifier")
    told = classifier.classify_file(wav)
    # a label alone is the classification itself
    heads = [] if heads == ["emotion"] else heads
    assert list(told.heads) == heads
    assert told.label == rows[0].get("label")
    folder = str(tmp_path / "classifier")
    assert cli.main(["classify", wav, "--model", folder, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    for head in heads:
        own = dict(rows[0]["heads"][head])
        own.pop("truth")
        assert_close(told.heads[head], own)
        assert_close(record["heads"][head], own)
    assert cli.main(["classify", wav, "--model", folder]) == 0
    assert all(f"  {head}: " in capsys.readouterr().out for head in heads[:1])
    assert cli.main(["classify", wav, "--model", folder, "--format=csv"]) == 0


def assert_close(one, other):
    """Records with the same words, and numbers to a ten-thousandth."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert_close(value, other[name])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            assert_close(first, second)
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=1.1e-4)
    else:
        assert one == other


def changed(corpus, folder, split, change):
    """A split's manifest with each row changed; its path."""
    rows = read_manifest(corpus / f"{split}.json")
    for key, row in rows.items():
        change(key, row)
    write_manifest(rows, folder / f"{split}.json")
    return folder / f"{split}.json"


def start(train, argv):
    """Train; nothing is printed."""
    return train(*load_experiment([*argv, "--noprogressbar"]))


def test_rows_without_emotion_where_no_head_needs_it(
    train, corpus, tmp_path, capsys
):
    paths = {
        f"{split}_manifest": changed(
            corpus, tmp_path, split, lambda key, row: row.pop("emotion")
        )
        for split in SPLITS
    }
    overlay = HPARAMS / "heads" / "dimensions.yaml"
    found = start(train, arguments(corpus, tmp_path, [overlay], **paths))
    assert found["valid"]["valid_vad_ccc"] and len(found["test"]) == 8
    assert cli.main(["evaluate", str(tmp_path / "predictions.jsonl")]) == 0
    assert "ccc_arousal" in capsys.readouterr().out
    scores = json.loads((tmp_path / "predictions" / "heads.json").read_text())
    assert scores["vad"]["n"] == 8


def test_rows_without_a_majority_are_learned_from_and_told(
    train, corpus, tmp_path, capsys
):
    def tie(key, row):
        if key.endswith("0"):
            del row["emotion"]
            row["votes"] = {"sad": 1, "angry": 1}

    path = changed(corpus, tmp_path, "test", tie)
    overlay = HPARAMS / "heads" / "votes.yaml"
    start(train, arguments(corpus, tmp_path, [overlay], test_manifest=path))
    argv = ["evaluate", str(tmp_path / "predictions.jsonl"), "--samples=9"]
    assert cli.main(argv) == 0
    printed = capsys.readouterr().out
    assert "4 utterances have no true emotion" in printed
    scores = json.loads((tmp_path / "predictions" / "result.json").read_text())
    assert scores["n"] == 4 and scores["heads"]["emotion"]["n"] == 8


@pytest.mark.parametrize("direction, best", [("min", 0.1), ("max", 0.9)])
def test_the_yaml_chooses_the_epoch(
    direction, best, train, corpus, tmp_path, monkeypatch
):
    numbers = iter([0.5, 0.1, 0.9, 0.3])
    monkeypatch.setattr(
        HeadResults, "figures", lambda self: {"toy": next(numbers)}
    )
    monkeypatch.setattr(HeadResults, "figure_names", lambda *_: ["toy"])
    changes = {"test_manifest": "null", "number_of_epochs": 4}
    argv = arguments(
        corpus, tmp_path, [], select_by=f"{direction} valid_toy", **changes
    )
    assert start(train, argv)["valid"]["valid_toy"] == best


def test_class_weights_reach_the_loss(train, corpus, tmp_path):
    path = changed(
        corpus,
        tmp_path,
        "train",
        lambda key, row: row.update(
            emotion=row["emotion"].replace("sad", "angry")
        ),
    )
    losses = []
    for wanted in (False, True):
        changes = {
            "train_manifest": path,
            "valid_manifest": "null",
            "test_manifest": "null",
            "sampling": "random",
            "number_of_epochs": 1,
            "weigh_classes": wanted,
        }
        argv = arguments(corpus, tmp_path / str(wanted), [], **changes)
        losses.append(start(train, argv)["valid"]["train_loss"])
    assert losses[0] != losses[1]


NO_VAD = "No training item has a target for the head 'vad' (field 'vad')"
FIGURES = "no figure valid_vad_ccc; there are valid_loss"


@pytest.mark.parametrize(
    "name, split, change, settings, message",
    [
        ("dimensions", "train", {"vad": None}, {}, NO_VAD),
        ("dimensions", "valid", {"vad": None}, {}, FIGURES),
        (
            "dimensions",
            None,
            {},
            {"select_by": "max valid_vad"},
            "valid_vad_mae",
        ),
        ("dimensions", None, {}, {"select_by": "valid_ua"}, "give max or min"),
        (
            "dimensions",
            None,
            {},
            {"sampling": "balanced"},
            "sampling to random",
        ),
        ("dimensions", "valid", {"vad_scale": [5, 1]}, {}, "scale from 5 to 1"),
        ("votes", "test", {"votes": {"bored": 1}}, {}, "unknown votes 'bored'"),
        ("votes", "valid", {"votes": {"sad": -1}}, {}, "-1 votes for 'sad'"),
        ("diarization", None, {}, {"mixup": MIXUP}, "set mixup to null"),
        (
            "diarization",
            "train",
            {"segments": [[0, 1, "bored"]]},
            {},
            "unknown label 'bored' in segments",
        ),
        (
            "tracks",
            None,
            {},
            {"heads": "{heads: {tracks: {frame_rate: 5.0}}}"},
            "frame_rate is 5.0, but should be about",
        ),
    ],
)
def test_bad_input_is_one_line_before_training(
    name, split, change, settings, message, train, corpus, encoder, tmp_path
):
    if split is not None:
        path = changed(
            corpus, tmp_path, split, lambda key, row: row.update(change)
        )
        settings = {**settings, f"{split}_manifest": path}
    argv = arguments(
        corpus,
        tmp_path / "run",
        [HPARAMS / "heads" / f"{name}.yaml"],
        encoder if name in FRAMED else None,
        **settings,
    )
    with pytest.raises(ValueError) as caught:
        start(train, argv)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    made = {path.name for path in (tmp_path / "run").iterdir()}
    assert not made & {"features", "train_log.jsonl", "classifier"}


def test_mixup_beside_numbers(train, corpus, tmp_path):
    overlay = HPARAMS / "heads" / "dimensions.yaml"
    argv = arguments(corpus, tmp_path, [overlay], mixup=MIXUP)
    assert start(train, argv)["valid"]["valid_vad_ccc"] > -1
