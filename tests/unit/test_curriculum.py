"""Schedules from explicit to implicit."""

import pytest

from speechbrain_c2ser.chain_of_thought.curriculum import Curriculum

IDS = [f"u{i}" for i in range(4000)]


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"schedule": "linear"}, [1.0, 0.75, 0.5, 0.25, 0.0]),
        ({"schedule": "cosine"}, [1.0, 0.853553, 0.5, 0.146447, 0.0]),
        ({"schedule": "step"}, [1.0, 1.0, 0.0, 0.0, 0.0]),
        ({"schedule": "step", "step_at": 0.7}, [1.0, 1.0, 1.0, 0.0, 0.0]),
        ({"schedule": "constant", "start": 0.3}, [0.3] * 5),
        ({"start": 0.8, "end": 0.4}, [0.8, 0.7, 0.6, 0.5, 0.4]),
    ],
)
def test_probability(options, expected):
    curriculum = Curriculum(**options)
    found = [curriculum.probability(p) for p in (0, 0.25, 0.5, 0.75, 1)]
    assert found == pytest.approx(expected, abs=1e-6)


def test_share_of_explicit_samples_follows_the_probability():
    curriculum = Curriculum("linear", seed=1)
    for progress in (0.0, 0.3, 0.8, 1.0):
        modes = curriculum.modes(IDS, progress)
        share = modes.count("explicit") / len(IDS)
        assert share == pytest.approx(1 - progress, abs=0.03)


def test_choice_depends_on_seed_id_and_moment_only():
    modes = Curriculum(seed=1).modes(IDS, 0.5)
    again = Curriculum(seed=1)
    again.modes(IDS, 0.2)
    for i in (7, 3, 2000):
        assert again.modes([IDS[i]], 0.5) == [modes[i]]
    assert Curriculum(seed=2).modes(IDS, 0.5) != modes
    assert Curriculum(seed=1).modes(IDS, 0.5, moment=1) != modes


def test_a_sample_stays_implicit_at_one_moment():
    curriculum = Curriculum()
    before = curriculum.modes(IDS, 0.3, moment="epoch 1")
    after = curriculum.modes(IDS, 0.6, moment="epoch 1")
    pairs = set(zip(before, after, strict=True))
    assert ("implicit", "explicit") not in pairs
    assert ("explicit", "implicit") in pairs


def test_errors():
    with pytest.raises(ValueError, match="'quadratic'.*linear"):
        Curriculum("quadratic")
    with pytest.raises(ValueError, match="start.*1.5"):
        Curriculum(start=1.5)
    with pytest.raises(ValueError, match="progress.*1.01"):
        Curriculum().probability(1.01)
