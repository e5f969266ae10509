"""Words that name labels, found in free text: whole, longest, not denied."""

import re

from speechbrain_c2ser.labels.emotion_words import IDLE
from speechbrain_c2ser.labels.negation import UNSPACED, denied
from speechbrain_c2ser.labels.spelling import PLAIN, clean_text

# No letter or digit beside a word, Chinese ones apart. Case is kept off here:
# it would cost seconds to compile.
LETTER = r"[^\W_\u2e80-\uffff]"
START, STOP = f"(?-i:(?<!{LETTER})(?<!-))", f"(?-i:(?!{LETTER}))"
# Between the parts of a word: a label "very sad" is also very_sad, very-sad.
GAP = re.compile(r"[\s_-]+")


class Lexicon:
    """Words, each of which names one label.

    Arguments
    ---------
    levels : list of list of tuple
        (word, label, language or None for any), earlier levels first: what
        they claim is taken. A word that two labels claim on one level names
        neither. A word's blanks stand for any gap.

    Example
    -------
    >>> words = [[("glad", "happy", "en"), ("高兴", "happy", "zh")]]
    >>> Lexicon(words).find("Gladly glad; 不高兴")
    [('happy', 7, 11)]
    """

    def __init__(self, levels: list[list[tuple]]):
        self._owners = {}
        taken = set()
        for level in levels:
            claims = {}
            for given, label, language in level:
                # As texts are searched, or it could never be found.
                word = clean_text(given).lower().translate(PLAIN)
                word = " ".join(word.replace("_", " ").split())
                if word and word not in taken:
                    claims.setdefault(word, []).append((label, language))
            taken |= set(claims)
            for word, owners in claims.items():
                labels = {label for label, _ in owners}
                if len(labels) == 1:
                    languages = {language for _, language in owners}
                    self._owners[word] = (labels.pop(), languages)
        self._pattern = _pattern([*self._owners, *IDLE])

    def owner(self, word):
        """The label that a word in lower case names, or None."""
        return self._owner(word)[0]

    def _owner(self, word):
        owner = self._owners.get(word) or self._owners.get(GAP.sub(" ", word))
        return owner or (None, ())

    def find(self, text: str, language: str | None = None) -> list[tuple]:
        """Labels that a text names.

        Arguments
        ---------
        text : str
            Anything.
        language : str | None
            Only the words of this language, and those of any.

        Returns
        -------
        list of tuple
            (label, start, end) in order: character positions.
        """
        text, mentions = text.translate(PLAIN), []
        for match in self._pattern.finditer(text):
            # Ignoring case also matches oddities such as the long s.
            label, languages = self._owner(match[0].lower())
            if label is None:
                continue
            if language and not languages & {language, None}:
                continue
            mentions.append((label, match.start(), match.end()))
        verdicts = denied(text, [place[1:] for place in mentions])
        return [
            place
            for place, is_denied in zip(mentions, verdicts, strict=True)
            if not is_denied
        ]


def _pattern(words):
    words = sorted(words, key=len, reverse=True)
    sought = {w: re.escape(w).replace(r"\ ", GAP.pattern) for w in words}
    spaced = [sought[w] for w in words if not UNSPACED.search(w)]
    forms = [sought[w] for w in words if UNSPACED.search(w)]
    if spaced:
        forms.append(f"{START}(?:{'|'.join(spaced)}){STOP}")
    return re.compile("|".join(forms), re.IGNORECASE)
