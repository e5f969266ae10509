"""How good answers are: labels, calibration, content, style, diarisation.

Rates are fractions.
"""

from speechbrain_c2ser.evaluation.metrics.answers import (
    edit_rate,
    style_accuracy,
)
from speechbrain_c2ser.evaluation.metrics.bootstrap import (
    bootstrap_intervals,
    paired_bootstrap,
)
from speechbrain_c2ser.evaluation.metrics.calibration import (
    expected_calibration_error,
    reliability_bins,
    selective_accuracy,
)
from speechbrain_c2ser.evaluation.metrics.classification import (
    classification_metrics,
)

__all__ = [
    "bootstrap_intervals",
    "classification_metrics",
    "edit_rate",
    "expected_calibration_error",
    "paired_bootstrap",
    "reliability_bins",
    "selective_accuracy",
    "style_accuracy",
]
