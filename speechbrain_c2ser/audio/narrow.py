"""Integers that fill less than the type in which they are stored.

24-bit samples in four bytes belong into the upper three. Some programs
(arecord's S24_LE) put them into the lower three: 256 times too quiet.
"""

import logging
import struct

import numpy as np
import soundfile

from speechbrain_c2ser.audio.errors import AudioError

logger = logging.getLogger(__name__)
PLACES, FRAMES = 8, 1024  # that are looked at
PCM, EXTENSIBLE = 1, 0xFFFE


def used_bits(form: bytes | None) -> tuple[int, int]:
    """Bits of a sample, and of them those that a WAV's format says are used.

    Arguments
    ---------
    form : bytes | None
        Content of its ``fmt`` chunk.

    Returns
    -------
    tuple of int
        (0, 0) for what is no PCM.

    Example
    -------
    >>> used_bits(struct.pack("<HHIIHH", 1, 2, 16000, 128000, 8, 24))
    (32, 24)
    """
    if form is None:
        return 0, 0
    kind, channels, _, _, align, bits = struct.unpack_from("<HHIIHH", form)
    if kind == EXTENSIBLE and len(form) >= 26:
        bits = min(bits, struct.unpack_from("<H", form, 18)[0] or bits)
        (kind,) = struct.unpack_from("<H", form, 24)
    width = 8 * align // max(channels, 1)
    return (width, bits) if kind == PCM else (0, 0)


def scale_of(
    sound: soundfile.SoundFile, told: tuple[int, int], name: str
) -> float:
    """What the samples of a file are multiplied by.

    Arguments
    ---------
    sound : soundfile.SoundFile
        The file, at any place.
    told : tuple of int
        Of :func:`used_bits`.
    name : str
        What a warning calls it.

    Returns
    -------
    float
        1 but for samples in the lower bits, where the header tells so.

    Raises
    ------
    AudioError
        If they are floats under a header of integers.
    """
    width = {"PCM_16": 16, "PCM_24": 24, "PCM_32": 32}.get(sound.subtype)
    if width is None:
        return 1.0
    bits = told[1] if told[0] == width and 8 < told[1] < width else width
    if bits == width < 32:
        return 1.0
    parts = [np.zeros(1, np.int32)]
    try:
        for n in range(PLACES):
            sound.seek(n * sound.frames // PLACES)
            parts.append(sound.read(FRAMES, "int32").reshape(-1))
    except RuntimeError:
        pass  # cut before it
    values = np.concatenate(parts) >> (32 - width)
    if bits == width:
        _check_floats(values, name)
        tell_narrow(values, name)
    elif _is_lower(values, bits, width - bits):
        return float(1 << (width - bits))
    return 1.0


def tell_narrow(values: np.ndarray, name: str) -> None:
    """Warn of 32-bit integers that may be 16- or 24-bit samples.

    Arguments
    ---------
    values : numpy.ndarray
        int32.
    name : str
        What the warning calls them.
    """
    for bits in (16, 24):
        if _is_lower(values, bits, 8):
            logger.warning(
                "%s holds 32-bit integers that fill %d bits: it is read as "
                "very quiet; if they are %d-bit samples, store them as such "
                "or multiply them by %d.",
                name,
                bits,
                bits,
                1 << (32 - bits),
            )
            return


def _check_floats(values, name):
    """Refuse 32-bit floats that a header calls integers.

    The standard library's wave writes such headers; integers taken for
    floats are of all sizes, up to 1e38.
    """
    floats = np.abs(values[values != 0].view(np.float32))
    usual = (floats > 1e-20) & (floats < 100)
    if values.min() < 0 < values.max() and usual.mean() > 0.99:
        raise AudioError(
            f"{name} holds 32-bit floats, and a header that tells of integers: "
            "write it again with the format of its samples (soundfile does)."
        )


def _is_lower(values, bits, unused):
    """Whether all lie in so many lower bits, and not in the upper ones."""
    most = 1 << (bits - 1)
    if values.min() < -most or values.max() >= most:
        return False
    return bool((values & ((1 << unused) - 1)).any())
