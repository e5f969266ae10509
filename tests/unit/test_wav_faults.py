"""WAV files that do not keep to their own rules."""

import struct

import pytest
from test_audio_formats import check_whole, encoded, write

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
