"""From drawn parameters to the waveform of one synthetic utterance.

espeak-ng has rate, pitch and pitch range; what it lacks of voice quality
(spectral tilt, breath, tremor, roughness, crescendo) is put on by small
signal processing, and so are a personal vocal tract, channel and noise.
"""

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from speechbrain_c2ser.chain_of_thought.espeak import LANGUAGE_VOICES, Espeak

SAMPLE_RATE = 16000
# Words per minute, semitones per espeak unit of pitch, and how much the mean
# pitch moves with the range (semitones per unit): measured with espeak-ng 1.52.
RATE = {"en": 185, "zh": 235}
PITCH_STEP = {"en": 0.155, "zh": 0.2}
RANGE_SHIFT = {"en": 0.07, "zh": -0.035}
PITCH_RANGE = 32
# Wide swings around a low pitch fall out of what espeak-ng can voice.
PITCH_LIMITS = (20, 95)
RANGE_LIMITS = (2, 85)
SILENCE = 0.02
MARGIN = 0.03
NOISES = ("white", "pink", "brown", "hum", "murmur")


def speak(text, language, voice, speaker, condition, rng):
    """Make one utterance.

    Arguments
    ---------
    text : str
        The sentence.
    language : str
        "en" or "zh".
    voice : str
        Variant of espeak-ng.
    speaker : dict
        Personal "size" (factor of the vocal tract) and "pitch" (semitones).
    condition : dict
        Cues in natural units (see ``synthetic.CUES``), "noise" (index of
        ``NOISES``), "noise_level" (dBFS), "channel" (dB per octave).
    rng : numpy.random.Generator
        Of this utterance only.

    Returns
    -------
    numpy.ndarray
        Shape [T], float32, 16 kHz, within [-1, 1].
    """
    wave = _say(text, language, voice, speaker, condition)
    wave = _vibrato(wave, condition, rng)
    wave = _colour(wave, condition["tilt"] + condition["channel"])
    wave = wave * _envelope(len(wave), condition, rng)
    wave = wave / np.sqrt(np.mean(wave**2))
    wave = _breathe(wave, condition["breath"], rng)
    level = 10 ** (condition["loudness"] / 20)
    wave = wave * (level / np.sqrt(np.mean(wave**2)))
    margin = np.zeros(int(MARGIN * SAMPLE_RATE))
    wave = np.concatenate([margin, wave, margin])
    noise = _noise(NOISES[int(condition["noise"])], len(wave), rng)
    wave = wave + noise * 10 ** (condition["noise_level"] / 20)
    return _limit(wave).astype(np.float32)


def _say(text, language, voice, speaker, condition):
    spread = np.clip(PITCH_RANGE * condition["range"], *RANGE_LIMITS)
    # A shorter vocal tract is resampling, which also shortens and raises.
    raised = condition["pitch"] + speaker["pitch"]
    raised -= RANGE_SHIFT[language] * (spread - 50)
    pitch = 50 + raised / PITCH_STEP[language]
    wave, rate = Espeak().synthesize(
        text,
        f"{LANGUAGE_VOICES[language]}+{voice}",
        rate=int(np.clip(RATE[language] * condition["rate"], 80, 449)),
        pitch=int(np.clip(pitch, *PITCH_LIMITS)),
        pitch_range=int(spread),
        volume=40,
    )
    wave = wave.astype(np.float64)
    loud = np.flatnonzero(np.abs(wave) > SILENCE * np.abs(wave).max())
    wave = wave[loud[0] : loud[-1] + 1]
    return _resample(wave, SAMPLE_RATE / rate * speaker["size"])


def _resample(wave, factor):
    """Change the number of samples by a factor, through the spectrum."""
    size = next_fast_len(len(wave) + 64, real=True)
    target = next_fast_len(round(size * factor), real=True)
    # The nearest quick size is less than a percent away.
    bins = min(size, target) // 2
    spectrum = np.zeros(target // 2 + 1, dtype=complex)
    spectrum[:bins] = rfft(wave, size)[:bins]
    resampled = irfft(spectrum, target) * (target / size)
    return resampled[: round(len(wave) * target / size)]


def _filter(wave, gain):
    """Multiply the spectrum by ``gain(frequency in Hz)``."""
    size = next_fast_len(len(wave) + 256, real=True)
    frequency = rfftfreq(size, 1 / SAMPLE_RATE)
    return irfft(rfft(wave, size) * gain(frequency), size)[: len(wave)]


def _vibrato(wave, condition, rng):
    """Tremor of the pitch: time runs a little faster and slower."""
    depth = 0.008 * condition["tremor"]
    rate = condition["tremor_rate"]
    time = np.arange(len(wave))
    turn = 2 * np.pi * rate / SAMPLE_RATE
    shift = np.sin(turn * time + rng.uniform(0, 2 * np.pi)) * depth / turn
    return np.interp(time + shift, time, wave)


def _colour(wave, tilt):
    """Straight spectral slope (dB per octave) around 1 kHz."""

    def gain(frequency):
        octaves = np.log2(np.clip(frequency, 150, 6000) / 1000)
        return 10 ** (tilt * octaves / 20) * (frequency >= 50)

    return _filter(wave, gain)


def _envelope(length, condition, rng):
    """Gain over time: crescendo, tremor and roughness."""
    time = np.arange(length) / SAMPLE_RATE
    gain = condition["crescendo"] * (time / time[-1] - 0.5)
    phase = rng.uniform(0, 2 * np.pi)
    rate = 2 * np.pi * condition["tremor_rate"]
    gain = gain + condition["tremor"] * np.sin(rate * time + phase)
    # A rough voice beats irregularly at some tens of Hz.
    beat = rng.uniform(35, 50)
    wander = np.cumsum(rng.standard_normal(length)) * 0.02
    rough = 0.5 + 0.5 * np.sin(2 * np.pi * beat * time + wander)
    return 10 ** (gain / 20) * (1 - condition["roughness"] * rough)


def _breathe(wave, level, rng):
    """Add high-passed noise under the envelope of the voice."""
    window = np.hanning(int(0.03 * SAMPLE_RATE))
    power = np.convolve(wave**2, window / window.sum(), "same")
    noise = _filter(
        rng.standard_normal(len(wave)),
        lambda frequency: 1 / (1 + (2500 / np.maximum(frequency, 1)) ** 4),
    )
    noise /= np.sqrt(np.mean(noise**2))
    return wave + noise * np.sqrt(np.maximum(power, 0)) * 10 ** (level / 20)


def _noise(kind, length, rng):
    """Background noise of unit power."""
    slope = {"white": 0.0, "pink": 0.5, "murmur": 0.7}.get(kind, 1.0)
    noise = _filter(
        rng.standard_normal(length),
        lambda frequency: 1 / np.maximum(frequency, 40) ** slope,
    )
    noise /= np.sqrt(np.mean(noise**2))
    time = np.arange(length) / SAMPLE_RATE
    if kind == "hum":
        base = rng.choice([50, 60])
        for harmonic in range(1, 6):
            phase = rng.uniform(0, 2 * np.pi)
            turn = 2 * np.pi * base * harmonic * time
            noise = noise + np.sin(turn + phase) / harmonic
    elif kind == "murmur":
        speed = rng.uniform(2, 5)
        noise = noise * (1 + 0.7 * np.sin(2 * np.pi * speed * time))
    return noise / np.sqrt(np.mean(noise**2))


def _limit(wave):
    """Bend the rare peaks over 0.8 instead of cutting them at 1."""
    over = np.maximum(np.abs(wave) - 0.8, 0)
    bent = 0.8 + 0.19 * np.tanh(over / 0.19)
    return np.where(over > 0, np.sign(wave) * bent, wave)
