"""Speaking style measured from the audio: pitch, loudness, speaking rate.

Mean F0 over voiced frames (Praat), loudness in LUFS (ITU-R BS.1770) and
phonemes per second are cut into low, normal and high at one standard
deviation around the training set's mean (C2SER, section 3).
"""

import logging
import os
import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import parselmouth
import pyloudnorm
import torch
from tqdm import tqdm

from speechbrain_c2ser.audio import read_audio
from speechbrain_c2ser.chain_of_thought.espeak import Espeak, EspeakError
from speechbrain_c2ser.chain_of_thought.thresholds import StyleThresholds

__all__ = ["StyleThresholds", "annotate", "measure", "measure_items"]

logger = logging.getLogger(__name__)

SAMPLE_RATE = 16000
PITCH_FLOOR, PITCH_CEILING = 65.0, 600.0  # Hz
PITCH_STEP = 0.02  # s; enough for a mean
LOUDNESS_BLOCK = 0.4  # s, of BS.1770
FRAME = 400  # samples, 25 ms
SILENCE = 40.0  # dB below the loudest frame


def measure(waveform, transcript=None, language="en", sample_rate=SAMPLE_RATE):
    """Pitch, loudness and speaking rate of an utterance.

    Arguments
    ---------
    waveform : numpy.ndarray | torch.Tensor
        Shape [T], mono.
    transcript : str | None
        What is said.
    language : str
        Of the transcript, for its phonemes.
    sample_rate : int
        Hz.

    Returns
    -------
    dict
        "f0" (Hz, mean over voiced frames), "loudness" (LUFS), "rate"
        (phonemes/s from the first sound to the last). Each is a finite number
        or None: f0 where nothing is voiced, loudness of silence, rate
        without transcript or in a language that espeak-ng does not know.

    Example
    -------
    >>> tone = 0.1 * np.sin(2 * np.pi * 200 / 16000 * np.arange(16000))
    >>> values = measure(tone)
    >>> round(values["f0"]), round(values["loudness"]), values["rate"]
    (200, -24, None)
    >>> measure(np.zeros(800))
    {'f0': None, 'loudness': None, 'rate': None}
    """
    phonemes = count_phonemes(transcript, language) if transcript else None
    return _measure(
        np.asarray(waveform, dtype=np.float64), phonemes, sample_rate
    )


def count_phonemes(text, language):
    """Phonemes of a text, or None in a language unknown to espeak-ng.

    Example
    -------
    >>> count_phonemes("blue hat", "en")
    6
    """
    try:
        return len(Espeak().phoneme_list(text, language))
    except EspeakError as error:
        logger.warning("No speaking rate: %s", error)
        return None


def measure_items(items, workers=None, progress=True):
    """Write ``prosody`` into every manifest item that has none yet.

    Arguments
    ---------
    items : dict
        Manifest: id -> row; changed in place. The transcript of a row that
        is marked ``truncated`` says more than its audio and gives no rate.
    workers : int | None
        Processes; None is one per processor core.
    progress : bool
        Whether to show a bar.

    Raises
    ------
    ValueError
        Names the item whose audio cannot be read; then no item is changed.

    Example
    -------
    >>> import tempfile, soundfile
    >>> tone = 0.1 * np.sin(2 * np.pi * 200 / 16000 * np.arange(8000))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(f"{folder}/a.wav", tone, 16000)
    ...     items = {"a": {"wav": f"{folder}/a.wav"}}
    ...     measure_items(items, progress=False)
    >>> round(items["a"]["prosody"]["f0"])
    200
    """
    todo = [key for key, item in items.items() if "prosody" not in item]
    texts = [spoken_text(items[key]) for key in todo]
    # Here and not in the workers: corpora repeat their sentences.
    counts = {
        text: count_phonemes(*text)
        for text in tqdm(
            dict.fromkeys(text for text in texts if text),
            desc="phonemes",
            disable=not progress,
        )
    }
    jobs = [
        (key, _audio_of(items[key]), counts.get(text))
        for key, text in zip(todo, texts, strict=True)
    ]
    workers = min(workers or os.cpu_count() or 1, 1 + len(jobs) // 50)
    measured = {}
    with tqdm(total=len(jobs), desc="prosody", disable=not progress) as bar:
        for key, values in _run(jobs, workers):
            measured[key] = values
            bar.update()
    for key, values in measured.items():
        items[key]["prosody"] = values


def annotate(items, thresholds=None, workers=None, progress=True):
    """Measure all items and put their style into words.

    Arguments
    ---------
    items : dict
        Manifest: id -> row. Gets ``prosody`` (kept where it is there) and
        ``style`` in place.
    thresholds : StyleThresholds | None
        Those of the training set; None fits them on ``items``, which then
        must be the training set.
    workers : int | None
        Processes; None is one per processor core.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    StyleThresholds
        What was used.

    Raises
    ------
    ValueError
        Names the item whose audio cannot be read.

    Example
    -------
    >>> measured = {"f0": 200.0, "loudness": -20.0, "rate": 12.0}
    >>> items = {"a": {"wav": "a.wav", "prosody": measured}}
    >>> thresholds = annotate(items, progress=False)
    >>> items["a"]["style"]
    {'speed': 'normal', 'pitch': 'normal', 'volume': 'normal'}
    """
    measure_items(items, workers, progress)
    if thresholds is None:
        thresholds = StyleThresholds.fit(items.values())
    for item in items.values():
        item["style"] = thresholds.words(
            item["prosody"], item.get("gender"), item.get("language")
        )
    return thresholds


def spoken_text(item):
    """A row's transcript and its language, for its phonemes.

    Arguments
    ---------
    item : dict
        A manifest row.

    Returns
    -------
    tuple | None
        None without transcript, and of a row that is marked ``truncated``.

    Example
    -------
    >>> spoken_text({"transcript": "Oh no."}), spoken_text({})
    (('Oh no.', 'en'), None)
    """
    if not item.get("transcript") or item.get("truncated"):
        return None
    return item["transcript"], item.get("language") or "en"


def _audio_of(item):
    return item["wav"], item.get("start"), item.get("stop")


def _run(jobs, workers):
    """(id, measures) of each job, in order."""
    if workers <= 1:
        yield from map(_work, jobs)
        return
    with ProcessPoolExecutor(
        workers, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        try:
            yield from pool.map(_work, jobs, chunksize=16)
        except BaseException:
            # Do not measure the rest of a corpus that is refused.
            pool.shutdown(cancel_futures=True)
            raise


def _work(job):
    key, audio, phonemes = job
    try:
        waveform = read_audio(*audio, sample_rate=SAMPLE_RATE)
    except ValueError as error:
        raise ValueError(f"Item {key!r}: {error}") from None
    return key, _measure(waveform.double().numpy(), phonemes, SAMPLE_RATE)


def _measure(samples, phonemes, sample_rate):
    seconds = _speech_seconds(samples, sample_rate)
    return {
        "f0": _mean_f0(samples, sample_rate),
        "loudness": _loudness(samples, sample_rate),
        "rate": round(phonemes / seconds, 3) if phonemes and seconds else None,
    }


def _mean_f0(samples, sample_rate):
    # Praat needs three periods of the lowest pitch; silence has none.
    if len(samples) <= 3.1 / PITCH_FLOOR * sample_rate or not samples.any():
        return None
    pitch = parselmouth.Sound(samples, sample_rate).to_pitch(
        time_step=PITCH_STEP,
        pitch_floor=PITCH_FLOOR,
        pitch_ceiling=PITCH_CEILING,
    )
    f0 = pitch.selected_array["frequency"]
    f0 = f0[f0 > 0]
    return round(float(f0.mean()), 2) if len(f0) else None


def _loudness(samples, sample_rate):
    seconds = len(samples) / sample_rate
    block = min(LOUDNESS_BLOCK, seconds)
    # A block of few samples has no loudness to speak of.
    if len(samples) < FRAME:
        return None
    with warnings.catch_warnings(), np.errstate(divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        meter = pyloudnorm.Meter(sample_rate, block_size=block)
        loudness = float(meter.integrated_loudness(samples))
    return round(loudness, 2) if np.isfinite(loudness) else None


def _speech_seconds(samples, sample_rate):
    """Seconds from the first to the last frame that is not silent."""
    count = len(samples) // FRAME
    if count == 0 or not samples.any():
        return 0.0
    frames = samples[: count * FRAME].reshape(count, FRAME)
    power = (frames**2).mean(axis=1)
    active = np.flatnonzero(power > power.max() * 10 ** (-SILENCE / 10))
    if not len(active):
        return 0.0
    return (active[-1] - active[0] + 1) * FRAME / sample_rate
