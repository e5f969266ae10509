"""Weak labels for speech that has none, from one manifest to whole archives."""
