"""Dialogues: what was said before and after each row of a manifest."""

from pathlib import Path
from typing import Any

from speechbrain_c2ser.data.arrow_manifest import ArrowManifest
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.text_files import read_text

# Of the recording, not of what was said.
UNQUOTED = ("wav", "duration", "start", "stop", "before", "after")


def with_turns(items: Any) -> Any:
    """Rows with their ``before`` and ``after``, from ``dialogue`` and ``turn``.

    Arguments
    ---------
    items : dict | ArrowManifest
        Utterance id → row, of whole dialogues: a turn that is not there is
        not quoted. A stream (:mod:`.streams`) has no dialogues.

    Returns
    -------
    dict | ArrowManifest
        Id → row; those with a dialogue and a turn have the earlier and the
        later rows of the same ``dataset`` and dialogue, in the order of the
        turns. A row that has them already, or no dialogue, stays as it is.

    Raises
    ------
    ManifestError
        For a turn that is no number.

    Example
    -------
    >>> rows = {
    ...     name: {"wav": f"{name}.wav", "dialogue": "d", "turn": turn}
    ...     for turn, name in enumerate("abc")
    ... }
    >>> [turn["id"] for turn in with_turns(rows)["c"]["before"]]
    ['a', 'b']
    """
    if isinstance(items, ArrowManifest):
        return items
    dialogues: dict[tuple, list] = {}
    for key, row in items.items():
        place = _place(key, row)
        if place is not None:
            dialogue, turn = place
            said = {k: v for k, v in row.items() if k not in UNQUOTED}
            dialogues.setdefault(dialogue, []).append(
                (turn, key, {"id": key, **said})
            )
    rows = dict(items)
    for turns in dialogues.values():
        turns.sort(key=lambda each: each[0])
        said = [each[2] for each in turns]
        for number, (_, key, _) in enumerate(turns):
            rows[key] = {
                "before": said[:number],
                "after": said[number + 1 :],
                **items[key],
            }
    return rows


def examples_of(manifest: Any, per_label: int = 1) -> list[dict]:
    """Demonstrations for a prompt: the first rows of each emotion.

    Arguments
    ---------
    manifest : str | Path | list of them
        The training set, as of
        :func:`~speechbrain_c2ser.data.parts.parts_of`.
    per_label : int
        Rows of each emotion.

    Returns
    -------
    list of dict
        ``id``, ``transcript`` and ``emotion``, emotions in turns.

    Raises
    ------
    ManifestError
        If no row has both.
    """
    # Here: SpeechBrain's logger costs every command a second.
    from speechbrain_c2ser.data.pools import read_pool

    by_label: dict[str, list] = {}
    for key, row in read_pool(manifest, aloud=False).items():
        if row.get("transcript") and row.get("emotion"):
            example = {k: row[k] for k in ("transcript", "emotion")}
            by_label.setdefault(row["emotion"], []).append(
                {"id": key, **example}
            )
    if not by_label:
        raise ManifestError(
            f"No row of {manifest} has a transcript and an emotion, of which "
            "a demonstration could be made."
        )
    chosen = [by_label[label][:per_label] for label in sorted(by_label)]
    return [
        rows[number]
        for number in range(per_label)
        for rows in chosen
        if number < len(rows)
    ]


def passages_of(path: str | Path) -> list[str]:
    """Passages of a text file, an empty line between two.

    Arguments
    ---------
    path : str | Path
        In any of the encodings of :mod:`speechbrain_c2ser.data.text_files`.

    Returns
    -------
    list of str
        Each on one line.

    Raises
    ------
    ManifestError
        For a file without a passage, or one that is no text.

    Example
    -------
    >>> path = Path(getfixture("tmpdir")) / "guide.txt"
    >>> _ = path.write_text("Poor sleep\\nis a sign.\\n\\nSo is guilt.\\n")
    >>> passages_of(path)
    ['Poor sleep is a sign.', 'So is guilt.']
    """
    try:
        lines = read_text(path).splitlines()
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is no text: {error}.") from error
    except OSError as error:
        raise ManifestError(
            f"{path} cannot be read ({error.strerror}): give a text file, an "
            "empty line between two passages."
        ) from error
    passages: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            passages[-1] += line.split()
        else:
            passages.append([])
    found = [" ".join(words) for words in passages if words]
    if not found:
        raise ManifestError(f"{path} holds no passage.")
    return found


def _place(key, row):
    """((data set, dialogue), turn) of a row, or None."""
    dialogue, turn = row.get("dialogue"), row.get("turn")
    if dialogue in (None, "") or turn in (None, ""):
        return None
    try:
        return (row.get("dataset"), dialogue), float(turn)
    except (TypeError, ValueError):
        raise ManifestError(
            f"Item {key!r}: the turn {turn!r} is not a number."
        ) from None
