"""Ways to divide a corpus: as it says itself, by group, or at random.

A division is a dictionary split -> items; folds are a list of them.
"""

import numpy as np

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import SPLITS

DRAWS = 50  # until a training set has every emotion


def by_field(items: dict, field: str = "split") -> dict:
    """Divide by what the items say, and take the field away.

    Arguments
    ---------
    items : dict
        Utterance id -> fields.
    field : str
        Holds "train", "valid" or "test"; items without are left out.

    Returns
    -------
    dict
        Split -> items, only splits that occur.

    Example
    -------
    >>> by_field({"a": {"split": "test", "wav": "a.wav"}})
    {'test': {'a': {'wav': 'a.wav'}}}
    """
    splits = {}
    for key, item in items.items():
        rest = {name: value for name, value in item.items() if name != field}
        splits.setdefault(item.get(field), {})[key] = rest
    return {split: splits[split] for split in SPLITS if split in splits}


def folds_by(
    items: dict,
    field: str = "speaker",
    number: int | None = None,
    seed: int = 1,
    valid: str = "group",
) -> list[dict]:
    """Folds that keep groups apart: each group is tested once.

    Arguments
    ---------
    items : dict
        Utterance id -> fields.
    field : str
        What is kept apart: "speaker", "session" ...
    number : int | None
        Of folds: the groups are dealt out, genders evenly; None is one group
        a fold.
    seed : int
        Of the dealing, and of a random valid split.
    valid : str
        "group": the next fold's test set validates, so all three are apart.
        "random": a fifth of the training set, drawn per emotion, as the
        published IEMOCAP protocols do; it knows the training speakers.

    Returns
    -------
    list of dict
        Split -> items, a fold each.

    Raises
    ------
    ManifestError
        If an item has no such field, or there are too few groups.

    Example
    -------
    >>> items = {str(i): {"speaker": i % 3, "emotion": "sad"} for i in range(6)}
    >>> [sorted(fold["test"]) for fold in folds_by(items)]
    [['0', '3'], ['1', '4'], ['2', '5']]
    """
    groups = _groups(items, field)
    names = sorted(groups)
    number = len(names) if number is None else int(number)
    fewest = 3 if valid == "group" else 2
    if not fewest <= number <= len(names):
        raise ManifestError(
            f"{number} folds cannot be made of {len(names)} {field}s: give "
            f"between {fewest} and {len(names)}."
        )
    if number < len(names):
        shuffled = np.random.default_rng(seed).permutation(names)
        # Sorted by gender and dealt out, each fold gets some of either.
        names = sorted(
            shuffled.tolist(),
            key=lambda name: str(items[groups[name][0]].get("gender")),
        )
    parts = [
        [key for name in names[k::number] for key in groups[name]]
        for k in range(number)
    ]
    return [_fold(items, parts, k, seed, valid) for k in range(number)]


def speaker_split(
    items: dict, valid: float = 0.15, test: float = 0.25, seed: int = 1
) -> dict:
    """One division that keeps speakers apart.

    Drawn again (up to 50 times) where the training set would lack an emotion.

    Arguments
    ---------
    items : dict
        Utterance id -> fields.
    valid, test : float
        About this share of the utterances.
    seed : int
        Of the draw.

    Returns
    -------
    dict
        Split -> items.

    Example
    -------
    >>> items = {str(i): {"wav": f"{i}.wav", "speaker": i} for i in range(8)}
    >>> {split: len(part) for split, part in speaker_split(items).items()}
    {'train': 5, 'valid': 1, 'test': 2}
    """
    _groups(items, "speaker")
    return complete({"train": items}, {"test": test, "valid": valid}, seed)


def complete(splits: dict, shares: dict, seed: int = 1) -> dict:
    """Draw the splits that are missing out of the training set.

    Drawn again (up to 50 times) where the training set would lose an
    emotion, as when only one speaker acts it.

    Arguments
    ---------
    splits : dict
        Split -> items, "train" among them.
    shares : dict
        Split -> about this share of all utterances, in order of drawing.
    seed : int
        Of the draws.

    Returns
    -------
    dict
        Split -> items; of the last draw where none has every emotion.

    Example
    -------
    >>> items = {
    ...     str(i): {"speaker": i, "emotion": "sad" if i else "happy"}
    ...     for i in range(4)
    ... }
    >>> splits = complete({"train": items}, {"test": 0.25})
    >>> {item["emotion"] for item in splits["train"].values()} == {
    ...     "sad", "happy"
    ... }
    True
    """
    rng = np.random.default_rng(seed)
    total = sum(map(len, splits.values()))
    wanted = _emotions(splits["train"])
    for _ in range(DRAWS):
        drawn = dict(splits)
        for split, share in shares.items():
            if split not in splits:
                drawn["train"], drawn[split] = draw(
                    drawn["train"], share * total, rng
                )
        if _emotions(drawn["train"]) == wanted:
            break
    return {split: drawn[split] for split in SPLITS if split in drawn}


def random_split(items: dict, share: float, seed: int = 1) -> tuple[dict, ...]:
    """Draw a share of every emotion.

    Arguments
    ---------
    items : dict
        Utterance id -> fields.
    share : float
        Between 0 and 1; one utterance of every emotion at least, where it
        has two.
    seed : int
        Of the draw.

    Returns
    -------
    tuple of dict
        (what is left, what was drawn), both in the order of ``items``.

    Example
    -------
    >>> items = {str(i): {"emotion": "sad"} for i in range(10)}
    >>> [len(part) for part in random_split(items, 0.2)]
    [8, 2]
    """
    rng = np.random.default_rng(seed)
    groups = {}  # those of no majority are one
    for key, item in items.items():
        groups.setdefault(item.get("emotion") or "", []).append(key)
    drawn = set()
    for name in sorted(groups):
        keys = sorted(groups[name])
        number = max(round(share * len(keys)), int(len(keys) > 1))
        drawn.update(rng.permutation(keys)[:number].tolist())
    return _part(items, drawn)


def draw(items: dict, number: float, rng) -> tuple[dict, ...]:
    """Draw about ``number`` items, whole speakers (or files) at a time.

    Arguments
    ---------
    items : dict
        Utterance id -> fields.
    number : float
        How many; one group at least.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    tuple of dict
        (what is left, what was drawn), both in the order of ``items``.
    """
    speakers = {item.get("speaker") for item in items.values()}
    # Never the same file in two splits, even of unknown speakers.
    by = "speaker" if None not in speakers and len(speakers) > 1 else "wav"
    groups = {}
    for key, item in items.items():
        groups.setdefault(item[by], []).append(key)
    drawn = set()
    for name in rng.permutation(sorted(groups))[: len(groups) - 1]:
        keys = groups[name]
        # The nearest to the number; one group at least.
        if drawn and len(drawn) + len(keys) / 2 > number:
            break
        drawn.update(keys)
    return _part(items, drawn)


def _emotions(items):
    return {item.get("emotion") for item in items.values()}


def _part(items, drawn):
    kept = {key: item for key, item in items.items() if key not in drawn}
    return kept, {key: items[key] for key in items if key in drawn}


def _fold(items, parts, k, seed, valid):
    test = set(parts[k])
    rest = {key: item for key, item in items.items() if key not in test}
    if valid == "group":
        train, validated = _part(rest, set(parts[(k + 1) % len(parts)]))
    elif valid == "random":
        train, validated = random_split(rest, 0.2, seed)
    else:
        raise ManifestError(
            f"The valid split {valid!r} is not known: give group or random."
        )
    tested = {key: items[key] for key in items if key in test}
    return {"train": train, "valid": validated, "test": tested}


def _groups(items, field):
    groups = {}
    for key, item in items.items():
        if item.get(field) is None:
            raise ManifestError(f"Item {key!r} has no {field!r} to split by.")
        groups.setdefault(item[field], []).append(key)
    return groups
