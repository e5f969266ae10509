"""Prompts and the answers that a model learns to give.

Explicit answers tell speaking style, content and then the emotion; implicit
ones name the emotion at once (C2SER, section 3). They are in the language of
the speech where it has texts (:mod:`.templates`), else in English with the
transcript quoted as it is.
"""

import functools
from collections import Counter
from random import Random

from speechbrain_c2ser.chain_of_thought.answer_parsing import (
    ATTRIBUTES,
    ParsedAnswer,
    parse_answer,
    split_before_emotion,
)
from speechbrain_c2ser.chain_of_thought.languages import (
    FALLBACK,
    answer_language,
    has_texts,
    language_code,
)
from speechbrain_c2ser.chain_of_thought.templates import (
    EXPLICIT,
    EXPLICIT_END,
    IMPLICIT,
    LABEL_FIRST,
    PROMPTS,
    STYLE_WORDS,
)
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.labels.emotion_words import CONCEPTS

__all__ = [
    "AnswerBuilder",
    "ParsedAnswer",
    "answer_language",
    "explicit_answer",
    "implicit_answer",
    "label_answers",
    "parse_answer",
    "prompt",
    "split_before_emotion",
]

MODES = ("explicit", "implicit")


def prompt(mode, language="en", rng=None):
    """What the model is asked.

    Arguments
    ---------
    mode : str
        "explicit" or "implicit".
    language : str
        Language of the question.
    rng : random.Random | None
        Draws a phrasing; None takes the canonical one (English: the
        published).

    Returns
    -------
    str

    Example
    -------
    >>> prompt("implicit")[:38]
    'Please consider the speaking style, co'
    """
    _check_mode(mode)
    return _pick(PROMPTS[answer_language(language)][mode], rng)


def explicit_answer(
    item,
    rng=None,
    label_space=None,
    content=True,
    label_first=False,
    phrasings=None,
):
    """Style, quoted content and then the emotion of a manifest item.

    Arguments
    ---------
    item : dict
        Manifest row with style, emotion, language and transcript.
    rng : random.Random | None
        Draws a phrasing; None takes the canonical one.
    label_space : LabelSpace | None
        Gives the emotion's word; None takes the package's words.
    content : bool
        False leaves the content out, for a corpus without transcripts.
    label_first : bool
        Ablation: the emotion comes first, its reasons after it.
    phrasings : int | None
        Draw from the first so many; None is all.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the item lacks what is needed; names the item and the field.

    Example
    -------
    >>> item = {"emotion": "happy", "language": "en", "transcript": "Hello.",
    ...     "style": {"speed": "low", "pitch": "high", "volume": "normal"}}
    >>> explicit_answer(item)
    'Spoken with a slow pace, high pitch and normal volume, the words \
"Hello." sound happy.'
    """
    return _pick(
        _explicit_answers(item, label_space, content, label_first)[:phrasings],
        rng,
    )


def _explicit_answers(item, label_space, content, label_first):
    """The explicit answer in every phrasing, the canonical one first."""
    language = answer_language(item.get("language"))
    texts = (LABEL_FIRST if label_first else EXPLICIT)[language]
    fields = _style_fields(item, language)
    fields["emotion"] = _emotion_word(item, label_space, language)
    if content:
        fields["content"] = _need(
            item, "transcript", "give one, or build answers without content"
        ).strip()
    return [text[not content].format(**fields) for text in texts]


def implicit_answer(
    item, language=None, rng=None, label_space=None, phrasings=None
):
    """One short sentence that names the emotion.

    Arguments
    ---------
    item : dict | str
        Manifest row, or an emotion.
    language : str | None
        Of the answer; None takes the item's.
    rng, label_space, phrasings
        As in :func:`explicit_answer`.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the item has no emotion.

    Example
    -------
    >>> implicit_answer("sad", "zh")
    '情绪是悲伤。'
    """
    if isinstance(item, str):
        item = {"emotion": item, "language": language}
    language = answer_language(language or item.get("language"))
    return _pick(
        _implicit_answers(item, label_space, language)[:phrasings], rng
    )


def _implicit_answers(item, label_space, language):
    """The implicit answer in every phrasing, the canonical one first."""
    emotion = _emotion_word(item, label_space, language)
    return [text.format(emotion=emotion) for text in IMPLICIT[language]]


def label_answers(label_space, mode, language, phrasings=1):
    """What each label's answer would be, for scoring the closed set.

    Arguments
    ---------
    label_space : LabelSpace
        The labels.
    mode : str
        "implicit": whole answers. "explicit": what follows the text of
        :func:`split_before_emotion`.
    language : str
        Of the speech.
    phrasings : int | None
        Number of implicit phrasings per label; None is all.

    Returns
    -------
    dict
        Label -> list of texts.

    Example
    -------
    >>> label_answers(LabelSpace(["sad", "happy"]), "explicit", "en")
    {'sad': [' sad.'], 'happy': [' happy.']}
    """
    _check_mode(mode)
    language = answer_language(language)
    texts = (EXPLICIT_END[language],)
    if mode == "implicit":
        texts = IMPLICIT[language][:phrasings]
    return {
        name: [
            text.format(emotion=label_space.surface(name, language))
            for text in texts
        ]
        for name in label_space.names
    }


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

    Attributes
    ----------
    fallbacks : collections.Counter
        Language without texts -> answers that were in English instead.

    Raises
    ------
    ValueError
        For an unknown value of ``prompts``.

    Example
    -------
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
    ):
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
            any restart. None takes the canonical texts.

        Returns
        -------
        prompts : list of str
        answers : list of str
        """
        prompts, answers = [], []
        for item, mode in zip(items, modes, strict=True):
            rng = None
            if moment is not None:
                rng = Random(f"{self.seed}|{moment}|{_name(item)}")
            question, answer = self._texts(item, mode, rng)
            prompts.append(question)
            answers.append(answer)
            if not has_texts(item.get("language")):
                self.fallbacks[language_code(item.get("language"))] += 1
        return prompts, answers

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
        _check_mode(mode)
        if mode == "implicit":
            language = answer_language(item.get("language"))
            answers = _implicit_answers(item, self.label_space, language)
        elif item.get("explicit_answer") and not self.label_first:
            answers = [item["explicit_answer"]]
        else:
            answers = _explicit_answers(
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
            Explicit answers, then implicit ones, each once.
        """
        return list(
            dict.fromkeys(
                answer
                for mode in MODES
                for answer in self.answer_phrasings(item, mode)
            )
        )

    def _texts(self, item, mode, rng):
        """The question and the answer, drawn in this order from ``rng``."""
        _check_mode(mode)
        varied = rng if self.prompts == "varied" else None
        asked = FALLBACK
        if varied:
            asked = rng.choice(
                [FALLBACK, answer_language(item.get("language"))]
            )
        question = prompt(mode, asked, varied)
        return question, _pick(self.answer_phrasings(item, mode), rng)


def _check_mode(mode):
    if mode not in MODES:
        raise ValueError(
            f"An answer is 'explicit' or 'implicit', not {mode!r}."
        )


def _pick(texts, rng):
    return texts[0] if rng is None else rng.choice(texts)


def _name(item):
    return item.get("id") or item.get("wav") or "without id"


def _need(item, field, remedy):
    value = item.get(field)
    if not value or (isinstance(value, str) and not value.strip()):
        raise ValueError(f"Item {_name(item)!r} has no {field}: {remedy}.")
    return value


@functools.cache
def _known_labels():
    return LabelSpace(list(CONCEPTS))


def _emotion_word(item, label_space, language):
    emotion = _need(item, "emotion", "label it or leave it out")
    if label_space is None:
        known = _known_labels()
        label_space = known if emotion in known else LabelSpace([emotion])
    try:
        return label_space.surface(emotion, language)
    except ValueError as error:
        raise ValueError(f"Item {_name(item)!r}: {error}") from None


def _style_fields(item, language):
    style = _need(item, "style", "measure it with prosody.annotate")
    fields = {}
    for attribute in ATTRIBUTES:
        words = STYLE_WORDS[language][attribute]
        value = style.get(attribute)
        if value not in words:
            raise ValueError(
                f"Item {_name(item)!r}: the {attribute} is {value!r}, not "
                "low, normal or high."
            )
        fields[attribute] = words[value]
    return fields
