"""Questions and answers of one item, by the templates (:mod:`.templates`)."""

import functools

from speechbrain_c2ser.chain_of_thought.answer_parsing import ATTRIBUTES
from speechbrain_c2ser.chain_of_thought.languages import answer_language
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
    check_mode(mode)
    return pick(PROMPTS[answer_language(language)][mode], rng)


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
    return pick(
        explicit_answers(item, label_space, content, label_first)[:phrasings],
        rng,
    )


def explicit_answers(item, label_space, content, label_first):
    """The explicit answer in every phrasing, the canonical one first.

    Arguments
    ---------
    item, label_space, content, label_first
        As in :func:`explicit_answer`.

    Returns
    -------
    list of str

    Example
    -------
    >>> item = {"emotion": "happy", "style": dict.fromkeys(ATTRIBUTES, "low")}
    >>> len(explicit_answers(item, None, content=False, label_first=False))
    3
    """
    language = answer_language(item.get("language"))
    texts = (LABEL_FIRST if label_first else EXPLICIT)[language]
    fields = _style_fields(item, language)
    fields["emotion"] = _emotion_word(item, label_space, language)
    if content:
        fields["content"] = _need(
            item, "transcript", "give one, or build answers without content"
        ).strip()
    return [text[not content].format(**fields) for text in texts]


def implicit_answers(item, label_space, language):
    """One short sentence that names the emotion, in every phrasing.

    Arguments
    ---------
    item : dict
        Manifest row with an emotion.
    label_space : LabelSpace | None
        Gives the emotion's word; None takes the package's words.
    language : str
        Of the answer, one of those that have texts.

    Returns
    -------
    list of str
        The canonical one first.

    Raises
    ------
    ValueError
        If the item has no emotion.

    Example
    -------
    >>> implicit_answers({"emotion": "sad"}, None, "en")[0]
    'The speaker sounds sad.'
    """
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
    check_mode(mode)
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


def check_mode(mode):
    """Refuse what is no kind of answer.

    Example
    -------
    >>> check_mode("long")
    Traceback (most recent call last):
    ...
    ValueError: An answer is 'explicit' or 'implicit', not 'long'.
    """
    if mode not in MODES:
        raise ValueError(
            f"An answer is 'explicit' or 'implicit', not {mode!r}."
        )


def pick(texts, rng):
    """One of the texts; without a generator the first.

    Example
    -------
    >>> pick(["a", "b"], None)
    'a'
    """
    return texts[0] if rng is None else rng.choice(texts)


def name_of(item):
    """What messages call an item.

    Example
    -------
    >>> name_of({"wav": "a.wav"})
    'a.wav'
    """
    return item.get("id") or item.get("wav") or "without id"


def _need(item, field, remedy):
    value = item.get(field)
    if not value or (isinstance(value, str) and not value.strip()):
        raise ValueError(f"Item {name_of(item)!r} has no {field}: {remedy}.")
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
        raise ValueError(f"Item {name_of(item)!r}: {error}") from None


def _style_fields(item, language):
    style = _need(item, "style", "measure it with prosody.annotate")
    fields = {}
    for attribute in ATTRIBUTES:
        words = STYLE_WORDS[language][attribute]
        value = style.get(attribute)
        if value not in words:
            raise ValueError(
                f"Item {name_of(item)!r}: the {attribute} is {value!r}, not "
                "low, normal or high."
            )
        fields[attribute] = words[value]
    return fields
