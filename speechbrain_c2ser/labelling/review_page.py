"""A page to listen with: play, press a key, take the filled sheet home."""

import hashlib
import html
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from speechbrain_c2ser.data.atomic import write_atomic


def write_page(
    sheet: Path,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    labels: Sequence[str],
) -> Path:
    """Write one expert's page beside the sheet, of the same rows.

    It is one file that asks no other host for anything; answers stay in the
    browser until they are downloaded as the sheet.

    Arguments
    ---------
    sheet : Path
        The expert's CSV.
    columns : sequence of str
        Of the sheet: recording, transcript, answer.
    rows : sequence of (str, str)
        Recording, by its path from the page, and transcript.
    labels : sequence of str
        What can be answered.

    Returns
    -------
    Path
        The page.

    Example
    -------
    >>> sheet = Path(getfixture("tmpdir")) / "anna.csv"
    >>> page = write_page(
    ...     sheet, ("recording", "transcript", "emotion"),
    ...     [["wav/0001.wav", "Oh </script>"]], ["sad"]
    ... )
    >>> page.name, page.read_text().count("</script>")
    ('anna.html', 2)
    """
    told = {
        "columns": list(columns),
        "rows": [list(row[:2]) for row in rows],
        "labels": list(labels),
        "sheet": sheet.name,
    }
    # Two reviews in one browser do not take each other's answers.
    text = json.dumps([str(sheet.resolve()), told])
    told["key"] = "c2ser " + hashlib.sha256(text.encode()).hexdigest()[:16]
    # JSON in a script element: no markup can begin in it.
    data = json.dumps(told).replace("<", "\\u003c")
    page = files(__package__).joinpath("review_page.html").read_text("utf-8")
    page = page.replace("{{title}}", html.escape(f"Listening: {sheet.stem}"))
    path = sheet.with_suffix(".html")
    write_atomic(page.replace("{{data}}", data), path)
    return path
