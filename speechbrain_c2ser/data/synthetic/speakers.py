"""Who speaks in the synthetic corpus, and in which split."""

import numpy as np

# Variants of espeak-ng 1.52. Left out by measurement: without voice (whisper,
# whisperf, caleb), too slow (Marco, AnxiousAndy), or the twin of another
# (RicishayMax, RicishayMax3, steph3, klatt6, anikaRobot, edward2, fast, croak,
# iven), or crashing at some settings (Demonic, rob). Female: median pitch of
# 150 Hz or more.
FEMALE = (
    "Alicia Andrea Annie anika aunty belinda f1 f2 f3 f4 f5 grandma linda "
    "shelby steph steph2 zac"
).split()
MALE = (
    "Alex|Andy|Denis|Diogo|Gene|Gene2|Henrique|Hugo|Jacky|Lee|Mario|"
    "Michael|Mike|Mr serious|Nguyen|Reed|RicishayMax2|Storm|Tweaky|UniRobot|"
    "adam|announcer|antonio|benjamin|boris|david|ed|edward|grandpa|gustave|"
    "ian|iven2|iven3|iven4|john|kaukovalta|klatt|klatt2|klatt3|klatt4|klatt5|"
    "m1|m2|m3|m4|m5|m6|m7|m8|marcelo|max|michel|miguel|mike2|norbert|pablo|"
    "paul|pedro|quincy|robert|robosoft|robosoft2|robosoft3|robosoft4|"
    "robosoft5|robosoft6|robosoft7|robosoft8|sandro|travis|victor"
).split("|")
# Families of near relatives stay together, in the training set.
FAMILIES = ("Gene", "iven", "klatt", "robosoft", "steph")


def split_voices(seed, train, valid, test):
    """Deal the voices out, women in every split, relatives together.

    Arguments
    ---------
    seed : int
        Of the shuffling.
    train, valid, test : int
        Number of voices.

    Returns
    -------
    dict
        Split -> names of variants.

    Raises
    ------
    ValueError
        If there are not as many voices.

    Example
    -------
    >>> voices = split_voices(1, 4, 2, 2)
    >>> [len(voices[split]) for split in ("train", "valid", "test")]
    [4, 2, 2]
    >>> sorted(set(voices["train"]) & set(voices["test"]))
    []
    """
    total = len(FEMALE) + len(MALE)
    if train + valid + test > total:
        raise ValueError(
            f"{train} + {valid} + {test} voices are asked for, but only "
            f"{total} are usable."
        )
    rng = np.random.default_rng([seed, 0])
    women, men = ([*rng.permutation(group)] for group in (FEMALE, MALE))
    voices = {}
    for split, number in (("test", test), ("valid", valid)):
        # One in four, rounded up, as long as there are enough of either.
        female = max(-(-number // 4), number - len(men))
        female = min(female, len(women))
        voices[split] = _take(women, female) + _take(men, number - female)
    # Women spread evenly, so that a small training set has some as well.
    rest = women + men
    place = [
        (i + 0.5) / len(group)
        for group in (women, men)
        for i in range(len(group))
    ]
    order = np.argsort(place, kind="stable")
    voices["train"] = [str(rest[i]) for i in order[:train]]
    return voices


def _take(names, number):
    """Remove the first of ``names`` that have no relatives."""
    free = [n for n in names if not n.startswith(FAMILIES)]
    chosen = (free + [n for n in names if n not in free])[:number]
    for name in chosen:
        names.remove(name)
    return [str(name) for name in chosen]
