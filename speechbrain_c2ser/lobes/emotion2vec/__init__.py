"""Emotion2Vec-S, the acoustic encoder, and its pre-training."""
