"""Which recordings a data set's name stands for, however it is spelt.

Collections carry the recordings of others: CAMEO holds CREMA-D as "crema_d",
EmoBox as "cremad". Only their common source says whether a test corpus is
foreign to the training set.
"""

import re

# Plain spelling -> source, where leaving out all but letters and digits is
# not enough.
SAME_SOURCE = {
    "emodb2s": "emodb",
    "berlin": "emodb",
    "emoemilia": "emilia",
    "emotionlines": "meld",
    "ravdesssong": "ravdess",
    "esden": "esd",
    "esdzh": "esd",
    "iemocap4": "iemocap",
    "iemocap5": "iemocap",
}


def source_of(dataset: str) -> str:
    """The source of a data set: one name for all its spellings.

    Arguments
    ---------
    dataset : str
        As a manifest writes it; of a path such as "cameo/crema_d" the last
        part counts.

    Returns
    -------
    str

    Example
    -------
    >>> source_of("CREMA-D") == source_of("cameo/crema_d") == "cremad"
    True
    >>> source_of("Emo-Emilia")
    'emilia'
    """
    last = str(dataset).rstrip("/").split("/")[-1]
    plain = re.sub(r"[^\w]|_", "", last.lower())
    return SAME_SOURCE.get(plain, plain)
