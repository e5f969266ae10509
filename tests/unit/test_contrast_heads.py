"""Contrast: losses against slow references, heads alone and over ranks."""

import numpy as np
import pytest
import torch

from speechbrain_c2ser.checkpoints.classifier_folder import (
    load_classifier,
    save_classifier,
)
from speechbrain_c2ser.evaluation.head_results import HeadResults
from speechbrain_c2ser.evaluation.metrics.neighbours import vector_metrics
from speechbrain_c2ser.lobes import (
    AnchorHead,
    ContrastHead,
    DimensionHead,
    EmotionClassifier,
    EncoderPair,
    LogMel,
    MaskedMean,
    MultiHead,
    PairedHead,
    RankContrastHead,
    TextEncoder,
    ViewsHead,
)
from speechbrain_c2ser.lobes.speech_llm.merging import Speech
from speechbrain_c2ser.losses import (
    anchor_loss,
    info_nce,
    margin_loss,
    rank_contrast_loss,
    supervised_contrast,
)
from speechbrain_c2ser.training.connector_terms import HeadTerm

LABELS = ["angry", "happy", "sad"]
ROWS = [
    {
        "id": str(n),
        "duration": 1.0,
        "emotion": LABELS[n % 3] if n != 4 else None,
        "vad": [n / 7, (n * 3 % 8) / 7, None],
        "transcript": f"oh {'no' * (n % 2)}" if n != 5 else "",
    }
    for n in range(8)
]


def unit(rows):
    rows = np.asarray(rows, np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def slow_contrast(vectors, labels, anchors=None, temperature=0.1):
    rows, losses = unit(vectors), []
    others = (
        []
        if anchors is None
        else [(row, n) for n, row in enumerate(unit(anchors))]
    )
    for i, row in enumerate(rows):
        candidates = [
            (rows[j], labels[j]) for j in range(len(rows)) if j != i
        ] + others
        scores = [np.exp(row @ other / temperature) for other, _ in candidates]
        wanted = [
            -np.log(score / sum(scores))
            for score, (_, label) in zip(scores, candidates, strict=True)
            if label == labels[i]
        ]
        if wanted:
            losses.append(np.mean(wanted))
    return np.mean(losses)


def slow_ranks(vectors, values, temperature):
    rows, losses = unit(vectors), []
    size = len(rows)
    near = lambda i, j: -np.linalg.norm(rows[i] - rows[j]) / temperature  # noqa: E731
    away = lambda i, j: np.linalg.norm(values[i] - values[j])  # noqa: E731
    for i in range(size):
        for j in range(size):
            if i == j:
                continue
            spread = sum(
                np.exp(near(i, k))
                for k in range(size)
                if k != i and away(i, k) >= away(i, j)
            )
            losses.append(-np.log(np.exp(near(i, j)) / spread))
    return np.mean(losses)


def slow_margin(vectors, labels, margin):
    rows, losses = unit(vectors), []
    for i in range(len(rows)):
        apart = [np.linalg.norm(rows[i] - other) for other in rows]
        same = [
            d for j, d in enumerate(apart) if j != i and labels[j] == labels[i]
        ]
        other = [d for j, d in enumerate(apart) if labels[j] != labels[i]]
        if same and other:
            losses.append(max(0.0, max(same) - min(other) + margin))
    return np.mean(losses)


def test_losses_against_slow_references():
    torch.manual_seed(0)
    vectors, anchors = torch.randn(7, 5), torch.randn(3, 5)
    labels = torch.tensor([0, 1, 0, 2, 1, 0, 1])
    values = torch.rand(7, 2)
    values[3] = values[1]
    plain = [vectors.numpy(), labels.tolist()]
    near = pytest.approx
    found = supervised_contrast(vectors, labels)
    assert found.item() == near(slow_contrast(*plain), rel=1e-5)
    found = anchor_loss(vectors, labels, anchors, 0.2)
    slow = slow_contrast(*plain, anchors.numpy(), 0.2)
    assert found.item() == near(slow, rel=1e-5)
    cosines = unit(anchors) @ unit(anchors).T - 3 * np.eye(3)
    found = anchor_loss(vectors, labels, anchors, 0.2, angle=0.5)
    slow += 0.5 * cosines.max(1).mean()
    assert found.item() == near(slow, rel=1e-5)
    found = margin_loss(vectors, labels, 0.3)
    assert found.item() == near(slow_margin(*plain, 0.3), rel=1e-5)
    found = rank_contrast_loss(vectors, values, 0.4)
    slow = slow_ranks(vectors.numpy(), values.double().numpy(), 0.4)
    assert found.item() == near(slow, rel=1e-5)
    others = torch.randn(7, 5)
    first, second = unit(vectors), unit(others)
    scores = first @ second.T / 0.1
    there = -np.log(np.exp(scores.diagonal()) / np.exp(scores).sum(1))
    back = -np.log(np.exp(scores.diagonal()) / np.exp(scores).sum(0))
    found = info_nce(vectors, others, 0.1)
    assert found.item() == near((there.mean() + back.mean()) / 2, rel=1e-5)


def heads():
    torch.manual_seed(1)
    return MultiHead(
        {
            "contrast": ContrastHead(6, LABELS, output_size=4),
            "margin": ContrastHead(6, LABELS, loss=margin_loss, output_size=4),
            "emotion": AnchorHead(6, LABELS, output_size=4),
            "ranks": RankContrastHead(
                6, pick=["valence", "arousal"], output_size=4
            ),
            "pairs": PairedHead(6, 3, output_size=4),
        }
    )


def run(both, vectors, words, rows):
    outputs = both(vectors, streams=(vectors, words))
    return both.loss(outputs, both.targets(rows))


def work(rank, world, path, folder):
    """One rank's part of the batch; rank 0 keeps loss and gradients."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{path}", rank=rank, world_size=world
    )
    own = heads()
    model = torch.nn.ModuleDict(
        {
            "heads": own,
            "views": ViewsHead(4, 2, output_size=4),
            "term": HeadTerm(ContrastHead(6, LABELS, output_size=4)),
            "vad": HeadTerm(DimensionHead(6)),
        }
    )
    torch.manual_seed(2)
    vectors, words = torch.randn(8, 6), torch.randn(8, 3)
    frames, lengths = (
        torch.randn(8, 3, 6),
        torch.tensor([3, 1, 2, 3, 3, 2, 1, 3]),
    )
    mine = slice(0, 5) if rank == 0 else slice(5, 8)
    if world == 1:
        mine = slice(0, 8)
    rows = ROWS[mine]
    total, parts = run(own, vectors[mine], words[mine], rows)
    parts = dict(parts)
    views = model["views"]
    parts["views"] = views.loss(views(vectors[mine]), views.targets(rows))
    speech = Speech(frames[mine], lengths[mine])
    for name in ("term", "vad"):
        parts[name] = model[name].loss(speech, rows)
    (total + parts["views"] + parts["term"] + parts["vad"]).backward()
    for parameter in model.parameters():
        torch.distributed.all_reduce(parameter.grad)
        parameter.grad /= world
    if rank == 0:
        grads = {n: p.grad for n, p in model.named_parameters()}
        found = {n: part.detach() for n, part in parts.items()}
        torch.save([found, grads], f"{folder}/{world}.pt")
    torch.distributed.destroy_process_group()


def test_two_ranks_are_as_one(tmp_path):
    """Heads of a classifier, of two views, and as terms of C2SER."""
    context = torch.multiprocessing.get_context("fork")
    for world in (1, 2):
        place = str(tmp_path / f"store{world}")
        ranks = [
            context.Process(target=work, args=(rank, world, place, tmp_path))
            for rank in range(world)
        ]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(60)
    (one, grads), (two, others) = (
        torch.load(tmp_path / f"{world}.pt", weights_only=True)
        for world in (1, 2)
    )
    for name, value in one.items():
        assert value > 0
        torch.testing.assert_close(two[name], value)
    for name, gradient in grads.items():
        assert gradient.abs().sum() > 0, name
        torch.testing.assert_close(others[name], gradient)


def test_rows_without_a_target_take_no_part():
    model = heads()
    vectors, words = torch.randn(8, 6), torch.randn(8, 3)
    keep = [n for n in range(8) if n not in (4, 5)]
    _, parts = run(model, vectors, words, ROWS)
    rows = [ROWS[n] for n in keep]
    _, fewer = run(model, vectors[keep], words[keep], rows)
    # Item 4 has no emotion, item 5 no words.
    assert parts["contrast"] != fewer["contrast"]
    keep = [n for n in range(8) if n != 4]
    rows = [ROWS[n] for n in keep]
    _, fewer = run(model, vectors[keep], words[keep], rows)
    for name in ("contrast", "margin", "emotion"):
        torch.testing.assert_close(parts[name], fewer[name])
    total, parts = run(model, vectors[:2], words[:2], [{"id": "a"}] * 2)
    total.backward()
    assert total == 0
    # Half of each of two labels (mixup) is none of them.
    shares = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.9, 0.1]])
    _, labels = model["contrast"]._labelled(torch.rand(3, 4), shares)
    assert labels.tolist() == [1, 1]


def test_records_and_figures():
    model = heads()
    results = HeadResults(model)
    streams = torch.randn(8, 6), torch.randn(8, 3)
    with torch.no_grad():
        outputs = model(streams[0], streams=streams)
    results.add(ROWS, model.predict(outputs))
    figures = results.figures()
    assert {
        "contrast_neighbour_ua",
        "ranks_rank_correlation",
        "pairs_words_found",
        "pairs_voice_found",
        "ua",
    } <= set(figures)
    line = results.predictions()[0]
    assert line["label"] in LABELS and sum(
        line["probabilities"].values()
    ) == pytest.approx(1)
    vector = np.array(line["heads"]["contrast"]["vector"])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    # Nobody is one's own neighbour.
    records = [{"vector": [1.0, x]} for x in (0.0, 0.1, 5.0, 5.1)]
    truths = [{"sad": 1}, {"angry": 1}] * 2
    assert vector_metrics(truths, records) == {"neighbour_ua": 0.0}
    # A perfect head has perfect figures.
    vad = torch.tensor([row["vad"][:2] for row in ROWS])
    flat = torch.nn.functional.pad(vad, (0, 2))
    records = [{"vector": v} for v in flat.tolist()]
    truths = [model["ranks"].truth(row) for row in ROWS]
    figures = model["ranks"].score(truths, records, [1.0] * 8)
    assert figures["rank_correlation"] == pytest.approx(1.0)


@torch.no_grad()
def test_alone_as_in_a_batch_saved_and_loaded(text_folder, tmp_path):
    torch.manual_seed(0)
    made = {
        "emotion": AnchorHead(20, LABELS, output_size=4),
        "contrast": ContrastHead(20, LABELS, loss=margin_loss),
        "ranks": RankContrastHead(20, output_size=4),
        "pairs": PairedHead(20, 8, output_size=4),
    }
    model = EmotionClassifier(
        LogMel(n_mels=20),
        MultiHead(made),
        MaskedMean(20),
        text_encoder=TextEncoder(text_folder("bert"), 8, drop=0.2),
    ).eval()
    wavs, lens = torch.randn(2, 6400) * 0.1, torch.tensor([1.0, 0.5])
    rows = [{"transcript": "oh no it is a sad day"}, {"transcript": "how nice"}]
    together = model.predict(wavs, lens, rows)
    single = model.predict(wavs[1:, :3200], None, rows[1:])
    for name, own in together.items():
        assert (own[1] - single[name][0]).abs().max() <= 1e-5
    save_classifier(model, tmp_path / "classifier")
    again = load_classifier(tmp_path / "classifier")["model"]
    for name, own in again.predict(wavs, lens, rows).items():
        torch.testing.assert_close(own, together[name])
    # The emotion is the voice's alone.
    other = model.predict(wavs, lens, [{"transcript": ""}] * 2)
    assert torch.equal(other["emotion"], together["emotion"])


def test_two_views_of_an_utterance_by_hand():
    head = ViewsHead(4, 3, output_size=5)
    vector = torch.randn(6, 7)
    output = head(vector)
    ours = head.loss(output, head.targets(ROWS[:6]))
    first = unit(head.voice(vector[:, :4]).detach())
    second = unit(head.words(vector[:, 4:]).detach())
    scores = first @ second.T / 0.07
    logs = [
        np.log(np.exp(s[i, i]) / np.exp(s[i]).sum())
        for s in (scores, scores.T)
        for i in range(6)
    ]
    assert ours.item() == pytest.approx(-np.mean(logs), abs=1e-5)
    records = [head.record(one) for one in head.predict(output)]
    figures = head.figures(ROWS[:6], records)
    found = np.mean(scores.argmax(1) == np.arange(6))
    assert figures["second_found"] == pytest.approx(found)
    with pytest.raises(ValueError, match="of 4 and 3 channels .* of 8: pool"):
        head(torch.randn(2, 8))


@torch.no_grad()
def test_two_views_alone_as_in_a_batch():
    model = EmotionClassifier(
        EncoderPair(LogMel(n_mels=20), LogMel(n_mels=8, hop=0.02)),
        MultiHead({"views": ViewsHead(20, 8, output_size=4)}),
        MaskedMean(28),
    ).eval()
    wavs, lens = torch.randn(3, 9600) * 0.1, torch.tensor([1.0, 0.4, 0.7])
    together = model.predict(wavs, lens)["views"]
    for number, share in enumerate(lens.tolist()):
        wav = wavs[number : number + 1, : round(9600 * share)]
        single = model.predict(wav)["views"][0]
        assert (together[number] - single).abs().max() <= 1e-5
    # they are told apart
    assert (together[0] - together[1]).abs().max() > 1e-3
