"""Explicit answers in other words, by a language model that knows the emotion.

The model is told the template's answer and the true emotion; what it writes is
read back, and kept only if it says the same: else the template's answer stays.
"""

import re
import unicodedata
from collections import Counter

from speechbrain_c2ser.chain_of_thought.answer_parsing import (
    STYLE_EN,
    parse_answer,
)
from speechbrain_c2ser.chain_of_thought.answers import explicit_answer

INSTRUCTIONS = {
    "en": (
        "Rewrite the last description of a speech recording in one or two "
        "English sentences. First the speaking style, then the quoted words "
        "exactly as they are, in double quotation marks, last the emotion, "
        'which is "{emotion}". Use that word, name no other emotion, and '
        "write nothing else.\n\n"
        # small models leave the quotation out unless they are shown one
        "Description: Spoken with a slow pace, low pitch and normal volume, "
        'the words "It is late." sound {emotion}.\n'
        "Rewritten: At a slow pace, in a low pitch and with normal volume, "
        'someone says "It is late.", and the voice is {emotion}.\n\n'
        "Description: {answer}\nRewritten:"
    ),
    "zh": (
        "请用一两句中文改写下面这段对语音的描述：先说说话风格，再用引号原样引用"
        "内容，最后说情绪，情绪是“{emotion}”。请使用这个词，不要提到其他情绪，"
        "也不要写别的。\n{answer}"
    ),
}

# Slow, slowly, slower ... of any attribute, in English.
STYLE_WORD = re.compile(
    r"\b("
    + "|".join(
        words for _, ways in STYLE_EN.values() for words in ways.values()
    )
    + r")(?:ly|er)?\b"
)


class Rephraser:
    """Rephrases explicit answers and refuses those that say something else.

    Arguments
    ---------
    generate : callable
        ``instructions -> texts``: a language model.
    label_space : LabelSpace
        The emotions that may be answered.
    content : bool
        False where answers leave the content out.

    Attributes
    ----------
    counts : collections.Counter
        "kept", and why the others were refused: "empty", "emotion" (it names
        another one, none or several), "content" (not quoted as it is),
        "language", "style" (a word was turned round, or is true of no
        attribute: "a low voice" where neither pitch nor volume is low) or
        "order" (the emotion is named before its reasons).

    Example
    -------
    >>> from speechbrain_c2ser.labels import LabelSpace
    >>> item = {"emotion": "sad", "language": "en", "transcript": "Hello.",
    ...     "style": {"speed": "low", "pitch": "high", "volume": "normal"}}
    >>> def stub(instructions):
    ...     return ['In a slow, high pitch: "Hello." The voice is sad.']
    >>> rephrase = Rephraser(stub, LabelSpace(["happy", "sad"]))
    >>> rephrase([item])
    ['In a slow, high pitch: "Hello." The voice is sad.']
    >>> rephrase([{**item, "emotion": "happy"}])
    [None]
    >>> dict(rephrase.counts)
    {'kept': 1, 'emotion': 1}
    """

    def __init__(self, generate, label_space, content=True):
        self.generate = generate
        self.label_space = label_space
        self.content = content
        self.counts = Counter()

    def __call__(self, items):
        """Rephrased explicit answers of manifest items.

        Arguments
        ---------
        items : list of dict
            Manifest rows with what explicit answers need.

        Returns
        -------
        list of str | None
            None where the text was refused: the template's answer stays.

        Raises
        ------
        ValueError
            If an item lacks what is needed, or the model gives fewer or more
            texts than it was asked for.
        """
        templates = [
            explicit_answer(
                item, label_space=self.label_space, content=self.content
            )
            for item in items
        ]
        instructions = [
            self._instruction(item, template)
            for item, template in zip(items, templates, strict=True)
        ]
        texts = self.generate(instructions)
        if len(texts) != len(items):
            raise ValueError(
                f"The language model gave {len(texts)} texts for "
                f"{len(items)} answers."
            )
        answers = []
        for item, template, text in zip(items, templates, texts, strict=True):
            text = " ".join((text or "").split())
            problem = self.problem(item, template, text)
            self.counts[problem or "kept"] += 1
            answers.append(None if problem else text)
        return answers

    def problem(self, item, template, text):
        """Why a text cannot stand for the template's answer, or None.

        Arguments
        ---------
        item : dict
            Manifest row.
        template : str
            Its answer by template.
        text : str
            The rephrased answer.

        Returns
        -------
        str | None
            A key of ``counts``.
        """
        if not text:
            return "empty"
        expected = parse_answer(template, self.label_space)
        parsed = parse_answer(text, self.label_space)
        if parsed.emotion != item["emotion"]:
            return "emotion"
        if _words(parsed.content) != _words(expected.content):
            return "content"
        if parsed.language != expected.language:
            return "language"
        for attribute, value in (parsed.style or {}).items():
            if value not in (None, expected.style[attribute]):
                return "style"
        if _untrue_words(text.replace(parsed.content or "", ""), expected):
            return "style"
        # Content stands between the reasons and the emotion.
        before = text[: text.find(parsed.content)] if parsed.content else ""
        if parse_answer(before, self.label_space).emotion is not None:
            return "order"
        return None

    def _instruction(self, item, template):
        language = parse_answer(template, self.label_space).language
        return INSTRUCTIONS[language].format(
            emotion=self.label_space.surface(item["emotion"], language),
            answer=template,
        )


def _untrue_words(text, expected):
    """English style words that hold for no attribute of the true style.

    "A slow voice" has no noun that :func:`parse_answer` reads a style by.
    """
    if expected.language != "en":
        return []
    true = {
        word
        for attribute, value in (expected.style or {}).items()
        for word in _style_words(attribute, value)
    }
    return [w for w in STYLE_WORD.findall(text.lower()) if w not in true]


def _style_words(attribute, value):
    return STYLE_EN[attribute][1][value].split("|") if value else []


def _words(text):
    """What must stay of a quotation: its letters and digits."""
    text = unicodedata.normalize("NFKC", text or "").lower()
    return "".join(c for c in text if unicodedata.category(c)[0] in "LN")
