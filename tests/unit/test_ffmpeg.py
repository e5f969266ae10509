"""What is decoded in part, and when: tracks, pauses, damages, silence."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from test_audio_formats import AU, RATE, encoded, fake_ffmpeg, sweep, write

from speechbrain_c2ser.audio import audio_seconds, is_silent, read_audio

__all__ = ["fake_ffmpeg"]
needs_ffmpeg = pytest.mark.skipif(
    not shutil.which("ffmpeg"), reason="needs ffmpeg"
)


def made(tmp_path, name, *words, before=()):
    source = write(tmp_path, encoded(sweep(3.0), format="WAV"), "source.wav")
    path = tmp_path / name
    front = ["ffmpeg", "-v", "error", "-y", *before, "-i", source]
    subprocess.run([*front, *words, path], check=True)
    return path


def late(tmp_path, *words):
    """A track that begins after a second of its video."""
    video = ["-f", "lavfi", "-i", "color=s=16x16:d=4", *words]
    coder = ["-c:v", "mjpeg", "-c:a", "pcm_s16le", "-map", "0:a", "-map", "1:v"]
    return made(tmp_path, "a.mkv", *video, *coder, before=["-itsoffset", "1"])


@needs_ffmpeg
def test_what_is_not_recorded_is_silence(tmp_path):
    pause = "aselect='lt(t,1)+gte(t,2)'"
    path = made(tmp_path, "a.mka", "-af", pause, "-c:a", "pcm_s16le")
    expected = sweep(3.0)
    expected[RATE : 2 * RATE] = 0
    wave = read_audio(path).numpy()
    assert len(wave) == pytest.approx(3 * RATE, abs=0.02 * RATE)
    wrong = np.abs(wave[: 3 * RATE] - expected[: len(wave)]) > 1e-3
    assert wrong.mean() < 0.05


@needs_ffmpeg
def test_a_track_begins_after_its_video(tmp_path):
    wave = read_audio(late(tmp_path)).numpy()
    assert len(wave) == pytest.approx(4 * RATE, abs=0.02 * RATE)
    assert not wave[: RATE - 400].any()
    assert np.abs(wave[RATE + 400 : RATE + 4000]).max() > 0.2


@needs_ffmpeg
def test_a_late_track_of_many_chapters(tmp_path):
    chapter = "[CHAPTER]\nTIMEBASE=1/1000\nSTART={}\nEND={}\ntitle={}\n"
    chapters = [chapter.format(n, n + 1, "x" * 90) for n in range(900)]
    notes = write(
        tmp_path, "".join([";FFMETADATA1\n", *chapters]).encode(), "n"
    )
    path = late(tmp_path, "-f", "ffmetadata", "-i", notes, "-map_chapters", "2")
    assert audio_seconds(path) == pytest.approx(4.0, abs=0.02)


@needs_ffmpeg
@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_the_name_of_a_file_adds_no_silence(tmp_path):
    path = made(tmp_path, "x\n[info] 50.000000\ny.m4a")
    assert audio_seconds(path) == pytest.approx(3.0, abs=0.1)


@needs_ffmpeg
def test_joined_files_of_one_clock_are_read_one_by_one(tmp_path):
    path = made(tmp_path, "a.mka", "-c:a", "pcm_s16le", "-live", "1")
    path.write_bytes(2 * path.read_bytes())
    assert audio_seconds(path) == pytest.approx(6.0, abs=0.05)


@needs_ffmpeg
@pytest.mark.parametrize("form", ["ac3", "adts", "mpegts"])
def test_channels_that_change_midway_add_no_silence(tmp_path, form):
    coder = ["-c:a", "aac" if form == "adts" else "ac3", "-f", form]
    parts = [
        made(tmp_path, f"{channels}", "-ac", str(channels), *coder)
        for channels in (1, 2)
    ]
    content = b"".join(part.read_bytes() for part in parts)
    path = write(tmp_path, content, "a.bin")
    assert audio_seconds(path) == pytest.approx(6.0, abs=0.3)
    assert read_audio(path, 3.5, 4.0).abs().max() > 0.1


@needs_ffmpeg
def test_what_cannot_be_decoded_is_told(tmp_path, caplog):
    path = made(tmp_path, "a.m4a", "-movflags", "faststart")
    assert audio_seconds(path) == pytest.approx(3.0, abs=0.1)
    assert not caplog.text
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert read_audio(path).any()
    assert "a.m4a is damaged: ffmpeg could not decode all" in caplog.text


TRACKS = """
echo "[info] Stream #0:0: Audio: aac" >&2
echo "[info] Stream #0:1(eng): Audio: aac" >&2
echo "[info] Output #0, au, to 'pipe:':" >&2
echo "[info]   Stream #0:0: Audio: pcm_f32be" >&2
echo "[aac @ 0x5] [error] Reserved bit set." >&2
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_other_tracks_and_damages_are_told(tmp_path, fake_ffmpeg, caplog):
    fake_ffmpeg(f"{TRACKS}\n{AU}; head -c 64000 /dev/zero")
    path = write(tmp_path, b"\0\0\0\x1cftypM4A " + bytes(99), "a.m4a")
    assert len(read_audio(path)) == RATE
    assert "a.m4a holds 2 audio tracks: the first is used" in caplog.text
    assert "all of it (Reserved bit set); what it could" in caplog.text


@pytest.mark.parametrize("seconds", [1.0, 1.05, 4.0])
@pytest.mark.parametrize("place", [0, 15200, -2000])
def test_a_word_of_an_eighth_of_a_second_is_heard_anywhere(seconds, place):
    wave = torch.zeros(int(16000 * seconds))
    place = min(place, len(wave) - 2000) if place >= 0 else len(wave) + place
    wave[place : place + 2000] = 0.3 * torch.sin(torch.arange(2000) / 5.0)
    assert not is_silent(wave)


def test_what_lies_at_each_second_is_heard():
    wave, word = torch.zeros(16000 * 60), torch.sin(torch.arange(560) / 5.0)
    for place in range(16000, len(wave), 16000):
        wave[place - 380 : place + 180] = 0.003 * word
    assert not is_silent(wave)
