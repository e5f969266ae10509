"""A trained classifier as one folder: settings, weights, encoder's config."""

from collections.abc import Sequence
from pathlib import Path

from speechbrain_c2ser.checkpoints.folder import (
    read_model,
    with_configs,
    write_model,
)
from speechbrain_c2ser.checkpoints.replacing import written_beside


def save_classifier(
    model,
    folder: str | Path,
    label_space=None,
    extra: dict | None = None,
    temperature: float = 1.0,
    licence: str | None = None,
) -> Path:
    """Write a classifier as a folder that ``EmotionClassifier`` reads.

    Arguments
    ---------
    model : speechbrain_c2ser.lobes.EmotionClassifier
        The model.
    folder : str | Path
        Where it goes; an earlier model folder is replaced, in one step.
    label_space : speechbrain_c2ser.labels.LabelSpace | None
        The emotions of the head "emotion".
    extra : dict | None
        Plain facts to keep, such as what it was trained on.
    temperature : float
        Of the probabilities of the head "emotion"; fitted on validation data.
    licence : str | None
        Of the weights, as the Hugging Face hub calls it ("apache-2.0"); None
        takes that of the parts, where they come under one.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        When the folder holds something else, the model cannot be described,
        or the licence is none or leaves out what a part's asks for.
    """
    settings = {
        "sample_rate": 16000,
        "label_space": label_space,
        "extra": extra,
        "temperature": float(temperature),
        "licence": licence,
        "model": model,
    }
    with written_beside(folder) as beside:
        write_model(beside, settings, model, with_configs(beside))
    return Path(folder)


def load_classifier(folder: str | Path, allow: Sequence[str] = ()) -> dict:
    """Build the classifier of a folder and load its weights.

    Arguments
    ---------
    folder : str | Path
        Written by :func:`save_classifier`.
    allow : sequence of str
        Further modules whose classes the yaml may build.

    Returns
    -------
    dict
        ``model`` (in eval mode), ``label_space`` and the other settings.

    Raises
    ------
    FileNotFoundError
        When a file of the folder is missing.
    ValueError
        When the yaml builds foreign objects, or the weights do not fit.
    """
    return read_model(folder, allow=allow)
