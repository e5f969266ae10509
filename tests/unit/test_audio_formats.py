"""Files whose header lies, formats of every kind, one answer for all."""

import io
import logging
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_c2ser.audio import (
    AudioError,
    audio_seconds,
    decoding,
    formats,
    read_audio,
)

RATE = 16000


def sweep(seconds=1.0, rate=RATE):
    time = np.arange(int(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * (200 + 300 * time) * time)).astype("f4")


def encoded(wave=None, rate=RATE, **options):
    file = io.BytesIO()
    soundfile.write(file, sweep() if wave is None else wave, rate, **options)
    return bytearray(file.getvalue())


def write(tmp_path, content, name="a.wav"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def check_whole(path, seconds=1.0, atol=1e-3, expected=None):
    assert audio_seconds(path) == pytest.approx(seconds, abs=0.02)
    wave = read_audio(path)
    assert len(wave) == pytest.approx(RATE * seconds, abs=0.02 * RATE)
    expected = sweep(seconds) if expected is None else expected
    count = min(len(wave), len(expected))
    assert np.abs(wave.numpy() - expected[:count])[:count].max() < atol
    # A segment is the same stretch, also where it cannot be gone to.
    part = read_audio(path, 0.25, 0.5)
    torch.testing.assert_close(part, wave[4000:8000])
    torch.testing.assert_close(read_audio(path, 0.5), wave[8000:])


def flac_without_length():
    content = encoded(format="FLAC")
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    return content


def test_a_flac_without_length_is_read_to_its_end(tmp_path):
    path = write(tmp_path, flac_without_length(), "a.flac")
    assert soundfile.info(path).frames == 2**63 - 1
    check_whole(path)
    with pytest.raises(AudioError, match="lasts 1.000 s and has no segment"):
        read_audio(path, 2.0, 3.0)


def test_a_flac_whose_length_is_invented(tmp_path):
    content = encoded(format="FLAC")
    content[21] |= 0x0F
    content[22:26] = b"\xff" * 4
    check_whole(write(tmp_path, content, "a.flac"))


PLACES = {
    # container -> (what comes before its size, how it is written, unknowns)
    "WAV": (b"data", "<I", (0, 2**32 - 1, 2**31 - 1, 10**6)),
    "WAVEX": (b"data", "<I", (0, 2**32 - 1, 10**6)),
    "W64": (b"", "<Q", ()),
    "AIFF": (b"SSND", ">I", (0, 8, 2**32 - 1, 10**6)),
    "AU": (b".snd\0\0\0\x18", ">I", (0, 2**32 - 1, 10**6)),
    "CAF": (b"data", ">Q", (0, 4, 2**64 - 1, 2**40)),
}


@pytest.mark.parametrize(
    "container, size",
    [(name, size) for name, place in PLACES.items() for size in place[2]],
)
def test_sizes_that_were_never_written(tmp_path, container, size):
    content = encoded(format=container, subtype="PCM_16", endian="FILE")
    before, form, _ = PLACES[container]
    place = content.index(before) + len(before)
    content[place : place + struct.calcsize(form)] = struct.pack(form, size)
    if container in ("WAV", "WAVEX") and size == 0:
        content[4:8] = bytes(4)
    check_whole(write(tmp_path, content))


@pytest.mark.parametrize("size", [0, 2**64 - 1, 2**40])
def test_an_rf64_that_was_never_finished(tmp_path, size):
    content = encoded(format="RF64", subtype="PCM_16")
    place = content.index(b"ds64") + 16
    content[place : place + 8] = struct.pack("<Q", size)
    check_whole(write(tmp_path, content))


@pytest.mark.parametrize(
    "subtype", ["ULAW", "ALAW", "GSM610", "IMA_ADPCM", "MS_ADPCM", "FLOAT"]
)
def test_an_unfinished_wav_of_any_encoding(tmp_path, subtype):
    content = encoded(subtype=subtype, format="WAV")
    whole = read_audio(write(tmp_path, content, "whole.wav"))
    place = content.index(b"data") + 4
    content[place : place + 4] = bytes(4)
    found = read_audio(write(tmp_path, content))
    torch.testing.assert_close(found[: len(whole)], whole)


def test_a_finished_wav_without_samples_stays_empty(tmp_path):
    content = encoded(np.zeros(0, "f4"), format="WAV", subtype="PCM_16")
    content += b"LIST" + struct.pack("<I", 8) + b"INFOabcd"
    for function in (read_audio, audio_seconds):
        with pytest.raises(AudioError, match="holds no samples"):
            function(write(tmp_path, content))


@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU", "W64", "CAF"])
def test_a_file_that_was_cut_is_used_as_far_as_it_goes(tmp_path, container):
    content = encoded(format=container, subtype="PCM_16")
    start = len(content) - 32000 if container != "CAF" else 4096
    path = write(tmp_path, content[: start + 16000])
    assert audio_seconds(path) == pytest.approx(0.5, abs=0.01)
    wave = read_audio(path)
    assert np.abs(wave.numpy() - sweep()[: len(wave)]).max() < 1e-3


def test_a_flac_that_was_cut_is_told(tmp_path, caplog):
    rng = np.random.default_rng(0)
    noise = (0.1 * rng.standard_normal(5 * RATE)).astype("f4")
    content = encoded(noise, format="FLAC")
    path = write(tmp_path, content[: len(content) // 2], "cut.flac")
    with caplog.at_level(logging.WARNING):
        wave = read_audio(path)
    assert 2.0 < len(wave) / RATE < 2.6
    assert np.abs(wave.numpy() - noise[: len(wave)]).max() < 1e-3
    assert audio_seconds(path) == pytest.approx(len(wave) / RATE, abs=1e-3)
    (said, *_) = [r.message for r in caplog.records]
    assert "cut.flac is damaged after" in said
    with pytest.raises(AudioError, match="cut.flac"):
        read_audio(path, 4.0, 4.5)


@pytest.fixture(scope="module")
def mp3():
    """Noise, then quiet: by its first frame it would end far too early."""
    noise = 0.3 * np.random.default_rng(0).standard_normal(RATE)
    wave = np.concatenate([noise.astype("f4"), 0.01 * sweep(2.0)])
    return encoded(
        wave, format="MP3", bitrate_mode="VARIABLE", compression_level=0.5
    )


def without_index(content):
    frame = content.find(b"\xff\xf3", 4)
    return content[frame:]


def test_an_mp3_without_index_is_read_to_its_end(tmp_path, mp3):
    assert b"Xing" in mp3[:200] or b"Info" in mp3[:200]
    whole = write(tmp_path, mp3, "whole.mp3")
    bare = write(tmp_path, without_index(mp3), "bare.mp3")
    assert soundfile.info(bare).duration < 2.5  # what the header suggests
    assert audio_seconds(whole) == pytest.approx(3.0, abs=0.01)
    # Nothing tells how much of the first and last frame is filling.
    assert audio_seconds(bare) == pytest.approx(3.0, abs=0.15)
    assert len(read_audio(bare)) == pytest.approx(3 * RATE, abs=0.15 * RATE)
    part = read_audio(bare, 2.0, 2.5)
    torch.testing.assert_close(part, read_audio(bare)[32000:40000])
    part = read_audio(whole, 2.0, 2.5)
    torch.testing.assert_close(part, read_audio(whole)[32000:40000])


def test_mp3s_that_were_joined_are_read_to_the_end(tmp_path, mp3):
    path = write(tmp_path, mp3 + mp3, "joined.mp3")
    assert audio_seconds(path) == pytest.approx(6.0, abs=0.3)


def test_an_mp3_after_a_tag(tmp_path, mp3):
    tag = b"ID3\x04\0\0" + bytes([0, 0, 2, 0]) + bytes(256)
    for name, content in {"a.mp3": mp3, "b.mp3": without_index(mp3)}.items():
        path = write(tmp_path, tag + content, name)
        assert audio_seconds(path) == pytest.approx(3.0, abs=0.15)


@pytest.mark.parametrize(
    "options",
    [
        {"format": "WAV", "subtype": "ULAW"},
        {"format": "WAV", "subtype": "ALAW"},
        {"format": "WAV", "subtype": "GSM610"},
        {"format": "WAV", "subtype": "IMA_ADPCM"},
        {"format": "WAV", "subtype": "MS_ADPCM"},
        {"format": "WAV", "subtype": "G721_32"},
        {"format": "AU", "subtype": "ULAW"},
        {"format": "AIFF", "subtype": "PCM_24"},
        {"format": "CAF", "subtype": "ALAC_16"},
        {"format": "NIST", "subtype": "PCM_16"},
        {"format": "OGG", "subtype": "VORBIS"},
        {"format": "OGG", "subtype": "OPUS"},
        {"format": "FLAC"},
    ],
    ids=lambda options: "-".join(options.values()),
)
@pytest.mark.parametrize("name", ["a.wav", "a.raw", "a", "a.mp3"])
def test_a_format_is_told_by_its_content(tmp_path, options, name):
    path = write(tmp_path, encoded(**options), name)
    wave = read_audio(path)
    assert len(wave) == pytest.approx(RATE, abs=400)
    error = wave[:RATE].numpy() - sweep()[: len(wave[:RATE])]
    assert np.sqrt((error**2).mean()) < 0.05
    part = read_audio(path, 0.25, 0.5)
    torch.testing.assert_close(part, wave[4000:8000], atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("call.raw", bytes(range(64)) * 9, "has no header .* -i .*call.raw"),
        ("call.pcm", b"\1\0" * 99, "has no header"),
        ("page.wav", b"<!DOCTYPE html><p>404", "web page: the download failed"),
        ("a.wav", b"%PDF-1.4 ...", "is no audio: it is a PDF"),
        ("a.wav", b"version https://git-lfs.github.com/", "Git LFS"),
        ("a.mp3", b"hello, this is text", "cannot be read"),
        ("a.flac", b"fLaC" + bytes(99), "is FLAC and cannot be read"),
        ("phone.m4a", b"\0\0\0\x1cftypM4A " + bytes(50), "phone.m4a"),
    ],
)
@pytest.mark.parametrize("function", [read_audio, audio_seconds])
def test_what_cannot_be_read_is_one_sentence(
    tmp_path, monkeypatch, function, name, content, message
):
    monkeypatch.setattr(decoding, "find_ffmpeg", lambda: None)
    path = write(tmp_path, content, name)
    with pytest.raises(AudioError, match=message) as caught:
        function(path)
    said = str(caught.value)
    assert name in said and "\n" not in said and not said.endswith("..")


@pytest.mark.parametrize("frames", [0, 1, 10, 1 << 20])
def test_an_mp3_whose_index_counts_wrong_frames(tmp_path, frames):
    content = encoded(sweep(2.0), format="MP3")
    place = content.find(b"Xing") + 8
    assert place > 8
    content[place : place + 4] = struct.pack(">I", frames)
    path = write(tmp_path, content, "a.mp3")
    assert audio_seconds(path) == pytest.approx(2.0, abs=0.15)
    assert len(read_audio(path)) == pytest.approx(2 * RATE, abs=0.15 * RATE)


def test_a_flac_behind_a_tag(tmp_path):
    tag = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)
    check_whole(write(tmp_path, tag + encoded(format="FLAC"), "a.flac"))


def test_a_flac_that_goes_on_after_what_it_tells(tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal(4 * RATE)
    content = encoded(noise.astype("f4"), format="FLAC")
    content[22:26] = struct.pack(">I", 5000)
    path = write(tmp_path, content, "a.flac")
    assert soundfile.info(path).frames == 5000
    check_whole(path, 4.0, expected=noise)


def test_a_damage_within_a_flac_is_silence_and_told(tmp_path, caplog):
    noise = 0.1 * np.random.default_rng(0).standard_normal(6 * RATE)
    content = encoded(noise.astype("f4"), format="FLAC")
    place = len(content) // 2
    content[place : place + 100] = bytes(100)
    path = write(tmp_path, content, "a.flac")
    wave = read_audio(path).numpy()
    assert len(wave) == 6 * RATE == 16000 * audio_seconds(path)
    wrong = np.abs(wave - noise) > 1e-3
    assert 2.5 < wrong.argmax() / RATE < 3.1 and wrong.sum() < RATE
    assert "a.flac is damaged from 2." in caplog.text
    assert not wrong[-2 * RATE :].any()
    caplog.clear()
    part = read_audio(path, 4.0, 5.0)
    assert np.abs(part.numpy() - noise[4 * RATE : 5 * RATE]).max() < 1e-3


@pytest.mark.parametrize(
    "front",
    [
        b"\xef\xbb\xbf",
        b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\n\r\n",
    ],
)
@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_something_before_a_recording(tmp_path, front, form):
    check_whole(write(tmp_path, front + encoded(format=form)))


CHUNKS = {
    "bw64": lambda c: b"BW64" + c[4:],
    "small letters": lambda c: c.replace(b"WAVE", b"wave", 1),
    "broken LIST": lambda c: (
        c[:12] + b"LIST" + struct.pack("<I", 9) + b"INFOabcde\0" + c[12:]
    ),
    "LIST without its filling": lambda c: (
        c[:12] + b"LIST" + struct.pack("<I", 9) + b"INFOabcde" + c[12:]
    ),
    "LIST larger than the file": lambda c: (
        c[:12] + b"LIST" + struct.pack("<I", 2**31) + b"INFO" + c[12:]
    ),
    "fmt larger than the file": lambda c: (
        c[:16] + struct.pack("<I", 2**31) + c[20:]
    ),
    "two in one": lambda c: c + c,
}


@pytest.mark.parametrize("chunks", CHUNKS)
def test_a_wav_header_that_libsndfile_refuses(
    tmp_path, monkeypatch, caplog, chunks
):
    monkeypatch.setattr(decoding, "find_ffmpeg", lambda: None)
    content = encoded(format="WAV", subtype="PCM_16")
    if chunks == "bw64":
        content = encoded(format="RF64", subtype="PCM_16")
    check_whole(write(tmp_path, CHUNKS[chunks](bytes(content))))
    assert ("is not used" in caplog.text) == (chunks == "two in one")


FRONTS = {
    "APE tag": b"APETAGEX" + struct.pack("<6I", 2000, 600, 1, 0, 0, 0)
    + bytes(600),
    "zeros": bytes(3000),
    "a stream's words": b"icy-name: radio\r\n\r\n",
    "a tag larger than the file": b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(10),
    "a picture": b"ID3\4\0\0\0\x7f\x7f\x7f" + bytes(2097151),
}  # fmt: skip


@pytest.mark.parametrize("front", FRONTS)
def test_an_mp3_behind_something(tmp_path, monkeypatch, mp3, front):
    monkeypatch.setattr(decoding, "find_ffmpeg", lambda: None)
    path = write(tmp_path, FRONTS[front] + mp3, "a.mp3")
    assert audio_seconds(path) == pytest.approx(3.0, abs=0.15)


def test_mp3s_with_tags_that_were_joined(tmp_path, mp3):
    tag = b"ID3\4\0\0\0\0\2\0" + bytes(256)
    path = write(tmp_path, tag + mp3 + tag + mp3, "joined.mp3")
    assert audio_seconds(path) == pytest.approx(6.0, abs=0.3)


def test_a_refused_header_prints_no_traceback(tmp_path, capfd):
    content = encoded(format="W64", subtype="PCM_16")
    place = content.index(b"data\xf3\xac") + 16
    for size in (bytes(8), b"\xff" * 8, b"\xff" * 7 + b"\x7f"):
        content[place : place + 8] = size
        check_whole(write(tmp_path, content))
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "name, words",
    [("my call.m4a", "'my call.m4a'"), ("-rf.m4a", "./-rf.m4a")],
)
def test_the_remedy_can_be_pasted(name, words):
    told = formats.remedy(name, formats.MP4, "")
    assert f"ffmpeg -i {words} " in told


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_a_link_to_nothing_is_told(tmp_path):
    path = tmp_path / "a.wav"
    path.symlink_to("moved.wav")
    with pytest.raises(AudioError, match=r"link to nothing \(moved.wav\)"):
        read_audio(path)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_chained_ogg_is_read_to_its_end(tmp_path, subtype):
    one = encoded(format="OGG", subtype=subtype)
    alone = read_audio(write(tmp_path, one, "one.ogg"))
    path = write(tmp_path, one + one, "two.ogg")
    assert audio_seconds(path) == pytest.approx(2.0, abs=0.02)
    torch.testing.assert_close(read_audio(path), torch.cat([alone, alone]))
    torch.testing.assert_close(read_audio(path, 1.25, 1.5), alone[4000:8000])


def test_a_chained_ogg_of_another_rate(tmp_path, caplog):
    one = encoded(format="OGG", subtype="VORBIS")
    two = encoded(rate=8000, format="OGG", subtype="VORBIS")
    assert len(read_audio(write(tmp_path, one + two))) == RATE
    assert "changes its rate" in caplog.text


def test_a_header_of_many_chunks_before_unfinished_samples(tmp_path):
    content = encoded(format="WAV")
    place = content.find(b"data")
    content[place + 4 : place + 8] = bytes(4)
    junk = b"JUNK" + struct.pack("<I", 28) + bytes(28)
    check_whole(write(tmp_path, content[:place] + 200 * junk + content[place:]))


@pytest.mark.parametrize("name", ["phone.m4a", "renamed.wav"])
def test_without_ffmpeg_aac_is_told_with_the_remedy(
    tmp_path, monkeypatch, name
):
    monkeypatch.setattr(decoding, "find_ffmpeg", lambda: None)
    path = write(tmp_path, b"\0\0\0\x1cftypM4A " + bytes(99), name)
    with pytest.raises(AudioError, match=f"is M4A.*ffmpeg -i .*{name} .*.wav$"):
        raise AudioError(str(_error(path)).rstrip("."))


def _error(path):
    with pytest.raises(AudioError) as caught:
        read_audio(path)
    return caught.value


def test_folders_and_devices_are_no_recordings(tmp_path):
    with pytest.raises(AudioError, match="is a folder"):
        read_audio(tmp_path)
    if sys.platform.startswith("linux"):
        with pytest.raises(AudioError, match="no regular file"):
            read_audio("/dev/zero")


# --- ffmpeg ------------------------------------------------------------

FFMPEG = """#!/bin/sh
# Writes what the real one would: rate, channels, samples.
for word in "$@"; do echo "$word" >> "{folder}/words"; done
{body}
"""
AU = r"printf '.snd\000\000\000\030\377\377\377\377\000\000\000\006"
AU += r"\000\000\076\200\000\000\000\001'"


@pytest.fixture
def fake_ffmpeg(tmp_path, monkeypatch):
    """fake_ffmpeg(body): an ffmpeg in the path that runs a shell's text."""

    def build(body):
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "ffmpeg"
        program.write_text(FFMPEG.format(folder=folder, body=body))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        return folder / "words"

    return build


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_ffmpeg_is_asked_for_the_named_container_only(tmp_path, fake_ffmpeg):
    words = fake_ffmpeg(AU + "; head -c 64000 /dev/zero")
    path = write(tmp_path, b"\0\0\0\x1cftypM4A " + bytes(99), "-i x;rm.m4a")
    assert audio_seconds(path) == 1.0
    wave = read_audio(path)
    assert len(wave) == RATE and not wave.any()
    said = words.read_text().split("\n")
    assert said[said.index("-i") + 1] == f"file:{path}"
    assert said[said.index("-f") + 1] == "mov"
    assert said[said.index("-protocol_whitelist") + 1] == "file,pipe"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_an_endless_ffmpeg_is_stopped(tmp_path, fake_ffmpeg):
    fake_ffmpeg(AU + "; cat /dev/zero")
    path = write(tmp_path, b"\0\0\0\x1cftypM4A " + bytes(99), "a.m4a")
    assert len(read_audio(path, 1.0, 2.0)) == RATE


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_an_ffmpeg_that_hangs_is_ended(tmp_path, fake_ffmpeg, monkeypatch):
    fake_ffmpeg(AU + "; head -c 300000 /dev/zero; exec sleep 1000")
    started = []
    popen = subprocess.Popen

    def remembered(*args, **options):
        started.append(popen(*args, **options))
        wait = started[-1].wait
        started[-1].wait = lambda: wait(timeout=60)
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", remembered)
    path = write(tmp_path, b"\0\0\0\x1cftypM4A " + bytes(99), "a.m4a")
    assert len(read_audio(path, 0.0, 0.5)) == RATE // 2
    assert all(process.returncode is not None for process in started)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_what_ffmpeg_says_is_told(tmp_path, fake_ffmpeg):
    fake_ffmpeg("echo 'moov atom not found' >&2; exit 1")
    path = write(tmp_path, b"\0\0\0\x1cftypM4A " + bytes(99), "a.m4a")
    with pytest.raises(
        AudioError, match=r"a.m4a is M4A.*it was never finished"
    ):
        read_audio(path)


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg")
@pytest.mark.parametrize("suffix", ["m4a", "aac", "webm", "mp4", "mka"])
@pytest.mark.parametrize("name", [None, "renamed.wav"])
def test_real_ffmpeg_decodes_what_phones_record(tmp_path, suffix, name):
    source = write(tmp_path, encoded(format="WAV"), "source.wav")
    made = tmp_path / f"a.{suffix}"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", source, made],
        check=True,
    )
    path = made.rename(tmp_path / name) if name else made
    assert audio_seconds(path) == pytest.approx(1.0, abs=0.15)
    assert read_audio(path).abs().max() == pytest.approx(0.3, abs=0.05)
