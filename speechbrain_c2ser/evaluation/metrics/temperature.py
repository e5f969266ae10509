"""One temperature for a model's probabilities, fitted on validation data."""

import numpy as np
from scipy.optimize import minimize_scalar

from speechbrain_c2ser.evaluation.metrics.calibration import (
    expected_calibration_error,
)

LEAST = 1e-12
TEMPERATURES = (0.05, 20.0)


def soften(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities [N, L] at a temperature: softmax of log p over it.

    Example
    -------
    >>> soften(np.array([[0.8, 0.2]]), 2.0).round(3).tolist()
    [[0.667, 0.333]]
    """
    logits = np.log(np.maximum(probabilities, LEAST)) / temperature
    logits -= logits.max(1, keepdims=True)
    raised = np.exp(logits)
    return raised / raised.sum(1, keepdims=True)


def fit_temperature(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """The temperature under which the true labels are likeliest.

    One more utterance of no label in particular is counted in, as Platt
    does: a few utterances that are all right do not make a model certain.

    Arguments
    ---------
    probabilities : np.ndarray
        [N, L] of a validation set.
    targets : np.ndarray
        [N] true indices.

    Returns
    -------
    float
        Between 0.05 and 20; over 1 softens, as of a system too sure. 1 where
        no other one is better.

    Example
    -------
    >>> sure = np.array([[0.99, 0.01]] * 100)
    >>> targets = np.array([0] * 80 + [1] * 20)  # right in 80 of 100
    >>> temperature = fit_temperature(sure, targets)
    >>> soften(sure[:1], temperature).round(2).tolist()
    [[0.8, 0.2]]
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    count, labels = probabilities.shape
    if count == 0:
        return 1.0
    truth = np.full((count, labels), 1 / (labels * (count + 1)))
    truth[np.arange(count), targets] += count / (count + 1)

    def loss(log_temperature):
        softened = soften(probabilities, np.exp(log_temperature))
        return -(truth * np.log(np.maximum(softened, LEAST))).sum(1).mean()

    optimum = minimize_scalar(
        loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded"
    )
    return float(np.exp(optimum.x)) if optimum.fun < loss(0.0) else 1.0


def fit_calibration(probabilities, targets) -> dict[str, float]:
    """A temperature, and the calibration error without and with it.

    Arguments
    ---------
    probabilities : array
        [N, L] of a validation set.
    targets : sequence of int
        [N] true indices.

    Returns
    -------
    dict
        ``temperature``; ``valid_ece`` and ``valid_ece_calibrated`` of the set
        that it was fitted on, for the log of a training.

    Example
    -------
    >>> figures = fit_calibration([[0.99, 0.01]] * 50, [0] * 40 + [1] * 10)
    >>> round(figures["valid_ece"], 2), figures["valid_ece_calibrated"] < 0.02
    (0.19, True)
    """
    probabilities, targets = np.asarray(probabilities), np.asarray(targets)
    temperature = fit_temperature(probabilities, targets)
    calibrated = soften(probabilities, temperature)
    return {
        "temperature": temperature,
        "valid_ece": expected_calibration_error(probabilities, targets),
        "valid_ece_calibrated": expected_calibration_error(calibrated, targets),
    }


def calibration_sentence(figures) -> str:
    """What :func:`fit_calibration` found, for the terminal.

    Example
    -------
    >>> calibration_sentence(fit_calibration([[0.99, 0.01]] * 2, [0, 1]))
    'Temperature 20.000, fitted on the validation set: calibration error
    0.490 without, 0.057 with it.'
    """
    return (
        "Temperature {temperature:.3f}, fitted on the validation set: "
        "calibration error {valid_ece:.3f} without, "
        "{valid_ece_calibrated:.3f} with it."
    ).format(**figures)
