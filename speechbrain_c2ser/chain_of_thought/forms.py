"""Explicit answers of one's own form: captions, causes, numbers in words."""

from collections.abc import Collection, Iterable
from string import Formatter

from speechbrain_c2ser.chain_of_thought.languages import FALLBACK, in_language
from speechbrain_c2ser.chain_of_thought.slots.base import (
    check_fields,
    in_words,
)
from speechbrain_c2ser.chain_of_thought.templates import STYLE_WORDS

# Of a row's `vad`, in its order.
DIMENSIONS = ("valence", "arousal", "dominance")


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
            if "emotion" not in names_in(text):
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
        texts = sum(map(list, self.texts.values()), [])
        return lacking({**item, "emotion": "any"}, texts)

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
        fields = fields_of(item, language)
        answers = []
        for text in in_language(self.texts, language):
            named = {
                n: in_words(fields[n]) for n in names_in(text) - {"emotion"}
            }
            answers.append(text.format(emotion=emotion, **named))
        return answers

    def check(self, items: Collection[dict]) -> None:
        """Refuse items that lack a field of the form, before training.

        Arguments
        ---------
        items : collection of dict
            Manifest rows with their id.

        Raises
        ------
        ValueError
            One line: the field, how many rows lack it, the first one.
        """
        check_fields("The explicit answer", self.missing, items)


def names_in(text: str) -> set[str]:
    """The names in braces.

    Example
    -------
    >>> names_in("It is {arousal}.")
    {'arousal'}
    """
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def lacking(item: dict, texts: Iterable[str]) -> str | None:
    """The first field of some texts that an item lacks, or None.

    Example
    -------
    >>> lacking({"emotion": "sad"}, ["{emotion}", "because {cause}"])
    'cause'
    """
    fields = fields_of(item, FALLBACK)
    for text in texts:
        for name in sorted(names_in(text)):
            if fields.get(name) in (None, ""):
                return name
    return None


def fields_of(item: dict, language: str) -> dict:
    """What a row's texts may name: its fields, style words, dimensions.

    Arguments
    ---------
    item : dict
        Manifest row. ``vad`` is valence, arousal and dominance in this order,
        or by name; with ``vad_scale`` they become 0 to 1.
    language : str
        Of the style's words.

    Returns
    -------
    dict

    Example
    -------
    >>> row = {"vad": [1, 4, None], "vad_scale": [1, 7]}
    >>> fields_of(row, "en")["arousal"]
    0.5
    """
    style, vad = item.get("style"), item.get("vad")
    fields = dict(item)
    if isinstance(vad, list | tuple):
        vad = dict(zip(DIMENSIONS, vad, strict=False))
    if isinstance(vad, dict):
        low, high = item.get("vad_scale") or (0, 1)
        fields |= {
            name: round((value - low) / (high - low), 2)
            for name, value in vad.items()
            if value is not None
        }
    if isinstance(style, dict):
        for attribute, words in STYLE_WORDS[language].items():
            fields[attribute] = words.get(str(style.get(attribute)))
    return fields
