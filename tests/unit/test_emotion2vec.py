"""Emotion2VecS: what every user of the lobe relies on."""

import pytest
import torch

from speechbrain_c2ser.lobes.emotion2vec.encoder import Emotion2VecS

TINY = {
    "conv_layers": [(16, 10, 5), (16, 8, 8), (16, 4, 4), (16, 2, 2)],
    "embed_dim": 24,
    "num_heads": 3,
    "prenet_depth": 1,
    "depth": 2,
    "conv_pos_width": 15,
    "conv_pos_depth": 3,
    "conv_pos_groups": 4,
}


def build(**options):
    """A tiny encoder, every parameter away from its initial value."""
    encoder = Emotion2VecS(**{**TINY, **options})
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return encoder.eval()


def batch_of(counts):
    """Noise of several lengths and levels, zero padded, and its wav_lens."""
    wavs = torch.zeros(len(counts), max(counts))
    for i, count in enumerate(counts):
        wavs[i, :count] = torch.randn(count) * 10.0 ** (-i % 3) + 0.1 * i
    return wavs, torch.tensor(counts, dtype=torch.float64) / max(counts)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"conv_pos_width": 12},  # an even kernel
        {"layer_norm_first": True, "alibi_scale_per_layer": True},
        {"alibi": False, "normalize": False},
        {"alibi_heads": 2, "conv_pos_pre_norm": True},
        {"alibi_scale_per_head": False, "num_utterance_tokens": 0},
        {
            "spectrum": {"bands": 20, "lags": 8, "window": 400, "hop": 80},
            "conv_layers": [(16, 3, 2)],
        },
    ],
)
@pytest.mark.parametrize("max_padding", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    "counts", [[8000, 1200], [700, 9001, 5333, 8999, 700], [4000] * 3]
)
def test_alone_equals_in_any_batch(options, max_padding, counts):
    encoder = build(max_padding=max_padding, **options)
    wavs, wav_lens = batch_of(counts)
    with torch.no_grad():
        batch = encoder.extract(wavs, wav_lens, all_layers=True)
        assert (batch.tokens is None) == (encoder.num_tokens == 0)
        assert len(batch.layers) == encoder.num_layers
        for i, count in enumerate(counts):
            alone = encoder.extract(wavs[i : i + 1, :count], all_layers=True)
            length = int(alone.lengths)
            assert int(batch.lengths[i]) == length == alone.frames.shape[1]
            pairs = [
                (batch.frames, alone.frames),
                *zip(batch.layers, alone.layers, strict=True),
            ]
            for ours, single in pairs:
                torch.testing.assert_close(
                    ours[i, :length], single[0], atol=1e-5, rtol=1e-5
                )
                assert not ours[i, length:].any()
            if batch.tokens is not None:
                torch.testing.assert_close(
                    batch.tokens[i], alone.tokens[0], atol=1e-5, rtol=1e-5
                )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layer_norm_first": True, "alibi_scale_per_layer": True},
        {"alibi": False, "freeze": True},
        {"depth": 0},
        {"num_utterance_tokens": 0},
    ],
)
@pytest.mark.parametrize("grad", [True, False])
def test_tokens_alone_are_those_of_all_frames(options, grad):
    encoder = build(max_padding=0.3, **options)
    wavs, wav_lens = batch_of([700, 9001, 8999, 700])
    last = (encoder.blocks or encoder.prenet)[-1]
    sizes = []
    last.mlp.register_forward_hook(lambda _, x, y: sizes.append(y.shape[1]))
    with torch.set_grad_enabled(grad):
        expected = encoder.extract(wavs, wav_lens).tokens
        whole = len(sizes)
        tokens = encoder.extract_tokens(wavs, wav_lens)
    if not encoder.num_tokens:
        assert tokens is expected is None
        return
    torch.testing.assert_close(tokens, expected, atol=1e-5, rtol=1e-5)
    assert tokens.requires_grad is (grad and not encoder.freeze)
    assert len(sizes) == 2 * whole
    if encoder.blocks:
        assert set(sizes[whole:]) == {encoder.num_tokens}
    if tokens.requires_grad:
        ours, theirs = (
            torch.autograd.grad(each.square().sum(), encoder.utterance_tokens)
            for each in (tokens, expected)
        )
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-4)


def test_garbage_in_the_padding_changes_nothing():
    encoder = build(max_padding=1.0)
    wavs, wav_lens = batch_of([6000, 2500])
    garbage = wavs.clone()
    garbage[1, 2500:] = 100 * torch.randn(3500)
    # Also with gradients, where the front end runs over whole waveforms.
    for mode in (torch.no_grad, torch.enable_grad):
        with mode():
            clean, dirty = encoder(wavs, wav_lens), encoder(garbage, wav_lens)
        torch.testing.assert_close(clean, dirty, atol=1e-5, rtol=1e-5)


def test_inference_in_pieces_equals_training_path():
    encoder = build()
    encoder.front_end.PIECE_ELEMENTS = 16 * 64 * 7  # seven frames a piece
    wavs, wav_lens = batch_of([9000, 4321])
    whole, lengths = encoder.frontend(wavs, wav_lens)
    with torch.no_grad():
        pieces, same_lengths = encoder.frontend(wavs, wav_lens)
    assert torch.equal(lengths, same_lengths)
    torch.testing.assert_close(whole, pieces, atol=1e-6, rtol=1e-5)


def test_shapes_and_frame_rate():
    encoder = build()
    assert encoder.front_end.hop == 320
    assert encoder.frame_rate == 50
    frames, lengths, tokens, _ = encoder.extract(torch.randn(2, 16000))
    needed = encoder.front_end.receptive_field
    expected = (16000 - needed) // 320 + 1
    assert lengths.tolist() == [expected, expected]
    assert frames.shape == (2, expected, 24) and tokens.shape == (2, 10, 24)


def test_short_audio_is_refused_or_padded():
    encoder = build()
    shortest = encoder.front_end.receptive_field
    wavs, wav_lens = batch_of([4000, shortest - 1])
    with pytest.raises(ValueError, match=r"Item 1 .* pad_short"):
        encoder(wavs, wav_lens)
    assert encoder(torch.randn(1, shortest)).shape[1] == 1
    encoder.pad_short = True
    with torch.no_grad():
        frames, lengths, _, _ = encoder.extract(wavs, wav_lens)
        alone = encoder(wavs[1:, : shortest - 1])
    assert int(lengths[1]) == 1
    torch.testing.assert_close(frames[1, :1], alone[0], atol=1e-5, rtol=1e-5)


def test_impossible_sizes_are_named():
    with pytest.raises(ValueError, match="embed_dim.*num_heads"):
        Emotion2VecS(**{**TINY, "num_heads": 5})


def test_frozen_stays_in_eval_without_gradients():
    model = torch.nn.ModuleDict({"encoder": build(freeze=True)})
    model.train()
    assert not any(m.training for m in model["encoder"].modules())
    assert not any(p.requires_grad for p in model.parameters())
    wavs = torch.randn(1, 3000)
    frames = model["encoder"](wavs)
    assert torch.equal(frames, model["encoder"](wavs))
    assert not frames.requires_grad


def test_training_reaches_every_parameter():
    encoder = build(prenet_layerdrop=0.0, layerdrop=0.0).train()
    wavs, wav_lens = batch_of([5000, 3000])
    frames, _, tokens, _ = encoder.extract(wavs, wav_lens)
    (frames.square().sum() + tokens.square().sum()).backward()
    for name, parameter in encoder.named_parameters():
        gradient = parameter.grad
        assert gradient is not None and gradient.isfinite().all(), name
        assert gradient.abs().sum() > 0, name


def test_layerdrop_only_in_training():
    """A skipped block keeps its place among the layers: it adds nothing."""
    encoder = build(layerdrop=1.0, prenet_layerdrop=1.0)
    wavs = torch.randn(1, 3000)
    layers = encoder.extract(wavs, all_layers=True).layers
    assert all((layer != 0).any() for layer in layers)
    layers = encoder.train().extract(wavs, all_layers=True).layers
    assert len(layers) == TINY["depth"]
    assert all((layer == 0).all() for layer in layers)


def test_kept_frames_see_their_true_positions():
    encoder = build()
    x, lengths = encoder.frontend(*batch_of([8000, 5000]))
    everything = torch.arange(x.shape[1]).repeat(2, 1)
    everything[1, lengths[1] :] = -1
    whole, tokens, _ = encoder.contextualise(x, lengths)
    kept, kept_tokens, _ = encoder.contextualise(x, lengths, everything)
    torch.testing.assert_close(kept, whole)
    torch.testing.assert_close(kept_tokens, tokens)
    # One item's choice, alone and beside a longer one with empty slots.
    some = torch.tensor([[0, 3, 4, 9, 11], [2, 5, 7, -1, -1]])
    frames, _, _ = encoder.contextualise(x, lengths, some)
    alone, _, _ = encoder.contextualise(
        x[1:, : lengths[1]], lengths[1:], some[1:, :3]
    )
    torch.testing.assert_close(frames[1, :3], alone[0], atol=1e-5, rtol=1e-5)
    assert not frames[1, 3:].any()
    # Far apart is not the same as side by side.
    near = torch.tensor([[0, 1, 2, 3, 4]] * 2)
    assert not torch.allclose(
        frames[0, 0], encoder.contextualise(x, lengths, near)[0][0, 0]
    )


def test_teacher_blocks_run_instead():
    encoder, other = build(), build()
    x, lengths = encoder.frontend(*batch_of([4000]))
    taught, _, layers = encoder.contextualise(
        x, lengths, all_layers=True, blocks=other.blocks
    )
    assert len(layers) == 2
    assert not torch.allclose(taught, encoder.contextualise(x, lengths)[0])


def test_bfloat16():
    encoder = build()
    wavs, wav_lens = batch_of([6000, 4000])
    with torch.no_grad():
        exact = encoder(wavs, wav_lens)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = encoder(wavs, wav_lens)
        halved = encoder.to(torch.bfloat16)(wavs, wav_lens)
    for frames in (mixed, halved):
        similarity = torch.cosine_similarity(frames[0].float(), exact[0], dim=1)
        assert similarity.min() > 0.99
