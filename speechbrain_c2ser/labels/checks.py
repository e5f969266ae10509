"""What a set of labels refuses: names and aliases of another form."""

import unicodedata
from collections.abc import Iterable, Mapping

from speechbrain_c2ser.labels.spelling import UNSEEN


def checked_names(names: Iterable) -> list[str]:
    """The names of a set, each once.

    Arguments
    ---------
    names : iterable
        A text alone is refused: it would be read letter by letter.

    Returns
    -------
    list[str]

    Raises
    ------
    ValueError
        For a text, and for an empty or repeated name.

    Example
    -------
    >>> checked_names("sad")
    Traceback (most recent call last):
    ...
    ValueError: The names of a label space are the text 'sad': give a list.
    """
    if isinstance(names, str | bytes):
        raise ValueError(
            f"The names of a label space are the text {names!r}: give a list."
        )
    names = [str(name) for name in names]
    if not names or not all(name.strip() for name in names):
        raise ValueError("A label space needs names that are not empty.")
    if len(set(map(_spelled, names))) < len(names):
        raise ValueError(f"A label occurs twice in {', '.join(names)}.")
    return names


def _spelled(name):
    """A name without case, blanks and width; marks tell classes apart."""
    text = unicodedata.normalize("NFKC", name.translate(UNSEEN)).lower()
    return " ".join(text.replace("_", " ").split())


def checked_aliases(aliases: Mapping | None) -> dict[str, dict]:
    """Label -> {language: words}; a word alone is a list of one.

    Arguments
    ---------
    aliases : mapping | None
        None is empty.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        For a label whose words have no language.

    Example
    -------
    >>> checked_aliases({"happy": {"en": "joyful"}})
    {'happy': {'en': ['joyful']}}
    """
    for name, words in (aliases or {}).items():
        if not isinstance(words, Mapping):
            raise ValueError(
                f"The aliases of {name!r} are {words!r}: give them by "
                "language, such as {'en': ['joyful']}."
            )
    return {
        name: {
            language: [listed] if isinstance(listed, str) else listed
            for language, listed in words.items()
        }
        for name, words in (aliases or {}).items()
    }


def emotions_of(items: dict | Iterable[dict]) -> list[str]:
    """The emotion of each row of a manifest that has one.

    Arguments
    ---------
    items : dict | iterable of dict
        id -> row, or rows. An empty text, None and NaN are no emotion; a
        number is one.

    Returns
    -------
    list[str]

    Raises
    ------
    ValueError
        For an emotion that is no word; names the row.

    Example
    -------
    >>> emotions_of([{"emotion": 0}, {"emotion": "sad"}, {"emotion": None}])
    ['0', 'sad']
    """
    if not isinstance(items, dict):
        items = dict(enumerate(items))
    emotions = []
    for key, row in items.items():
        emotion = row.get("emotion")
        if isinstance(emotion, list | tuple | set | dict):
            raise ValueError(
                f"The emotion of item {row.get('id', key)!r} is {emotion!r}: "
                "give one word, and several in a column votes."
            )
        if emotion is not None and emotion == emotion and str(emotion).strip():
            emotions.append(str(emotion))
    return emotions
