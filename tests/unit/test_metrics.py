"""Metrics against scikit-learn and numbers worked out by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
)

from speechbrain_c2ser.evaluation.metrics import (
    bootstrap_intervals,
    classification_metrics,
    edit_rate,
    expected_calibration_error,
    paired_bootstrap,
    reliability_bins,
    selective_accuracy,
    style_accuracy,
)
from speechbrain_c2ser.evaluation.metrics.classification import (
    count_confusions,
    label_indices,
    score_confusions,
)
from speechbrain_c2ser.evaluation.metrics.diarization import (
    recording_error_rates,
)

LABELS = ["angry", "happy", "neutral", "sad"]


def draw(size, seed=0, labels=LABELS, accuracy=0.6):
    rng = np.random.default_rng(seed)
    targets = rng.choice(labels, size, p=_weights(len(labels)))
    guesses = rng.choice(labels, size)
    right = rng.random(size) < accuracy
    return targets.tolist(), np.where(right, targets, guesses).tolist()


def _weights(size):
    weights = np.arange(1, size + 1)
    return weights / weights.sum()


@pytest.mark.parametrize("labels", [LABELS, LABELS[:3]])
def test_equals_scikit_learn(labels):
    """Also where a label of the set does not occur."""
    targets, guesses = draw(200, labels=labels)
    scores = classification_metrics(targets, guesses, LABELS)
    assert scores["wa"] == pytest.approx(accuracy_score(targets, guesses))
    assert scores["ua"] == pytest.approx(
        balanced_accuracy_score(targets, guesses)
    )
    for average in ("macro", "weighted"):
        expected = f1_score(targets, guesses, average=average)
        assert scores[f"{average}_f1"] == pytest.approx(expected)
    confusion = np.array(scores["confusion"])
    assert (confusion[:, -1] == 0).all()
    expected = confusion_matrix(targets, guesses, labels=LABELS)
    assert (confusion[:, :-1] == expected).all()
    assert scores["n"] == 200 and scores["unparsed_rate"] == 0


def test_unparsed_is_wrong_and_counted_apart():
    scores = classification_metrics(
        ["sad", "sad", "happy", "happy"],
        ["sad", None, "happy", "sad"],
        ["happy", "sad"],
    )
    assert scores["wa"] == 0.5
    assert scores["ua"] == 0.5
    assert scores["unparsed_rate"] == 0.25
    assert scores["confusion"] == [[1, 1, 0], [0, 1, 1]]
    assert scores["per_class"]["happy"] == pytest.approx(
        {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "n": 2}
    )
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0.5) / 2)
    nothing = classification_metrics(["sad"], [None], ["happy", "sad"])
    assert nothing["ua"] == nothing["macro_f1"] == 0.0


@pytest.mark.parametrize("metric", ["ua", "wa", "macro_f1", "weighted_f1"])
def test_resampled_scores_are_the_same_scores(metric):
    """The bootstrap's fast form against the plain one."""
    targets, guesses = draw(50, seed=1)
    guesses[::7] = [None] * len(guesses[::7])
    true, guess = label_indices(targets, guesses, LABELS)
    rows = np.random.default_rng(2).integers(0, 50, (20, 50))
    fast = score_confusions(
        count_confusions(true[rows], guess[rows], len(LABELS)), metric
    )
    for row, value in zip(rows, fast, strict=True):
        plain = classification_metrics(
            [targets[i] for i in row], [guesses[i] for i in row], LABELS
        )
        assert value == pytest.approx(plain[metric])


def test_bootstrap_interval():
    targets, guesses = draw(400)
    (low, high), again, narrow = (
        bootstrap_intervals(targets, guesses, LABELS, ("wa",), share)["wa"]
        for share in (0.95, 0.95, 0.5)
    )
    share = accuracy_score(targets, guesses)
    # The normal approximation of a proportion's interval.
    half = 1.96 * np.sqrt(share * (1 - share) / 400)
    assert low == pytest.approx(share - half, abs=0.01)
    assert high == pytest.approx(share + half, abs=0.01)
    assert [low, high] == again
    assert low < narrow[0] < narrow[1] < high


def test_paired_bootstrap():
    targets, worse = draw(300, accuracy=0.4)
    better = [t if i % 2 else w for i, (t, w) in enumerate(zip(targets, worse))]  # noqa: B905
    result = paired_bootstrap(targets, worse, better, LABELS, "wa")
    assert result["difference"] == pytest.approx(
        accuracy_score(targets, better) - accuracy_score(targets, worse)
    )
    assert 0 < result["interval"][0] < result["difference"]
    assert result["p_value"] < 0.01
    same = paired_bootstrap(targets, worse, worse, LABELS)
    assert same["difference"] == 0 and same["p_value"] == 1.0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([], [], LABELS), "0 targets"),
        ((["sad"], [], LABELS), "1 targets and 0"),
        ((["bored"], ["sad"], LABELS), "'bored'.*known: angry"),
        ((["sad"], ["bored"], LABELS), "'bored'"),
        (([None], ["sad"], LABELS), "no label"),
    ],
)
def test_bad_labels(arguments, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(*arguments)
    with pytest.raises(ValueError, match="'auc'"):
        bootstrap_intervals(["sad"], ["sad"], LABELS, ["auc"])


def test_calibration_by_hand():
    probabilities = torch.tensor(
        [[0.95, 0.05], [0.9, 0.1], [0.35, 0.65], [0.55, 0.45], [1.0, 0.0]]
    )
    targets = [0, 1, 1, 1, 0]
    bins = reliability_bins(probabilities, targets)
    assert [row["n"] for row in bins] == [0, 0, 0, 0, 0, 1, 1, 0, 1, 2]
    assert bins[8]["accuracy"] == 0.0
    assert bins[9]["confidence"] == pytest.approx(0.975)
    assert bins[0]["accuracy"] is None
    gaps = 0.55 + 0.35 + 0.9 + 2 * 0.025
    found = expected_calibration_error(probabilities, targets)
    assert found == pytest.approx(gaps / 5, abs=1e-6)
    with pytest.raises(ValueError, match="sum to 1"):
        expected_calibration_error([[0.9, 0.9]], [0])
    with pytest.raises(ValueError, match="do not match"):
        expected_calibration_error([[0.5, 0.5]], [0, 1])


def test_selective_accuracy_by_hand():
    probabilities = [[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.4, 0.6]]
    curve = selective_accuracy(probabilities, [0, 0, 0, 0])
    assert curve["coverage"] == [0.25, 0.75, 1.0]
    assert curve["accuracy"] == pytest.approx([1.0, 2 / 3, 0.5])
    assert curve["area"] == pytest.approx((1 + 2 / 3 + 2 / 3 + 0.5) / 4)


def test_edit_rate_by_hand():
    assert edit_rate(["It's half past five."], ["its HALF past, six"]) == 0.25
    assert edit_rate(["a b"], [None]) == 1.0
    assert edit_rate(["a"], ["a b c"]) == 2.0
    assert edit_rate(
        ["水很快就开了。", "a b"], ["水很就开了", "a c"], ["zh", "en"]
    ) == (pytest.approx(2 / 8))
    assert edit_rate(["Straße über"], ["straße uber"], "de") == 0.5
    with pytest.raises(ValueError, match="no reference"):
        edit_rate(["…"], ["a"])
    with pytest.raises(ValueError):
        edit_rate(["a"], [])


def test_style_accuracy_by_hand():
    true = {"speed": "low", "pitch": "high", "volume": "normal"}
    said = {"speed": "low", "pitch": None, "volume": "high"}
    scores = style_accuracy([true, true, true], [true, said, None])
    assert scores == pytest.approx(
        {"speed": 2 / 3, "pitch": 1 / 3, "volume": 1 / 3, "mean": 4 / 9}
    )
    with pytest.raises(ValueError, match="no styles"):
        style_accuracy([], [])


def test_diarisation_by_hand():
    reference = [(0.0, 2.0, "sad"), (2.0, 4.0, "neutral"), (6.0, 8.0, "angry")]
    calm = [(s, e, "neutral") for s, e in ((0, 1), (3, 6), (9, 10))]
    said = [(1.0, 3.0, "sad"), (6.0, 7.0, "happy"), (7.0, 9.0, "angry")]

    def rate(hypothesis):
        rates = recording_error_rates([reference], [hypothesis], [10.0])
        assert rates["eder"] == rates["eder_pooled"]
        return pytest.approx(rates["eder"])

    # missed 0–1; false alarm 2–3 and 8–9; confusion 6–7.
    assert rate([*said, *calm]) == 0.4
    assert rate(said) == 0.8  # calm stretches that are not named
    gaps = [(4, 6, "neutral"), (8, 10, "neutral")]
    assert rate([*reference, *gaps]) == 0
    assert rate([*reference, *gaps, (0.0, 2.0, "angry")]) == 0  # one is right


def test_multinomial_resampling_is_drawing_utterances():
    """Interval ends against the plain bootstrap over rows."""
    targets, guesses = draw(150, seed=3)
    guesses[::9] = [None] * len(guesses[::9])
    found = bootstrap_intervals(targets, guesses, LABELS, samples=4000)
    true, guess = label_indices(targets, guesses, LABELS)
    rows = np.random.default_rng(5).integers(0, 150, (4000, 150))
    confusions = count_confusions(true[rows], guess[rows], len(LABELS))
    for metric, interval in found.items():
        plain = np.quantile(
            score_confusions(confusions, metric), [0.025, 0.975]
        )
        assert interval == pytest.approx(plain, abs=0.008)
        alone = bootstrap_intervals(
            targets, guesses, LABELS, [metric], samples=4000
        )
        assert alone == {metric: interval}
