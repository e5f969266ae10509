"""Heads: what they read of a row, their losses, records and figures."""

import json

import numpy as np
import pytest
import torch

from speechbrain_c2ser.evaluation.head_results import HeadResults
from speechbrain_c2ser.lobes.augmentation import Mixup
from speechbrain_c2ser.lobes.encoders.features import SpeechFeatures
from speechbrain_c2ser.lobes.heads.base import Head
from speechbrain_c2ser.lobes.heads.category import CategoryHead
from speechbrain_c2ser.lobes.heads.dimension import DimensionHead
from speechbrain_c2ser.lobes.heads.frame import FrameHead
from speechbrain_c2ser.lobes.heads.multi_head import MultiHead
from speechbrain_c2ser.lobes.heads.multi_label import MultiLabelHead
from speechbrain_c2ser.lobes.heads.track import TrackHead
from speechbrain_c2ser.losses import focal_loss, rank_loss

EMOTIONS = ["angry", "happy", "sad"]


def every_head():
    """Name → a head of each kind, with a row that each has a truth in."""
    return MultiHead(
        {
            "emotion": CategoryHead(4, EMOTIONS),
            "votes": CategoryHead(4, EMOTIONS, key="votes"),
            "mixed": MultiLabelHead(4, EMOTIONS),
            "vad": DimensionHead(4, pick=["valence"]),
            "frames": FrameHead(4, EMOTIONS, frame_rate=4.0),
            "track": TrackHead(4, ["valence"], frame_rate=4.0),
        }
    )


ROWS = [
    {
        "id": "a",
        "duration": 1.5,
        "emotion": "sad",
        "votes": {"sad": 2, "happy": 1},
        "emotions": ["sad"],
        "vad": [2, 4, 1],
        "vad_scale": [1, 5],
        "segments": [[0.0, 1.0, "sad"], [1.0, 1.5, "angry"]],
        "tracks": {"rate": 2.0, "valence": [0.0, 1.0, 0.5]},
    },
    {
        "id": "b",
        "duration": 1.0,
        "emotion": "happy",
        "votes": {"happy": 1},
        "emotions": ["happy", "angry"],
        "vad": [5, 4, 1],
        "vad_scale": [1, 5],
        "segments": [[0.0, 1.0, "happy"]],
        "tracks": {"rate": 2.0, "valence": [0.0, 0.2]},
    },
]


def test_every_head_records_and_scores_what_it_predicts():
    heads = every_head()
    frames, lengths = torch.randn(2, 6, 4), torch.tensor([6, 4])
    outputs = heads(torch.randn(2, 4), frames, lengths)
    total, parts = heads.loss(outputs, heads.targets(ROWS))
    total.backward()
    assert all(p.grad is not None for p in heads.parameters())
    results = HeadResults(heads)
    results.add(ROWS, heads.predict(outputs))
    results.check()
    (first, second) = results.predictions()
    again = json.loads(json.dumps(first))
    assert again["heads"].keys() == parts.keys() == heads.heads.keys()
    assert again["label"] == again["heads"]["emotion"]["label"]
    assert again["heads"]["vad"]["truth"] == {"valence": 0.25}
    assert again["heads"]["votes"]["truth"]["sad"] == pytest.approx(2 / 3)
    segments = second["heads"]["frames"]["segments"]
    assert segments[-1][1] == 1.0 and second["duration"] == 1.0
    assert len(first["heads"]["track"]["tracks"]["valence"]) == 6
    figures = results.figures()
    assert figures.keys() >= {
        *("ua", "wa", "macro_f1", "votes_js", "votes_votes_f1"),
        *("mixed_macro_f1", "mixed_map", "mixed_auc"),
        *("vad_ccc", "vad_mae", "vad_pearson", "vad_spearman"),
        *("frames_eder", "frames_eder_pooled", "track_ccc"),
    }
    assert results.figure_names(ROWS) == list(figures)


def test_a_perfect_prediction_has_perfect_figures():
    heads = every_head()
    shares = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    votes = torch.tensor([[0.0, 1 / 3, 2 / 3], [0.0, 1.0, 0.0]])
    each = torch.tensor([[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    frames = torch.nn.functional.one_hot(
        torch.tensor([[2, 2, 2, 2, 0, 0], [1, 1, 1, 1, 0, 0]]), 3
    ).float()
    frames[1, 4:] = 0.0
    nothing = float("nan")
    track = torch.tensor(
        [[0.0, 0.5, 1.0, 0.75, 0.5, 0.5], [0.0, 0.1, 0.2, 0.2] + [nothing] * 2]
    ).unsqueeze(-1)
    results = HeadResults(heads)
    predictions = {
        "emotion": shares,
        "votes": votes,
        "mixed": each,
        "vad": torch.tensor([[0.25], [1.0]]),
        "frames": frames,
        "track": track,
    }
    results.add(ROWS, predictions)
    figures = results.figures()
    for name, wanted in {
        "ua": 1.0,
        "votes_js": 0.0,
        "votes_votes_f1": 1.0,
        "mixed_macro_f1": 1.0,
        "mixed_auc": 1.0,
        "vad_ccc": 1.0,
        "vad_mae": 0.0,
        "frames_eder": 0.0,
        "track_ccc": 1.0,
    }.items():
        assert figures[name] == pytest.approx(wanted, abs=1e-6), name


def test_eder_is_the_mean_over_recordings():
    head = FrameHead(4, EMOTIONS, frame_rate=4.0)
    said = [
        {"segments": [[0.0, 1.5, "sad"]]},  # the last third is wrong
        {"segments": [[0.0, 0.5, "happy"]]},  # and half is uncovered
    ]
    figures = head.figures(ROWS, said)
    assert figures["eder"] == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert figures["eder_pooled"] == pytest.approx((0.5 + 0.5) / 2.5)


def test_votes_are_mapped_into_the_set():
    head = CategoryHead(4, ["angry", "happy"], key="votes")
    row = {"id": "u1", "votes": {"excited": 1, "angry": 3, "bored": 0}}
    assert head.truth(row) == {"happy": 0.25, "angry": 0.75}
    with pytest.raises(ValueError, match="'u1': unknown votes 'bored'"):
        head.truth({"id": "u1", "votes": {"bored": 1}})
    with pytest.raises(ValueError, match="'u1': -1 votes for 'angry'"):
        head.truth({"id": "u1", "votes": {"angry": -1}})
    lenient = CategoryHead(4, ["angry"], key="votes", unknown="missing")
    assert lenient.truth({"votes": {"angry": 2, "bored": 1}}) == {"angry": 1.0}
    assert lenient.truth({"votes": {"bored": 1}}) is None


def test_weak_labels_and_attributes():
    weak = {"weak": {"labels": {"sad": 0.6, "angry": 0.2}, "score": 0.7}}
    head = CategoryHead(4, EMOTIONS, key="weak")
    assert head.truth(weak) == pytest.approx({"sad": 0.75, "angry": 0.25})
    # an attribute is no word of emotion
    speakers = CategoryHead(4, ["exc", "ang"], key="speaker", unknown="missing")
    assert speakers.truth({"speaker": "excited"}) is None


def test_reversal_turns_the_gradient_round():
    gradients = []
    for reverse in (0.0, 0.5):
        torch.manual_seed(0)
        head = CategoryHead(4, EMOTIONS, reverse=reverse)
        vector = torch.ones(1, 4, requires_grad=True)
        head.loss(head(vector), head.targets(ROWS[:1])).backward()
        gradients.append(vector.grad)
        own = head.linear.weight.grad
        gradients.append(own)
    vector, own, turned, own_too = gradients
    torch.testing.assert_close(turned, -0.5 * vector)
    torch.testing.assert_close(own_too, own)


def test_a_loss_of_ones_own_sees_labelled_items_and_weights():
    seen = []

    def loss(logits, shares, weights):
        seen.append((logits.shape, shares.tolist(), weights.tolist()))
        return logits.sum()

    head = CategoryHead(4, ["a", "b"], loss=loss, weigh_classes=True)
    rows = [{"emotion": "a"}, {}, {"emotion": "b"}, {"emotion": "b"}]
    head.fit(rows)
    head.loss(head(torch.randn(4, 4)), head.targets(rows))
    (shape, shares, weights) = seen[0]
    assert shape == (3, 2) and shares == [[1, 0], [0, 1], [0, 1]]
    assert weights == pytest.approx([1.5, 0.75])
    assert "loss" not in head.constructor_arguments


def test_losses_against_slow_references():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(5, 3))
    shares = generator.dirichlet([1.0] * 3, size=5)
    weights = np.array([1.0, 2.0, 0.5])
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    tensors = [torch.tensor(x) for x in (logits, shares, weights)]
    total = mass = 0.0
    for i in range(5):
        for k in range(3):
            term = -((1 - p[i, k]) ** 2) * np.log(p[i, k])
            total += weights[k] * shares[i, k] * term
            mass += weights[k] * shares[i, k]
    assert float(focal_loss(*tensors)) == pytest.approx(total / mass, 1e-5)
    values, targets = logits[:, 0], np.array([0.0, 2.0, 2.0, 1.0, 0.0])
    pairs = [
        np.log1p(np.exp(values[j] - values[i]))
        for i in range(5)
        for j in range(5)
        if targets[i] > targets[j]
    ]
    found = rank_loss(torch.tensor(values), torch.tensor(targets))
    assert float(found) == pytest.approx(np.mean(pairs))


def test_label_smoothing_and_weights_are_those_of_torch():
    head = CategoryHead(4, EMOTIONS, label_smoothing=0.1, weigh_classes=True)
    rows = [{"emotion": e} for e in ("sad", "sad", "happy", "angry")]
    head.fit(rows)
    logits = torch.randn(4, 3)
    wanted = torch.nn.functional.cross_entropy(
        logits,
        torch.tensor([2, 2, 1, 0]),
        head.class_weights,
        label_smoothing=0.1,
    )
    torch.testing.assert_close(head.loss(logits, head.targets(rows)), wanted)


def test_numbers_are_scaled_all_or_none():
    head = DimensionHead(4)
    scaled = {"id": "u1", "vad": [1, 4, 7], "vad_scale": [1, 7]}
    assert list(head.truth(scaled).values()) == [0.0, 0.5, 1.0]
    head.fit([scaled])
    assert head.truth({"vad": [0.5, 0, None]})["valence"] == 0.5
    with pytest.raises(ValueError, match="'u2' tells no scale of its vad"):
        head.truth({"id": "u2", "vad": [1, 2, 3]})
    with pytest.raises(ValueError, match="'u2'.*scale from 7 to 1"):
        head.truth({"id": "u2", "vad": [1, 2, 3], "vad_scale": [7, 1]})
    with pytest.raises(ValueError, match="'u3': vad has 2 values"):
        head.truth({"id": "u3", "vad": [1, 2], "vad_scale": [1, 7]})
    head.fit([{"vad": [0.1, 0.2, 0.3]}])
    with pytest.raises(ValueError, match="'u1' tells a scale .* no training"):
        head.truth(scaled)
    with pytest.raises(ValueError, match="pick names anger: choose of"):
        DimensionHead(4, pick=["anger"])


def test_best_worst_counts_are_a_number():
    head = DimensionHead(4, ["intensity"], key="bws", loss=rank_loss)
    rows = [
        {"bws": {"best": b, "worst": w, "shown": 4}}
        for b, w in ((4, 0), (1, 1), (0, 4))
    ]
    assert head.targets(rows)[:, 0].tolist() == [1.0, 0.5, 0.0]
    assert (
        head.loss(torch.tensor([[9.0], [0.0], [-9.0]]), head.targets(rows))
        < 0.01
    )


def test_mixup_mixes_numbers_and_leaves_missing_ones_missing():
    features = SpeechFeatures(torch.rand(4, 2, 3), torch.full((4,), 2))
    nothing = float("nan")
    targets = {
        "emotion": torch.eye(4),
        "vad": torch.tensor([[1.0], [2.0], [3.0], [nothing]]),
    }
    torch.manual_seed(3)
    _, mixed = Mixup(5.0)(features, targets)
    other = mixed["emotion"].clone()
    share = other.diagonal().clone()
    vad = torch.tensor([1.0, 2.0, 3.0, nothing])
    for i in range(4):
        partner = int((other[i] - share[i] * torch.eye(4)[i]).argmax())
        wanted = share[i] * vad[i] + (1 - share[i]) * vad[partner]
        torch.testing.assert_close(mixed["vad"][i, 0], wanted, equal_nan=True)


def test_what_a_head_cannot_learn_is_named():
    heads = MultiHead({"vad": DimensionHead(4), "emotion": None})
    assert list(heads.heads) == ["vad"]
    assert list(heads.constructor_arguments["heads"]) == ["vad"]
    with pytest.raises(ValueError, match="target for the head 'vad' .*'vad'"):
        heads.fit([{"emotion": "sad"}])
    heads = MultiHead({"emotion": CategoryHead(4, ["angry", "sad"])})
    with pytest.raises(ValueError, match="No training item has the emotion a"):
        heads.fit([{"emotion": "sad"}])
    with pytest.raises(ValueError, match="'x' is a Linear: derive"):
        MultiHead({"x": torch.nn.Linear(1, 1)})


def test_a_frame_rate_that_frames_do_not_have_is_refused():
    head = FrameHead(4, EMOTIONS, frame_rate=50.0)
    record = head.record(torch.softmax(torch.randn(25, 3), -1))
    with pytest.raises(ValueError, match="'a' end at 0.50 s of 1.50.*about 17"):
        head.check(ROWS[0], record)


class Loudness(Head):
    """A head with figures of its own."""

    def truth(self, row):
        return row.get(self.key)

    def record(self, prediction):
        return {"decibel": float(prediction)}

    def score(self, truths, records, durations):
        errors = [
            abs(t - r["decibel"]) for t, r in zip(truths, records, strict=True)
        ]
        return {"error": sum(errors) / len(errors)}


def test_a_head_of_ones_own_has_its_figures():
    head = Loudness(["loudness"], "loudness", 1.0)
    rows = [{"id": "a", "loudness": 1.0}, {"id": "b"}]
    assert head.figures(rows, [{"decibel": 3.0}, {"decibel": 0.0}]) == {
        "error": 2.0
    }
    with pytest.raises(ValueError, match="record of decibel has no figures"):
        Head.score(head, [1.0], [{"decibel": 3.0}], [1.0])
