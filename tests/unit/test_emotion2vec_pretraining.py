"""Masks, targets, teacher and collapse watch of the pre-training."""

import pytest
import torch

from speechbrain_c2ser.lobes.emotion2vec.encoder import Emotion2VecS
from speechbrain_c2ser.lobes.emotion2vec.masking import (
    ConvDecoder,
    block_mask,
    kept_positions,
    masked_counts,
)
from speechbrain_c2ser.lobes.emotion2vec.pretraining import (
    CollapseError,
    Emotion2VecPretraining,
)
from speechbrain_c2ser.lobes.padding import instance_norm


def make_encoder(**changes):
    torch.manual_seed(0)
    settings = {
        "conv_layers": [(8, 10, 5), (8, 8, 8), (8, 8, 8)],
        "embed_dim": 16,
        "num_heads": 2,
        "prenet_depth": 1,
        "depth": 2,
        "conv_pos_groups": 2,
    }
    return Emotion2VecS(**{**settings, **changes})


def make_model(encoder=None, **changes):
    settings = {
        "average_top_k_layers": 2,
        "clone_batch": 2,
        "decoder_size": 8,
        "decoder_depth": 2,
        "decoder_kernel": 3,
        "decoder_groups": 2,
    }
    return Emotion2VecPretraining(
        encoder or make_encoder(), **{**settings, **changes}
    )


@pytest.mark.parametrize("prob", [0.3, 0.5, 0.65])
def test_block_mask_masks_the_exact_share_and_no_padding(prob):
    torch.manual_seed(0)
    lengths = torch.tensor([200, 57, 11, 3, 2, 1])
    mask = block_mask(lengths, 200, prob, length=5, adjust=0.05)
    wanted = (lengths * prob).round().clamp_min(1)
    wanted = torch.minimum(wanted, lengths - 1)
    assert mask.sum(1).tolist() == wanted.tolist()
    assert masked_counts(lengths, prob).tolist() == wanted.tolist()
    for row, length in zip(mask, lengths, strict=True):
        assert not row[length:].any()


def test_block_mask_is_made_of_blocks_everywhere():
    torch.manual_seed(0)
    mask = block_mask(torch.full((500,), 50), 50, 0.5, 5, 0.05)
    neighbours = (mask[:, 1:] & mask[:, :-1]).float().mean()
    # alone, two neighbours would both be masked with 0.5 x 0.5
    assert neighbours > 0.32
    # no frame is masked much more often than another
    assert (mask.float().mean(0) - 0.5).abs().max() < 0.12


def test_kept_positions_are_the_rest():
    torch.manual_seed(0)
    lengths = torch.tensor([20, 7])
    mask = block_mask(lengths, 20, 0.5, 5)
    keep = kept_positions(mask, lengths, masked_counts(lengths, 0.5))
    for row, masked, length in zip(keep, mask, lengths, strict=True):
        kept = row[row >= 0].tolist()
        assert kept == [i for i in range(length) if not masked[i]]


def test_instance_norm_counts_valid_frames_only():
    torch.manual_seed(0)
    x = torch.randn(1, 6, 3)
    valid = torch.tensor([[1, 1, 1, 1, 0, 0]]).bool().unsqueeze(-1)
    normed = instance_norm(x, valid)
    reference = torch.nn.functional.instance_norm(x[:, :4].transpose(1, 2))
    assert torch.allclose(normed[:, :4], reference.transpose(1, 2), atol=1e-6)
    assert normed[:, 4:].abs().max() == 0


def test_targets_are_the_same_alone_and_in_a_batch():
    model = make_model()
    long, short = torch.randn(1, 16000), torch.randn(1, 8000)
    batch = torch.cat(
        [long, torch.nn.functional.pad(short, (0, 8000), value=9)]
    )
    with torch.no_grad():
        together = model.make_targets(
            *model.encoder.frontend(batch, torch.tensor([1.0, 0.5]))
        )
        alone = model.make_targets(*model.encoder.frontend(short))
    frames = alone[0].shape[1]
    assert torch.allclose(together[0][1, :frames], alone[0][0], atol=1e-5)
    assert together[0][1, frames:].abs().max() == 0
    assert torch.allclose(together[1][1], alone[1][0], atol=1e-5)


def test_decoder_is_the_same_alone_and_in_a_batch():
    torch.manual_seed(0)
    decoder = ConvDecoder(8, 8, depth=3, kernel=5, groups=2)
    x = torch.randn(2, 12, 8)
    together = decoder(x, torch.tensor([12, 7]))
    alone = decoder(x[1:, :7], torch.tensor([7]))
    assert torch.allclose(together[1, :7], alone[0], atol=1e-6)


def test_targets_carry_no_dropout_and_no_gradient():
    model = make_model(make_encoder(dropout=0.5, prenet_dropout=0.5)).train()
    features, lengths = model.encoder.frontend(torch.randn(2, 8000))
    first, utterance = model.make_targets(features, lengths)
    second, _ = model.make_targets(features, lengths)
    assert torch.equal(first, second)
    assert not first.requires_grad and not utterance.requires_grad
    assert model.encoder.training and not model.teacher.training


def test_literal_utterance_target_is_zero_and_the_default_is_not():
    """Instance norm over time leaves nothing of the time-mean."""
    encoder = make_encoder()
    features, lengths = encoder.frontend(torch.randn(2, 8000))
    sizes = {}
    for name in ("instance_norm", "layer_norm"):
        model = make_model(encoder, utterance_target=name)
        _, target = model.make_targets(features, lengths)
        sizes[name] = target.abs().mean().item()
    assert sizes["instance_norm"] < 1e-6 and sizes["layer_norm"] > 0.5


def test_masked_frames_do_not_reach_the_student(monkeypatch):
    """What is masked may change nothing but the targets."""
    model = make_model(clone_batch=1).eval()
    torch.manual_seed(1)
    features, lengths = model.encoder.frontend(torch.randn(1, 16000))
    mask = block_mask(lengths, features.shape[1], 0.5, 5)
    changed = features + 3.0 * mask.unsqueeze(-1)
    module = "speechbrain_c2ser.lobes.emotion2vec.pretraining.block_mask"
    monkeypatch.setattr(module, lambda *args: mask)
    outputs = []
    for x in (features, changed):
        monkeypatch.setattr(
            model.encoder, "frontend", lambda *args, x=x: (x, lengths)
        )
        torch.manual_seed(2)
        outputs.append(model(None))
    first, second = outputs
    assert torch.equal(first.frame_predictions, second.frame_predictions)
    assert torch.equal(first.utterance_vectors, second.utterance_vectors)
    assert not torch.allclose(first.frame_targets, second.frame_targets)


@pytest.mark.parametrize("pooling", ["tokens", "frames"])
def test_output_shapes_and_gradients(pooling):
    model = make_model(pooling=pooling, num_classes=9).train()
    wavs = torch.randn(3, 8000)
    output = model(wavs, torch.tensor([1.0, 0.6, 0.4]))
    lengths = model.encoder.frame_lengths(torch.tensor([8000, 4800, 3200]))
    masked = 2 * int((lengths * 0.5).round().sum())
    assert output.frame_predictions.shape == (masked, 16)
    assert output.frame_targets.shape == (masked, 16)
    assert output.utterance_vectors.shape == (6, 16)
    assert output.class_logits.shape == (6, 9)
    # clones of an utterance are neighbours: the same target, another mask
    assert torch.equal(output.utterance_targets[0], output.utterance_targets[1])
    vectors = output.utterance_vectors
    assert not torch.equal(vectors[0], vectors[1])
    sum(x.float().square().mean() for x in output).backward()
    assert all(p.grad is None for p in model.teacher.parameters())
    assert model.encoder.projection.weight.grad.abs().sum() > 0


def test_predictions_and_targets_are_those_of_the_masked_frames(monkeypatch):
    model = make_model(clone_batch=2).eval()
    wavs, lens = torch.randn(2, 8000), torch.tensor([1.0, 0.6])
    masks, decoded = [], []
    module = "speechbrain_c2ser.lobes.emotion2vec.pretraining.block_mask"

    def noted(*args):
        masks.append(block_mask(*args))
        return masks[-1]

    monkeypatch.setattr(module, noted)
    model.decoder.register_forward_hook(lambda *args: decoded.append(args[2]))
    output = model(wavs, lens)
    targets = model.make_targets(*model.encoder.frontend(wavs, lens))[0]
    targets = targets.repeat_interleave(2, 0)
    assert torch.equal(output.frame_predictions, decoded[0][masks[0]])
    assert torch.equal(output.frame_targets, targets[masks[0]])


def convolved(x, conv):
    """[T, C] through a grouped convolution of the same length, by hand."""
    weight = conv.weight.detach()  # [outputs, inputs of a group, kernel]
    outputs, width, kernel = weight.shape
    padded = torch.nn.functional.pad(x, (0, 0, kernel // 2, kernel // 2))
    rows = []
    for time in range(len(x)):
        window = padded[time : time + kernel]
        row = []
        for output in range(outputs):
            first = output * conv.groups // outputs * width  # its group's
            inputs = window[:, first : first + width].T
            row.append((weight[output] * inputs).sum())
        rows.append(torch.stack(row) + conv.bias.detach())
    return torch.stack(rows)


@pytest.mark.parametrize("size", [8, 4])
def test_decoder_by_hand(size):
    """Convolution, LayerNorm, GELU; residual but where the width changes."""
    torch.manual_seed(0)
    decoder = ConvDecoder(8, size, depth=3, kernel=3, groups=2)
    x = hidden = torch.randn(6, 8)
    for (conv,) in decoder.blocks:
        y = convolved(hidden, conv)
        y = y - y.mean(1, keepdim=True)
        y = y / (y.square().mean(1, keepdim=True) + 1e-5).sqrt()
        y = y * 0.5 * (1 + torch.erf(y / 2**0.5))
        hidden = y + hidden if hidden.shape == y.shape else y
    wanted = hidden @ decoder.proj.weight.T + decoder.proj.bias
    decoded = decoder(x.unsqueeze(0), torch.tensor([6]))[0]
    torch.testing.assert_close(decoded, wanted, atol=1e-5, rtol=1e-5)


def test_targets_by_hand():
    """Of the last blocks' MLPs, without the tokens (depth 3, the last 2)."""
    model = make_model(make_encoder(depth=3), average_top_k_layers=2)
    outputs = []
    for block in model.teacher:
        block.register_forward_hook(lambda *args: outputs.append(args[2][1]))
    with torch.no_grad():
        features, lengths = model.encoder.frontend(torch.randn(1, 8000))
        frame_targets, utterance_targets = model.make_targets(features, lengths)
    assert len(outputs) == 3
    normed, means = [], []
    for output in outputs[1:]:
        frames = output[0, model.encoder.num_tokens :]
        means.append(frames.mean(0))
        deviation = (frames.var(0, unbiased=False) + 1e-5).sqrt()
        normed.append((frames - frames.mean(0)) / deviation)
    torch.testing.assert_close(
        frame_targets[0], sum(normed) / 2, atol=1e-5, rtol=1e-4
    )
    mean = sum(means)
    deviation = (mean.var(unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(
        utterance_targets[0],
        (mean - mean.mean()) / deviation,
        atol=1e-5,
        rtol=1e-4,
    )


@pytest.mark.parametrize("pooling", ["tokens", "frames"])
def test_utterance_vectors_are_means(pooling, monkeypatch):
    """Tokens predict the utterance, all of them; they or frames are pooled."""
    model = make_model(pooling=pooling, clone_batch=1).eval()
    contextualise, seen = model.encoder.contextualise, []

    def noted(*args, **options):
        seen.append(contextualise(*args, **options))
        return seen[-1]

    monkeypatch.setattr(model.encoder, "contextualise", noted)
    output = model(torch.randn(1, 8000))
    frames, tokens, _ = seen[-1]  # the student's; the teacher came first
    assert torch.allclose(output.utterance_predictions, tokens.mean(1))
    pooled = {"tokens": tokens, "frames": frames}[pooling].mean(1)
    assert torch.allclose(output.utterance_vectors, pooled, atol=1e-6)


@pytest.mark.parametrize("given", [{}, {"mask_noise_std": 0.2}])
def test_noise_stands_for_masked_frames_in_the_decoder(given, monkeypatch):
    model = make_model(clone_batch=1, **given).eval()
    contextualise, seen, masks = model.encoder.contextualise, [], []

    def noted(*args, **options):
        seen.append(contextualise(*args, **options))
        return seen[-1]

    def noted_mask(*args):
        masks.append(block_mask(*args))
        return masks[-1]

    monkeypatch.setattr(model.encoder, "contextualise", noted)
    module = "speechbrain_c2ser.lobes.emotion2vec.pretraining.block_mask"
    monkeypatch.setattr(module, noted_mask)
    model.decoder.register_forward_pre_hook(
        lambda decoder, args: seen.append(args[0])
    )
    torch.manual_seed(3)
    model(torch.randn(1, 64000))
    _, (frames, _, _), filled = seen
    noise = filled[masks[0]]
    std = given.get("mask_noise_std", 0.01)
    assert noise.std().item() == pytest.approx(std, rel=0.1)
    assert noise.mean().item() == pytest.approx(0, abs=std / 5)
    assert torch.equal(filled[~masks[0]], frames[0])


def test_auxiliary_head_narrows_as_published():
    """D, D, D/2, classes (the authors' first model file), GELU and dropout."""
    model = make_model(num_classes=9)
    layers = [type(layer).__name__ for layer in model.head]
    assert layers == [*["Linear", "GELU", "Dropout"] * 2, "Linear"]
    shapes = [tuple(layer.weight.shape) for layer in list(model.head)[::3]]
    assert shapes == [(16, 16), (8, 16), (9, 8)]
    assert [layer.p for layer in list(model.head)[2::3]] == [0.5, 0.5]


def test_teacher_follows_the_student_by_the_schedule():
    model = make_model(ema_decay=0.9, ema_end_decay=0.99, ema_anneal=0.5)
    decays = [model.teacher_decay(p) for p in (0.0, 0.25, 0.5, 1.0)]
    assert decays == pytest.approx([0.9, 0.945, 0.99, 0.99])
    teacher = next(model.teacher.parameters())
    student = next(model.encoder.blocks.parameters())
    before = teacher.clone()
    with torch.no_grad():
        student.add_(1.0)
    model.update_teacher(0.0)
    assert torch.allclose(teacher, before + 0.1, atol=1e-6)
    model.reset_teacher()
    assert torch.equal(teacher, student)


def test_collapse_is_named():
    model = make_model()
    healthy = {"target_variance": 0.5, "prediction_variance": 0.1}
    model.check_collapse(healthy)
    with pytest.raises(CollapseError, match="prediction_variance is 1e-06"):
        model.check_collapse({**healthy, "prediction_variance": 1e-6})
    with pytest.raises(CollapseError, match="target_variance"):
        model.check_collapse({**healthy, "target_variance": float("nan")})


def test_variances_of_constant_outputs_are_zero():
    model = make_model(clone_batch=1)
    output = model(torch.randn(2, 8000))
    flat = output._replace(frame_predictions=torch.ones(5, 16))
    variances = model.variances(flat)
    assert variances["prediction_variance"] == 0
    assert variances["target_variance"] > 0.1


def test_utterance_token_zero_starts_at_zero():
    tokens = make_encoder(embed_dim=64).utterance_tokens
    assert tokens[0, 0].abs().max() == 0
    assert tokens[0, 1:].std().item() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"average_top_k_layers": 3}, "average_top_k_layers"),
        ({"pooling": "max"}, "pooling"),
        ({"utterance_target": "mean"}, "utterance_target"),
        ({"mask_prob": 1.0}, "mask_prob"),
        ({"decoder_groups": 3}, "decoder_groups"),
        ({"decoder_kernel": 4}, "decoder_kernel"),
    ],
)
def test_impossible_settings_are_refused(change, word):
    with pytest.raises(ValueError, match=word):
        make_model(**change)


def test_the_decoder_is_given_dropped_frames_in_training_alone(monkeypatch):
    given = []

    def refill(self, frames, keep_indices, mask):
        given.append(frames)
        return frames.new_zeros(*mask.shape, frames.shape[-1])

    monkeypatch.setattr(Emotion2VecPretraining, "_refill", refill)
    wavs = torch.randn(2, 16000)
    for share, training in ((0.5, True), (0.5, False), (0.0, True)):
        model = make_model(decoder_dropout=share).train(training)
        model(wavs)
        dropped = (given[-1] == 0).float().mean()
        assert (dropped > 0.4) == (share > 0 and training)
