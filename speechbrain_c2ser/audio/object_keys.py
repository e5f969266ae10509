"""What dictionaries that hold a recording call its parts: closed lists.

Rows of Hugging Face, NeMo, webdataset and this package's manifests, and what
people write by hand. Case and signs do not count: "sampleRate".
"""

import re
from collections.abc import Mapping

RATES = (
    "samplingrate samplerate sr rate fs samplingfrequency samplefrequency "
    "framerate"
).split()
SAMPLES = (
    "array raw samples waveform speech inputvalues y wav audio data signal "
    "audiodata wave"
).split()
# With a file's bytes: webdataset's too.
CONTENTS = "bytes wav flac mp3 ogg opus m4a audio".split()
STARTS = "start starttime begin begintime onset offset".split()
STOPS = "stop stoptime end endtime".split()
PATHS = (
    "wav path file audiofilepath audiopath audiofile filepath filename source"
).split()


def plain_keys(row: Mapping) -> dict:
    """A dictionary by its keys without case and signs; None is left out.

    Example
    -------
    >>> plain_keys({"sampleRate": 8000, "Audio_Path": "a.wav", "bytes": None})
    {'samplerate': 8000, 'audiopath': 'a.wav'}
    """
    plain: dict = {}
    for key, value in row.items():
        if value is not None:
            plain.setdefault(re.sub(r"[\W_]+", "", str(key)).lower(), value)
    return plain


def segment_of(row: Mapping) -> tuple:
    """Start, stop and duration of a row; None for what it does not say.

    Arguments
    ---------
    row : Mapping
        Of :func:`plain_keys`, or of a manifest.

    Returns
    -------
    tuple
        As the row has them.

    Example
    -------
    >>> segment_of({"offset": 1.0, "duration": 0.5})
    (1.0, None, 0.5)
    """
    start, stop = (
        next((row[key] for key in keys if row.get(key) is not None), None)
        for keys in (STARTS, STOPS)
    )
    return start, stop, row.get("duration")
