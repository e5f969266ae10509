"""The audio of a synthetic corpus: many utterances, in several processes."""

import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tqdm import tqdm

from speechbrain_c2ser.data.atomic import write_recording
from speechbrain_c2ser.data.chance import rng_of
from speechbrain_c2ser.data.manifest import audio_duration
from speechbrain_c2ser.data.synthetic.voice import SAMPLE_RATE, speak

WAV_FOLDER = "wav"


def missing(items: dict, folder: Path, seed: int) -> list[tuple]:
    """Jobs for :func:`synthesize`: the items whose audio is not there.

    Arguments
    ---------
    items : dict
        Id -> fields with wav (below the folder), transcript, language,
        voice, speaker and condition.
    folder : Path
        The corpus.
    seed : int
        Of everything that is drawn.
    """
    return [
        (str(folder / item["wav"]), item, seed)
        for item in items.values()
        if not (folder / item["wav"]).is_file()
    ]


def synthesize(todo: list[tuple], folder: Path, num_workers: int) -> None:
    """Write the audio of jobs, each file whole or not at all.

    Arguments
    ---------
    todo : list of tuple
        Of :func:`missing`.
    folder : Path
        The corpus; unfinished files of a killed run are removed.
    num_workers : int
        Processes.
    """
    for part in folder.glob(f"{WAV_FOLDER}/*/*.part"):
        part.unlink()
    bar = tqdm(total=len(todo), desc="synthesis", unit="utt", leave=False)
    with bar:
        if num_workers <= 1 or len(todo) < 32:
            for job in todo:
                _make_one(job)
                bar.update()
            return
        # fork starts at once and needs no importable main script.
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context(
            "fork" if "fork" in methods else None
        )
        pool = ProcessPoolExecutor(
            num_workers, mp_context=context, initializer=_ignore_interrupt
        )
        try:
            for _ in pool.map(_make_one, todo, chunksize=16):
                bar.update()
        finally:
            pool.shutdown(cancel_futures=True)


def _ignore_interrupt():
    # Ctrl-C reaches all processes; the parent ends the others in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _make_one(job):
    path, item, seed = job
    key = Path(path).stem
    person = rng_of(seed, item["speaker"], "speaker")
    speaker = {
        "size": person.uniform(0.94, 1.06),
        "pitch": person.uniform(-1.0, 1.0),
    }
    wave = speak(
        item["transcript"],
        item["language"],
        item["voice"],
        speaker,
        item["condition"],
        rng_of(seed, key, "audio"),
    )
    write_recording(wave, path, SAMPLE_RATE)


def manifest_rows(items: dict, folder: Path) -> dict:
    """Items with the audio's path and duration (s)."""
    rows = {}
    for key, item in items.items():
        wav = str(folder / item["wav"])
        duration = round(audio_duration(wav, key), 4)
        rows[key] = {**item, "wav": wav, "duration": duration}
    return rows
