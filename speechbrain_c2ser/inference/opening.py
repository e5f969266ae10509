"""Any folder that can classify, by what it holds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speechbrain_c2ser.checkpoints.folder import find_folder
from speechbrain_c2ser.checkpoints.kinds import check_kind, kind_of
from speechbrain_c2ser.inference.c2ser import C2SER
from speechbrain_c2ser.inference.classifier import EmotionClassifier
from speechbrain_c2ser.inference.diarizer import EmotionDiarizer, frame_head_of


def open_classifier(
    source: str | Path,
    savedir: str | Path | None = None,
    run_opts: dict[str, Any] | None = None,
    allow: Sequence[str] = (),
) -> C2SER | EmotionClassifier:
    """Load a C2SER folder or a classifier's, such as an emotion2vec+.

    Arguments
    ---------
    source : str | Path
        Folder, or id of a model on the Hugging Face hub.
    savedir : str | Path | None
        Where a hub model is put.
    run_opts : dict | None
        SpeechBrain's, such as ``{"device": "cuda"}``.
    allow : sequence of str
        Modules of blocks of your own that the folder may build; of those
        that lie in it, the folder's copy is run.

    Returns
    -------
    C2SER | EmotionClassifier

    Raises
    ------
    ValueError
        If the folder holds something that cannot classify; says what.
    """
    folder = find_folder(source, savedir)
    check_kind(folder, "SpeechEmotionLLM", "EmotionClassifier")
    if kind_of(folder) == "EmotionClassifier":
        return EmotionClassifier.from_hparams(
            folder, run_opts=run_opts, allow=allow
        )
    return C2SER.from_hparams(folder, run_opts=run_opts, allow=allow)


def open_diarizer(
    source: str | Path,
    savedir: str | Path | None = None,
    run_opts: dict[str, Any] | None = None,
) -> C2SER | EmotionClassifier | EmotionDiarizer:
    """As :func:`open_classifier`; with a head over frames, a diarizer.

    Arguments
    ---------
    source, savedir, run_opts
        As of :func:`open_classifier`.

    Returns
    -------
    C2SER | EmotionClassifier | EmotionDiarizer
        The first two tell when by windows.

    Raises
    ------
    ValueError
        If nothing in the folder tells an emotion; says what it holds.
    """
    model = open_classifier(source, savedir, run_opts)
    if not isinstance(model, EmotionClassifier):
        return model
    if frame_head_of(model.mods.model) is not None:
        return EmotionDiarizer(model.mods.model, vars(model.hparams), run_opts)
    if not model.labels:
        raise ValueError(
            f"{source} has no head that tells an emotion (it has "
            f"{', '.join(model.heads.heads)}): there is no timeline of it."
        )
    return model
