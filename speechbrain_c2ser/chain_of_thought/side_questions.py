"""Questions beside that of the emotion, for a mix of tasks on one utterance."""

from collections.abc import Collection, Sequence

from speechbrain_c2ser.chain_of_thought.forms import (
    fields_of,
    lacking,
    names_in,
)
from speechbrain_c2ser.chain_of_thought.languages import FALLBACK, in_language
from speechbrain_c2ser.chain_of_thought.slots.base import in_words


class SideQuestion:
    """Another question about an utterance, and its answer from the row.

    As a language model is taught several emotion tasks at once (EmoLLMs,
    arXiv 2401.08508). Asked in training only, of the rows that can answer.

    Arguments
    ---------
    question, answer : dict
        Language → text; a language without one takes the English, or the
        first. ``{valence}``, ``{speed}``, any field of the row in the answer,
        as in :class:`.forms.AnswerForm`.

    Raises
    ------
    ValueError
        If there is no text, or no field in the answer.

    Example
    -------
    >>> ask = SideQuestion({"en": "How active?"}, {"en": "It is {arousal}."})
    >>> row = {"vad": [1, 4, 4], "vad_scale": [1, 7]}
    >>> ask.texts(row, "en")
    ('How active?', 'It is 0.5.')
    >>> ask.missing({"emotion": "sad"})
    'arousal'
    """

    def __init__(self, question: dict, answer: dict):
        if not question or not answer or not all(question.values()):
            raise ValueError("A side question needs a question and an answer.")
        for text in answer.values():
            if not names_in(text):
                raise ValueError(
                    f"The answer {text!r} of a side question has no field in "
                    "braces, so that it would be the same for all."
                )
        self.question = question
        self.answer = answer

    def missing(self, item: dict) -> str | None:
        """The first field that an item lacks for the answer, or None.

        Arguments
        ---------
        item : dict
            Manifest row.

        Returns
        -------
        str | None
        """
        return lacking(item, self.answer.values())

    def texts(self, item: dict, language: str) -> tuple[str, str]:
        """Question and answer of an item that lacks nothing.

        Arguments
        ---------
        item : dict
            Manifest row.
        language : str
            "en" or "zh".

        Returns
        -------
        question, answer : str
        """
        text = in_language(self.answer, language)
        fields = fields_of(item, language)
        named = {name: in_words(fields[name]) for name in names_in(text)}
        return in_language(self.question, language), text.format(**named)


def check_side_questions(
    questions: Sequence[SideQuestion], items: Collection[dict]
) -> None:
    """Refuse a question that no row of a training set can answer.

    Arguments
    ---------
    questions : sequence of SideQuestion
    items : collection of dict
        Manifest rows.

    Raises
    ------
    ValueError
        Names the question and the field.

    Example
    -------
    >>> ask = SideQuestion({"en": "Who?"}, {"en": "{who}"})
    >>> check_side_questions([ask], [{"emotion": "sad"}])
    Traceback (most recent call last):
    ...
    ValueError: The side question 'Who?' needs the field 'who', which none \
of 1 rows has: leave the question out, or give the field.
    """
    for ask in questions:
        lacks = None
        for item in items:
            lacks = ask.missing(item)
            if not lacks:
                break
        if lacks:
            raise ValueError(
                f"The side question {in_language(ask.question, FALLBACK)!r} "
                f"needs the field {lacks!r}, which none of {len(items)} "
                "rows has: leave the question out, or give the field."
            )
