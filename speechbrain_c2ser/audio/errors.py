"""The error of audio that cannot be used."""


class AudioError(ValueError):
    """Audio that cannot be used; one sentence says which and why."""
