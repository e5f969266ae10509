"""An encoder of the emotion2vec family as one folder."""

from pathlib import Path

from speechbrain_c2ser.checkpoints.folder import (
    fingerprint,
    read_model,
    write_model,
)
from speechbrain_c2ser.checkpoints.replacing import written_beside


def save_emotion2vec(
    encoder,
    folder: str | Path,
    extra: dict | None = None,
    licence: str | None = None,
) -> Path:
    """Write an encoder as a folder that ``Emotion2VecSEncoder`` reads.

    Arguments
    ---------
    encoder : speechbrain_c2ser.lobes.Emotion2VecS
        The encoder.
    folder : str | Path
        Where it goes; an earlier folder of this kind is replaced.
    extra : dict | None
        Plain facts to keep.
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
        When the folder holds something else, or the licence is none.
    """
    settings = {
        "sample_rate": 16000,
        "acoustic_encoder_hash": fingerprint(encoder),
        "extra": extra,
        "licence": licence,
        "model": encoder,
    }
    with written_beside(folder) as beside:
        write_model(beside, settings, encoder)
    return Path(folder)


def load_emotion2vec(folder: str | Path) -> dict:
    """Build the encoder of a folder and load its weights.

    Arguments
    ---------
    folder : str | Path
        Written by :func:`save_emotion2vec`, or a classifier's with such an
        encoder (emotion2vec+).

    Returns
    -------
    dict
        ``encoder``, ``model`` (the same, or the classifier around it) and the
        other settings.
    """
    settings = read_model(folder)
    model = settings["model"]
    return {**settings, "encoder": getattr(model, "encoder", model)}
