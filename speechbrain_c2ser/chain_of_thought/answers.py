"""Prompts and the answers that a model learns to give.

Explicit answers tell speaking style, content and then the emotion; implicit
ones name the emotion at once (C2SER, section 3). They are in the language of
the speech where it has texts (:mod:`.templates`), else in English with the
transcript quoted as it is.
"""

from collections import Counter
from collections.abc import Collection
from random import Random

from speechbrain_c2ser.chain_of_thought.answer_parsing import (
    ParsedAnswer,
    parse_answer,
    split_before_emotion,
)
from speechbrain_c2ser.chain_of_thought.answer_texts import (
    MODES,
    check_mode,
    explicit_answer,
    explicit_answers,
    implicit_answers,
    label_answers,
    name_of,
    pick,
    prompt,
)
from speechbrain_c2ser.chain_of_thought.forms import AnswerForm
from speechbrain_c2ser.chain_of_thought.languages import (
    FALLBACK,
    answer_language,
    has_texts,
    language_code,
)
from speechbrain_c2ser.chain_of_thought.side_questions import (
    check_side_questions,
)
from speechbrain_c2ser.chain_of_thought.slots import check_slots, fill

__all__ = [
    "MODES",
    "AnswerBuilder",
    "ParsedAnswer",
    "answer_language",
    "explicit_answer",
    "label_answers",
    "parse_answer",
    "prompt",
    "split_before_emotion",
]


class AnswerBuilder:
    """Prompts and answers of a batch of manifest items.

    An item's own ``explicit_answer`` (see :mod:`.rephrasing`) comes before the
    templates.

    Arguments
    ---------
    label_space : LabelSpace
        The emotions that may be answered.
    content : bool
        False leaves the content out of explicit answers.
    phrasings : int | None
        Answers are drawn from the first so many phrasings; None is all.
    prompts : str
        "published": always the published question; "varied": any phrasing,
        in English or in the language of the answer.
    label_first : bool
        Ablation: explicit answers begin with the emotion.
    seed : int
        Of the drawing.
    slots : sequence of speechbrain_c2ser.chain_of_thought.slots.Slot
        What is told of an item beside its speech, before the question.
    explicit : dict | None
        Explicit answers of another form, as :class:`.forms.AnswerForm` takes
        them; then items need no style.
    side_questions : sequence of .side_questions.SideQuestion
        Other questions that training mixes in, where a row can answer them.
    side_share : float
        Share of the draws that ask one of them.

    Attributes
    ----------
    fallbacks : collections.Counter
        Language without texts -> answers that were in English instead.

    Raises
    ------
    ValueError
        For an unknown value of ``prompts`` or a share outside of 0 to 1.

    Example
    -------
    >>> from speechbrain_c2ser.labels import LabelSpace
    >>> build = AnswerBuilder(LabelSpace(["happy", "sad"]))
    >>> item = {"id": "a", "emotion": "sad", "language": "en"}
    >>> prompts, answers = build([item], ["implicit"])
    >>> answers
    ['The speaker sounds sad.']
    """

    def __init__(
        self,
        label_space,
        content=True,
        phrasings=None,
        prompts="published",
        label_first=False,
        seed=0,
        slots=(),
        explicit=None,
        side_questions=(),
        side_share=0.5,
    ):
        if not 0 <= side_share <= 1:
            raise ValueError(f"side_share is from 0 to 1, not {side_share}.")
        if prompts not in ("published", "varied"):
            raise ValueError(
                f"prompts is 'published' or 'varied', not {prompts!r}."
            )
        self.label_space = label_space
        self.content = content
        self.phrasings = phrasings
        self.prompts = prompts
        self.label_first = label_first
        self.seed = seed
        self.slots = list(slots)
        self.form = None if explicit is None else AnswerForm(explicit)
        self.side_questions = list(side_questions)
        self.side_share = side_share
        self.fallbacks = Counter()

    def __call__(self, items, modes, moment=None):
        """Prompts and answers.

        Arguments
        ---------
        items : list of dict
            Manifest rows with their id.
        modes : list of str
            "explicit" or "implicit" for each.
        moment : object
            Names this moment of the training, such as the epoch. The same
            seed, moment and item draw the same texts, in any batch and after
            any restart. None takes the canonical texts and no side question.

        Returns
        -------
        prompts : list of str
        answers : list of str
        """
        prompts, answers = [], []
        for item, mode in zip(items, modes, strict=True):
            rng, aside = None, None
            if moment is not None:
                key = f"{self.seed}|{moment}|{name_of(item)}"
                rng, aside = Random(key), self._aside(item, key)
            question, answer = aside or self._texts(item, mode, rng)
            prompts.append(question)
            answers.append(answer)
            if not has_texts(item.get("language")):
                self.fallbacks[language_code(item.get("language"))] += 1
        return prompts, answers

    def check(self, items: Collection[dict], training: bool = False) -> None:
        """Refuse items of which no prompt can be made, before training.

        Arguments
        ---------
        items : collection of dict
            Manifest rows with their id.
        training : bool
            Whether they are those that the side questions are asked of.

        Raises
        ------
        ValueError
            One line: the slot, the field, how many rows lack it; or what
            the form of the answers or a side question lacks.
        """
        check_slots(self.slots, items)
        if self.form is not None:
            self.form.check(items)
        if training:
            check_side_questions(self.side_questions, items)

    def answer_phrasings(self, item: dict, mode: str) -> list[str]:
        """Every answer of a mode that may be drawn for an item.

        Arguments
        ---------
        item : dict
            Manifest row.
        mode : str
            "explicit" or "implicit".

        Returns
        -------
        list[str]
            The canonical phrasing first. An item's own ``explicit_answer`` is
            the only one of its mode, except under ``label_first``: it names
            the emotion last.

        Raises
        ------
        ValueError
            For another mode, or if the item lacks what its answer tells.
        """
        check_mode(mode)
        if mode == "implicit":
            language = answer_language(item.get("language"))
            answers = implicit_answers(item, self.label_space, language)
        elif item.get("explicit_answer") and not self.label_first:
            answers = [item["explicit_answer"]]
        elif self.form is not None:
            language = answer_language(item.get("language"))
            word = self.label_space.surface(item["emotion"], language)
            answers = self.form.answers(item, word, language)
        else:
            answers = explicit_answers(
                item, self.label_space, self.content, self.label_first
            )
        return answers[: self.phrasings]

    def possible(self, item: dict) -> list[str]:
        """Every answer that may be drawn for an item, in either mode.

        Arguments
        ---------
        item : dict
            Manifest row.

        Returns
        -------
        list[str]
            Explicit answers, then implicit ones, then those of side
            questions, each once.
        """
        answers = [
            answer
            for mode in MODES
            for answer in self.answer_phrasings(item, mode)
        ]
        language = answer_language(item.get("language"))
        answers += [
            ask.texts(item, language)[1] for ask in self._answerable(item)
        ]
        return list(dict.fromkeys(answers))

    def _answerable(self, item):
        return [a for a in self.side_questions if a.missing(item) is None]

    def _aside(self, item, key):
        """A side question with its answer, or None for that of the emotion.

        Drawn apart, so that the other draws are those of a run without.
        """
        rng, able = Random(f"{key}|aside"), self._answerable(item)
        if not able or rng.random() >= self.side_share:
            return None
        language = answer_language(item.get("language"))
        question, answer = rng.choice(able).texts(item, language)
        return fill(question, self.slots, item, language), answer

    def _texts(self, item, mode, rng):
        """The question and the answer, drawn in this order from ``rng``."""
        check_mode(mode)
        varied = rng if self.prompts == "varied" else None
        language = FALLBACK
        if varied:
            language = rng.choice(
                [FALLBACK, answer_language(item.get("language"))]
            )
        question = prompt(mode, language, varied)
        question = fill(question, self.slots, item, language)
        return question, pick(self.answer_phrasings(item, mode), rng)
