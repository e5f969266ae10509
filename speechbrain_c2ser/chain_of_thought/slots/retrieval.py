"""What is nearest to an utterance by its words."""

from collections.abc import Sequence

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.chain_of_thought.slots.base import plain
from speechbrain_c2ser.chain_of_thought.slots.fields import Quoted

LARGEST = 200_000  # characters of passages: a folder's settings hold them


class WordIndex:
    """Texts by the words that they share with a query, rare ones first.

    TF-IDF and the cosine, of words; of characters in writing without blanks.

    Arguments
    ---------
    texts : sequence of str
        What is looked in.

    Example
    -------
    >>> index = WordIndex(["I sleep badly.", "I ate a cake.", "I slept."])
    >>> index.nearest("You sleep so badly, and I?", 2)
    [0, 2]
    """

    def __init__(self, texts: Sequence[str]):
        # Here: scikit-learn costs a second, and few prompts retrieve.
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.vectorizer = TfidfVectorizer(analyzer=words_of)
        # a text without any word must not stop the others
        self.matrix = self.vectorizer.fit_transform([*texts, "-a-"])[:-1]

    def nearest(self, query: str, number: int) -> list[int]:
        """Places of the nearest texts, the nearest first.

        Arguments
        ---------
        query : str
            Any text.
        number : int
            How many, where there are so many; of equals the earlier.

        Returns
        -------
        list of int
        """
        scores = self.matrix @ self.vectorizer.transform([query]).T
        scores = scores.toarray()[:, 0].round(9)
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        return order[:number]


@remember_arguments
class Retrieved(Quoted):
    """The passages that are nearest to an utterance, such as knowledge.

    Retrieval for a prompt: guides, case notes, definitions of symptoms. They
    are written into the model's folder with the prompt.

    Arguments
    ---------
    passages : list of str
        What is looked in (:func:`speechbrain_c2ser.data.turns.passages_of`).
    nearest : int
        How many are quoted, the nearest first.
    key : str
        Field of the utterance's words.
    text : str | dict
        Sentence with ``{value}``, as of :class:`Quoted`.

    Raises
    ------
    ValueError
        For no passage, none to be quoted, or more text than a folder holds.

    Example
    -------
    >>> guide = ["Poor sleep may point to depression.", "Joy is loud."]
    >>> slot = Retrieved(guide, text="Known: {value}")
    >>> slot.text({"transcript": "I do not sleep at all."}, "en")
    'Known: Poor sleep may point to depression.'
    """

    def __init__(
        self,
        passages: list,
        nearest: int = 1,
        key: str = "transcript",
        text: str | dict = "Known: {value}",
    ):
        super().__init__(key, text)
        if not passages or nearest < 1:
            raise ValueError(
                f"{nearest} of {len(passages)} passages are to be quoted: give "
                "1 or more of each."
            )
        size = sum(map(len, passages))
        if size > LARGEST:
            raise ValueError(
                f"The passages have {size} characters, and a model's folder "
                f"holds {LARGEST}: give fewer or shorter ones."
            )
        self.passages, self.nearest = passages, nearest
        self.index = WordIndex(passages)

    def text(self, item, language):
        """The sentence, with the passages."""
        places = self.index.nearest(item[self.key], self.nearest)
        found = [self.passages[place] for place in places]
        return super().text({self.key: found}, language)


def words_of(text: object) -> list[str]:
    """Words, and single characters of writing without blanks.

    Example
    -------
    >>> words_of("It's me, 你好!")
    ['its', 'me', '你', '好']
    """
    words: list[str] = []
    for word in plain(text).casefold().split():
        word = "".join(c for c in word if c.isalnum())
        words += [word] if word.isascii() else list(word)
    return [word for word in words if word]
