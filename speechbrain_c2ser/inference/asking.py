"""What a model is asked of each utterance, with the slots of its prompt."""

from collections.abc import Mapping, Sequence

from speechbrain_c2ser.chain_of_thought.languages import answer_language
from speechbrain_c2ser.chain_of_thought.slots import check_slots, fill
from speechbrain_c2ser.data.turns import with_turns

ROWS = "Ask with manifest rows that have it"


def fill_all(
    question: str,
    slots: Sequence,
    items: Sequence[dict] | None,
    number: int,
    language: str | None = None,
) -> list[str]:
    """The prompts of a batch.

    Arguments
    ---------
    question : str
        Follows what the slots say.
    slots : sequence of speechbrain_c2ser.chain_of_thought.slots.Slot
        Of the model.
    items : sequence of dict | None
        The manifest row of each utterance; None = nothing is known of them.
    number : int
        Utterances of the batch.
    language : str | None
        Of the question; None = English.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If the slots need what is not given, or items are too few or many.

    Example
    -------
    >>> from speechbrain_c2ser.chain_of_thought.slots import Transcript
    >>> fill_all("Which emotion?", [], None, 2)
    ['Which emotion?', 'Which emotion?']
    >>> fill_all("Which emotion?", [Transcript()], None, 2)
    Traceback (most recent call last):
    ...
    ValueError: The prompt's slot Transcript needs the field 'transcript', \
which 2 of 2 rows lack. Ask with manifest rows that have it (items=).
    """
    if not slots:
        return [question] * number
    rows = [{}] * number if items is None else list(items)
    if len(rows) != number:
        raise ValueError(
            f"{len(rows)} items were given for {number} utterances."
        )
    _check(slots, rows, f"{ROWS} (items=).")
    language = answer_language(language or "en")
    return [fill(question, slots, row, language) for row in rows]


def rows_of(slots: Sequence, audios: Sequence) -> list[dict] | None:
    """The manifest rows among recordings, with their turns.

    Arguments
    ---------
    slots : sequence of speechbrain_c2ser.chain_of_thought.slots.Slot
        Of the model.
    audios : sequence
        Recordings; a mapping is a row, anything else tells nothing of itself.

    Returns
    -------
    list of dict | None
        One for each recording; None where the model has no slots.

    Raises
    ------
    ValueError
        If no row at all has what a slot needs. Where some have it, the others
        fail one by one.
    """
    if not slots:
        return None
    rows = with_turns(
        {
            str(number): dict(audio) if isinstance(audio, Mapping) else {}
            for number, audio in enumerate(audios)
        }
    )
    items = list(rows.values())
    for slot in slots:
        if items and all(slot.missing(item) for item in items):
            _check([slot], items, f"{ROWS}: a manifest, not mere files.")
    return items


def _check(slots, rows, remedy):
    try:
        check_slots(slots, rows)
    except ValueError as error:
        raise ValueError(f"{error} {remedy}") from None
