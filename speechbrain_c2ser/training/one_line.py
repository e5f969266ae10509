"""What a recipe's user can mend is told in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def errors_in_one_line(script: str) -> Iterator[None]:
    """End a recipe in one line where its user can mend what was given.

    Arguments
    ---------
    script : str
        The recipe's ``__file__``.

    Raises
    ------
    SystemExit
        For an error in what was given: a value, a file that is not there or
        cannot be used.

    Example
    -------
    >>> with errors_in_one_line("recipes/C2SER/train_explicit.py"):
    ...     raise ValueError("42 of 42 rows lack\\nthe field.")
    Traceback (most recent call last):
    ...
    SystemExit: train_explicit: 42 of 42 rows lack the field.
    >>> with errors_in_one_line("recipes/C2SER/train_explicit.py"):
    ...     open("nowhere.json")
    Traceback (most recent call last):
    ...
    SystemExit: train_explicit: nowhere.json: No such file or directory.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        told = " ".join(_sentence(error).split())
        raise SystemExit(f"{Path(script).stem}: {told}") from error


def _sentence(error):
    """Of an error of the system its file and reason, without the number."""
    reason = getattr(error, "strerror", None)
    if reason is None:
        return str(error)
    # Of two, as of a file that takes another's place, the user knows the last.
    name = error.filename if error.filename2 is None else error.filename2
    return f"{reason}." if name is None else f"{name}: {reason}."
