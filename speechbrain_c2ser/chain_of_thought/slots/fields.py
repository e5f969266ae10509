"""Fields of a row in words: measured style, transcript, anything."""

from collections.abc import Mapping

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.chain_of_thought.languages import FALLBACK, in_language
from speechbrain_c2ser.chain_of_thought.slots.base import Slot, in_words
from speechbrain_c2ser.chain_of_thought.slots.texts import CUES, TRANSCRIPT
from speechbrain_c2ser.chain_of_thought.templates import STYLE_WORDS


@remember_arguments
class Cues(Slot):
    """How it is spoken, measured, in words: pace, pitch, volume.

    As in SpeechCueLLM (arXiv 2407.21315). Rows have ``style`` from
    recipes/C2SER/annotate_style.py.

    Arguments
    ---------
    key : str
        Field of "speed", "pitch" and "volume", each low, normal or high.

    Example
    -------
    >>> style = {"speed": "high", "pitch": "low", "volume": "normal"}
    >>> Cues().text({"style": style}, "en")
    'Measured: fast pace, low pitch, normal volume.'
    """

    def __init__(self, key: str = "style"):
        self.key = key

    def missing(self, item):
        """The key, where one of the three is no style word."""
        style = item.get(self.key)
        words = STYLE_WORDS[FALLBACK]
        complete = isinstance(style, Mapping) and all(
            style.get(attribute) in words[attribute] for attribute in words
        )
        return None if complete else self.key

    def text(self, item, language):
        """One line."""
        words = {
            attribute: words[item[self.key][attribute]]
            for attribute, words in STYLE_WORDS[language].items()
        }
        return CUES[language].format(**words)


@remember_arguments
class Quoted(Slot):
    """Any field of a row in a sentence: knowledge, traits, found passages.

    Common sense as in COSMIC (arXiv 2010.02795), personality as in CPED,
    retrieved passages: whatever wrote the field.

    Arguments
    ---------
    key : str
        The field: a text, a number, a list, or values by name.
    text : str | dict
        Sentence with ``{value}``, or language → sentence; a language without
        one takes the English, or the first.

    Raises
    ------
    ValueError
        For a sentence without ``{value}``.

    Example
    -------
    >>> slot = Quoted("knowledge", "Known: {value}.")
    >>> slot.text({"knowledge": ["she wants help", "he feels sorry"]}, "zh")
    'Known: she wants help; he feels sorry.'
    """

    def __init__(self, key: str, text: str | dict):
        self.key = key
        self.sentences = text if isinstance(text, dict) else {FALLBACK: text}
        for sentence in self.sentences.values() or [""]:
            if "{value}" not in sentence:
                raise ValueError(
                    f"The sentence that quotes {key} has no {{value}}: "
                    f"{sentence!r}."
                )

    def missing(self, item):
        """The key, where it is empty."""
        return self.key if item.get(self.key) in (None, "", [], {}) else None

    def text(self, item, language):
        """The sentence."""
        sentence = in_language(self.sentences, language)
        # no str.format: a folder's sentence must not reach into objects
        return sentence.replace("{value}", in_words(item[self.key]))


@remember_arguments
class Transcript(Quoted):
    """What is said, from the corpus or from a recognizer.

    Arguments
    ---------
    key : str
        "transcript", or "transcript_asr" as recipes/Baselines/cascade.py
        writes it.

    Example
    -------
    >>> Transcript().text({"transcript": "Get out!"}, "en")
    'Transcript: "Get out!"'
    """

    def __init__(self, key: str = "transcript"):
        super().__init__(key, TRANSCRIPT)
