"""Compressed files of which the decoder loses a part without an error."""

import io
import re

import numpy as np
import pytest
from test_audio_formats import RATE, encoded, write

from speechbrain_c2ser.audio import decoding, read_audio
from speechbrain_c2ser.audio.flac_frames import frame_starts

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


def test_where_frames_of_a_flac_begin():
    content = encoded(NOISE, format="FLAC")
    starts = frame_starts(io.BytesIO(content))
    assert starts == list(range(0, 4 * RATE, 4096))
    place = len(content) // 2
    content[place : place + 9000] = bytes(9000)
    lost = set(starts) - set(frame_starts(io.BytesIO(content)))
    assert 1 <= len(lost) <= 3


def test_noise_in_place_of_a_flac_is_not_searched(tmp_path, monkeypatch):
    content = encoded(NOISE, format="FLAC")
    place = len(content) // 2
    content[place:] = np.random.default_rng(2).bytes(len(content) - place)
    tried = []
    seek = decoding.Sound.seek
    monkeypatch.setattr(
        decoding.Sound,
        "seek",
        lambda self, place: tried.append(place) or seek(self, place),
    )
    assert len(read_audio(write(tmp_path, content))) > RATE
    assert len(tried) <= 1  # to the last frame


def test_a_flac_of_many_damages(tmp_path, caplog):
    content = encoded(np.tile(NOISE, 4), format="FLAC")
    for number in range(1, 30):
        content[number * len(content) // 30] ^= 1
    wave = read_audio(write(tmp_path, content)).numpy()
    assert len(wave) == 16 * RATE and len(caplog.records) == 29
    right = np.abs(wave - np.tile(NOISE, 4)) < 1e-3
    assert right[-2048:].all() and right.mean() > 0.4
