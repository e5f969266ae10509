"""Published files of the emotion2vec family, made up at a tiny size."""

import argparse
import json

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from speechbrain_c2ser.checkpoints.converters.emotion2vec import (
    build,
    convert,
    load_official,
)
from speechbrain_c2ser.checkpoints.converters.emotion2vec_architecture import (
    parse_conv_layers,
)
from speechbrain_c2ser.checkpoints.converters.emotion2vec_keys import rename
from speechbrain_c2ser.checkpoints.emotion2vec_folder import load_emotion2vec
from speechbrain_c2ser.inference import Emotion2VecSEncoder, EmotionClassifier

TOKENS = "modality_encoders.AUDIO.extra_tokens"


@pytest.fixture(scope="module")
def bundle(root):
    """A bundle's official config, weights, one waveform and its frames."""

    def read(name):
        stem = root / "tests/parity/reference" / name
        spec = json.loads(stem.with_suffix(".json").read_text())
        tensors = load_file(stem.with_suffix(".safetensors"))
        weights = {
            key.removeprefix("weights/"): tensor.float()
            for key, tensor in tensors.items()
            if key.startswith("weights/")
        }
        case = next(iter(spec["cases"]))
        wavs = tensors[f"inputs/{case}/waveform"]
        return spec["config"], weights, wavs, tensors[f"outputs/{case}/x"]

    return read


@pytest.fixture
def released(bundle):
    return bundle("emotion2vec_s_released_layout")


def same_frames(encoder, wavs, frames):
    with torch.no_grad():
        torch.testing.assert_close(encoder(wavs), frames, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("place", ["cfg", "args"])
def test_fairseq_file(tmp_path, released, place):
    config, weights, wavs, frames = released
    full = {**config["full_official_config"], "layerdrop": 0.2}
    task = {"normalize": False}
    settings = {"model": full, "task": task}
    if place == "args":
        settings = argparse.Namespace(
            model=argparse.Namespace(**full), task=argparse.Namespace(**task)
        )
    content = {
        "model": {**weights, "_ema": {"blocks.0.norm1.weight": torch.ones(2)}},
        place: settings,
        "optimizer_history": [argparse.Namespace(lr=0.1)],
    }
    torch.save(content, tmp_path / "checkpoint.pt")
    found = load_official(tmp_path / "checkpoint.pt")
    same_frames(found.encoder, wavs, frames)
    assert found.encoder.layerdrop == 0.2 and found.classifier is None
    assert not found.encoder.training
    assert "_ema" in found.unused
    decoder = "modality_encoders.AUDIO.decoder.proj.weight"
    assert found.unused[decoder] == "the pre-training decoder"
    taken = len(found.encoder.state_dict())
    assert taken + len(found.unused) == len(weights) + 1


def test_architecture_from_shapes_alone(tmp_path, released):
    _, weights, wavs, frames = released
    torch.save({"model": weights}, tmp_path / "checkpoint.pt")
    found = load_official(
        tmp_path / "checkpoint.pt", arguments={"normalize": False}
    )
    same_frames(found.encoder, wavs, frames)
    assert found.encoder.num_heads == 12
    # Published pre-training normalizes: the default.
    assert load_official(tmp_path / "checkpoint.pt").encoder.normalize


@pytest.mark.parametrize("prefix", ["", "d2v_model."])
def test_funasr_folder_to_ours(tmp_path, bundle, prefix):
    config, weights, wavs, frames = bundle("emotion2vec_plus_9")
    labels = [*config["labels"][:-1], "unuse_8"]
    source = tmp_path / "official"
    source.mkdir()
    heads = ("proj.weight", "proj.bias")
    torch.save(
        {
            "model": {
                k if k in heads else prefix + k: v for k, v in weights.items()
            }
        },
        source / "model.pt",
    )
    (source / "config.yaml").write_text(
        yaml.safe_dump({"model_conf": config["model_conf"]})
    )
    (source / "tokens.txt").write_text("\n".join(labels) + "\n")

    convert(source / "model.pt", tmp_path / "ours")
    names = {path.name for path in (tmp_path / "ours").iterdir()}
    assert names == {"hyperparams.yaml", "model.safetensors"}
    encoder = Emotion2VecSEncoder.from_hparams(tmp_path / "ours")
    features = encoder.encode_batch(wavs, granularity="frame")
    torch.testing.assert_close(features, frames, atol=1e-4, rtol=1e-4)
    plus = EmotionClassifier.from_hparams(tmp_path / "ours")
    assert plus.labels == labels[:8]
    expected = frames.mean(1) @ weights["proj.weight"].T + weights["proj.bias"]
    torch.testing.assert_close(
        plus.classify_batch(wavs)[0],
        expected[:, :8].softmax(-1),  # what was never trained takes no part
        atol=1e-5,
        rtol=1e-4,
    )


def test_own_tensors_are_read_again(tmp_path, released):
    _, weights, wavs, frames = released
    save_file(weights, tmp_path / "official.safetensors")
    found = convert(
        tmp_path / "official.safetensors",
        tmp_path / "ours",
        arguments={"normalize": False},
    )
    folder = load_emotion2vec(tmp_path / "ours")["model"]
    same_frames(folder, wavs, frames)
    again = load_official(
        tmp_path / "ours" / "model.safetensors",
        arguments={"normalize": False},
    )
    same_frames(again.encoder, wavs, frames)
    assert folder.constructor_arguments == found.encoder.constructor_arguments


def test_wrong_keys_are_named(released):
    config, weights, _, _ = released
    official = {"model": config["model"], **config}
    missing = {k: v for k, v in weights.items() if k != TOKENS}
    with pytest.raises(ValueError, match="missing.*utterance_tokens"):
        build(missing, official)
    with pytest.raises(ValueError, match="nothing for utterance_tokens"):
        build(missing)
    extra = {**weights, "class_head.weight": torch.ones(2)}
    with pytest.raises(ValueError, match="unexpected.*class_head.weight"):
        build(extra, official)
    left_out = build(extra, official, unused_keys=[r"class_head\..*"])
    assert left_out.unused["class_head.weight"] == "left out on request"
    shape = {**weights, TOKENS: torch.ones(1, 3, 24)}
    with pytest.raises(ValueError, match=r"utterance_tokens is \[1, 3, 24\]"):
        build(shape, official)
    twice = {**weights, "d2v_model." + TOKENS: weights[TOKENS]}
    with pytest.raises(ValueError, match="twice"):
        rename(twice)


def test_what_is_not_computed_is_refused(released):
    config, weights, _, _ = released
    audio = {**config["modalities.audio"], "learned_alibi": True}
    official = {"model": config["model"], "modalities.audio": audio}
    with pytest.raises(ValueError, match="learned_alibi is True"):
        build(weights, official)


def test_sizes_that_shapes_do_not_tell(released):
    _, weights, wavs, _ = released
    scale = "modality_encoders.AUDIO.alibi_scale"
    shared = {**weights, scale: torch.ones(1, 1, 1, 1, 1)}
    with pytest.raises(ValueError, match="num_heads"):
        build(shared)
    assert build(shared, arguments={"num_heads": 6}).encoder.num_heads == 6
    conv = "modality_encoders.AUDIO.local_encoder.conv_layers.1.0.weight"
    odd = {**weights, conv: torch.ones(32, 32, 5)}
    with pytest.raises(ValueError, match="conv_layers"):
        build(odd)


def test_other_files_are_refused(tmp_path):
    torch.save({"model": {"encoder.weight": torch.ones(1)}}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="a.pt.*encoder.weight"):
        load_official(tmp_path / "a.pt")
    torch.save([1, 2], tmp_path / "b.pt")
    with pytest.raises(ValueError, match="b.pt holds no dictionary"):
        load_official(tmp_path / "b.pt")


def test_nothing_is_written_when_converting_fails(tmp_path):
    torch.save({"model": {"encoder.weight": torch.ones(1)}}, tmp_path / "a.pt")
    with pytest.raises(ValueError):
        convert(tmp_path / "a.pt", tmp_path / "ours")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize(
    "spec",
    ["__import__('os')", "[(1, 2)]", "[(8, 3, 2)] * 10 ** 9", "open", "[(1,"],
)
def test_specs_are_not_evaluated(spec):
    with pytest.raises(ValueError, match="feature_encoder_spec"):
        parse_conv_layers(spec)


def test_head_with_no_label_left(bundle):
    config, weights, _, _ = bundle("emotion2vec_plus_9")
    labels = [f"unuse_{i}" for i in range(9)]
    with pytest.raises(ValueError, match="unuse"):
        build(weights, config["model_conf"], labels=labels)
    with pytest.raises(ValueError, match="9 outputs, but 2 labels"):
        build(weights, config["model_conf"], labels=labels[:2])
