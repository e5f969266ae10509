"""Emotion labels: their names, aliases, definitions and relations."""

from speechbrain_c2ser.labels.space import LabelSpace

__all__ = ["LabelSpace"]
