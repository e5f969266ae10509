"""Explicit answers of one's own form: captions, causes, numbers in words."""

from collections.abc import Sequence
from string import Formatter

from speechbrain_c2ser.chain_of_thought.languages import FALLBACK
from speechbrain_c2ser.chain_of_thought.slots.base import (
    check_fields,
    in_words,
)
from speechbrain_c2ser.chain_of_thought.templates import STYLE_WORDS


class AnswerForm:
    """Texts of an explicit answer with any field of a row in them.

    Arguments
    ---------
    texts : dict
        Language → list of texts, the canonical one first. ``{emotion}`` is
        the label's word; ``{speed}``, ``{pitch}``, ``{volume}`` the style's;
        ``{valence}`` and the like what ``vad`` has; any other name a field. A
        language without texts takes the English, or the first.

    Raises
    ------
    ValueError
        For texts that are none, or do not name the emotion.

    Example
    -------
    >>> form = AnswerForm({"en": ["It sounds {emotion}, because {cause}."]})
    >>> item = {"emotion": "sad", "cause": "he left"}
    >>> form.answers(item, "sad", "zh")
    ['It sounds sad, because he left.']
    >>> form.missing({"emotion": "sad"})
    'cause'
    """

    def __init__(self, texts: dict):
        if not texts or not all(texts.values()):
            raise ValueError("An answer's form needs at least one text.")
        self.texts = texts
        for text in sum(map(list, texts.values()), []):
            if "emotion" not in _names(text):
                raise ValueError(
                    f"The answer {text!r} does not name the {{emotion}}."
                )

    def missing(self, item: dict) -> str | None:
        """The first field that an item lacks, or None.

        Arguments
        ---------
        item : dict
            Manifest row.

        Returns
        -------
        str | None
        """
        fields = _fields(item, FALLBACK)
        for texts in self.texts.values():
            for text in texts:
                for name in _names(text):
                    if name != "emotion" and fields.get(name) in (None, ""):
                        return name
        return None

    def answers(self, item: dict, emotion: str, language: str) -> list[str]:
        """The answer in every text of a language.

        Arguments
        ---------
        item : dict
            Manifest row that lacks nothing.
        emotion : str
            Its emotion's word.
        language : str
            "en" or "zh".

        Returns
        -------
        list of str
        """
        first = next(iter(self.texts.values()))
        texts = self.texts.get(language, self.texts.get(FALLBACK, first))
        fields = _fields(item, language)
        answers = []
        for text in texts:
            named = {n: in_words(fields[n]) for n in _names(text) - {"emotion"}}
            answers.append(text.format(emotion=emotion, **named))
        return answers

    def check(self, items: Sequence[dict]) -> None:
        """Refuse items that lack a field of the form, before training.

        Arguments
        ---------
        items : sequence of dict
            Manifest rows with their id.

        Raises
        ------
        ValueError
            One line: the field, how many rows lack it, the first one.
        """
        check_fields("The explicit answer", self.missing, items)


def _names(text):
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def _fields(item, language):
    style, vad = item.get("style"), item.get("vad")
    fields = dict(item)
    if isinstance(vad, dict):
        fields |= {n: round(v, 2) for n, v in vad.items() if v is not None}
    if isinstance(style, dict):
        for attribute, words in STYLE_WORDS[language].items():
            fields[attribute] = words.get(style.get(attribute))
    return fields
