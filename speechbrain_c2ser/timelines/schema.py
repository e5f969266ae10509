"""The JSON that every command and server answers, as a JSON schema."""

import json
from importlib.resources import files

VERSION = 1  # of the schema: a field that goes or changes raises it


def result_schema() -> dict:
    """JSON schema (draft 2020-12) of one recording's result.

    ``docs/formats.md`` says the same in words.

    Returns
    -------
    dict

    Example
    -------
    >>> result_schema()["properties"]["schema"]
    {'const': 1}
    """
    path = files(__package__).joinpath("result.schema.json")
    return json.loads(path.read_text(encoding="utf-8"))
