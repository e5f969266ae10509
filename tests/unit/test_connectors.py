"""Connectors: lengths, padding, causality, sizes, swapping by yaml."""

import pytest
import torch

from speechbrain_c2ser.lobes.speech_llm.connectors import (
    ConnectorTransformer,
    Downsampler,
    LinearConnector,
    sinusoids,
)
from speechbrain_c2ser.lobes.speech_llm.qformer import QFormerConnector


def transformer(**arguments):
    sizes = {"num_layers": 2, "num_heads": 4, "ffn_size": 48}
    return ConnectorTransformer(
        16, 24, utterance_size=12, **{**sizes, **arguments}
    )


def linear(**arguments):
    return LinearConnector(16, 24, utterance_size=12, **arguments)


CONNECTORS = pytest.mark.parametrize("build", [transformer, linear])


def inputs(*lengths):
    frames = torch.randn(len(lengths), max(lengths), 16)
    return frames, torch.tensor(lengths), torch.randn(len(lengths), 10, 12)


@pytest.mark.parametrize(
    ("rate", "expected"), [(1, 47), (2, 24), (4, 12), (8, 6)]
)
def test_downsampled_lengths(rate, expected):
    frames, lengths = Downsampler(rate, 8)(
        torch.randn(1, 47, 8), torch.tensor([47])
    )
    assert frames.shape == (1, expected, 8)
    assert lengths.tolist() == [expected]


def test_the_downsampler_is_causal():
    downsampler = Downsampler(4, 8)
    frames = torch.randn(1, 40, 8)
    before, _ = downsampler(frames, torch.tensor([40]))
    frames[:, 21:] = 5.0
    after, _ = downsampler(frames, torch.tensor([40]))
    # Output frame 5 ends at input frame 20.
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.equal(before[:, 6], after[:, 6])


def test_the_first_downsampled_frame_by_hand():
    downsampler = Downsampler(2, 1)
    for conv in downsampler.convs:
        torch.nn.init.ones_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    frames, _ = downsampler(
        torch.tensor([[[10.0], [20.0], [30.0]]]), torch.tensor([3])
    )
    # Stride 1: 10, 30, 60; stride 2, two zeros before: 10, 10 + 30 + 60.
    torch.testing.assert_close(frames[0, :, 0], torch.tensor([10.0, 100.0]))


def test_without_left_padding_two_frames_fewer_come_out_of_each():
    downsampler = Downsampler(2, 8, left_padding=0)
    frames, lengths = downsampler(torch.randn(2, 47, 8), torch.tensor([47, 3]))
    assert frames.shape[1] == 22
    assert lengths.tolist() == [22, 0]


@CONNECTORS
@pytest.mark.parametrize("rate", [1, 2, 4, 8])
def test_an_item_is_the_same_alone_and_in_a_batch(build, rate):
    connector = build(downsample_rate=rate).eval()
    frames, lengths, vectors = inputs(41, 7, 1)
    embeddings, counts = connector(frames, lengths, vectors)
    assert counts.tolist() == [10 - (-n // rate) for n in (41, 7, 1)]
    for i, length in enumerate(lengths):
        alone, count = connector(
            frames[i : i + 1, :length], lengths[i : i + 1], vectors[i : i + 1]
        )
        assert count == counts[i]
        torch.testing.assert_close(
            embeddings[i, :count], alone[0], atol=1e-5, rtol=0
        )
        assert (embeddings[i, count:] == 0).all()


@CONNECTORS
def test_what_stands_behind_an_item_does_not_matter(build):
    connector = build().eval()
    frames, lengths, vectors = inputs(20, 5)
    before, _ = connector(frames, lengths, vectors)
    frames[1, 5:] = 100.0
    after, _ = connector(frames, lengths, vectors)
    torch.testing.assert_close(before, after)


@CONNECTORS
def test_either_input_alone(build):
    connector = build().eval()
    frames, lengths, vectors = inputs(20, 5)
    embeddings, counts = connector(None, None, vectors)
    assert embeddings.shape == (2, 10, 24) and counts.tolist() == [10, 10]
    embeddings, counts = connector(frames, lengths, None)
    assert embeddings.shape == (2, 5, 24) and counts.tolist() == [5, 2]
    with pytest.raises(ValueError, match="got neither"):
        connector(None, None, None)


@pytest.mark.parametrize("kind", [ConnectorTransformer, LinearConnector])
def test_nothing_idle_is_made_for_an_absent_input(kind):
    """DDP stops at a weight without gradient."""
    frames, lengths, vectors = inputs(20, 5)
    for sizes, given in (
        ((16, 24, None), (frames, lengths, None)),
        ((None, 24, 12), (None, None, vectors)),
    ):
        connector = kind(*sizes)
        connector(*given)[0].square().sum().backward()
        for name, parameter in connector.named_parameters():
            assert parameter.grad is not None, name
    with pytest.raises(ValueError, match="built for none"):
        connector(frames, lengths, vectors)
    with pytest.raises(ValueError, match="input_size.*got neither"):
        kind(None, 24)


@CONNECTORS
def test_gradients_reach_every_parameter_and_both_inputs(build):
    connector = build()
    frames, lengths, vectors = inputs(20, 5)
    frames.requires_grad_()
    vectors.requires_grad_()
    connector(frames, lengths, vectors)[0].square().sum().backward()
    assert frames.grad[0].abs().sum() > 0 and vectors.grad.abs().sum() > 0
    assert (frames.grad[1, 5:] == 0).all()
    for name, parameter in connector.named_parameters():
        assert parameter.grad is not None, name


@CONNECTORS
def test_wrong_widths_are_named(build):
    connector = build()
    frames, lengths, vectors = inputs(20, 5)
    with pytest.raises(ValueError, match="Semantic frames are 8 wide"):
        connector(frames[..., :8], lengths, vectors)
    with pytest.raises(ValueError, match="Utterance vectors are 8 wide"):
        connector(frames, lengths, vectors[..., :8])


def test_utterance_vectors_wider_than_the_frames():
    connector = ConnectorTransformer(16, 24, utterance_size=17, num_layers=1)
    embeddings, lengths = connector(
        torch.randn(2, 8, 16), torch.tensor([8, 4]), torch.randn(2, 10, 17)
    )
    assert embeddings.shape == (2, 12, 24)
    assert lengths.tolist() == [12, 11]


def test_sizes_that_cannot_be():
    with pytest.raises(ValueError, match="rate is one of"):
        transformer(downsample_rate=3)


@pytest.mark.parametrize(
    ("kind", "millions"),
    [(ConnectorTransformer, 51.96), (LinearConnector, 17.44)],
)
def test_connectors_swap_and_have_their_size(kind, millions):
    """Of the published system: Whisper-medium, Emotion2Vec-S, Qwen2-7B."""
    with torch.device("meta"):
        connector = kind(1024, 3584, utterance_size=768)
    count = sum(p.numel() for p in connector.parameters()) / 1e6
    assert count == pytest.approx(millions, abs=0.01)
    # Same call for each: swapping one for the other changes no code.
    embeddings, lengths = connector.to_empty(device="cpu").eval()(
        torch.zeros(1, 9, 1024), torch.tensor([9]), torch.zeros(1, 10, 768)
    )
    assert embeddings.shape == (1, 13, 3584) and lengths == 13


def qformer(**arguments):
    sizes = {"num_queries": 3, "size": 8, "num_layers": 2, "num_heads": 2}
    return QFormerConnector(
        16, 24, utterance_size=12, ffn_size=20, **{**sizes, **arguments}
    ).eval()


def test_queries_hear_an_utterance_as_if_alone():
    connector = qformer()
    frames, lengths, vectors = inputs(30, 7, 19)
    together, counts = connector(frames, lengths, vectors)
    assert counts.tolist() == [3, 3, 3] and together.shape == (3, 3, 24)
    frames[1, 7:] = 9.0
    for i, length in enumerate(lengths.tolist()):
        one, _ = connector(
            frames[i : i + 1, :length], lengths[i : i + 1], vectors[i : i + 1]
        )
        torch.testing.assert_close(one[0], together[i], atol=1e-5, rtol=0)


def attended(queries, memory, attention):
    """Multi-head attention in float64, a query and a head at a time."""
    size, heads = queries.shape[1], attention.num_heads
    weights = attention.in_proj_weight.double().split(size)
    biases = attention.in_proj_bias.double().split(size)
    q, k, v = (
        x @ w.T + b
        for x, w, b in zip(
            (queries, memory, memory), weights, biases, strict=True
        )
    )
    width, rows = size // heads, []
    for query in q:
        parts = []
        for head in range(heads):
            cut = slice(head * width, (head + 1) * width)
            scores = torch.stack([query[cut] @ key[cut] for key in k])
            share = (scores / width**0.5).softmax(0)
            parts.append(share @ v[:, cut])
        rows.append(torch.cat(parts))
    out = attention.out_proj
    return torch.stack(rows) @ out.weight.double().T + out.bias.double()


def test_queries_by_hand():
    connector = qformer()
    frames, lengths, vectors = inputs(6)
    ours, _ = connector(frames, lengths, vectors)

    def linear(layer, x):
        return x @ layer.weight.double().T + layer.bias.double()

    def norm(layer, x):
        centred = x - x.mean(-1, keepdim=True)
        scale = (centred.square().mean(-1, keepdim=True) + layer.eps).sqrt()
        return centred / scale * layer.weight.double() + layer.bias.double()

    heard = linear(connector.frame_projection, frames[0].double())
    heard = heard + sinusoids(6, 8, "cpu").double()
    said = linear(connector.utterance_projection, vectors[0].double())
    memory = norm(connector.memory_norm, torch.cat((said, heard)))
    x = connector.queries.double()
    for layer in connector.layers:
        own = norm(layer.norm1, x)
        x = x + attended(own, own, layer.self_attn)
        x = x + attended(norm(layer.norm2, x), memory, layer.multihead_attn)
        inner = linear(layer.linear1, norm(layer.norm3, x))
        inner = inner * 0.5 * (1 + torch.erf(inner / 2**0.5))
        x = x + linear(layer.linear2, inner)
    expected = linear(connector.projection, norm(connector.norm, x))
    torch.testing.assert_close(ours[0].double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("absent", ["frames", "vectors"])
def test_queries_hear_one_input_alone(absent):
    frames, lengths, vectors = inputs(6, 4)
    if absent == "frames":
        connector = QFormerConnector(None, 24, 12, 3, 8, 1, 2, 20)
        embeddings, _ = connector(None, None, vectors)
    else:
        connector = QFormerConnector(16, 24, None, 3, 8, 1, 2, 20)
        embeddings, _ = connector(frames, lengths, None)
    assert embeddings.shape == (2, 3, 24)
    embeddings.sum().backward()
    assert all(p.grad is not None for p in connector.parameters())
    with pytest.raises(ValueError, match="got neither"):
        QFormerConnector(None, 24)
