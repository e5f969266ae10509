"""Descriptors of the signal and their statistics."""
