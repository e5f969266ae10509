"""``--channel``: one side of a call, or each side as a result of its own."""

from collections.abc import Iterable, Iterator
from typing import Any

from speechbrain_c2ser.timelines.documents import channel_name

SIDES = {"left": 0, "right": 1}


def as_row(recording: str | dict) -> dict:
    """A recording of the command line as a row, as lists have them.

    Example
    -------
    >>> as_row("a.wav"), as_row({"id": "a", "wav": "a.wav"})
    ({'wav': 'a.wav'}, {'id': 'a', 'wav': 'a.wav'})
    """
    return recording if isinstance(recording, dict) else {"wav": recording}


def as_channels(
    recordings: list, which: str
) -> tuple[list[dict], dict[int, str]]:
    """Rows of the channels that are asked for.

    Arguments
    ---------
    recordings : list
        Of :func:`~speechbrain_c2ser.cli.inputs.find_recordings`; a row that
        names its channel stays as it is.
    which : str
        "left", "right" or "each".

    Returns
    -------
    tuple
        (rows with ``channel``; place of a row -> what is wrong with it: a
        mono file has neither left nor right). A file that cannot be opened
        stays one row, whose error is told when it is read.

    Example
    -------
    >>> as_channels([{"wav": "a.wav", "channel": 0}], "each")
    ([{'wav': 'a.wav', 'channel': 0}], {})
    """
    rows: list[dict] = []
    errors: dict[int, str] = {}
    for recording in recordings:
        row = as_row(recording)
        if row.get("channel") is not None:
            rows.append(row)
            continue
        count = _count(row["wav"])
        if count is None:
            rows.append(row)
        elif count == 1:
            errors[len(rows)] = (
                f"{row['wav']} is mono: it has no left and right channel; "
                "leave out --channel."
            )
            rows.append(row)
        else:
            sides = range(count) if which == "each" else [SIDES[which]]
            rows += [{**row, "channel": side} for side in sides]
    return rows, errors


def with_errors(results: Iterable, rows: list, errors: dict) -> Iterator:
    """Results in the order of the rows, with those that were not asked for.

    Arguments
    ---------
    results : iterable of FileResult
        Of the rows that have no error.
    rows : list of dict
        Of :func:`as_channels`.
    errors : dict
        Likewise.

    Yields
    ------
    FileResult
    """
    from speechbrain_c2ser.inference.results import FileResult

    rest = iter(results)
    for number, row in enumerate(rows):
        if number in errors:
            yield FileResult(str(row["wav"]), error=errors[number])
        else:
            yield next(rest)


def groups_of(recordings: list) -> list[range]:
    """Places of neighbours that are channels of one recording.

    Arguments
    ---------
    recordings : list
        Paths, or rows.

    Returns
    -------
    list of range

    Example
    -------
    >>> left, right = ({"wav": "a.wav", "channel": side} for side in (0, 1))
    >>> groups_of([left, right, right, "b.wav", "b.wav"])
    [range(0, 2), range(2, 3), range(3, 4), range(4, 5)]
    """
    starts = [
        number
        for number, recording in enumerate(recordings)
        if number == 0 or not _follows(recordings[number - 1], recording)
    ]
    stops = [*starts[1:], len(recordings)]
    return [range(*bounds) for bounds in zip(starts, stops, strict=True)]


def name_of_record(record: dict) -> str:
    """Path of a result, with its channel where one was heard.

    Example
    -------
    >>> name_of_record({"path": "a.wav", "channel": 1})
    'a.wav (right)'
    """
    if "channel" not in record:
        return record["path"]
    return f"{record['path']} ({channel_name(record['channel'])})"


def _follows(one: Any, two: Any) -> bool:
    """Whether they are the same but for a later channel."""
    if not (isinstance(one, dict) and isinstance(two, dict)):
        return False
    first, second = one.get("channel"), two.get("channel")
    if first is None or second is None or not first < second:
        return False
    return {**one, "channel": second} == two


def _count(path):
    """Channels of a file; None where it cannot be opened."""
    # Not at the top: help must not wait for it.
    from speechbrain_c2ser.audio.decoding import decode
    from speechbrain_c2ser.audio.errors import AudioError

    try:
        with decode(path, str(path)) as decoder:
            return decoder.channels
    except (AudioError, OSError, ValueError):
        return None
