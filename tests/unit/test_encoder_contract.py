"""One contract: any encoder in either role of C2SER, alone as in a batch."""

import pytest
import torch
from tiny_encoders import ENCODERS, SSL, save_self_supervised
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

from speechbrain_c2ser.lobes import (
    ContextualPerception,
    LinearConnector,
    LogMel,
    MixedLayers,
    SelfSupervisedEncoder,
    SpeechEncoder,
    WhisperEncoder,
)

ALL = ENCODERS + SSL
ROLES = [
    (name, role)
    for name in ALL
    for role in ("semantic", "mean", "tokens", "first_frames")
    if role in ("semantic", "mean") or name in ("emotion2vec", "functionals")
]


@pytest.mark.parametrize("name", ALL)
@torch.no_grad()
def test_an_encoder_gives_what_it_says(name, encoder_of, clips):
    encoder = encoder_of(name)
    assert isinstance(encoder, SpeechEncoder)
    frames, lengths, tokens, layers = encoder.extract(*clips, all_layers=True)
    assert torch.equal(encoder(*clips), frames)
    assert frames.shape == (3, int(lengths.max()), encoder.output_size)
    assert len(layers) == encoder.num_layers
    for x in (frames, *layers):
        assert x.shape == frames.shape and x.isfinite().all()
        for item, length in zip(x, lengths, strict=True):
            assert not item[length:].any() and item[:length].any()
    if encoder.num_tokens:
        assert tokens.shape == (3, encoder.num_tokens, encoder.output_size)
    else:
        assert tokens is None
    assert encoder.extract(*clips).layers is None
    if encoder.frame_rate is None:
        assert lengths.tolist() == [1, 1, 1]
    else:
        seconds = clips[1] * clips[0].shape[1] / 16000
        assert ((lengths - seconds * encoder.frame_rate).abs() <= 2).all()


@pytest.mark.parametrize("name", ALL)
@torch.no_grad()
def test_every_layer_alone_as_in_a_batch(name, encoder_of, clips, alone):
    encoder = encoder_of(name)
    together = encoder.extract(*clips, all_layers=True)
    for index in range(3):
        single = encoder.extract(*alone(index), all_layers=True)
        assert int(single.lengths) == int(together.lengths[index])
        for ours, theirs in zip(single.layers, together.layers, strict=True):
            scale = ours.abs().max().clamp_min(1.0)
            theirs = theirs[index, : ours.shape[1]]
            assert (ours[0] - theirs).abs().max() <= 1e-5 * scale


@pytest.mark.parametrize("name, role", ROLES)
@torch.no_grad()
def test_either_role_alone_as_in_a_batch(name, role, encoder_of, clips, alone):
    encoder = encoder_of(name)
    torch.manual_seed(5)
    if role == "semantic":
        connector = LinearConnector(encoder.output_size, 8)
        model = ContextualPerception(encoder, None, connector)
    else:
        connector = LinearConnector(4, 8, encoder.output_size)
        model = ContextualPerception(None, encoder, connector, role)
    together, lengths = model(*clips)
    assert together.shape == (3, int(lengths.max()), 8)
    for index in range(3):
        single, length = model(*alone(index))
        assert int(length) == int(lengths[index])
        scale = single.abs().max().clamp_min(1.0)
        difference = (single[0] - together[index, :length]).abs().max()
        assert difference <= 1e-5 * scale


@pytest.mark.parametrize("source", ["tokens", "first_frames"])
def test_tokens_of_an_encoder_without_any(source):
    with pytest.raises(
        ValueError, match="LogMel has no utterance tokens: set .* to mean"
    ):
        ContextualPerception(None, LogMel(), LinearConnector(4, 8, 64), source)


@pytest.mark.parametrize("name", ALL)
@torch.no_grad()
def test_mixed_layers_of_any_encoder(name, encoder_of, clips):
    encoder = encoder_of(name)
    features = encoder.extract(*clips, all_layers=True)
    mixed = MixedLayers(encoder).train()
    assert encoder.training != encoder.freeze  # frozen: stays in eval
    ours = mixed.extract(*clips, all_layers=True)
    equal = torch.stack(features.layers).mean(0)  # weights start equal
    torch.testing.assert_close(ours.frames, equal, atol=1e-5, rtol=1e-5)
    assert len(ours.layers) == mixed.num_layers == encoder.num_layers
    for layer in (0, -1):
        ours = MixedLayers(encoder, layer).extract(*clips)
        assert torch.equal(ours.frames, features.layers[layer])
        assert torch.equal(ours.lengths, features.lengths)
        assert (ours.tokens is None) == (encoder.num_tokens == 0)


def test_mixed_layers_learn_and_their_encoder_does_not(encoder_of, clips):
    encoder = MixedLayers(encoder_of("whisper"))
    with torch.autocast("cpu", torch.bfloat16):
        frames = encoder.extract(*clips).frames
    frames.float()[..., 0].sum().backward()
    assert encoder.mix.scores.grad.dtype == torch.float32
    trained = [n for n, p in encoder.named_parameters() if p.requires_grad]
    assert trained == ["mix.scores"] and encoder.mix.scores.grad.any()
    with pytest.raises(ValueError, match="WhisperEncoder has 2: give one of 0"):
        MixedLayers(encoder_of("whisper"), layer=2)


def test_a_connector_of_another_width_is_told_when_it_is_built():
    encoder = LogMel(n_mels=16)
    with pytest.raises(ValueError, match="input_size is 8, .* gives 16: set"):
        ContextualPerception(encoder, None, LinearConnector(8, 4))
    with pytest.raises(ValueError, match="utterance_size is None, .* gives 16"):
        ContextualPerception(None, encoder, LinearConnector(8, 4), "mean")


def half_whisper(folder):
    config = WhisperConfig(
        d_model=16,
        encoder_layers=1,
        encoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=16,
        vocab_size=8,
        pad_token_id=0,
    )
    WhisperModel(config).half().save_pretrained(folder)
    WhisperFeatureExtractor(80).save_pretrained(folder)
    return str(folder)


def half_wavlm(folder):
    return save_self_supervised("wavlm_layer", folder, torch.float16)


@pytest.mark.parametrize("pretrained", [True, False])
@pytest.mark.parametrize(
    "save, build",
    [
        (half_whisper, WhisperEncoder),
        (
            half_wavlm,
            lambda *args: SelfSupervisedEncoder(args[0], "wavlm", *args[1:]),
        ),
    ],
    ids=["whisper", "wavlm"],
)
def test_half_precision_files_are_encoders_in_float32(
    save, build, pretrained, tmp_path
):
    """As openai/whisper-large-v3 is stored."""
    encoder = build(save(tmp_path), pretrained).train()
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    frames = encoder.extract(torch.randn(1, 8000)).frames
    assert frames.dtype == torch.float32
    frames.square().sum().backward()


def test_sinusoids_of_whisper_are_never_trained(tmp_path):
    """C2SER's are fixed; from_pretrained alone would make them trainable."""
    source = half_whisper(tmp_path)
    sizes = {"num_layers": 1, "size": 16, "num_heads": 2, "ffn_size": 16}
    for encoder in (
        WhisperEncoder(source),
        WhisperEncoder(source, pretrained=False),
        WhisperEncoder(**sizes),
    ):
        positions = encoder.encoder.embed_positions.weight
        assert not positions.requires_grad
        assert encoder.encoder.conv1.weight.requires_grad
