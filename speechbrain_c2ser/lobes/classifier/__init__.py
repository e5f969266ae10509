"""Emotion classifiers: encoder, poolings, networks, heads."""
