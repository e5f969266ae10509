"""What kind of model a folder holds, told before it is loaded."""

import re
from pathlib import Path

from speechbrain_c2ser.checkpoints.folder import SETTINGS, read_settings

# Class of the model -> what it is, and what it is for.
KINDS = {
    "SpeechEmotionLLM": (
        "a C2SER model",
        "use `c2ser classify`, `c2ser describe` or inference.C2SER",
    ),
    "EmotionClassifier": (
        "an emotion classifier",
        "use `c2ser classify` or inference.EmotionClassifier",
    ),
    "Emotion2VecS": (
        "an encoder of the emotion2vec family",
        "use `c2ser features` or inference.Emotion2VecSEncoder",
    ),
}
MODEL = re.compile(r"^model:\s*!new:[\w.]*?(\w+)\s*$", re.MULTILINE)


def kind_of(folder: str | Path) -> str | None:
    """Name of the class of a folder's model.

    Arguments
    ---------
    folder : str | Path
        A model folder.

    Returns
    -------
    str | None
        None where the folder's settings name no model, or are not there;
        reading it says what is wrong.
    """
    path = Path(folder) / SETTINGS
    if not path.is_file():
        return None
    match = MODEL.search(read_settings(folder))
    return match[1] if match else None


def check_kind(folder: str | Path, *wanted: str) -> None:
    """Refuse a folder of another kind by what it is.

    Arguments
    ---------
    folder : str | Path
        A model folder.
    wanted : str
        Names of the classes that will do; a class that is not in ``KINDS``
        (one of your own) will do always.

    Raises
    ------
    ValueError
        Names what the folder holds and what it is for.
    """
    kind = kind_of(folder)
    if kind in KINDS and kind not in wanted:
        what, use = KINDS[kind]
        named = " or ".join(KINDS[each][0] for each in wanted)
        raise ValueError(f"{folder} holds {what}, not {named}: {use}.")
