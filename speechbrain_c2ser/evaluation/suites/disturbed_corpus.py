"""Disturbed copies of a corpus as files, for systems outside Python."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from speechbrain_c2ser.audio import read_audio
from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.dataset import read_item
from speechbrain_c2ser.data.manifest import write_manifest
from speechbrain_c2ser.evaluation.suites.disturbances import (
    CONTROLS,
    DISTURBANCES,
    RATE,
    SHUFFLED,
    disturb,
    pair_with_others,
)
from speechbrain_c2ser.evaluation.suites.words import TRANSCRIPT

ALL = (*DISTURBANCES, *CONTROLS, SHUFFLED, TRANSCRIPT)


@dataclass
class Disturbed:
    """What was written.

    Arguments
    ---------
    written : int
        Utterances of each condition.
    manifests : dict
        Condition -> path.
    errors : dict
        Id -> what went wrong; such an utterance is in no condition.
    """

    written: int = 0
    manifests: dict = field(default_factory=dict)
    errors: dict = field(default_factory=dict)


def conditions_of(names: str | None) -> list[str]:
    """Conditions from a list with commas; None is all.

    Raises
    ------
    ValueError
        For an unknown one; lists the known.

    Example
    -------
    >>> conditions_of("silence,noise_10")
    ['noise_10', 'silence']
    """
    if not names:
        return list(ALL)
    wanted = {name.strip() for name in names.split(",")}
    unknown = sorted(wanted - set(ALL))
    if unknown:
        raise ValueError(
            f"There is no condition {', '.join(unknown)} (known: "
            f"{', '.join(ALL)})."
        )
    return [name for name in ALL if name in wanted]


def read_noises(folder: str | None) -> list[np.ndarray] | None:
    """Waveforms [T] of a folder's recordings, None without a folder.

    Raises
    ------
    ValueError
        If it holds no file; AudioError for one that cannot be read.
    """
    if folder is None:
        return None
    paths = [p for p in sorted(Path(folder).rglob("*")) if p.is_file()]
    if not paths:
        raise ValueError(f"The folder {folder} holds no recordings of noise.")
    return [read_audio(path).numpy() for path in paths]


def write_disturbed(
    items: dict,
    folder: str | Path,
    conditions: list[str],
    seed: int = 0,
    noises: list[np.ndarray] | None = None,
) -> Disturbed:
    """Write audio and a manifest for each condition.

    Arguments
    ---------
    items : dict
        Id -> row with wav, emotion and perhaps transcript.
    folder : str or Path
        Gets <condition>/<number>.wav and <condition>.json; of the condition
        transcript_only a list (JSONL) of id, transcript and language, without
        the emotion. "shuffled" points at the recordings as they are.
    conditions : list of str
        Of :data:`ALL`.
    seed : int
        Of all chance.
    noises : list of np.ndarray | None
        Own noise.

    Returns
    -------
    Disturbed
    """
    folder, written = Path(folder), Disturbed()
    rows = {name: {} for name in conditions if name != TRANSCRIPT}
    for number, (key, item) in enumerate(items.items()):
        try:
            wave = read_item(item).numpy()
            manifest = {}
            for name in rows:
                if name == SHUFFLED:
                    continue
                path = folder / name / f"{number:06d}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                changed = disturb(wave, name, key, seed, noises)
                soundfile.write(path, changed, RATE, subtype="FLOAT")
                manifest[name] = _row(item, path.resolve(), len(changed) / RATE)
        except (OSError, ValueError, RuntimeError) as error:
            written.errors[key] = str(error)
            continue
        for name, row in manifest.items():
            rows[name][key] = row
        written.written += 1
    if SHUFFLED in rows:
        pairs = pair_with_others(
            list(items), [str(i.get("emotion")) for i in items.values()], seed
        )
        for key, other in pairs.items():
            if {key, other} & written.errors.keys():
                continue
            audio = {
                k: items[other][k]
                for k in ("wav", "start", "stop", "duration")
                if k in items[other]
            }
            audio["wav"] = str(Path(audio["wav"]).resolve())
            plain = _row(items[key], audio["wav"], None)
            rows[SHUFFLED][key] = {**plain, **audio}
    for name, manifest in rows.items():
        if manifest:
            written.manifests[name] = folder / f"{name}.json"
            write_manifest(manifest, written.manifests[name])
    if TRANSCRIPT in conditions:
        lines = [
            {
                "id": key,
                **{
                    k: item[k]
                    for k in ("transcript", "language")
                    if item.get(k)
                },
            }
            for key, item in items.items()
            if item.get("transcript")
        ]
        if lines:
            path = folder / f"{TRANSCRIPT}_questions.jsonl"
            written.manifests[TRANSCRIPT] = path
            write_atomic(
                "".join(
                    json.dumps(x, ensure_ascii=False) + "\n" for x in lines
                ),
                path,
            )
    return written


def _row(item, path, seconds):
    """A manifest row of other audio."""
    kept = {k: v for k, v in item.items() if k not in ("start", "stop")}
    row = {**kept, "wav": str(path)}
    if seconds is not None:
        row["duration"] = round(seconds, 4)
    return row
