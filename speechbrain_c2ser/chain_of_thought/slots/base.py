"""What a slot of a prompt is, and how slots become a prompt."""

from collections.abc import Callable, Collection, Mapping, Sequence

from speechbrain_c2ser.chain_of_thought.languages import FALLBACK
from speechbrain_c2ser.labels import LabelSpace


class Slot:
    """A part of a prompt.

    Example
    -------
    >>> class Title(Slot):
    ...     def text(self, item, language):
    ...         return "A call."
    >>> fill("Which emotion?", [Title()], {})
    'A call.\\nWhich emotion?'
    """

    def missing(self, item: dict) -> str | None:
        """The field that an item lacks for this slot, or None.

        Arguments
        ---------
        item : dict
            Manifest row.

        Returns
        -------
        str | None
        """
        return None

    def text(self, item: dict, language: str) -> str:
        """What the slot says of an item; empty = nothing.

        Arguments
        ---------
        item : dict
            Manifest row that lacks nothing.
        language : str
            "en" or "zh", of the question.

        Returns
        -------
        str
        """
        raise NotImplementedError


def fill(
    question: str, slots: Sequence, item: dict, language: str = FALLBACK
) -> str:
    """The prompt of an item: what the slots say, then the question.

    Arguments
    ---------
    question : str
        As of :func:`speechbrain_c2ser.chain_of_thought.answers.prompt`.
    slots : sequence of Slot
        In their order.
    item : dict
        Manifest row.
    language : str
        Of the question.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the item lacks a slot's field; names both.

    Example
    -------
    >>> from speechbrain_c2ser.chain_of_thought.slots import Transcript
    >>> fill("Which emotion?", [Transcript()], {"transcript": "No."})
    'Transcript: "No."\\nWhich emotion?'
    """
    check_slots(slots, [item])
    texts = [slot.text(item, language) for slot in slots]
    return "\n".join([*filter(None, texts), question])


def check_slots(slots: Sequence, items: Collection[dict]) -> None:
    """Refuse items that lack what a prompt's slots need.

    Arguments
    ---------
    slots : sequence of Slot
        Of the prompt.
    items : collection of dict
        Manifest rows.

    Raises
    ------
    ValueError
        One line: the slot, the field, how many rows lack it, the first one.

    Example
    -------
    >>> from speechbrain_c2ser.chain_of_thought.slots import Transcript
    >>> check_slots([Transcript()], [{"id": "a"}, {"transcript": "No."}])
    Traceback (most recent call last):
    ...
    ValueError: The prompt's slot Transcript needs the field 'transcript', \
which 1 of 2 rows lack, such as 'a'.
    """
    for slot in slots:
        check_fields(
            f"The prompt's slot {type(slot).__name__}", slot.missing, items
        )


def check_fields(
    what: str, missing: Callable[[dict], str | None], items: Collection[dict]
) -> None:
    """Refuse items that lack a field.

    Arguments
    ---------
    what : str
        What needs it, as the error begins.
    missing : callable
        Item → the first field that it lacks, or None.
    items : collection of dict
        Manifest rows.

    Raises
    ------
    ValueError
        One line: what, the field, how many rows lack it, the first one.

    Example
    -------
    >>> check_fields("It", lambda item: None, [{"id": "a"}])
    """
    field, name, number = None, None, 0
    for item in items:  # of a set of any size: none is kept
        lacks = missing(item)
        if lacks and field is None:
            field, name = lacks, item.get("id") or item.get("wav")
        number += bool(lacks) and lacks == field
    if field is None:
        return
    raise ValueError(
        f"{what} needs the field {field!r}, which {number} of {len(items)} "
        "rows lack"
        + (f", such as {name!r}" if name else "")
        + (
            " (rows get it from their 'dialogue' and 'turn')."
            if field in ("before", "after")
            else "."
        )
    )


def emotion_word(emotion: str, language: str) -> str:
    """The word for an emotion; a label that is not known stays as it is.

    Example
    -------
    >>> emotion_word("sad", "zh"), emotion_word("odd", "zh")
    ('悲伤', 'odd')
    """
    return LabelSpace([emotion]).surface(emotion, language)


def plain(text: object) -> str:
    """A value on one line.

    Example
    -------
    >>> plain("one\\n two")
    'one two'
    """
    return " ".join(str(text).split())


def in_words(value: object) -> str:
    """A text, number, list or mapping on one line.

    Example
    -------
    >>> in_words({"age": 30, "traits": ["open", "calm"]})
    'age: 30; traits: open; calm'
    """
    if isinstance(value, Mapping):
        return "; ".join(f"{k}: {in_words(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(map(in_words, value))
    return plain(value)
