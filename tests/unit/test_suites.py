"""Suites over predictions alone: labels, soft, calibration, fairness.

Each figure against a slow reference, each suite on systems of known truth.
"""

import json

import jsonschema
import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import binom
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    log_loss,
)

from speechbrain_c2ser.cli import main
from speechbrain_c2ser.evaluation.suites import (
    calibration,
    fairness,
    labels,
    soft,
)
from speechbrain_c2ser.evaluation.suites.cases import build_cases
from speechbrain_c2ser.evaluation.suites.resampling import (
    find_units,
    resample_scores,
    speaker_unit,
)
from speechbrain_c2ser.evaluation.suites.running import (
    Evidence,
    find_suites,
    run_suites,
)
from speechbrain_c2ser.evaluation.suites.schema import EVIDENCE
from speechbrain_c2ser.labels import LabelSpace

SPACE = LabelSpace(["angry", "happy", "sad"])
NAMES = SPACE.names
SEXES = ["female", "male", "other"]


def make_items(count=120, speakers=12, seed=0):
    rng = np.random.default_rng(seed)
    return {
        f"u{i}": {
            "emotion": NAMES[int(rng.integers(3))],
            "speaker": f"s{i % speakers}",
            "gender": ["female", "male"][i % speakers % 2],
            "language": ["en", "zh"][i % 3 % 2],
            "dataset": ["one", "two"][2 * (i % speakers) // speakers],
        }
        for i in range(count)
    }


def answer(items, accuracy, seed=1):
    """A system that is right with this chance, else any label."""
    rng = np.random.default_rng(seed)
    rows = []
    for key, item in items.items():
        label = item["emotion"]
        if rng.random() > accuracy:
            label = NAMES[int(rng.integers(3))]
        told = rng.dirichlet(np.ones(3)) + 2 * np.equal(NAMES, label)
        told = (told / told.sum()).tolist()
        told = dict(zip(NAMES, told, strict=True))
        rows.append({"id": key, "label": label, "probabilities": told})
    return rows


@pytest.fixture
def cases():
    items = make_items()
    return build_cases(answer(items, 0.6), items, SPACE)


# --- the input ----------------------------------------------------------


def test_what_cannot_be_used_is_named_counted_and_left():
    items = {
        "a": {"emotion": "sad"},
        "b": {"emotion": "happy"},
        "c": {"emotion": "bored"},
    }
    rows = [
        {"id": "a", "text": "", "probabilities": {"sad": 0.9, "happy": 0.9}},
        {"id": "x", "label": "sad"},
        {"id": "c", "label": "sad"},
    ]
    cases = build_cases(rows, items, SPACE)
    assert len(cases) == 2 and cases.guesses.tolist() == [3, 3]
    assert cases.probabilities is None
    words = "\n".join(cases.notes)
    for part in ("(x)", "(c)", "(b)", "(a)", "1 of 3", "1 of 2"):
        assert part in words
    result = run_suites(find_suites("all"), Evidence(cases), samples=20)
    assert result["notes"] == cases.notes
    assert all(own["notes"] for own in result["suites"].values())


def test_probabilities_of_other_labels_keep_what_has_a_place():
    told = {"ang": 0.3, "生气/angry": 0.2, "sad": 0.25, "other": 0.25}
    rows = [{"id": "a", "label": "angry", "probabilities": told}]
    cases = build_cases(rows, {"a": {"emotion": "sad"}}, SPACE)
    assert cases.probabilities[0] == pytest.approx([2 / 3, 0, 1 / 3])


def test_unknown_suite_is_refused_by_name():
    with pytest.raises(ValueError, match="no suite tone"):
        find_suites("labels,tone")


# --- labels -------------------------------------------------------------


@pytest.mark.parametrize("unit", ["speaker", "corpus x speaker"])
def test_bootstrap_over_speakers_draws_whole_voices(cases, unit):
    units, strata = find_units(cases, unit)
    assert len(strata) == 12
    fast = resample_scores(cases, [cases.guesses], ("ua",), unit, 2000, 0)[0, 0]
    rng = np.random.default_rng(5)
    slow = []
    for _ in range(2000):
        drawn = np.concatenate(
            [
                rng.choice(inside, len(inside))
                for inside in (
                    np.flatnonzero(strata == s) for s in np.unique(strata)
                )
            ]
        )
        places = np.concatenate([np.flatnonzero(units == u) for u in drawn])
        slow.append(
            balanced_accuracy_score(
                cases.targets[places], cases.guesses[places]
            )
        )
    assert np.quantile(fast, [0.025, 0.5, 0.975]) == pytest.approx(
        np.quantile(slow, [0.025, 0.5, 0.975]), abs=0.015
    )
    assert fast.std() == pytest.approx(np.std(slow), rel=0.1)


def test_speakers_that_differ_widen_the_interval_over_speakers():
    items = make_items(600, 10)
    rows = [
        {"id": k, "label": i["emotion"] if int(i["speaker"][1:]) % 2 else "sad"}
        for k, i in items.items()
    ]
    found = labels.compute(build_cases(rows, items, SPACE), samples=300)
    width = {u: np.diff(own["ua"])[0] for u, own in found["intervals"].items()}
    assert width["corpus x speaker"] > 2 * width["utterance"]


def test_constant_answer_is_beside(cases):
    found = labels.compute(cases, samples=20)
    commonest = max(NAMES, key=[NAMES[t] for t in cases.targets].count)
    assert found["constant"]["label"] == commonest
    assert found["constant"]["ua"] == pytest.approx(1 / 3)
    constant = np.full(len(cases), NAMES.index(commonest))
    assert found["constant"]["macro_f1"] == pytest.approx(
        f1_score(cases.targets, constant, average="macro", zero_division=0)
    )


def test_mcnemar_is_the_binomial_by_hand():
    first = np.array([True] * 9 + [False] * 2 + [True] * 30)
    second = np.array([False] * 9 + [True] * 2 + [True] * 30)
    found = labels.mcnemar(first, second)
    tail = sum(binom.pmf(k, 11, 0.5) for k in range(3))
    assert (found["only_first"], found["only_second"]) == (9, 2)
    assert found["p_value"] == pytest.approx(2 * tail)
    assert labels.mcnemar(first, first)["p_value"] == 1


def test_smallest_difference_is_found_four_times_in_five():
    least = labels.smallest_difference(0.02, "speaker")
    rng = np.random.default_rng(0)
    seen = rng.normal(least["to_a_number"], 0.02, 20000)
    power = (np.abs(seen) > 1.959964 * 0.02).mean()
    assert power == pytest.approx(0.8, abs=0.01)


def test_systems_that_cannot_be_told_apart_share_a_rank():
    items = make_items(600, 20)
    cases = build_cases(answer(items, 1.0), items, SPACE)
    others = {
        name: build_cases(answer(items, a, seed), items, SPACE).guesses
        for name, a, seed in (("a", 0.5, 2), ("b", 0.5, 3), ("none", 0.0, 4))
    }
    found = labels.compute(cases, others, samples=500)
    ranks = {row["name"]: row["rank"] for row in found["systems"]}
    assert ranks == {labels.OWN: 1, "a": 2, "b": 2, "none": 4}
    assert len(found["pairs"]) == 6
    twins = next(
        p for p in found["pairs"] if (p["first"], p["second"]) == ("a", "b")
    )
    assert twins["p_holm"] > 0.05
    assert twins["interval"][0] < twins["difference"] < twins["interval"][1]


def test_no_speaker_one_speaker_and_one_class_are_said():
    items = make_items(30)
    for item in items.values():
        del item["speaker"]
    found = labels.compute(build_cases(answer(items, 1), items, SPACE))
    assert list(found["intervals"]) == ["utterance"]
    assert "No utterance names its speaker" in found["notes"][0]
    for item in items.values():
        item.update(speaker="me", dataset="one", emotion="sad")
    cases = build_cases(answer(items, 1), items, SPACE)
    assert speaker_unit(cases)[0] is None
    notes = "\n".join(labels.compute(cases, samples=20)["notes"])
    assert "one speaker only (me)" in notes and "are sad" in notes
    json.dumps(run_suites(find_suites("all"), Evidence(cases), samples=20))


# --- soft ---------------------------------------------------------------


def vote_cases(predict, count=200, seed=0):
    rng = np.random.default_rng(seed)
    items, rows = {}, []
    for i in range(count):
        shares = rng.dirichlet(np.ones(3))
        votes = rng.multinomial(5, shares)
        named = dict(zip(NAMES, votes.tolist(), strict=True))
        emotion = NAMES[votes.argmax()]
        items[f"u{i}"] = {"emotion": emotion, "votes": named}
        told = dict(zip(NAMES, predict(votes / 5), strict=True))
        rows.append(
            {
                "id": f"u{i}",
                "label": max(told, key=told.get),
                "probabilities": told,
            }
        )
    return build_cases(rows, items, SPACE)


def test_soft_figures_equal_slow_ones():
    cases = vote_cases(lambda p: (0.5 * p + 0.5 * p[::-1]).tolist())
    found = soft.compute(cases)["system"]
    votes, _ = soft.count_votes(cases)
    true = votes / votes.sum(1, keepdims=True)
    told = np.clip(cases.probabilities, 1e-12, 1)
    entropy, divergence, sets = [], [], []
    for p, q in zip(true, told, strict=True):
        entropy.append(-sum(a * np.log(b) for a, b in zip(p, q, strict=True)))
        divergence.append(jensenshannon(p, q, base=2) ** 2)
        sets.append([[a > 1 / 3 for a in p], [b > 1 / 3 for b in q]])
    sets = np.array(sets)
    assert found["cross_entropy"] == pytest.approx(np.mean(entropy))
    assert found["jsd"] == pytest.approx(np.mean(divergence), abs=1e-6)
    assert found["macro_f1"] == pytest.approx(
        f1_score(sets[:, 0], sets[:, 1], average="macro")
    )
    hits = [v[g] > 0 for v, g in zip(votes, cases.guesses, strict=True)]
    assert found["hit"] == pytest.approx(np.mean(hits))


def test_soft_tells_perfect_constant_and_uniform_apart():
    perfect = soft.compute(vote_cases(lambda p: p.tolist()))
    assert perfect["system"]["jsd"] == pytest.approx(0, abs=1e-9)
    assert perfect["system"]["macro_f1"] == 1 and perfect["system"]["hit"] == 1
    constant = soft.compute(vote_cases(lambda p: [1.0, 0.0, 0.0]))
    assert constant["system"]["jsd"] > constant["mean_vote"]["jsd"]
    assert constant["system"]["hit"] < 1
    uniform = soft.compute(vote_cases(lambda p: [1 / 3] * 3))
    assert uniform["system"]["cross_entropy"] == pytest.approx(np.log(3))
    assert uniform["system"]["macro_f1"] == 0


def test_raters_are_agreed_with_one_by_one():
    items = {
        f"u{i}": {
            "emotion": "sad",
            "ratings": [
                {"rater": "E1", "emotions": ["sad", "bored"]},
                {"rater": "E2", "emotion": "happy" if i else "sad"},
                "sad",
            ],
        }
        for i in range(4)
    }
    rows = [{"id": key, "label": "sad"} for key in items]
    found = soft.compute(build_cases(rows, items, SPACE))
    assert found["raters"] == {
        "E1": {"agreement": 1.0, "n": 4},
        "E2": {"agreement": 0.25, "n": 4},
    }
    assert found["votes_per_utterance"] == 3
    assert "bored 4" in "\n".join(found["notes"])


def test_votes_that_are_none_are_told_and_shares_of_votes_count():
    items = {
        "a": {"emotion": "sad", "votes": {"sad": 0.25, "happy": 0.75}},
        "b": {
            "emotion": "sad",
            "votes": {"sad": "two", "happy": -1, "angry": 1},
        },
        "c": {"emotion": "sad"},
    }
    told = dict.fromkeys(NAMES, 1 / 3)
    rows = [
        {"id": "a", "label": "happy", "probabilities": told},
        {"id": "b", "label": "sad"},
        {"id": "c", "label": "sad", "probabilities": told},
    ]
    found = soft.compute(build_cases(rows, items, SPACE))
    assert found["n"] == 2 and found["system"]["hit"] == 0.5
    # of "a" alone: "b" has no probabilities
    assert found["system"]["cross_entropy"] == pytest.approx(np.log(3))
    # (angry 0, happy 0.75, sad 0.25) against a third each; angry against sad
    near = jensenshannon([0, 0.75, 0.25], [1 / 3] * 3, base=2) ** 2
    assert found["system"]["jsd"] == pytest.approx((near + 1) / 2, abs=1e-6)
    notes = "\n".join(found["notes"])
    assert "2 votes are no counts" in notes and "(b)" in notes
    assert "1 of 3 utterances have no votes" in notes
    assert "over the 1 of 2 utterances with probabilities" in notes
    # all have probabilities: nothing is said of them
    full = soft.compute(vote_cases(lambda p: p.tolist(), 20))
    assert not any("probabilities" in note for note in full["notes"])


def test_no_votes_and_sets_without_a_label_are_nothing():
    items = {"a": {"emotion": "sad"}}
    told = dict.fromkeys(NAMES, 1 / 3)
    rows = [{"id": "a", "label": "sad", "probabilities": told}]
    none = soft.compute(build_cases(rows, items, SPACE))
    assert none["n"] == 0 and soft.page(none) == ""
    items["a"]["votes"] = dict.fromkeys(NAMES, 1)
    alike = soft.compute(build_cases(rows, items, SPACE))
    assert alike["system"]["macro_f1"] == 0 and alike["system"]["jsd"] == 0


# --- calibration --------------------------------------------------------


def confident(count, temperature, seed, speakers=20):
    """Answers whose true chance is known, made too sure or too unsure."""
    rng = np.random.default_rng(seed)
    items, rows = {}, []
    for i in range(count):
        logits = rng.normal(0, 1.5, 3)
        chance = np.exp(logits) / np.exp(logits).sum()
        told = np.exp(logits / temperature)
        told /= told.sum()
        items[f"u{i}"] = {
            "emotion": NAMES[rng.choice(3, p=chance)],
            "speaker": f"{seed}_{i % speakers}",
            "language": ["en", "zh"][i % 2],
        }
        told = dict(zip(NAMES, told.tolist(), strict=True))
        rows.append(
            {
                "id": f"u{i}",
                "label": max(told, key=told.get),
                "probabilities": told,
            }
        )
    return build_cases(rows, items, SPACE)


def test_calibration_figures_equal_slow_ones():
    cases = confident(400, 0.5, 0)
    found = calibration.measure(cases.probabilities, cases.targets)
    assert found["nll"] == pytest.approx(
        log_loss(cases.targets, cases.probabilities, labels=range(3))
    )
    assert found["brier"] == pytest.approx(
        np.square(np.eye(3)[cases.targets] - cases.probabilities).sum(1).mean()
    )
    confidence = cases.probabilities.max(1)
    right = cases.probabilities.argmax(1) == cases.targets
    order = np.argsort(confidence)
    gaps = [
        abs(confidence[part].mean() - right[part].mean())
        for part in np.array_split(order, 10)
    ]
    assert found["ece_equal_mass"] == pytest.approx(np.mean(gaps))


def test_equal_mass_bins_do_not_split_one_confidence():
    told = np.array([[0.8, 0.2]] * 10)
    right_first = np.array([0] * 8 + [1] * 2)
    for targets in (right_first, right_first[::-1]):
        assert calibration.equal_mass_error(told, targets) == pytest.approx(0)


@pytest.mark.parametrize("temperature", [0.4, 2.5])
def test_temperature_undoes_what_was_done(temperature):
    found = calibration.compute(
        confident(3000, temperature, 0), confident(3000, temperature, 1)
    )
    assert found["temperature"] == pytest.approx(1 / temperature, rel=0.12)
    assert found["scaled"]["ece"] < found["raw"]["ece"] / 2
    assert found["scaled"]["nll"] < found["raw"]["nll"]


def test_sets_hold_what_they_promise():
    found = calibration.compute(confident(4000, 0.5, 0), confident(900, 0.5, 1))
    for own in found["conformal"].values():
        assert own["coverage"] == pytest.approx(0.9, abs=0.03)
        low, high = own["interval"]
        assert low < own["coverage"] < high
        languages = own["groups"]["language"]
        assert set(languages) == {"en", "zh"}
        for each in languages.values():
            assert each["coverage"] == pytest.approx(0.9, abs=0.04)
        assert sum(e["n"] for e in languages.values()) == 4000
    kinds = found["conformal"]
    assert kinds["least"]["size"] <= kinds["adaptive"]["size"] + 0.05


def test_threshold_by_counting():
    rng = np.random.default_rng(0)
    scores = rng.random(19)
    for coverage in (0.5, 0.8, 0.9, 0.95):
        found = calibration.conformal_threshold(scores, coverage)
        # the smallest score under which enough of n + 1 lie
        enough = [
            s for s in scores if (scores <= s).sum() / 20 >= coverage - 1e-9
        ]
        assert found == min(enough)
    assert calibration.conformal_threshold(scores, 0.99) == np.inf


def test_calibration_says_what_it_lacks():
    cases = confident(50, 1.0, 0)
    bare = build_cases(
        [{"id": i["id"], "label": "sad"} for i in cases.items],
        {i["id"]: i for i in cases.items},
        SPACE,
    )
    without = calibration.compute(bare)
    assert "no probabilities" in without["notes"][0] and without["n"] == 0
    assert calibration.page(without) == ""
    assert "--validation" in calibration.compute(cases)["notes"][0]
    shared = calibration.compute(cases, cases)
    assert "speakers are in validation and test" in "\n".join(shared["notes"])


# --- fairness -----------------------------------------------------------


def test_a_gap_of_luck_is_not_called_one():
    called = 0
    for seed in range(40):
        items = make_items(240, 12, seed)
        cases = build_cases(answer(items, 0.5, seed + 100), items, SPACE)
        found = fairness.compute(cases, samples=300, seed=seed)
        called += found["attributes"]["sex"]["beyond_chance"]
    assert called <= 6  # 5 % of 40 is 2


def test_a_gap_beyond_luck_is_called_one():
    items = make_items(240, 12)
    rows = answer(items, 0.9)
    for row in rows:
        if items[row["id"]]["gender"] == "female":
            row["label"] = "sad"
    found = fairness.compute(build_cases(rows, items, SPACE))
    sex = found["attributes"]["sex"]
    assert sex["beyond_chance"] and sex["p_value"] < 0.01
    assert sex["gap"] == pytest.approx(
        sex["groups"]["male"]["ua"] - sex["groups"]["female"]["ua"]
    )
    targets = [i["emotion"] for i in items.values() if i["gender"] == "male"]
    guess = [r["label"] for r in rows if items[r["id"]]["gender"] == "male"]
    assert sex["groups"]["male"]["ua"] == pytest.approx(
        balanced_accuracy_score(targets, guess)
    )
    language = found["attributes"]["language"]
    assert not language["beyond_chance"]


def test_simulated_gaps_equal_those_of_simulated_answers():
    counts = np.array([[20, 10], [15, 30]])
    recall = np.array([0.7, 0.4])
    rng = np.random.default_rng(0)
    fast = fairness.simulate_gaps(counts, recall, 4000, rng)
    slow = []
    for _ in range(1000):
        ua = [
            np.mean(
                [
                    (rng.random(n) < r).mean()
                    for n, r in zip(row, recall, strict=True)
                ]
            )
            for row in counts
        ]
        slow.append(max(ua) - min(ua))
    assert np.quantile(fast, 0.95) == pytest.approx(
        np.quantile(slow, 0.95), rel=0.08
    )


def test_small_groups_and_missing_attributes_are_said():
    items = make_items(60)
    for number, item in enumerate(items.values()):
        item["language"] = "xx" if number < 3 else "en"
        item["age"] = 20 + number
        item["prosody"] = {"f0": 0.0 if number == 5 else 100.0 + 3 * number}
        del item["gender"]
    found = fairness.compute(build_cases(answer(items, 1), items, SPACE))
    notes = "\n".join(found["notes"])
    for words in ("left out: xx", "no two groups of language", "its sex"):
        assert words in notes
    assert "1 of 60 utterances do not tell their pitch" in notes
    groups = found["attributes"]["age"]["groups"]
    assert list(groups) == ["18 to 29", "30 to 44", "45 to 59", "60 or more"]
    # a voice or two: their gap, not their group's; twelve are no matter
    for number, item in enumerate(items.values()):
        item["gender"], item["dataset"] = SEXES[number % 3], "one"
        item["speaker"] = f"{item['gender']}{number % [1, 2, 7][number % 3]}"
    found = fairness.compute(build_cases(answer(items, 1), items, SPACE))
    assert "fewer than 3 speakers (female, male): a gap" in "\n".join(
        found["notes"]
    )
    assert found["attributes"]["sex"]["groups"]["other"]["speakers"] == 7


# --- together -----------------------------------------------------------


def test_command_writes_evidence_and_reports(tmp_path, capsys):
    items = make_items(60)
    own, other = tmp_path / "own.jsonl", tmp_path / "other.jsonl"
    for path, accuracy in ((own, 0.9), (other, 0.2)):
        rows = [{**items[r["id"]], **r} for r in answer(items, accuracy)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out"
    code = main(
        ["evaluate", str(own), "--suites", "all", "--samples", "50"]
        + ["--against", str(other), "--validation", str(other)]
        + ["--output", str(out), "--name", "a <i>model</i>|x"]
    )
    assert code == 0
    found = json.loads((out / "evidence.json").read_text())
    jsonschema.validate(found, EVIDENCE)
    assert set(found["suites"]) >= {"labels", "soft", "calibration", "fairness"}
    lacking = {**found, "suites": {"fairness": {"attributes": {}}}}
    with pytest.raises(jsonschema.ValidationError, match="notes"):
        jsonschema.validate(lacking, EVIDENCE)
    assert found["suites"]["labels"]["systems"][1]["name"] == "other"
    report = (out / "report.md").read_text()
    assert "## Labels: what the figures are worth" in report
    page = (out / "report.html").read_text()
    assert "<i>" not in page and "a &lt;i&gt;model" in page
    assert "data:image/png;base64," in page and "http" not in page
    card = (out / "model_card.md").read_text()
    assert card.startswith("---\n") and "audio-classification" in card
    assert "Systems" in capsys.readouterr().out
