"""A temperature: found where it is known, harmless where it is not."""

import numpy as np
import pytest

from speechbrain_c2ser.evaluation.metrics.temperature import (
    fit_calibration,
    fit_temperature,
    soften,
)


def draw(count, seed=0):
    """Probabilities that come true as often as they say, and what came."""
    rng = np.random.default_rng(seed)
    probabilities = soften(np.exp(2 * rng.standard_normal((count, 4))), 1.0)
    targets = [rng.choice(4, p=row) for row in probabilities]
    return probabilities, np.array(targets)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_what_was_divided_is_found_again(temperature):
    probabilities, targets = draw(5000)
    distorted = soften(probabilities, 1 / temperature)
    assert fit_temperature(distorted, targets) == pytest.approx(
        temperature, rel=0.05
    )
    figures = fit_calibration(distorted, targets)
    assert figures["valid_ece_calibrated"] < 0.02
    assert (figures["valid_ece"] < 0.02) == (temperature == 1.0)


def test_a_few_right_answers_do_not_make_certain():
    probabilities = np.array([[0.7, 0.3]] * 5)
    temperature = fit_temperature(probabilities, np.zeros(5, int))
    # as of five right and half of one wrong
    assert soften(probabilities, temperature)[0, 0] == pytest.approx(
        (5 + 0.5) / 6, abs=0.01
    )


def test_nothing_to_fit_changes_nothing():
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, int)) == 1.0
    assert fit_temperature(np.full((9, 3), 1 / 3), np.zeros(9, int)) == 1.0


def test_certainty_is_no_infinity():
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0]])
    softened = soften(probabilities, fit_temperature(probabilities, [0, 1]))
    assert np.isfinite(softened).all() and softened[0, 0] < 0.9
