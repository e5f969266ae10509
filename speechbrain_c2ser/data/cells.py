"""Texts as cells of tables that no spreadsheet takes for a formula.

A label, a transcript or a file name may be a stranger's, and a spreadsheet
computes ``=HYPERLINK(...)``, also out of a CSV. A quotation mark before it
makes it a text (OWASP, CSV Injection).
"""

import csv
import io
import re
from collections.abc import Iterable

# What begins a formula, in full width too; behind marks of our own kind, so
# that each text has one cell and each cell one text.
FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
# Columns by which a table of results is known as one that we wrote.
OURS = frozenset(("version", "model", "path", "label", "score"))


def as_cell(value: object) -> object:
    """A value as it is written into a table.

    Arguments
    ---------
    value : object
        A text, or a number, which stays one.

    Returns
    -------
    object

    Example
    -------
    >>> as_cell("=1+1"), as_cell("'=1+1"), as_cell("it's"), as_cell(-1.5)
    ("'=1+1", "''=1+1", "it's", -1.5)
    """
    if isinstance(value, str) and FORMULA.match(value):
        return f"'{value}"
    return value


def csv_line(cells: Iterable) -> str:
    """Cells as a line of CSV, each by :func:`as_cell`.

    Arguments
    ---------
    cells : iterable
        Texts, numbers and None.

    Returns
    -------
    str
        Without an end of line.

    Example
    -------
    >>> print(csv_line(["a, b", "@sum", -0.5, None]))
    "a, b",'@sum,-0.5,
    """
    text = io.StringIO()
    # With this end alone, Python 3.12 and before quote both of its signs.
    csv.writer(text, lineterminator="\r\n").writerow(map(as_cell, cells))
    return text.getvalue().removesuffix("\r\n")


def from_cell(text: str) -> str:
    """A text as it was before :func:`as_cell`.

    Arguments
    ---------
    text : str
        A cell of a table that we wrote.

    Returns
    -------
    str

    Example
    -------
    >>> from_cell("'=1+1"), from_cell("''=1+1"), from_cell("'tis")
    ('=1+1', "'=1+1", "'tis")
    """
    if text.startswith("'") and FORMULA.match(text):
        return text[1:]
    return text
