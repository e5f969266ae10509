"""Any recording as mono float32 at one rate, with clear errors."""

from speechbrain_c2ser.audio.errors import AudioError
from speechbrain_c2ser.audio.objects import load_audio
from speechbrain_c2ser.audio.reading import audio_seconds, read_audio
from speechbrain_c2ser.audio.waveform import as_waveform, is_silent

__all__ = [
    "AudioError",
    "as_waveform",
    "audio_seconds",
    "is_silent",
    "load_audio",
    "read_audio",
]
