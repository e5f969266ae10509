"""Compressed files of which the decoder loses a part without an error."""

import re

import numpy as np
import pytest
from test_audio_formats import RATE, encoded, write

from speechbrain_c2ser.audio import read_audio

NOISE = (0.1 * np.random.default_rng(0).standard_normal(4 * RATE)).astype("f4")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_page_of_ogg_that_is_damaged_is_told(tmp_path, caplog, subtype):
    content = encoded(NOISE, format="OGG", subtype=subtype)
    assert len(read_audio(write(tmp_path, content))) == 4 * RATE
    assert not caplog.text
    content[len(content) // 2] ^= 16
    assert len(read_audio(write(tmp_path, content))) < 3.9 * RATE
    assert re.search("damaged: of 4.000 s .* too early", caplog.text)


def test_an_ogg_that_was_cut_is_told(tmp_path, caplog):
    content = encoded(NOISE, format="OGG", subtype="VORBIS")
    read_audio(write(tmp_path, content[: len(content) // 2]))
    assert "a.wav was cut" in caplog.text


def mp3():
    return encoded(NOISE, format="MP3", bitrate_mode="CONSTANT")


def test_an_mp3_without_index_that_is_damaged_is_told(tmp_path, caplog):
    content = mp3()
    content = content[content.find(b"\xff\xf3", 4) :]  # without its Xing header
    assert len(read_audio(write(tmp_path, content))) > 3.9 * RATE
    assert not caplog.text
    place = len(content) // 2
    content[place : place + 3000] = np.random.default_rng(3).bytes(3000)
    assert len(read_audio(write(tmp_path, content))) < 3.9 * RATE
    assert "is damaged after" in caplog.text


def test_an_mp3_of_which_a_part_is_missing_is_told(tmp_path, caplog):
    content = mp3()
    del content[9000:15000]
    read_audio(write(tmp_path, content))
    assert "ends 6000 bytes before its header" in caplog.text
