"""Real text spoken, and turned into phonemes, by the espeak-ng library.

The shared library and its voices come with the wheel ``espeakng_loader``:
nothing has to be installed on the system. The library keeps one global state
per process, and parts of it (phases, pitch flutter) cannot be set from outside:
speech would depend on what was spoken before. So the library is loaded afresh
for every utterance (0.6 ms), under one lock: the same call, the same samples.
"""

import _ctypes
import ctypes
import threading
from pathlib import Path

import numpy as np

# The mode without a thread of its own, which a forked process would lack.
AUDIO_OUTPUT_SYNCHRONOUS = 2
CHARS_UTF8 = 1
PHONEMES_IPA = 0x02
DONT_EXIT_ON_ERROR = 0x8000
POSITION_CHARACTER = 1
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4
PARAMETERS = {
    "rate": (RATE, 80, 450),
    "pitch": (PITCH, 0, 99),
    "pitch_range": (RANGE, 0, 99),
    "volume": (VOLUME, 0, 200),
}
LANGUAGE_VOICES = {"en": "en-us", "zh": "cmn"}
STRESS_MARKS = str.maketrans("", "", "ˈˌ")
PHONEME_SEPARATOR = "_"

CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_short),
    ctypes.c_int,
    ctypes.c_void_p,
)


class EspeakError(RuntimeError):
    """espeak-ng is missing or refused what it was asked."""


class _Library:
    """The loaded library of this process, made on first use."""

    def __init__(self):
        try:
            import espeakng_loader
        except ImportError as error:
            raise EspeakError(
                "espeak-ng is not installed: run "
                "`pip install espeakng-loader` (it carries the library and "
                "its voices)."
            ) from error
        path = espeakng_loader.get_library_path()
        try:
            self.api = ctypes.CDLL(path)
        except OSError as error:
            raise EspeakError(
                f"The espeak-ng library {path} cannot be loaded ({error}): "
                "reinstall the package espeakng-loader."
            ) from error
        # 64-bit pointers are cut to int unless the types are declared.
        self.api.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        self.api.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self.api.espeak_TextToPhonemes.argtypes = [
            ctypes.POINTER(ctypes.c_char_p),
            ctypes.c_int,
            ctypes.c_int,
        ]
        self.api.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        self.api.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        self.data = Path(espeakng_loader.get_data_path())
        self.sample_rate = self.api.espeak_Initialize(
            AUDIO_OUTPUT_SYNCHRONOUS,
            0,
            str(self.data).encode(),
            DONT_EXIT_ON_ERROR,
        )
        if self.sample_rate <= 0:
            raise EspeakError(
                "espeak-ng could not read its voices: reinstall the package "
                "espeakng-loader."
            )
        self.chunks = []
        # The library keeps only the address: the object must stay alive.
        self.callback = CALLBACK(self._collect)
        self.api.espeak_SetSynthCallback(self.callback)

    def set_voice(self, voice):
        """Choose a voice; the library itself ignores a bad variant."""
        _, _, variant = voice.partition("+")
        known = not variant or (self.data / "voices/!v" / variant).is_file()
        if not known or self.api.espeak_SetVoiceByName(voice.encode()) != 0:
            raise EspeakError(f"espeak-ng has no voice {voice!r}.")

    def unload(self):
        """Give the library back, so that the next load starts afresh."""
        self.api.espeak_Terminate()
        if hasattr(_ctypes, "dlclose"):
            _ctypes.dlclose(self.api._handle)

    def _collect(self, samples, count, events):
        if samples and count > 0:
            block = np.ctypeslib.as_array(samples, shape=(count,))
            self.chunks.append(block.copy())
        return 0


class Espeak:
    """A speaker of text. All instances share the library of the process.

    Raises
    ------
    EspeakError
        If the wheel ``espeakng_loader`` is missing or cannot be loaded.

    Example
    -------
    >>> espeak = Espeak()
    >>> samples, sample_rate = espeak.synthesize("Hello there.", "en-us+f3")
    >>> samples.dtype.name, sample_rate
    ('float32', 22050)
    >>> espeak.phonemes("blue hat", "en")
    'b_l_ˈuː h_ˈæ_t'
    """

    _library = None
    _lock = threading.RLock()

    def __init__(self):
        with Espeak._lock:
            if Espeak._library is None:
                Espeak._library = _Library()

    @property
    def sample_rate(self):
        """Rate of the synthesised audio (Hz)."""
        return Espeak._library.sample_rate

    def synthesize(
        self,
        text,
        voice="en-us",
        rate=175,
        pitch=50,
        pitch_range=50,
        volume=100,
    ):
        """Speak a text.

        Arguments
        ---------
        text : str
            What to say.
        voice : str
            A language, with a variant if wanted: "en-us", "cmn+f3".
        rate : int
            Words per minute, 80 to 450.
        pitch : int
            0 to 99, relative to the voice's own pitch (50).
        pitch_range : int
            0 (monotone) to 99, 50 is the voice's own.
        volume : int
            0 to 200, 100 is the voice's own.

        Returns
        -------
        samples : numpy.ndarray
            Shape [T], float32 in [-1, 1). The same arguments always give the
            same samples.
        sample_rate : int
            In Hz.

        Raises
        ------
        EspeakError
            If the voice is unknown or nothing was spoken.
        ValueError
            If a parameter is out of its range.
        """
        values = {
            "rate": rate,
            "pitch": pitch,
            "pitch_range": pitch_range,
            "volume": volume,
        }
        for name, value in values.items():
            _, low, high = PARAMETERS[name]
            if not low <= value <= high:
                raise ValueError(
                    f"espeak {name} {value} is not within {low} to {high}."
                )
        data = text.encode() + b"\0"
        with self._lock:
            library = self._reload()
            library.set_voice(voice)
            for name, value in values.items():
                code = PARAMETERS[name][0]
                library.api.espeak_SetParameter(code, int(round(value)), 0)
            # Breath and echo of some voices are random.
            library.api.espeak_ng_SetRandSeed(1)
            status = library.api.espeak_Synth(
                data,
                len(data),
                0,
                POSITION_CHARACTER,
                0,
                CHARS_UTF8,
                None,
                None,
            )
            chunks, library.chunks = library.chunks, []
        if status != 0 or not any(chunk.any() for chunk in chunks):
            raise EspeakError(
                f"espeak-ng spoke nothing for {text!r} with voice {voice!r}."
            )
        samples = np.concatenate(chunks).astype(np.float32) / 32768.0
        return samples, library.sample_rate

    def phonemes(self, text, language="en"):
        """Phonemes of a text, in the International Phonetic Alphabet.

        Arguments
        ---------
        text : str
            Any text.
        language : str
            "en", "zh", or another language code of espeak-ng ("de").

        Returns
        -------
        str
            Phonemes separated by "_" within and by " " between words.

        Raises
        ------
        EspeakError
            If espeak-ng does not know the language.
        """
        mode = PHONEMES_IPA | (ord(PHONEME_SEPARATOR) << 8)
        clauses = []
        with self._lock:
            library = Espeak._library
            library.set_voice(LANGUAGE_VOICES.get(language, language))
            pointer = ctypes.c_char_p(text.encode())
            # One call reads one clause and moves the pointer behind it.
            while pointer.value:
                clause = library.api.espeak_TextToPhonemes(
                    ctypes.byref(pointer), CHARS_UTF8, mode
                )
                clauses.append(clause.decode())
        return " ".join(clause for clause in clauses if clause).strip()

    def phoneme_list(self, text, language="en"):
        """Phonemes of a text one by one, without stress marks.

        Raises
        ------
        EspeakError
            If espeak-ng does not know the language.

        Example
        -------
        >>> Espeak().phoneme_list("blue hat", "en")
        ['b', 'l', 'uː', 'h', 'æ', 't']
        """
        words = self.phonemes(text, language).translate(STRESS_MARKS).split()
        pieces = [p for word in words for p in word.split(PHONEME_SEPARATOR)]
        return [piece for piece in pieces if any(c.isalpha() for c in piece)]

    @classmethod
    def _reload(cls):
        cls._library.unload()
        cls._library = _Library()
        return cls._library
