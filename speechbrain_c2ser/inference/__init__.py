"""Trained models behind one line of code each."""

from speechbrain_c2ser.inference.c2ser import C2SER
from speechbrain_c2ser.inference.classifier import EmotionClassifier
from speechbrain_c2ser.inference.diarizer import EmotionDiarizer
from speechbrain_c2ser.inference.emotion2vec import Emotion2VecSEncoder

__all__ = [
    "C2SER",
    "Emotion2VecSEncoder",
    "EmotionClassifier",
    "EmotionDiarizer",
]
