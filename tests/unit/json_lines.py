"""Lists of rows as JSON lines."""

import json


def write_lines(path, rows):
    """A line of each row; returns the path."""
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return path
