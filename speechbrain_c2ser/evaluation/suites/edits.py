"""Edits of a reasoning: style turned round, other words, another emotion."""

import re

from speechbrain_c2ser.chain_of_thought.answer_parsing import (
    STYLE_EN,
    STYLE_ZH,
    parse_answer,
    split_before_emotion,
    style_patterns,
)
from speechbrain_c2ser.chain_of_thought.templates import STYLE_WORDS
from speechbrain_c2ser.labels import LabelSpace

OPPOSITE = {"low": "high", "normal": "high", "high": "low"}
CHINESE = re.compile("[\u4e00-\u9fff]")
# Put before a reasoning that names no emotion itself.
HINT = {"en": "The voice is {emotion}. ", "zh": "声音{emotion}。"}


def before_decision(text: str) -> str:
    """A reasoning up to where it names its decision.

    Example
    -------
    >>> before_decision('A fast pace, the words "Oh no" sound sad.')
    'A fast pace, the words "Oh no" sound'
    """
    return split_before_emotion(text)


def turn_style(reasoning: str) -> str | None:
    """The reasoning with each style word turned round; None without any.

    Example
    -------
    >>> turn_style("A fast pace, low pitch, the words sound")
    'A slow pace, high pitch, the words sound'
    >>> turn_style("语速快，情绪是")
    '语速慢，情绪是'
    """
    spans = []
    for attribute, value, pattern in style_patterns():
        for match in pattern.finditer(reasoning):
            language = "zh" if CHINESE.search(match[0]) else "en"
            words = (STYLE_ZH if language == "zh" else STYLE_EN)[attribute][1]
            flags = re.IGNORECASE
            inner = re.search(words[value], match[0], flags)
            start = match.start() + inner.start()
            stop = match.start() + inner.end()
            word = STYLE_WORDS[language][attribute][OPPOSITE[value]]
            spans.append((start, stop, word))
    return _replace(reasoning, spans)


def change_content(
    reasoning: str, content: str, space: LabelSpace
) -> str | None:
    """The reasoning with other words quoted; None where it quotes nothing.

    Arguments
    ---------
    reasoning : str
        Text before the decision.
    content : str
        What it shall quote.
    space : LabelSpace
        The labels (to read the reasoning).

    Example
    -------
    >>> space = LabelSpace(["happy", "sad"])
    >>> change_content('The words "Oh no" sound', "We won", space)
    'The words "We won" sound'
    """
    quoted = parse_answer(reasoning, space).content
    if not quoted or quoted not in reasoning or quoted == content:
        return None
    return reasoning.replace(quoted, content)


def change_emotion(
    reasoning: str, emotion: str, space: LabelSpace
) -> tuple[str, bool]:
    """The reasoning with another emotion in it, and whether it named one.

    Arguments
    ---------
    reasoning : str
        Text before the decision.
    emotion : str
        The label that it shall name.
    space : LabelSpace
        The labels.

    Returns
    -------
    reasoning : str
        With every emotion's word replaced; or, where it names none, with a
        sentence before it that does.
    named : bool

    Example
    -------
    >>> space = LabelSpace(["happy", "sad"])
    >>> change_emotion("A cheerful tone; it sounds", "sad", space)
    ('A sad tone; it sounds', True)
    >>> change_emotion("A fast pace; it sounds", "sad", space)
    ('The voice is sad. A fast pace; it sounds', False)
    """
    spans = [
        (start, stop, space.surface(emotion, _language(reasoning[start:stop])))
        for _, start, stop in space.mentions(reasoning)
    ]
    changed = _replace(reasoning, spans)
    if changed is not None:
        return changed, True
    language = _language(reasoning)
    word = space.surface(emotion, language)
    return HINT[language].format(emotion=word) + reasoning, False


def _language(text):
    return "zh" if CHINESE.search(text) else "en"


def _replace(text, spans):
    """Text with (start, stop, word) put in; the first of overlapping ones."""
    taken, last = [], 0
    for start, stop, word in sorted(spans):
        if start >= last:
            taken.append((start, stop, word))
            last = stop
    for start, stop, word in reversed(taken):
        text = text[:start] + word + text[stop:]
    return text if taken else None
