"""Encoders, poolings and heads of classifiers: alone as in a batch."""

import pytest
import torch
from tiny_encoders import ENCODERS, SSL

from speechbrain_c2ser.checkpoints.classifier_folder import (
    load_classifier,
    save_classifier,
)
from speechbrain_c2ser.lobes.classifier.emotion_classifier import (
    EmotionClassifier,
)
from speechbrain_c2ser.lobes.classifier.networks import (
    FrameProjection,
    LogMelCNN,
    VectorNetwork,
)
from speechbrain_c2ser.lobes.classifier.poolings import (
    AttentiveStatistics,
    MaskedMean,
    MeanAndDeviation,
    UtteranceTokens,
)
from speechbrain_c2ser.lobes.encoders.layer_mix import LayerMix
from speechbrain_c2ser.lobes.encoders.log_mel import LogMel
from speechbrain_c2ser.lobes.encoders.self_supervised import (
    SelfSupervisedEncoder,
)
from speechbrain_c2ser.lobes.heads.category import CategoryHead
from speechbrain_c2ser.lobes.heads.dimension import DimensionHead
from speechbrain_c2ser.lobes.heads.frame import FrameHead
from speechbrain_c2ser.lobes.heads.multi_head import MultiHead
from speechbrain_c2ser.lobes.heads.multi_label import MultiLabelHead

POOLINGS = {
    "mean": MaskedMean,
    "deviation": MeanAndDeviation,
    "attentive": lambda size: AttentiveStatistics(size, 8),
    "tokens": UtteranceTokens,
}
CASES = [
    (encoder, pooling)
    for encoder in ENCODERS + SSL
    for pooling in POOLINGS
    if pooling != "tokens" or encoder in ("emotion2vec", "functionals")
]


def classifier(encoder, pooling, mixed=False):
    """A classifier over an encoder, in eval mode."""
    size = encoder.output_size
    network, mix = None, None
    if isinstance(encoder, LogMel):
        network = LogMelCNN(size, (4, 4), 8)
        size = 8
    if mixed:
        mix = LayerMix(encoder.num_layers)
    pool = POOLINGS[pooling](size)
    model = EmotionClassifier(
        encoder,
        MultiHead({"emotion": CategoryHead(pool.output_size, ["a", "b", "c"])}),
        pool,
        layer_mix=mix,
        frame_network=network,
    )
    return model.eval()


@pytest.mark.parametrize("name, pooling", CASES)
@torch.no_grad()
def test_alone_as_in_a_batch(name, pooling, encoder_of, clips, alone):
    model = classifier(encoder_of(name), pooling)
    together = model(*clips)["emotion"]
    for index in range(3):
        single = model(*alone(index))["emotion"][0]
        scale = single.abs().max().clamp_min(1.0)
        assert (single - together[index]).abs().max() <= 1e-5 * scale


@pytest.mark.parametrize("name", ["emotion2vec", "whisper", *SSL])
@torch.no_grad()
def test_layers_and_what_is_kept_give_the_same(name, encoder_of, clips):
    encoder = encoder_of(name)
    model = classifier(encoder, "mean", mixed=True)
    features = encoder.extract(*clips, all_layers=True)
    assert len(features.layers) == encoder.num_layers
    last = features.layers[-1]
    if name == "whisper":
        last = encoder.encoder.layer_norm(last)
    elif name.endswith("_layer"):
        last = encoder.model.encoder.layer_norm(last)
    if name != "emotion2vec":
        mask = (features.layers[-1] != 0).any(-1, keepdim=True)
        torch.testing.assert_close(features.frames, last * mask)
    assert model.cached_kind == "layer_means"
    kept = model.from_cache(model.cached_features(*clips))
    torch.testing.assert_close(
        model.classify(kept)["emotion"], model(*clips)["emotion"]
    )


@torch.no_grad()
@pytest.mark.parametrize("pooling", ["mean", "tokens"])
def test_kept_frames_and_tokens_give_the_same(pooling, encoder_of, clips):
    model = classifier(encoder_of("emotion2vec"), pooling)
    assert model.cached_kind == {"mean": "frames"}.get(pooling, pooling)
    kept = model.from_cache(model.cached_features(*clips))
    torch.testing.assert_close(
        model.classify(kept)["emotion"], model(*clips)["emotion"]
    )


@torch.no_grad()
def test_group_norm_is_why_items_are_encoded_one_by_one(
    ssl_folder, clips, alone
):
    encoder = SelfSupervisedEncoder(
        ssl_folder("wav2vec2_group"), "wav2vec2", freeze=True
    )
    assert encoder.one_by_one
    encoder.one_by_one = False
    single = encoder.extract(*alone(0))
    together = encoder.extract(*clips)
    length = int(single.lengths[0])
    difference = (together.frames[0, :length] - single.frames[0]).abs().max()
    assert difference > 1e-3


def test_errors_of_self_supervised_encoders(ssl_folder):
    source = ssl_folder("hubert_layer")
    with pytest.raises(ValueError, match="hubert model"):
        SelfSupervisedEncoder(source, "wavlm")
    with pytest.raises(ValueError, match="no kind 'mms'"):
        SelfSupervisedEncoder(source, "mms")
    encoder = SelfSupervisedEncoder(source, "hubert")
    with pytest.raises(ValueError, match="Waveform 0 .* too few"):
        encoder.extract(torch.rand(1, 300))


def test_frozen_encoder_stays_in_eval(ssl_folder):
    encoder = SelfSupervisedEncoder(
        ssl_folder("wavlm_layer"), "wavlm", freeze=True
    )
    assert not encoder.train().model.training
    assert not any(p.requires_grad for p in encoder.parameters())


def test_whisper_layers_over_windows_equal_those_of_one(encoder_of):
    long = torch.randn(1, 16000 * 3)  # windows of 2 s
    encoder = encoder_of("whisper")
    features = encoder.extract(long, all_layers=True)
    first = encoder.extract(long[:, :32000], all_layers=True)
    assert features.layers[0].shape == features.frames.shape == (1, 150, 16)
    # the last frames of the window see past its end only in the spectrum
    torch.testing.assert_close(
        features.layers[0].isfinite().all(), torch.tensor(True)
    )
    assert len(first.layers) == 2


def test_tokens_of_an_encoder_without_any_are_an_error(encoder_of):
    with pytest.raises(ValueError, match="WhisperEncoder has no utterance"):
        classifier(encoder_of("whisper"), "tokens")


def test_layer_mix_learns_which_layer_counts():
    layers = [torch.zeros(4, 3, 2), torch.ones(4, 3, 2)]
    mix = LayerMix(2)
    optimizer = torch.optim.Adam(mix.parameters(), lr=0.3)
    for _ in range(30):
        optimizer.zero_grad()
        (mix(layers) - 1).square().mean().backward()
        optimizer.step()
    assert mix.scores.softmax(0)[1] > 0.95
    with pytest.raises(ValueError, match="gives 1 layers"):
        mix(layers[:1])


def test_missing_labels_take_no_part():
    heads = MultiHead(
        {
            "emotion": CategoryHead(4, ["angry", "sad"]),
            "mixed": MultiLabelHead(4, ["angry", "sad"], "votes"),
            "vad": DimensionHead(4, weight=0.5),
            "frames": FrameHead(4, ["angry", "sad"], frame_rate=10),
        }
    )
    vector, frames = torch.randn(3, 4), torch.randn(3, 6, 4)
    outputs = heads(vector, frames, torch.tensor([6, 4, 2]))
    none = heads.targets([{}, {}, {}])
    total, parts = heads.loss(outputs, none)
    assert total == 0 and all(part == 0 for part in parts.values())
    rows = [
        {"emotion": "sad", "vad": [1, 2, 3]},
        {"votes": {"angry": 2, "sad": 0}, "vad": [3, 1, 2]},
        {"segments": [[0.0, 0.5, "sad"]]},
    ]
    total, parts = heads.loss(outputs, heads.targets(rows))
    expected = torch.nn.functional.cross_entropy(
        outputs["emotion"][:1], torch.tensor([1])
    )
    torch.testing.assert_close(parts["emotion"], expected)
    weights = {"emotion": 1, "mixed": 1, "vad": 0.5, "frames": 1}
    assert all(part > 0 for part in parts.values())
    summed = sum(weights[name] * part for name, part in parts.items())
    torch.testing.assert_close(total, summed)
    # only the two frames that there are count
    logits = outputs["frames"][2, :2]
    torch.testing.assert_close(
        parts["frames"],
        torch.nn.functional.cross_entropy(logits, torch.tensor([1, 1])),
    )
    assert heads.predict(outputs)["frames"][2, 2:].abs().sum() == 0


def test_unknown_label_of_an_item_is_named():
    head = CategoryHead(4, ["angry", "sad"])
    with pytest.raises(ValueError, match="'u1'.*'bored'.*angry, sad"):
        head.targets([{"id": "u1", "emotion": "bored"}])


def test_class_weights_let_classes_count_alike():
    head = CategoryHead(2, ["angry", "sad"], weigh_classes=True)
    rows = [{"emotion": "angry"}] * 3 + [{"emotion": "sad"}]
    head.fit(rows)
    torch.testing.assert_close(head.class_weights, torch.tensor([2 / 3, 2.0]))


@torch.no_grad()
def test_attentive_statistics_are_speechbrains():
    pool = AttentiveStatistics(4, 8).eval()
    frames = torch.randn(2, 6, 4)
    theirs = pool.pooling(frames.transpose(1, 2), torch.tensor([1.0, 0.5]))
    pooled = pool(frames, torch.tensor([6, 3]))
    torch.testing.assert_close(pooled, theirs.squeeze(-1))


def test_vector_network_ignores_units():
    network = VectorNetwork(3, [4])
    x = torch.randn(64, 3) * torch.tensor([1.0, 100.0, 0.01]) + 5
    network(x)
    assert network.layers[0](x).std(0).allclose(torch.ones(3), atol=0.1)


@pytest.mark.parametrize("name", ["emotion2vec", "whisper", "hubert_group"])
@torch.no_grad()
def test_folder_gives_the_same_answers(name, encoder_of, clips, tmp_path):
    encoder = encoder_of(name)
    model = EmotionClassifier(
        encoder,
        MultiHead({"emotion": CategoryHead(8, ["angry", "sad"])}),
        AttentiveStatistics(4, 4),
        layer_mix=LayerMix(encoder.num_layers),
        frame_network=FrameProjection(encoder.output_size, 4),
    ).eval()
    save_classifier(model, tmp_path / "model")
    again = load_classifier(tmp_path / "model")["model"]
    torch.testing.assert_close(
        again(*clips)["emotion"], model(*clips)["emotion"]
    )
