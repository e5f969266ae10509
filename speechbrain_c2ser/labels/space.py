"""The closed set of emotions that a model tells apart, and their words."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.labels.checks import (
    checked_aliases,
    checked_names,
    emotions_of,
)
from speechbrain_c2ser.labels.emotion_words import (
    CATCH_ALL,
    CONCEPTS,
    SPACE_OF_SIZE,
    SPACES,
    concept_of,
    refuse_several,
    words_meant_else,
    words_of,
)
from speechbrain_c2ser.labels.lexicon import Lexicon
from speechbrain_c2ser.labels.spelling import (
    MARKS,
    PLAIN,
    UNSEEN,
    clean_text,
    plain_label,
)

# Of German adjectives: "mit trauriger Stimme".
GERMAN_ENDINGS = ("e", "er", "es", "en", "em")


@remember_arguments
class LabelSpace:
    """Emotions that a corpus or model tells apart.

    Arguments
    ---------
    names : sequence of str
        The labels, in the order of their indices.
    aliases : dict | None
        Label -> {language: words}, the first one used in answers. Beside
        what the package knows of the label, which it precedes.
    definitions : dict | None
        Label -> one sentence.
    parents : dict | None
        Label -> broader label, for mappings into smaller sets.

    Raises
    ------
    ValueError
        For an empty set, a text in place of a list, an empty or repeated
        name, or an alias without language or of a label outside the set.

    Example
    -------
    >>> space = LabelSpace(["angry", "happy", "neutral"])
    >>> space.parse("The speaker sounds quite cheerful.")
    'happy'
    >>> space.parse("happy, or angry?"), space.parse("not happy")
    (None, None)
    >>> space.surface("happy", "zh")
    '高兴'
    """

    def __init__(
        self,
        names: Sequence[str],
        aliases: dict | None = None,
        definitions: dict | None = None,
        parents: dict | None = None,
    ):
        self.names = checked_names(names)
        self.aliases = checked_aliases(aliases)
        for option in (self.aliases, definitions or {}, parents or {}):
            for name in option:
                self.index(name)
        self._concepts = {name: concept_of(name) for name in self.names}
        self.definitions = {
            name: CONCEPTS[concept][1]
            for name, concept in self._concepts.items()
            if concept
        } | dict(definitions or {})
        self.parents = {
            name: CONCEPTS[concept][0]
            for name, concept in self._concepts.items()
            if concept and CONCEPTS[concept][0]
        } | dict(parents or {})
        self._lexicons = [self._lexicon(synonyms=s) for s in (False, True)]

    @classmethod
    def from_name(cls, name: str | int):
        """A set known by name: emo_emilia, emotion2vec, emodb, iemocap4 ...

        Arguments
        ---------
        name : str | int
            4, 5, 6, 7 or 9 is the usual set of that size.

        Raises
        ------
        ValueError
            For an unknown name; lists the known ones.

        Example
        -------
        >>> len(LabelSpace.from_name("emo_emilia"))
        7
        >>> LabelSpace.from_name(4).names
        ['angry', 'happy', 'neutral', 'sad']
        """
        if isinstance(name, int):
            name = SPACE_OF_SIZE.get(name, str(name))
        if name not in SPACES:
            raise ValueError(
                f"There is no label space {name!r} "
                f"(known: {', '.join(SPACES)})."
            )
        return cls(SPACES[name].split())

    @classmethod
    def from_names(cls, names):
        """The distinct names of any iterable, sorted.

        Of spellings that differ by case, blanks, marks or width, the
        plainest counts, without blanks around it.

        Example
        -------
        >>> LabelSpace.from_names(["sad", "Angry", "sad ", "angry"]).names
        ['angry', 'sad']
        """
        spellings = {}
        for name in {str(name).translate(UNSEEN).strip() for name in names}:
            plain = plain_label(name)
            rank = (name != plain, not name.islower(), name)
            spellings[plain] = min(rank, spellings.get(plain, rank))
        return cls(sorted(name for *_, name in spellings.values()))

    @classmethod
    def from_items(cls, items: dict | Iterable[dict]):
        """The emotions that a manifest holds, sorted.

        Arguments
        ---------
        items : dict | iterable of dict
            Manifest: id -> row, or rows; those without emotion are passed
            over.

        Raises
        ------
        ValueError
            If no row has an emotion, or one has several.

        Example
        -------
        >>> LabelSpace.from_items({"a": {"emotion": "sad"}, "b": {}}).names
        ['sad']
        """
        names = Counter(emotions_of(items))
        if not names:
            raise ValueError("No item of the manifest has an emotion.")
        refuse_several(names)
        return cls.from_names(names)

    def to_dict(self):
        """Constructor arguments, as plain as JSON.

        Example
        -------
        >>> space = LabelSpace.from_name("emodb")
        >>> LabelSpace(**space.to_dict()) == space
        True
        """
        return {
            "names": self.names,
            "aliases": self.aliases,
            "definitions": self.definitions,
            "parents": self.parents,
        }

    def __len__(self):
        return len(self.names)

    def __iter__(self):
        return iter(self.names)

    def __contains__(self, name):
        return name in self.names

    def __eq__(self, other):
        return (
            isinstance(other, LabelSpace) and self.to_dict() == other.to_dict()
        )

    def __repr__(self):
        return f"LabelSpace({self.names})"

    def index(self, name):
        """Index of a label.

        Raises
        ------
        ValueError
            For an unknown label; lists the known ones.

        Example
        -------
        >>> LabelSpace(["happy", "sad"]).index("sad")
        1
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise ValueError(
                f"Unknown emotion {name!r} (known: {', '.join(self.names)})."
            ) from None

    def surface(self, name: str, language: str = "en") -> str:
        """The word that stands for a label in answers.

        Arguments
        ---------
        name : str
            A label.
        language : str
            "en", "zh" or "de". Where the label has no word in it, the
            label's own name is used.

        Returns
        -------
        str

        Example
        -------
        >>> LabelSpace(["happy", "very_odd"]).surface("very_odd", "zh")
        'very odd'
        """
        self.index(name)
        alias = self.aliases.get(name, {}).get(language)
        if alias:
            return alias[0]
        words = self._concepts[name] and words_of(
            self._concepts[name], language
        )
        return words[0] if words else name.replace("_", " ")

    def parse(
        self,
        text: str | None,
        language: str | None = None,
        synonyms: bool = True,
    ) -> str | None:
        """The label that a free text names.

        Words count at word boundaries (Chinese: anywhere), longer before
        shorter, and not where they are denied ("not happy"). "other" and
        "unknown" count only where no other emotion is named.

        Arguments
        ---------
        text : str | None
            Anything.
        language : str | None
            Only the words of this language and the names; None is all.
        synonyms : bool
            Whether synonyms and narrower emotions count, such as "excited"
            for happy in a set without "excited".

        Returns
        -------
        str | None
            None where no label is named, or several: never a guess.

        Example
        -------
        >>> space = LabelSpace.from_name("emo_emilia")
        >>> space.parse("他听起来很开心。"), space.parse("并不高兴")
        ('happy', None)
        >>> space.parse("cheerful", synonyms=False) is None
        True
        """
        text = clean_text(text or "")
        names = {name for name, *_ in self.mentions(text, language, synonyms)}
        specific = {n for n in names if self._concepts[n] not in CATCH_ALL}
        names = specific or names
        return names.pop() if len(names) == 1 else None

    def mentions(self, text, language=None, synonyms=True) -> list[tuple]:
        """Where a text names labels, in order.

        Arguments
        ---------
        text, language, synonyms
            As in :meth:`parse`.

        Returns
        -------
        list of tuple
            (label, start, end): character positions. What is denied is left
            out.

        Example
        -------
        >>> LabelSpace(["happy", "sad"]).mentions("sad, not happy")
        [('sad', 0, 3)]
        """
        return self._lexicons[synonyms].find(text or "", language)

    def map(self, raw: str | None) -> str | None:
        """The label that a corpus's own label means.

        Its own names, words of any language, corpus codes such as "exc", and
        pairs such as "生气/angry" are known; a narrower emotion maps to its
        parent.

        Arguments
        ---------
        raw : str | None
            The label as the corpus writes it.

        Returns
        -------
        str | None
            None where it means no label of this set.

        Example
        -------
        >>> space = LabelSpace.from_name("iemocap4")
        >>> space.map("exc"), space.map("生气/angry"), space.map("fear")
        ('happy', 'angry', None)
        """
        if raw is None or raw in self:
            return raw
        raw = clean_text(str(raw)).translate(PLAIN)
        # Marks that stand around a label: "**Angry**.", "<|sad|>".
        raw = raw.strip(MARKS) or raw
        parts = [part for part in re.split(r"[/|()]", raw) if part.strip()]
        meant = {self._map_one(part) for part in parts}
        return meant.pop() if len(meant) == 1 else None

    def mapping_to(self, other: "LabelSpace") -> dict:
        """Each label's place in another set.

        Arguments
        ---------
        other : LabelSpace
            Usually a smaller set.

        Returns
        -------
        dict
            Label -> label of ``other``, or None where it has no place.

        Example
        -------
        >>> emodb = LabelSpace.from_name("emodb")
        >>> LabelSpace(["calm", "sad", "fearful"]).mapping_to(emodb)
        {'calm': 'neutral', 'sad': 'sad', 'fearful': 'fearful'}
        >>> emodb.mapping_to(LabelSpace.from_name("iemocap4"))["fearful"]
        """
        placed = {}
        for name in self.names:
            place, broader = other.map(name), name
            while place is None and broader in self.parents:
                broader = self.parents[broader]
                place = other.map(broader)
            placed[name] = place
        return placed

    def _map_one(self, raw):
        plain = plain_label(raw)
        if plain in self:
            return plain
        for name in self.names:
            if plain == plain_label(name):
                return name
        owner = self._lexicons[True].owner(plain)
        if owner:
            return owner
        concept = concept_of(plain)
        while concept:
            for name, label_concept in self._concepts.items():
                if label_concept == concept:
                    return name
            concept = CONCEPTS[concept][0]
        return None

    def _lexicon(self, synonyms):
        """Words by precedence: names, given aliases, surface words, rest."""
        levels = [
            [(name, name, None) for name in self.names]
            + [(n.replace("-", " "), n, None) for n in self.names],
            [
                (word, name, language)
                for name, words in self.aliases.items()
                for language, listed in words.items()
                for word in (listed if synonyms else listed[:1])
            ],
        ]
        known = [(n, c) for n, c in self._concepts.items() if c]
        levels.append(words_meant_else(known) if synonyms else [])
        narrower = []
        for concept in CONCEPTS if synonyms else ():
            label = self._broader_label(concept)
            if label:
                narrower.append((label, concept))
        for pairs, most in ((known, 1), (known, None), (narrower, None)):
            levels.append(
                [
                    (word, name, language)
                    for name, concept in pairs
                    for language in CONCEPTS[concept][2]
                    for word in words_of(concept, language)[:most]
                ]
            )
            if not synonyms:
                break
        else:
            levels.append(
                [
                    (word + ending, name, "de")
                    for name, concept in known + narrower
                    for word in words_of(concept, "de")
                    for ending in GERMAN_ENDINGS
                ]
            )
        return Lexicon(levels)

    def _broader_label(self, concept):
        """The label that stands for a concept outside the set, or None."""
        if concept in self._concepts.values():
            return None
        while CONCEPTS[concept][0]:
            concept = CONCEPTS[concept][0]
            for name, label_concept in self._concepts.items():
                if label_concept == concept:
                    return name
        return None
