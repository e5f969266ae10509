"""Disturbed audio: noise, telephone, rooms, level, speed, masks, controls.

Each disturbance takes a waveform [T] at 16 kHz and a source of chance. Noise
is synthesized, so that nothing has to be downloaded; a folder of one's own
recordings can take its place.
"""

from collections.abc import Callable

import numpy as np
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

from speechbrain_c2ser.data.chance import rng_of

RATE = 16000
# A system may refuse digital zeros; this is silence to any ear.
SILENCE = 10 ** (-70 / 20)
SILENT_SECONDS = 2
MU = 255.0


def speech_noise(length: int, rng: np.random.Generator) -> np.ndarray:
    """Noise with about the long-term spectrum of speech, power 1, [T]."""
    low = butter(1, 500, "lowpass", fs=RATE, output="sos")
    high = butter(2, 80, "highpass", fs=RATE, output="sos")
    # The filters' own beginning is cut off.
    noise = sosfilt(high, sosfilt(low, rng.standard_normal(length + 2000)))
    return _unit(noise[2000:])


def add_noise(wave: np.ndarray, snr: float, noise: np.ndarray) -> np.ndarray:
    """Add noise [T] at a ratio (dB) to the mean power of the speech.

    Example
    -------
    >>> noisy = add_noise(np.ones(4), 0.0, np.array([2.0, -2.0, 2.0, -2.0]))
    >>> noisy.tolist()
    [2.0, 0.0, 2.0, 0.0]
    """
    level = np.sqrt(np.mean(np.square(wave, dtype=np.float64)))
    return wave + _unit(noise) * level * 10 ** (-snr / 20)


def telephone(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """300 to 3400 Hz, 8 kHz, eight bits of mu-law (G.711) and back."""
    band = butter(4, (300, 3400), "bandpass", fs=RATE, output="sos")
    narrow = resample_poly(sosfilt(band, wave), 1, 2)
    peak = max(float(np.abs(narrow).max()), 1e-9)
    return _fit(resample_poly(mu_law(narrow / peak) * peak, 2, 1), len(wave))


def mu_law(wave: np.ndarray) -> np.ndarray:
    """Eight bits of mu-law and back, of samples in [-1, 1].

    Example
    -------
    >>> float(abs(mu_law(np.array([0.5])) - 0.5)[0]) < 0.02
    True
    """
    bent = np.sign(wave) * np.log1p(MU * np.abs(wave)) / np.log1p(MU)
    steps = np.round((bent + 1) / 2 * MU) / MU * 2 - 1
    return np.sign(steps) * np.expm1(np.abs(steps) * np.log1p(MU)) / MU


def room(
    wave: np.ndarray, rng: np.random.Generator, seconds: float
) -> np.ndarray:
    """A room whose sound falls by 60 dB in so many seconds.

    Direct sound, then noise that decays: as loud together as the speech was.
    """
    time = np.arange(int(seconds * RATE)) / RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    tail[: RATE // 500] = 0  # nothing comes back within two milliseconds
    response = 0.7 * tail / np.sqrt(np.sum(tail**2))
    response[0] = 1.0
    reverberant = fftconvolve(wave, response)[: len(wave)]
    return reverberant * _level(wave) / max(_level(reverberant), 1e-9)


def clip(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut at a tenth of the peak, then as loud as before."""
    limit = 0.1 * np.abs(wave).max()
    cut = np.clip(wave, -limit, limit)
    return cut * _level(wave) / max(_level(cut), 1e-9)


def resampled(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Down to 8 kHz and back: nothing above 4 kHz is left."""
    return _fit(resample_poly(resample_poly(wave, 1, 2), 2, 1), len(wave))


def speed(wave: np.ndarray, rng: np.random.Generator, up: int) -> np.ndarray:
    """Played at ``up`` percent of the speed, pitch with it."""
    return resample_poly(wave, 100, up)


def coughs(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Short bursts of noise, as loud as the speech's peaks, one a second."""
    disturbed = np.array(wave, dtype=np.float64)
    size = min(int(0.25 * RATE), len(wave))
    time = np.arange(size) / RATE
    band = butter(2, (200, 4000), "bandpass", fs=RATE, output="sos")
    for _ in range(max(1, round(len(wave) / RATE))):
        burst = sosfilt(band, rng.standard_normal(size))
        burst = _unit(burst * np.minimum(time / 0.01, 1) * np.exp(-time / 0.06))
        start = int(rng.integers(len(wave) - size + 1))
        peak = 0.5 * np.abs(wave).max()
        disturbed[start : start + size] += burst * peak
    return disturbed


def lead_in(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One second of near silence before the speech."""
    return np.concatenate([silence(RATE, rng), wave])


def silence(length: int, rng: np.random.Generator) -> np.ndarray:
    """Near silence [T]: white noise at -70 dB of full scale."""
    return rng.standard_normal(length) * SILENCE


def mask(
    wave: np.ndarray, rng: np.random.Generator, share: float
) -> np.ndarray:
    """Near silence in place of a share of the audio, in quarter seconds.

    Example
    -------
    >>> masked = mask(np.ones(16000), np.random.default_rng(0), 0.5)
    >>> float((masked == 1).mean())
    0.5
    """
    if share >= 1:
        return silence(len(wave), rng)
    masked = np.array(wave, dtype=np.float64)
    edges = np.linspace(0, len(wave), max(2, round(4 * len(wave) / RATE)) + 1)
    edges = edges.astype(int)
    pieces = rng.permutation(len(edges) - 1)
    left = round(share * len(wave))
    for piece in pieces:
        start, stop = edges[piece], edges[piece + 1]
        stop = min(stop, start + left)
        masked[start:stop] = silence(stop - start, rng)
        left -= stop - start
        if left <= 0:
            break
    return masked


def _noisy(snr):
    return lambda w, r: add_noise(w, snr, speech_noise(len(w), r))


# Name -> (waveform, source of chance) -> waveform.
DISTURBANCES: dict[str, Callable] = {
    "noise_20": _noisy(20),
    "noise_10": _noisy(10),
    "noise_0": _noisy(0),
    "telephone": telephone,
    "room_small": lambda w, r: room(w, r, 0.3),
    "room_large": lambda w, r: room(w, r, 0.9),
    "quiet": lambda w, r: w * 10 ** (-20 / 20),
    "loud": lambda w, r: np.clip(w * 10 ** (10 / 20), -1, 1),
    "clipped": clip,
    "resampled": resampled,
    "slower": lambda w, r: speed(w, r, 90),
    "faster": lambda w, r: speed(w, r, 110),
    "coughs": coughs,
    "lead_in": lead_in,
}
# Audio that tells nothing, or too little: what is left is not heard.
CONTROLS: dict[str, Callable] = {
    # Always as long: how long one spoke tells something of how.
    "silence": lambda w, r: silence(SILENT_SECONDS * RATE, r),
    "mask_20": lambda w, r: mask(w, r, 0.2),
    "mask_100": lambda w, r: mask(w, r, 1.0),
}
# The audio of another utterance, of another emotion.
SHUFFLED = "shuffled"
NOISES = {"noise_20": 20, "noise_10": 10, "noise_0": 0}


def disturb(
    wave: np.ndarray,
    name: str,
    key: str = "",
    seed: int = 0,
    noises: list[np.ndarray] | None = None,
) -> np.ndarray:
    """Disturb one utterance; the same seed and key, the same result.

    Arguments
    ---------
    wave : np.ndarray
        [T], 16 kHz.
    name : str
        Of :data:`DISTURBANCES` or :data:`CONTROLS`.
    key : str
        Id of the utterance.
    seed : int
        Of the chance in it.
    noises : list of np.ndarray | None
        Recordings [T] that take the place of the synthesized noise.

    Returns
    -------
    np.ndarray
        float32, within [-1, 1] where the input was (else as loud).

    Raises
    ------
    ValueError
        For an unknown name.

    Example
    -------
    >>> tone = np.sin(np.arange(1600) / 5)
    >>> len(disturb(tone, "lead_in")) - len(tone)
    16000
    """
    disturbances = {**DISTURBANCES, **CONTROLS}
    if name not in disturbances:
        raise ValueError(
            f"There is no disturbance {name!r} (known: "
            f"{', '.join(disturbances)})."
        )
    rng = rng_of(seed, name, key)
    wave = np.asarray(wave, dtype=np.float64)
    if name in NOISES and noises:
        noise = noises[int(rng.integers(len(noises)))]
        start = int(rng.integers(len(noise)))
        noise = np.resize(np.roll(noise, -start), len(wave))
        changed = add_noise(wave, NOISES[name], noise)
    else:
        changed = disturbances[name](wave, rng)
    # Louder than full scale would be cut by the file, not by us.
    peak, before = np.abs(changed).max(), max(1.0, np.abs(wave).max())
    if peak > before:
        changed = changed * (before / peak)
    return changed.astype(np.float32)


def pair_with_others(
    keys: list[str], emotions: list[str], seed: int = 0
) -> dict[str, str]:
    """For each utterance one of another emotion, each used once if it can be.

    Arguments
    ---------
    keys, emotions : list of str
        Ids and true emotions.
    seed : int
        Of the choice.

    Returns
    -------
    dict
        Id -> id whose audio it gets; ids without a partner are left out.

    Example
    -------
    >>> pair_with_others(["a", "b", "c"], ["sad", "sad", "happy"])["c"] in "ab"
    True
    """
    rng = rng_of(seed, SHUFFLED)
    order = [keys[i] for i in rng.permutation(len(keys))]
    emotion = dict(zip(keys, emotions, strict=True))
    order.sort(key=lambda key: emotion[key])
    counts = {e: emotions.count(e) for e in emotions}
    # Sorted by emotion, a turn by the largest class meets no one's own class
    # unless that class is more than half of all.
    turn = max(counts.values(), default=0)
    pairs = {}
    for number, key in enumerate(order):
        partner = order[(number + turn) % len(order)]
        if emotion[partner] == emotion[key]:
            others = [k for k in order if emotion[k] != emotion[key]]
            if not others:
                continue
            partner = others[int(rng.integers(len(others)))]
        pairs[key] = partner
    return pairs


def _level(wave):
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))


def _unit(noise):
    return noise / max(_level(noise), 1e-12)


def _fit(wave, length):
    return np.pad(wave, (0, max(0, length - len(wave))))[:length]
