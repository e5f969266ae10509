"""C2SER for SpeechBrain: speech emotion recognition that reasons in words."""

__version__ = "0.1.0"
