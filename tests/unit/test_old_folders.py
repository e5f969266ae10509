"""Folders that the first version saved (commit e38fbe9) are still read.

``data/old_folders`` were written by it: tiny models of random weights, and in
``expected.json`` what they predicted for the waveform below.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from speechbrain_c2ser.checkpoints.converters.emotion2vec import load_encoder
from speechbrain_c2ser.checkpoints.old_blocks import OLD, modernize
from speechbrain_c2ser.inference import Emotion2VecSEncoder, EmotionClassifier

FOLDERS = Path(__file__).parent / "data" / "old_folders"
EXPECTED = json.loads((FOLDERS / "expected.json").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_an_old_classifier_predicts_what_it_did(name):
    text = (FOLDERS / name / "hyperparams.yaml").read_text(encoding="utf-8")
    assert any(f".{old}\n" in text for old in OLD)
    wav = torch.sin(torch.arange(4800) * 0.05) * torch.linspace(0, 1, 4800)
    plus = name == "emotion2vec_plus"
    folder = FOLDERS / name
    if plus:  # was no folder of this class; only its labels' space is missing
        settings = Emotion2VecSEncoder.from_hparams(folder)
        model = settings.hparams.model.eval()
        probabilities = model.predict(wav.unsqueeze(0))["emotion"]
        assert model.heads["emotion"].labels == ["生气/angry", "难过/sad"]
    else:
        classifier = EmotionClassifier.from_hparams(folder)
        probabilities = classifier.classify_batch(wav.unsqueeze(0))[0]
        assert classifier.labels == ["angry", "sad"]
    torch.testing.assert_close(
        probabilities[0], torch.tensor(EXPECTED[name]), atol=1e-5, rtol=0
    )


def test_an_old_emotion2vec_plus_is_an_encoder_too():
    encoder = load_encoder(FOLDERS / "emotion2vec_plus", freeze=True)
    features = encoder.extract(torch.randn(1, 4000))
    assert features.tokens.shape == (1, 10, 8)


@pytest.mark.parametrize(
    "text, match",
    [
        ("WhisperFeatures {}", "WhisperFeatures is saved without its encoder"),
        ("EncoderClassifier [1]", "EncoderClassifier is saved without its"),
        (
            "EncoderClassifier {head: !new:x.MeanPoolClassifier {labels: 1, "
            "input_size: 2}}",
            "no list of labels",
        ),
    ],
)
def test_an_old_block_without_its_arguments(text, match):
    with pytest.raises(ValueError, match=match):
        modernize(YAML().compose(f"{{model: !new:old.{text}}}"))


def test_an_old_block_elsewhere_is_refused(tmp_path):
    """Only a model has them: a wrapper under another key is not built."""
    folder = shutil.copytree(FOLDERS / "whisper_features", tmp_path / "model")
    path = folder / "hyperparams.yaml"
    text = path.read_text(encoding="utf-8")
    extra = "extra: !new:speechbrain_c2ser.lobes.WhisperFeatures {encoder: 1}"
    path.write_text(text.replace("extra: null", extra), encoding="utf-8")
    with pytest.raises(ValueError, match="WhisperFeatures stands in a model"):
        EmotionClassifier.from_hparams(folder)
