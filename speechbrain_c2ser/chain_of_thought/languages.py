"""Which language an answer about some speech is written in."""

import functools
import logging

from speechbrain_c2ser.chain_of_thought.templates import PROMPTS

logger = logging.getLogger(__name__)

FALLBACK = "en"
NAMES = {"cmn": "zh", "chinese": "zh", "mandarin": "zh", "english": "en"}


def answer_language(language):
    """The language that answers about speech in ``language`` are written in.

    Arguments
    ---------
    language : str | None
        A code such as "zh", "en-US", "cmn", or None for unknown.

    Returns
    -------
    str
        The language itself where it has texts, else "en"; the fall-back is
        logged once per language.

    Example
    -------
    >>> answer_language("zh-CN"), answer_language("de")
    ('zh', 'en')
    """
    code = language_code(language)
    if not has_texts(code):
        _log_fallback(code)
        return FALLBACK
    return code


def in_language(texts: dict, language: str | None):
    """What there is in a language, else in English, else in the first one.

    Arguments
    ---------
    texts : dict
        Language → text, or whatever is said in it; not empty.
    language : str | None
        A key of it, or not.

    Returns
    -------
    object
        One of the values.

    Example
    -------
    >>> in_language({"en": "sad", "zh": "难过"}, "de")
    'sad'
    """
    first = next(iter(texts.values()))
    return texts.get(language, texts.get(FALLBACK, first))


def has_texts(language):
    """Whether answers can be written in a language.

    Arguments
    ---------
    language : str | None
        As in :func:`answer_language`.

    Returns
    -------
    bool

    Example
    -------
    >>> has_texts("zh-CN"), has_texts("de")
    (True, False)
    """
    return language_code(language) in PROMPTS


def language_code(language):
    """The code of a language however it is written.

    Arguments
    ---------
    language : str | None
        A code or name, with or without a region; None is "unknown".

    Returns
    -------
    str

    Example
    -------
    >>> language_code("zh-CN"), language_code("English"), language_code(None)
    ('zh', 'en', 'unknown')
    """
    code = str(language or "unknown").lower().replace("_", "-").split("-")[0]
    return NAMES.get(code, code)


@functools.cache
def _log_fallback(language):
    logger.info(
        "There are no answer texts in the language '%s': answers about it "
        "are in English, with the transcript quoted as it is.",
        language,
    )
