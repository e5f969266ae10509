"""The one error of evaluation, and names in its sentences."""


class PredictionError(ValueError):
    """Predictions or references cannot be scored; says which and why."""


def some(names, most: int = 5) -> str:
    """The first few of many names, for a message."""
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
