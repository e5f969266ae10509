"""Scoring predictions, ours or foreign, against what is true.

Read predictions and references, read labels out of free text in several ways,
score each way apart, write figures and pictures, compare two results.
"""
