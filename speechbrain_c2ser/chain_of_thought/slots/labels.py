"""What the labels mean, and which of them something else thinks likely."""

from collections.abc import Mapping

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.chain_of_thought.slots.base import Slot, emotion_word
from speechbrain_c2ser.chain_of_thought.slots.texts import (
    CHINESE_DEFINITIONS,
    DEFINITIONS,
    HINT,
)
from speechbrain_c2ser.labels.emotion_words import CONCEPTS, concept_of


@remember_arguments
class Definitions(Slot):
    """The emotions that may be answered, each with what it means.

    Label statements with definitions, as in InstructERC (arXiv 2309.11911).

    Arguments
    ---------
    label_space : LabelSpace
        Labels and ``definitions``; those of the package are there in Chinese,
        too.

    Example
    -------
    >>> from speechbrain_c2ser.labels import LabelSpace
    >>> space = LabelSpace(["sad", "odd"])
    >>> print(Definitions(space).text({}, "en"))
    Emotions:
    - sad: Loss, disappointment or grief.
    - odd
    """

    def __init__(self, label_space):
        self.label_space = label_space

    def text(self, item, language):
        """A line for each label."""
        head, defined, bare = DEFINITIONS[language]
        lines = [head]
        for name in self.label_space.names:
            definition = self._definition(name, language)
            form = defined if definition else bare
            label = self.label_space.surface(name, language)
            lines.append(form.format(label=label, definition=definition))
        return "\n".join(lines)

    def _definition(self, name, language):
        definition = self.label_space.definitions.get(name)
        concept = concept_of(name)
        if language == "zh" and concept in CONCEPTS:
            if definition == CONCEPTS[concept][1]:
                return CHINESE_DEFINITIONS[concept]
        return definition


@remember_arguments
class Hint(Slot):
    """The labels that something else thinks likely, the likeliest first.

    A small model's guesses in a large one's prompt, as in HEF
    (hint-enhanced framework).

    Arguments
    ---------
    k : int
        Labels at most.
    key : str
        Field: a weak label ``{"labels": {"angry": 0.7, ...}, ...}``, numbers
        by label, a label, or a list of labels.

    Raises
    ------
    ValueError
        For fewer than one label.

    Example
    -------
    >>> item = {"weak": {"labels": {"sad": 0.2, "angry": 0.7, "happy": 0.1}}}
    >>> Hint(k=2).text(item, "en")
    'Hint: the emotion is probably angry, or sad.'
    """

    def __init__(self, k: int = 2, key: str = "weak"):
        if k < 1:
            raise ValueError(f"A hint has at least one label, not {k}.")
        self.k = k
        self.key = key

    def missing(self, item):
        """The key, where it names no label."""
        return None if self._labels(item) else self.key

    def text(self, item, language):
        """One line."""
        form, between = HINT[language]
        words = [emotion_word(n, language) for n in self._labels(item)]
        return form.format(labels=between.join(words))

    def _labels(self, item):
        value = item.get(self.key)
        if isinstance(value, Mapping):
            numbers = value.get("labels", value)
            if isinstance(numbers, Mapping):
                value = sorted(numbers, key=lambda n: (-numbers[n], n))
            else:
                value = numbers
        if isinstance(value, str):
            value = [value]
        return [name for name in value or [] if name][: self.k]
