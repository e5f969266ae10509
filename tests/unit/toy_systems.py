"""Systems of known truth, and a corpus of tones that they can hear.

The voice's emotion is a low tone, the words' emotion a high one: a wave has
both, as speech has words and tone.
"""

import numpy as np

NAMES = ["angry", "happy", "sad"]
RATE = 16000
VOICE = dict(zip(NAMES, (300, 600, 900), strict=True))
WORDS = dict(zip(NAMES, (2000, 2500, 3000), strict=True))
SENTENCES = {
    "angry": "Get out of my house.",
    "happy": "We won the first prize.",
    "sad": "My grandmother died.",
}


def make_wave(voice, words, seconds=0.5):
    time = np.arange(int(seconds * RATE)) / RATE
    wave = 0.3 * np.sin(2 * np.pi * VOICE[voice] * time)
    wave += 0.1 * np.sin(2 * np.pi * WORDS[words] * time)
    return wave.astype(np.float32)


def make_corpus(count=60, agreement=1.0, speakers=12, seed=0):
    """Id -> row, whose "wave" is read by :func:`read`."""
    rng = np.random.default_rng(seed)
    items = {}
    for i in range(count):
        voice = NAMES[i % 3]
        words = voice
        if rng.random() > agreement:
            words = str(rng.choice([n for n in NAMES if n != voice]))
        items[f"u{i}"] = {
            "emotion": voice,
            "voice_emotion": voice,
            "word_emotion": words,
            "cell": "matched" if voice == words else "mismatched",
            "language": ["en", "zh"][i // 3 % 2],
            "speaker": f"s{i // 3 % speakers}",
            "transcript": SENTENCES[words],
            "style": {"speed": "high", "pitch": "low", "volume": "normal"},
            "wave": make_wave(voice, words),
        }
    return items


def read(row):
    return row["wave"]


def strongest(wave, tones):
    """The emotion whose tone is strongest, None in near silence."""
    if np.abs(wave).max() < 0.01:
        return None
    spectrum = np.abs(np.fft.rfft(wave, 4 * RATE))  # quarters of 1 Hz
    return max(
        tones, key=lambda name: spectrum[4 * tones[name] - 80 :][:160].max()
    )


class HearsTone:
    """Follows the voice; its reasons decide nothing."""

    def __call__(self, wave):
        emotion = strongest(wave, VOICE) or "angry"
        words = SENTENCES[strongest(wave, WORDS) or "angry"]
        return (
            "Spoken with a fast pace, low pitch and normal volume, the words "
            f'"{words}" sound {emotion}.'
        )

    def read(self, text, language):
        return "angry"

    def go_on(self, wave, beginning):
        return strongest(wave, VOICE) or "angry"

    def ask(self, wave, question):
        return self(wave)


class ReadsWords(HearsTone):
    """Follows the words, those of its own reasoning too."""

    def __call__(self, wave):
        words = strongest(wave, WORDS) or "angry"
        return (
            "Spoken with a slow pace, high pitch and normal volume, the words "
            f'"{SENTENCES[words]}" sound {words}.'
        )

    def read(self, text, language):
        return {v: k for k, v in SENTENCES.items()}[text]

    def go_on(self, wave, beginning):
        for emotion, sentence in SENTENCES.items():
            if sentence in beginning:
                return emotion
        return "angry"

    def ask(self, wave, question):
        # Another question, another answer.
        return self(wave) if len(question) % 2 else "angry"


class CopiesEmotion(HearsTone):
    """Names an emotion in its reasons, and answers what stands there."""

    def __call__(self, wave):
        emotion = strongest(wave, VOICE) or "angry"
        return f"A {emotion} tone is heard. The emotion is {emotion}."

    def go_on(self, wave, beginning):
        return next((n for n in NAMES if n in beginning), "angry")


def constant(wave):
    return {"angry": 0.6, "happy": 0.2, "sad": 0.2}


class Fails(HearsTone):
    """Raises on some items."""

    def __call__(self, wave):
        if strongest(wave, VOICE) == "sad":
            raise RuntimeError("too sad")
        return super().__call__(wave)
