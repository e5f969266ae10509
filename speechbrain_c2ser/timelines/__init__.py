"""Emotion over time: segments, their record in JSON, documents of them."""
