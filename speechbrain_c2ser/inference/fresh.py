"""Whether a model folder works for others: loaded in a process of its own.

> python -m speechbrain_c2ser.inference.fresh FOLDER
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from speechbrain_c2ser.checkpoints.folder import SETTINGS
from speechbrain_c2ser.checkpoints.kinds import kind_of
from speechbrain_c2ser.checkpoints.user_modules import loaded_modules
from speechbrain_c2ser.inference.c2ser import C2SER
from speechbrain_c2ser.inference.classifier import EmotionClassifier
from speechbrain_c2ser.inference.emotion2vec import Emotion2VecSEncoder
from speechbrain_c2ser.inference.opening import open_classifier

RATE = 16000
# What a trial is told: an emotion, so that it may stand for a label too.
WORD = "neutral"
STYLE = {"speed": "normal", "pitch": "normal", "volume": "normal"}
# A value of the yaml that is a place on this machine.
PLACE = re.compile(r"""^\s*[\w-]+:\s+['"]?((?:/|~/|[A-Za-z]:\\)[^'"\s]+)""")


def load_fresh(folder: str | Path, timeout: float = 1800) -> dict:
    """Copy a folder elsewhere, load it in a new process and let it answer.

    Arguments
    ---------
    folder : str | Path
        A model folder.
    timeout : float
        Seconds.

    Returns
    -------
    dict
        kind (class of the model), labels, parameters, and answer: a label,
        the heads where none decides on one, or the size of an encoder's
        vector.

    Raises
    ------
    ValueError
        If its settings name places of this machine, or it cannot be loaded
        or gives no answer; says why.
    """
    folder = Path(folder)
    settings = folder / SETTINGS
    if not settings.is_file():
        raise ValueError(f"{folder} holds no model: it has no {SETTINGS}.")
    lines = settings.read_text(encoding="utf-8").splitlines()
    places = [found[1] for line in lines if (found := PLACE.match(line))]
    if places:
        raise ValueError(
            f"{settings} names {places[0]}, which others do not have: save "
            "the model with that part in its folder (include_llm=True), or "
            "with its id on the hub."
        )
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "model"
        shutil.copytree(folder, copy, copy_function=_link)
        try:
            done = subprocess.run(
                [sys.executable, "-m", __name__, str(copy), *loaded_modules()],
                cwd=place,
                env={**os.environ, "PYTHONPATH": _python_path()},
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ValueError(
                f"{folder} gave no answer in {timeout:.0f} s."
            ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ended"])[-1]
        raise ValueError(f"{folder} does not load in a new process: {last}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def answer(folder: str | Path, allow: Sequence[str] = ()) -> dict:
    """Load a folder and ask it of a second of noise; see :func:`load_fresh`.

    A model that reads words, or whose prompt has slots, is told as well what
    these need.
    """
    noise = 0.01 * torch.randn(
        1, RATE, generator=torch.Generator().manual_seed(0)
    )
    kind = kind_of(folder)
    if kind == "Emotion2VecS":
        encoder = Emotion2VecSEncoder.from_hparams(folder)
        told = int(encoder.encode_batch(noise).shape[-1])
        return _facts(kind, [], encoder, told)
    classifier = open_classifier(folder, allow=allow)
    items = [trial_row(classifier)]
    if not classifier.labels:  # of frames, of dimensions alone
        told = ", ".join(classifier.predict_batch(noise, items=items))
        return _facts(kind, [], classifier, told)
    *_, labels = classifier.classify_batch(noise, items=items)
    return _facts(kind, list(classifier.labels), classifier, labels[0])


def trial_row(interface: C2SER | EmotionClassifier) -> dict:
    """A manifest row that has whatever a model needs beside the speech.

    Arguments
    ---------
    interface : C2SER | EmotionClassifier
        Its text encoder reads words, or its prompt has slots.

    Returns
    -------
    dict
        Empty for a model that only listens.

    Raises
    ------
    ValueError
        For a slot of one's own that no value tried is enough for.

    Example
    -------
    >>> from speechbrain_c2ser.chain_of_thought.slots import Cues, History
    >>> model = type("Model", (), {"slots": [History(turns=1), Cues()]})()
    >>> row = trial_row(model)
    >>> row["before"]
    [{'transcript': 'neutral', 'speaker': 'neutral'}]
    >>> History(turns=1).missing(row), Cues().missing(row)
    (None, None)
    """
    if isinstance(interface, EmotionClassifier):
        text_encoder = interface.mods.model.text_encoder
        return {} if text_encoder is None else {text_encoder.key: WORD}
    row: dict = {}
    for slot in interface.slots:
        tried = set()
        while (field := slot.missing(row)) is not None:
            if field in tried:
                raise ValueError(
                    f"The prompt's slot {type(slot).__name__} does not say "
                    f"what {field!r} must be like: it takes neither a word, "
                    "measured style, nor turns."
                )
            tried.add(field)
            _give(slot, row, field)
    return row


def _give(slot, row, field):
    """The first value that a slot takes in a field, such as before.speaker."""
    side, _, inner = field.partition(".")
    if inner and side in row:
        for turn in row[side]:
            turn[inner] = WORD
        return
    for value in (WORD, dict(STYLE), [{}]):
        row[field] = value
        if slot.missing(row) != field:
            return


def _facts(kind, labels, interface, told):
    return {
        "kind": kind,
        "labels": labels,
        "parameters": sum(p.numel() for p in interface.parameters()),
        "answer": told,
    }


def _link(source, target):
    """Weights are large: linked, where the file system can."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _python_path():
    """Where this process finds its packages, from any folder."""
    return os.pathsep.join(os.path.abspath(path) for path in sys.path if path)


if __name__ == "__main__":
    print(json.dumps(answer(sys.argv[1], sys.argv[2:])))
