"""ContextualPerception: either encoder alone, caches, sources of vectors."""

import pytest
import torch
from waves import waveforms

from speechbrain_c2ser.lobes.emotion2vec.encoder import Emotion2VecS
from speechbrain_c2ser.lobes.encoders.whisper import WhisperEncoder
from speechbrain_c2ser.lobes.speech_llm.connectors import ConnectorTransformer
from speechbrain_c2ser.lobes.speech_llm.perception import ContextualPerception


def semantic():
    torch.manual_seed(0)
    return WhisperEncoder(num_layers=1, size=32, num_heads=4, ffn_size=64)


def acoustic(freeze=True):
    torch.manual_seed(1)
    return Emotion2VecS(
        embed_dim=32,
        num_heads=4,
        prenet_depth=1,
        depth=1,
        freeze=freeze,
    )


def connector():
    torch.manual_seed(2)
    return ConnectorTransformer(
        32, 40, utterance_size=32, num_layers=1, ffn_size=48
    )


def perception(**parts):
    parts = {
        "semantic_encoder": semantic(),
        "acoustic_encoder": acoustic(),
        "connector": connector(),
        **parts,
    }
    return ContextualPerception(**parts)


@pytest.mark.parametrize("source", ["tokens", "first_frames", "mean"])
@pytest.mark.parametrize("absent", [None, "semantic", "acoustic"])
@pytest.mark.parametrize(
    "items", [[(0.15, 1.0), (0.8, 1.0)], [(0.5, 0.002), (0.5, 1.0)]]
)
def test_an_item_is_the_same_alone_and_in_a_batch(items, absent, source):
    parts = {f"{absent}_encoder": None} if absent else {}
    model = perception(utterance_source=source, **parts).eval()
    wavs, wav_lens = waveforms(*items)
    with torch.no_grad():
        embeddings, lengths = model(wavs, wav_lens)
        for i, (seconds, _) in enumerate(items):
            alone, count = model(wavs[i : i + 1, : round(seconds * 16000)])
            assert count == lengths[i]
            torch.testing.assert_close(
                embeddings[i, :count], alone[0], atol=1e-5, rtol=0
            )


def test_a_processor_encodes_items_of_like_length_together():
    """What each encoder hears is hardly padded; a gradient needs it all."""
    model = perception().eval()
    wavs, wav_lens = waveforms((0.2, 1.0), (0.8, 1.0), (0.79, 1.0))
    heard = []
    for encoder, name in (
        (model.semantic_encoder, "extract"),
        (model.acoustic_encoder, "extract_tokens"),
    ):
        setattr(encoder, name, noted(getattr(encoder, name), heard))
    whole, lengths = model(wavs, wav_lens)
    assert heard == [(3, 12800)] * 2
    heard.clear()
    with torch.no_grad():
        parts, same = model(wavs, wav_lens)
    assert heard == [(2, 12800)] * 2 + [(1, 3200)] * 2
    assert same.tolist() == lengths.tolist()
    torch.testing.assert_close(parts, whole.detach(), atol=1e-5, rtol=0)


@torch.no_grad()
def test_an_item_too_short_is_told_by_its_place():
    wavs, wav_lens = waveforms((0.8, 1.0), (0.005, 1.0), (0.4, 1.0))
    with pytest.raises(ValueError, match="Waveform 1 of the batch has 80"):
        perception()(wavs, wav_lens)


def noted(function, shapes):
    def call(wavs, *args):
        shapes.append(tuple(wavs.shape))
        return function(wavs, *args)

    return call


@pytest.mark.parametrize(
    ("absent", "expected"),
    [("semantic", [10, 10]), ("acoustic", [13, 7]), (None, [23, 17])],
)
def test_lengths_with_and_without_each_encoder(absent, expected):
    parts = {f"{absent}_encoder": None} if absent else {}
    embeddings, lengths = perception(**parts)(*waveforms((1, 1), (0.5, 1)))
    assert lengths.tolist() == expected
    assert embeddings.shape == (2, max(expected), 40)


def test_what_cannot_be_built_or_run():
    with pytest.raises(ValueError, match="got neither"):
        perception(semantic_encoder=None, acoustic_encoder=None)
    with pytest.raises(ValueError, match="utterance_source is one of"):
        perception(utterance_source="token")
    deaf = perception(acoustic_encoder=None)
    with pytest.raises(ValueError, match="no acoustic encoder"):
        deaf.utterance_vectors(torch.randn(1, 8000))
    with pytest.raises(ValueError, match="has no acoustic encoder"):
        deaf(torch.randn(1, 8000), None, torch.randn(1, 10, 32))


def test_cached_vectors_give_the_same_and_run_no_encoder(monkeypatch):
    model = perception().eval()
    wavs, wav_lens = waveforms((1, 1), (0.5, 1))
    expected, _ = model(wavs, wav_lens)
    cache = model.utterance_vectors(wavs, wav_lens)
    monkeypatch.delattr(Emotion2VecS, "extract_tokens")
    embeddings, _ = model(wavs, wav_lens, cache)
    torch.testing.assert_close(embeddings, expected)
    half, _ = model(wavs, wav_lens, cache.half())
    torch.testing.assert_close(half, expected, atol=1e-2, rtol=1e-2)


def test_first_frames_of_a_clip_with_fewer_are_filled_with_zeros():
    model = perception(utterance_source="first_frames").eval()
    wavs, wav_lens = waveforms((1, 1), (0.1, 1))
    vectors = model.utterance_vectors(wavs, wav_lens)
    frames, lengths, _, _ = model.acoustic_encoder.extract(wavs, wav_lens)
    assert vectors.shape == (2, 10, 32) and lengths[1] < 10
    torch.testing.assert_close(vectors[0], frames[0, :10])
    assert (vectors[1, lengths[1] :] == 0).all()
    assert (vectors[1, : lengths[1]] != 0).any()


def test_the_mean_is_over_valid_frames():
    model = perception(utterance_source="mean").eval()
    wavs, wav_lens = waveforms((1, 1), (0.5, 1))
    vectors = model.utterance_vectors(wavs, wav_lens)
    frames, lengths, _, _ = model.acoustic_encoder.extract(wavs, wav_lens)
    assert vectors.shape == (2, 1, 32)
    torch.testing.assert_close(
        vectors[1, 0], frames[1, : lengths[1]].mean(0), atol=1e-5, rtol=0
    )


def test_a_frozen_acoustic_encoder_gets_no_gradient_the_rest_does():
    model = perception().train()
    assert not any(m.training for m in model.acoustic_encoder.modules())
    wavs, wav_lens = waveforms((0.5, 1), (0.3, 1))
    # Not even for the waveform's sake: nothing is kept for a backward pass.
    wavs.requires_grad_()
    assert not model.utterance_vectors(wavs, wav_lens).requires_grad
    model(wavs, wav_lens)[0].square().mean().backward()
    for name, parameter in model.named_parameters():
        frozen = name.startswith("acoustic") or not parameter.requires_grad
        assert (parameter.grad is None) == frozen, name


def test_an_acoustic_encoder_that_is_trained_gets_gradients():
    model = perception(acoustic_encoder=acoustic(freeze=False)).train()
    wavs, wav_lens = waveforms((0.5, 1), (0.3, 1))
    model(wavs, wav_lens)[0].square().mean().backward()
    assert model.acoustic_encoder.utterance_tokens.grad.abs().sum() > 0
