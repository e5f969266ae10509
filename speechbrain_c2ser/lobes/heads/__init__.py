"""Heads: what a model predicts from a vector or from frames."""
