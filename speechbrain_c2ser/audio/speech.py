"""Where somebody speaks in a recording, by silero-vad."""

from collections.abc import Iterator
from importlib.util import find_spec

import torch

from speechbrain_c2ser.audio.objects import Recording

RATE = 16000
CHUNK = 512  # samples that the network takes at a time
BLOCK = 960 * CHUNK  # samples that are decoded at a time
SHORTEST = 0.25  # seconds: less is a cough, a click, a word by half


def check_voice_activity() -> None:
    """Refuse to look for speech without the library that can.

    Raises
    ------
    ValueError
        Says how to install it.
    """
    if find_spec("silero_vad") is None:
        raise ValueError(
            "Segments of speech need silero-vad, which is not installed: pip "
            "install 'speechbrain_c2ser[vad]'"
        )


class SpeechFinder:
    """Voice activity detection: the stretches of a recording with speech.

    The network of silero-vad (in its package: no download) gives a
    probability every 32 ms, and the library's rules make stretches of them. A
    recording is decoded once, at bounded memory.

    Arguments
    ---------
    pause : float
        Seconds without speech that end a stretch; a choice, not a tuned
        value.
    threshold : float
        Probability from which on it is speech (the library's own).

    Raises
    ------
    ValueError
        When silero-vad is not installed.

    Example
    -------
    >>> from speechbrain_c2ser.audio.objects import open_recording
    >>> silence = open_recording((torch.zeros(32000), 16000))
    >>> SpeechFinder()(silence, 30.0)  # doctest: +SKIP
    []
    """

    def __init__(self, pause: float = 0.5, threshold: float = 0.5):
        check_voice_activity()
        self._pause, self._threshold = pause, threshold
        threads = torch.get_num_threads()
        try:
            from silero_vad import load_silero_vad

            self._network = load_silero_vad()
        finally:
            # Its import takes all threads but one from the whole process.
            torch.set_num_threads(threads)

    def __call__(
        self, recording: Recording, window: float
    ) -> list[tuple[float, float]]:
        """Stretches of speech in the order of time.

        Arguments
        ---------
        recording : Recording
            Of any length.
        window : float
            The longest stretch (s); longer speech is parted at its longest
            pause.

        Returns
        -------
        list of (float, float)
            Start and stop (s), to the millisecond.
        """
        from silero_vad import get_speech_timestamps_from_probs

        shares, count = [], 0
        self._network.reset_states()
        with torch.inference_mode():
            for wave in _blocks(recording):
                count += len(wave)
                missing = -len(wave) % CHUNK
                wave = torch.nn.functional.pad(wave, (0, missing))
                for chunk in wave.split(CHUNK):
                    shares.append(self._network(chunk, RATE).item())
        stretches = get_speech_timestamps_from_probs(
            shares,
            threshold=self._threshold,
            max_speech_duration_s=window,
            min_silence_duration_ms=round(1000 * self._pause),
            min_speech_duration_ms=round(1000 * SHORTEST),
            audio_length_samples=count,
        )
        bounds = [
            (round(s["start"] / RATE, 3), round(min(s["end"], count) / RATE, 3))
            for s in stretches
        ]
        # What is parted may leave pieces that are shorter.
        return [(a, b) for a, b in bounds if b - a >= SHORTEST]


def _blocks(recording: Recording) -> Iterator[torch.Tensor]:
    """A recording in pieces of whole chunks, but for the last."""
    if recording.stream is None:
        yield recording.read(None, None)
        return
    seconds, start = BLOCK / RATE, 0.0
    with recording.stream(0.0, None) as stream:
        while stream.reaches(start + seconds):
            wave = stream.take(start, start + seconds)[:BLOCK]
            yield torch.nn.functional.pad(wave, (0, BLOCK - len(wave)))
            start += seconds
            stream.forget(start)
        if stream.end > start:
            yield stream.take(start, stream.end)
