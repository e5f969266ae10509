"""Whether a recording can be classified here, by doing it."""

import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.inference.opening import open_classifier
from speechbrain_c2ser.lobes import (
    CategoryHead,
    EmotionClassifier,
    LogMel,
    MaskedMean,
    MultiHead,
)

RATE = 16000


def classify_a_tone() -> tuple[str, float]:
    """Save a tiny untrained classifier, load it, and let it hear a file.

    Returns
    -------
    tuple
        (device it ran on, seconds that took).

    Example
    -------
    >>> device, seconds = classify_a_tone()
    >>> seconds > 0
    True
    """
    start = time.perf_counter()
    heads = MultiHead({"emotion": CategoryHead(8, ["calm", "cross"])})
    model = EmotionClassifier(LogMel(n_mels=8), heads, MaskedMean(8)).eval()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "tone.wav"
        tone = 0.3 * np.sin(np.arange(RATE) / 7)
        soundfile.write(path, tone.astype(np.float32), RATE)
        folder = save_classifier(model, Path(place) / "model")
        classifier = open_classifier(folder)
        classifier.classify_file(path)
    return str(classifier.device), time.perf_counter() - start
