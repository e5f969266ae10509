"""How the emotions of the synthetic corpus sound: cues and their chances."""

import numpy as np

from speechbrain_c2ser.data.synthetic.voice import NOISES

# Cue: (mean, spread) in natural units; one unit of EMOTIONS is one spread.
CUES = {
    "rate": (1.0, 0.16),  # exponent base e: factor of the speaking rate
    "pitch": (0.0, 2.2),  # semitones from the voice's own
    "range": (1.0, 0.22),  # exponent base e: factor of the pitch range
    "loudness": (-29.0, 3.2),  # dBFS, root mean square
    "tilt": (0.0, 3.2),  # dB per octave
    "breath": (-22.0, 6.0),  # dB of noise under the voice
    "tremor": (3.5, 2.2),  # dB, 8.5 to 11 Hz
    "roughness": (0.4, 0.2),  # depth at 35 to 50 Hz
    "crescendo": (0.0, 8.0),  # dB from start to end
}
FACTORS = ("rate", "range")
LIMITS = {"tremor": (0.0, 10.0), "roughness": (0.0, 0.95)}
# rate, pitch, range, loudness, tilt, breath, tremor, roughness, crescendo
EMOTIONS = {
    "angry": (0.9, 0.5, 0.8, 1.8, 1.4, -0.9, -0.5, 1.4, -0.3),
    "happy": (0.9, 1.1, 1.2, 1.0, 1.0, -0.3, -0.5, -0.9, 0.1),
    "fearful": (1.1, 0.9, -0.6, -0.8, 0.5, 1.3, 1.9, 0.1, 0.0),
    "surprised": (-0.3, 1.2, 1.3, 0.6, -0.2, 1.4, -0.4, -0.6, 1.7),
    "neutral": (0.0, 0.0, 0.0, 0.0, -0.5, -1.2, -0.7, -0.6, 0.0),
    "sad": (-1.3, -0.8, -1.0, -1.5, -1.5, 0.6, 0.3, -0.3, -0.9),
    "disgusted": (-1.0, -0.6, 0.0, -0.2, 0.3, -0.6, -0.4, 1.4, -0.8),
}


def draw(emotion, rng, separation=1.5):
    """Draw the generation parameters of one utterance.

    Arguments
    ---------
    emotion : str
        One of ``EMOTIONS``.
    rng : numpy.random.Generator
        Source of chance.
    separation : float
        Factor of the emotions' distances.

    Returns
    -------
    dict
        Cue -> value in natural units, and noise and channel.

    Example
    -------
    >>> rng = np.random.default_rng(1)
    >>> sorted(draw("sad", rng))[:3]
    ['breath', 'channel', 'crescendo']
    """
    condition = {}
    chance = np.clip(rng.standard_normal(len(CUES)), -2.2, 2.2)
    units = separation * np.asarray(EMOTIONS[emotion]) + chance
    for (cue, (mean, spread)), unit in zip(CUES.items(), units, strict=True):
        value = mean + spread * unit
        if cue in FACTORS:
            value = mean * np.exp(spread * unit)
        value = np.clip(value, *LIMITS.get(cue, (-np.inf, np.inf)))
        condition[cue] = round(float(value), 4)
    condition["tremor_rate"] = round(rng.uniform(8.5, 11.0), 4)
    condition["noise"] = int(rng.integers(len(NOISES)))
    condition["noise_level"] = round(rng.uniform(-68.0, -52.0), 4)
    condition["channel"] = round(rng.uniform(-0.7, 0.7), 4)
    return condition
