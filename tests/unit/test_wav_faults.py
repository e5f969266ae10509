"""WAV files that do not keep to their own rules."""

import io
import re
import struct
import zipfile

import numpy as np
import pytest
from test_audio_formats import RATE, check_whole, encoded, sweep, write

from speechbrain_c2ser.audio import (
    AudioError,
    audio_seconds,
    decoding,
    load_audio,
    read_audio,
)

PIECES = {
    "two": lambda a, b: a + b,
    "a LIST between": lambda a, b: a + chunk(b"LIST", b"INFOabcd") + b,
    "odd": lambda a, b: chunk(b"data", a[8:] + b[8:9]) + chunk(b"data", b[9:]),
    "an empty one": lambda a, b: chunk(b"data", b"") + chunk(
        b"data", a[8:] + b[8:]
    ),
    "the last unfinished": lambda a, b: a + b"data" + bytes(4) + b[8:],
}  # fmt: skip


def chunk(name, content):
    filling = bytes(len(content) % 2)
    return name + struct.pack("<I", len(content)) + content + filling


@pytest.mark.parametrize("pieces", PIECES)
def test_samples_in_several_chunks(tmp_path, pieces):
    content = bytes(encoded(format="WAV", subtype="PCM_16"))
    start = content.index(b"data")
    halves = [
        chunk(b"data", content[start + 8 :][part])
        for part in (slice(16000), slice(16000, None))
    ]
    check_whole(write(tmp_path, content[:start] + PIECES[pieces](*halves)))


def test_samples_of_two_formats_in_a_wav(tmp_path, caplog):
    one = bytes(encoded(format="WAV", subtype="PCM_16"))
    two = bytes(encoded(rate=8000, format="WAV", subtype="PCM_16"))
    check_whole(write(tmp_path, one + two[12:]))
    assert "changes its format" in caplog.text


def test_a_format_that_tells_of_wider_samples_than_there_are(tmp_path):
    content = encoded(format="WAV", subtype="PCM_16")
    content[32:34] = struct.pack("<H", 4)  # bytes of a sample
    check_whole(write(tmp_path, content))


def test_an_archive_is_no_recording(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:  # not compressed
        for name in ("a.wav", "b.wav"):
            archive.writestr(name, bytes(encoded(format="WAV")))
    with pytest.raises(AudioError, match="a ZIP archive"):
        read_audio(write(tmp_path, file.getvalue()))


def pcm(values, kind, valid, extensible=False):
    """A WAV of integers, of which so many bits are said to be used."""
    align = values.dtype.itemsize
    bits = 8 * align if extensible else valid
    form = struct.pack("<HHIIHH", kind, 1, RATE, RATE * align, align, bits)
    if extensible:
        form += struct.pack("<HHIH", 22, valid, 4, 1)
        form += bytes.fromhex("000000001000800000aa00389b71")
    body = b"WAVE" + chunk(b"fmt ", form) + chunk(b"data", values.tobytes())
    return chunk(b"RIFF", body)


@pytest.mark.parametrize("shift", [0, 8])
@pytest.mark.parametrize("extensible", [True, False])
def test_24_bits_in_the_upper_or_lower_of_32(tmp_path, shift, extensible):
    values = (sweep() * 2**23).astype("<i4") << shift
    kind = 0xFFFE if extensible else 1
    check_whole(write(tmp_path, pcm(values, kind, 24, extensible)))


@pytest.mark.parametrize("bits", [16, 24])
def test_32_bit_integers_that_fill_fewer_are_told(tmp_path, caplog, bits):
    values = (sweep() * 2 ** (bits - 1)).astype("<i4")
    path = write(tmp_path, pcm(values, 1, 32))
    told = f"fill {bits} bits: .* multiply them by {2 ** (32 - bits)}"
    for audio in (path, (values, RATE)):
        caplog.clear()
        load_audio(audio)
        assert re.search(told, caplog.text)
    caplog.clear()
    # What an analogue-digital converter of 24 bits gives in silence.
    load_audio(((values & 0xFFF) << 8, RATE))
    load_audio((values << (32 - bits), RATE))
    assert not caplog.text


@pytest.mark.parametrize("form", ["WAV", "FLAC", "MP3"])
def test_a_file_that_was_sent_as_text(tmp_path, form):
    noise = 0.3 * np.random.default_rng(0).standard_normal(4 * RATE)
    content = bytes(encoded(noise, format=form)).replace(b"\n", b"\r\n")
    with pytest.raises(AudioError, match="sent as text.*in binary mode"):
        read_audio(write(tmp_path, content))


def test_lines_of_text_before_silence_were_not_sent_as_text(tmp_path):
    lines = b"".join(b"<TRACK>\r\n%d\r\n" % n for n in range(99))
    content = bytes(encoded(np.zeros(RATE), format="WAV"))
    content = content[:12] + chunk(b"iXML", lines) + content[12:]
    assert len(read_audio(write(tmp_path, content))) == RATE


@pytest.mark.parametrize("form", ["WAV", "AIFF", "AU", "CAF", "RF64"])
def test_a_file_that_ends_too_early_is_told(tmp_path, caplog, form):
    content = encoded(format=form, subtype="PCM_16")
    read_audio(write(tmp_path, content))
    assert not caplog.text
    read_audio(write(tmp_path, content[:-8000]))
    assert re.search("ends 80[0-9]{2} bytes before its header", caplog.text)


def test_floats_under_a_header_of_integers(tmp_path):
    # As the standard library's wave writes an array of floats.
    content = pcm(sweep().view("<i4"), 1, 32)
    with pytest.raises(AudioError, match="32-bit floats, and a header"):
        read_audio(write(tmp_path, content))


def test_a_sphere_that_was_cut_is_told(tmp_path, caplog):
    content = encoded(format="NIST", subtype="PCM_16")
    read_audio(write(tmp_path, content))
    assert not caplog.text
    assert len(read_audio(write(tmp_path, content[:-16000]))) == 8000
    assert "ends 16000 bytes before its header" in caplog.text


def test_a_voc_is_given_to_ffmpeg(tmp_path, monkeypatch):
    content = encoded(format="VOC", subtype="PCM_16")
    monkeypatch.setattr(decoding, "find_ffmpeg", lambda: None)
    with pytest.raises(AudioError, match="is Creative Voice .* convert it"):
        read_audio(write(tmp_path, content))


@pytest.mark.parametrize("extensible", [True, False])
@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF])
def test_an_mp3_of_variable_bit_rate_in_a_wav(tmp_path, extensible, size):
    noise = 0.3 * np.random.default_rng(0).standard_normal(RATE)
    wave = np.concatenate([noise.astype("f4"), 0.01 * sweep(2.0)])
    options = {"bitrate_mode": "VARIABLE", "compression_level": 0.5}
    frames = bytes(encoded(wave, format="MP3", **options))
    frames = frames[frames.find(b"\xff\xf3", 4) :]  # without its index
    code = 0xFFFE if extensible else 0x55
    form = struct.pack("<2H2I3H", code, 1, RATE, 4000, 1, 0, 12)
    form += bytes(6) + struct.pack("<H", 0x55) + bytes(14)
    data = bytearray(chunk(b"data", frames))
    if size is not None:
        data[4:8] = struct.pack("<I", size)
    content = b"WAVE" + chunk(b"fmt ", form) + data
    path = write(tmp_path, chunk(b"RIFF", content))
    assert audio_seconds(path) == pytest.approx(3.0, abs=0.2)
    assert len(read_audio(path)) == pytest.approx(3 * RATE, abs=0.2 * RATE)
