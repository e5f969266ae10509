"""Words that name labels, found in free text: whole, longest, not denied."""

import re

# A word of a script without spaces may stand inside anything.
UNSPACED = re.compile("[\u2e80-\u9fff\uf900-\ufaff]")
# No letter or digit beside a word, Chinese ones apart. Case is kept off here:
# it would cost seconds to compile.
LETTER = r"[^\W_\u2e80-\uffff]"
START, STOP = f"(?-i:(?<!{LETTER})(?<!-))", f"(?-i:(?!{LETTER}))"
# Up to three words between a negation and what it denies, none of which
# turns the sentence round.
NEGATED_BEFORE = re.compile(
    r"(?:\b(?:not|never|no|neither|nor|without|hardly|cannot"
    r"|nicht|kein|keine|keinen|keiner|nie|ohne|weder)|n['’]t)"
    r"(?:\s+(?!but\b|rather\b|instead\b|yet\b|sondern\b|aber\b)"
    r"[^\W\d_]+){0,3}\s+$",
    re.IGNORECASE,
)
NEGATED_BEFORE_ZH = re.compile(
    "(?:不|没有|没|并非|毫无|未|别)"
    "(?:是|太|很|那么|怎么|再|觉得|感到|显得|任何|什么)*$"
)
NEGATED_AFTER_ZH = re.compile("^不起来")


class Lexicon:
    """Words, each of which names one label.

    Arguments
    ---------
    levels : list of list of tuple
        (word in lower case, label, language or None for any), earlier levels
        first: what they claim is taken. A word that two labels claim on one
        level names neither.

    Example
    -------
    >>> words = [[("glad", "happy", "en"), ("高兴", "happy", "zh")]]
    >>> Lexicon(words).find("Gladly glad; 不高兴")
    [('happy', 7, 11)]
    """

    def __init__(self, levels):
        self._owners = {}
        taken = set()
        for level in levels:
            claims = {}
            for word, label, language in level:
                if word not in taken:
                    claims.setdefault(word, []).append((label, language))
            taken |= set(claims)
            for word, owners in claims.items():
                labels = {label for label, _ in owners}
                if len(labels) == 1:
                    languages = {language for _, language in owners}
                    self._owners[word] = (labels.pop(), languages)
        self._pattern = _pattern(self._owners)

    def owner(self, word):
        """The label that a word in lower case names, or None."""
        return self._owners.get(word, (None,))[0]

    def find(self, text, language=None):
        """Labels that a text names.

        Arguments
        ---------
        text : str
            Anything.
        language : str or None
            Only the words of this language, and those of any.

        Returns
        -------
        list of tuple
            (label, start, end) in order: character positions.
        """
        found = []
        for match in self._pattern.finditer(text):
            # Ignoring case also matches oddities such as the long s.
            label, languages = self._owners.get(match[0].lower(), (None, ()))
            if label is None:
                continue
            if language and not languages & {language, None}:
                continue
            if not _is_denied(text, match.start(), match.end()):
                found.append((label, match.start(), match.end()))
        return found


def _pattern(words):
    words = sorted(words, key=len, reverse=True)
    spaced = [re.escape(w) for w in words if not UNSPACED.search(w)]
    forms = [re.escape(w) for w in words if UNSPACED.search(w)]
    if spaced:
        forms.append(f"{START}(?:{'|'.join(spaced)}){STOP}")
    return re.compile("|".join(forms), re.IGNORECASE)


def _is_denied(text, start, end):
    if UNSPACED.search(text[start:end]):
        return bool(
            NEGATED_BEFORE_ZH.search(text[:start])
            or NEGATED_AFTER_ZH.search(text[end:])
        )
    return bool(NEGATED_BEFORE.search(text[:start]))
