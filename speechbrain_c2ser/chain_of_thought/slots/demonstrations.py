"""Examples in a prompt."""

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.chain_of_thought.slots.base import (
    Slot,
    emotion_word,
    plain,
)
from speechbrain_c2ser.chain_of_thought.slots.retrieval import words_of
from speechbrain_c2ser.chain_of_thought.slots.texts import DEMONSTRATIONS


@remember_arguments
class Demonstrations(Slot):
    """Examples: what was said, and the emotion that it had.

    All of them, or the nearest by the words shared with the utterance, as the
    retrieval of InstructERC (arXiv 2309.11911) and PRC-Emo do. An utterance
    is never its own example.

    Arguments
    ---------
    examples : list of dict
        ``transcript`` and ``emotion``, and the ``id`` where it is a row of
        the training set (:func:`speechbrain_c2ser.data.turns.examples_of`).
    nearest : int | None
        So many nearest ones, the nearest last; None = all in their order.
    key : str
        Field of the utterance's words, needed for the nearest.

    Raises
    ------
    ValueError
        For no example, or one without its words or emotion.

    Example
    -------
    >>> pool = [{"transcript": "Get out!", "emotion": "angry"},
    ...     {"transcript": "Oh no.", "emotion": "sad"}]
    >>> slot = Demonstrations(pool, nearest=1)
    >>> print(slot.text({"transcript": "Out, all of you!"}, "en"))
    Examples:
    "Get out!" -> angry
    """

    def __init__(
        self,
        examples: list,
        nearest: int | None = None,
        key: str = "transcript",
    ):
        if not examples:
            raise ValueError("Demonstrations need an example.")
        for number, example in enumerate(examples):
            if not example.get("transcript") or not example.get("emotion"):
                raise ValueError(
                    f"Example {number} of the demonstrations lacks its "
                    "transcript or emotion."
                )
        self.examples = examples
        self.nearest = nearest
        self.key = key

    def missing(self, item):
        """The key, where the nearest examples are looked for by it."""
        if self.nearest is None or item.get(self.key):
            return None
        return self.key

    def text(self, item, language):
        """A line for each example."""
        head, form = DEMONSTRATIONS[language]
        name = item.get("id")
        examples = [
            e for e in self.examples if name is None or e.get("id") != name
        ]
        if self.nearest is not None:
            words = set(words_of(item[self.key]))
            near = [
                -_overlap(words, set(words_of(e["transcript"])))
                for e in examples
            ]
            order = sorted(range(len(near)), key=near.__getitem__)
            chosen = order[: self.nearest]
            examples = [examples[i] for i in reversed(chosen)]
        lines = [
            form.format(
                text=plain(e["transcript"]),
                emotion=emotion_word(e["emotion"], language),
            )
            for e in examples
        ]
        return "\n".join([head, *lines]) if lines else ""


def _overlap(one, two):
    return len(one & two) / max(1, len(one | two))
