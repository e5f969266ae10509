"""Whether explicit answers tell content and style rightly."""

import unicodedata
from collections.abc import Sequence

from speechbrain.utils.edit_distance import accumulatable_wer_stats

STYLE_ATTRIBUTES = ("speed", "pitch", "volume")
# Languages written without spaces are compared by character.
BY_CHARACTER = ("zh", "cmn", "yue", "ja", "th")


def edit_rate(
    references: Sequence[str],
    hypotheses: Sequence[str | None],
    language: str | Sequence[str | None] = "en",
) -> float:
    """Content error rate: edits per unit of the references.

    Case, punctuation and the width of characters do not count.

    Arguments
    ---------
    references : sequence of str
        Transcripts.
    hypotheses : sequence[str] | None
        What was quoted; None counts as nothing.
    language : str | sequence[str] | None
        Of all, or of each item; units are characters in Chinese and other
        languages without spaces, else words.

    Returns
    -------
    float
        Substitutions, deletions and insertions over reference units; may
        exceed 1.

    Raises
    ------
    ValueError
        If the lengths differ or the references hold no unit.

    Example
    -------
    >>> edit_rate(["He opened the window."], ["he opened a window"])
    0.25
    >>> edit_rate(["你好。"], ["你们好"], "zh")
    0.5
    """
    references, hypotheses = list(references), list(hypotheses)
    if language is None or isinstance(language, str):
        language = [language] * len(references)
    units = [
        (_units(reference, each), _units(hypothesis, each))
        for reference, hypothesis, each in zip(
            references, hypotheses, language, strict=True
        )
    ]
    if not any(reference for reference, _ in units):
        raise ValueError("There are no reference words to compare with.")
    stats = accumulatable_wer_stats(*zip(*units, strict=True))
    edits = stats["insertions"] + stats["deletions"] + stats["substitutions"]
    return edits / stats["num_ref_tokens"]


def style_accuracy(
    true: Sequence[dict], predicted: Sequence[dict | None]
) -> dict:
    """How often the style words are right.

    Arguments
    ---------
    true : sequence of dict
        Item -> speed, pitch, volume as measured.
    predicted : sequence[dict] | None
        As read from the answers; what is missing counts as wrong.

    Returns
    -------
    dict
        speed, pitch, volume, and mean: their mean.

    Raises
    ------
    ValueError
        If the lengths differ or there is nothing to score.

    Example
    -------
    >>> style = {"speed": "low", "pitch": "high", "volume": "normal"}
    >>> style_accuracy([style, style], [style, None])["mean"]
    0.5
    """
    pairs = list(zip(true, predicted, strict=True))
    if not pairs:
        raise ValueError("There are no styles to score.")
    scores = {
        attribute: sum(
            named is not None and named.get(attribute) == measured[attribute]
            for measured, named in pairs
        )
        / len(pairs)
        for attribute in STYLE_ATTRIBUTES
    }
    return {**scores, "mean": sum(scores.values()) / len(scores)}


def content_units(text: str | None, language: str | None = "en") -> list[str]:
    """Words or characters of a text that carry its content.

    Arguments
    ---------
    text : str | None
        Any.
    language : str | None
        As of :func:`edit_rate`; of English the function words are left out.

    Returns
    -------
    list of str

    Example
    -------
    >>> content_units("The voice is quiet, and it trembles.")
    ['voice', 'quiet', 'trembles']
    """
    units = _units(text, language)
    if (language or "en").lower().startswith("en"):
        # Here: scikit-learn costs a second.
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        units = [unit for unit in units if unit not in ENGLISH_STOP_WORDS]
    return units


def _units(text, language):
    """Words or characters that count."""
    text = unicodedata.normalize("NFKC", text or "").lower()
    # An apostrophe joins: "it's" is one word, whatever its shape.
    text = text.replace("’", "'").replace("'", "")
    plain = "".join(
        c if unicodedata.category(c)[0] in "LMN" else " " for c in text
    )
    code = (language or "en").lower().replace("_", "-").split("-")[0]
    if code in BY_CHARACTER:
        return list(plain.replace(" ", ""))
    return plain.split()
