"""Reading audio: one form out of many, and errors that name the file."""

import array
import base64
import struct
import wave

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_c2ser.audio import AudioError, as_waveform, read_audio
from speechbrain_c2ser.audio.decoder import reason
from speechbrain_c2ser.audio.formats import recognise, remedy
from speechbrain_c2ser.audio.objects import as_list, load_audio, name_of


def tone(rate, seconds=0.5, hertz=440.0):
    return 0.5 * np.sin(
        2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate
    )


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_any_rate_becomes_16_khz(tmp_path, rate, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(rate), rate)
    wave = read_audio(path)
    assert wave.dtype == torch.float32 and wave.shape == (8000,)
    # The tone is the same one, away from the filter's edges.
    expected = torch.tensor(tone(16000), dtype=torch.float32)
    assert (wave - expected)[500:-500].abs().max() < 0.02


@pytest.mark.parametrize("channels", [2, 6])
def test_channels_are_averaged(tmp_path, channels):
    path = tmp_path / "a.wav"
    samples = np.stack([tone(16000)] + [np.zeros(8000)] * (channels - 1), 1)
    soundfile.write(path, samples, 16000, "FLOAT")
    expected = torch.tensor(tone(16000) / channels, dtype=torch.float32)
    torch.testing.assert_close(read_audio(path), expected)
    torch.testing.assert_close(as_waveform(samples, 16000), expected)
    torch.testing.assert_close(as_waveform(samples.T, 16000), expected)


def test_few_samples_of_many_channels_are_not_transposed(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.ones((2, 6)), 16000, "FLOAT")
    assert read_audio(path).tolist() == [1.0, 1.0]


def test_segment(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.arange(16000) / 16000, 16000, "FLOAT")
    wave = read_audio(path, start=0.25, stop=0.5)
    torch.testing.assert_close(wave, torch.arange(4000, 8000) / 16000)
    assert len(read_audio(path, start=0.25)) == 12000
    # Rounded seconds of a manifest.
    assert len(read_audio(path, stop=1.004)) == 16000


@pytest.mark.parametrize("segment", [(2.0, 3.0), (0.5, 0.5), (0, 1.5), (-1, 1)])
def test_segment_outside_is_an_error(tmp_path, segment):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(16000), 16000)
    with pytest.raises(AudioError, match="no segment"):
        read_audio(path, *segment)


def test_integers_are_scaled():
    assert as_waveform(np.array([-32768, 0], "int16"), 16000).tolist() == [
        -1,
        0,
    ]
    assert as_waveform(np.array([0, 128], "uint8"), 16000).tolist() == [-1, 0]


@pytest.mark.parametrize(
    "name, write, message",
    [
        ("missing", lambda path: None, "is missing"),
        ("bytes", lambda path: path.write_bytes(b""), "is empty"),
        (
            "header",
            lambda path: soundfile.write(path, np.zeros(0), 16000),
            "is empty",
        ),
        ("text", lambda path: path.write_text("no audio"), "cannot be read"),
        (
            "nan",
            lambda path: soundfile.write(
                path, np.array([0, np.nan]), 16000, "FLOAT"
            ),
            "NaN",
        ),
    ],
)
def test_bad_files_are_named(tmp_path, name, write, message):
    path = tmp_path / f"{name}.wav"
    write(path)
    with pytest.raises(AudioError, match=message) as caught:
        read_audio(path)
    assert f"{name}.wav" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "audio",
    [[], [float("inf")], np.zeros((2, 2, 2)), np.zeros((0, 2)), [True]],
)
def test_bad_arrays(audio):
    with pytest.raises(AudioError):
        as_waveform(audio, 16000)


def test_bad_rate():
    with pytest.raises(AudioError, match="rate"):
        as_waveform([0.0], 0)


@pytest.mark.parametrize(
    "samples", [torch.ones(100).to_sparse(), torch.empty(100, device="meta")]
)
def test_tensors_that_hold_no_samples(samples):
    with pytest.raises(AudioError, match="x has no samples"):
        as_waveform(samples, 16000, name="x")


def test_objects_that_cannot_be_read_are_named(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16000), 16000)
    row = {"wav": str(tmp_path / "a.wav"), "start": "x", "stop": 0.5}
    with pytest.raises(AudioError, match="'x' to 0.5 are no times"):
        load_audio(row)
    file = open(tmp_path / "a.wav", "rb")
    file.close()
    with pytest.raises(AudioError, match="cannot be read: I/O operation"):
        load_audio(file)


class Segment:
    """As pydub's AudioSegment."""

    channels, frame_rate = 2, 8000

    def get_array_of_samples(self):
        """Both channels in turn, in the width of the file."""
        return array.array("h", [16384, -8192] * 800)


WAVE = np.linspace(-0.5, 0.5, 1600, dtype="f4")


@pytest.mark.parametrize(
    "audio",
    [
        {"audio": WAVE, "sampling_rate": 16000},
        {"speech": WAVE.tolist(), "sr": 16000},
        {"input_values": torch.tensor(WAVE), "sample_rate": 16000},
        {"wav": WAVE, "rate": 16000},
        (WAVE[None, None], 16000),
        (WAVE.astype(object), 16000),
        (WAVE, torch.tensor(16000)),
        (np.asarray(16000), WAVE),
    ],
)
def test_objects_of_other_libraries(audio):
    torch.testing.assert_close(load_audio(audio), torch.tensor(WAVE))


def test_a_segment_of_pydub():
    wave = load_audio(Segment())
    assert len(wave) == 1600 and wave.mean() == pytest.approx(0.125, abs=1e-3)


@pytest.mark.parametrize(
    "audio, message",
    [
        ("https://example.org/a.wav", "is an address.*download it"),
        ("s3://bucket/a.wav", "is an address"),
        ("data:audio/wav;base64,AAAA", "first bytes are of no audio"),
        ("data:audio/wav;base64,AAA", "data URL that is not whole"),
        (("a.wav", 16000), "path beside a rate: give the path alone"),
        (WAVE.tolist(), "samples without their rate"),
        ("A" * 9999, "text of 9999 characters .* is no path"),
        ({"array": WAVE, "sampling_rate": "16000"}, "'16000' for a sample"),
    ],
)
def test_objects_that_are_refused(audio, message):
    with pytest.raises(AudioError, match=message) as caught:
        load_audio(audio)
    assert len(str(caught.value)) < 400


def test_a_data_url_is_its_file_and_no_name(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16000), 16000)
    content = base64.b64encode(path.read_bytes()).decode()
    url = f"data:audio/wav;codecs=1;base64,{content}"
    torch.testing.assert_close(load_audio(url), read_audio(path))
    for text in (url, url[:99], content):
        assert name_of(text, 3) == "recording 3"


def test_a_rate_of_a_batch_of_one():
    wave, rate = torch.rand(1, 1, 8000), torch.tensor([16000])
    for pair in ([wave, rate], (wave, rate), (rate.numpy(), wave.numpy())):
        assert len(as_list(pair)) == 1
        torch.testing.assert_close(load_audio(as_list(pair)[0]), wave[0, 0])
    assert len(as_list([torch.rand(9), torch.rand(1)])) == 2


def test_a_column_of_a_batch_and_plain_numbers():
    items = [{"array": WAVE, "sampling_rate": 16000}] * 2
    assert as_list({"audio": items, "label": ["a", "b"]}) == items
    assert as_list(WAVE.tolist()) == [WAVE.tolist()]


def test_nan_in_the_channel_that_is_not_heard(tmp_path):
    path = tmp_path / "a.wav"
    samples = np.stack([tone(16000), np.full(8000, np.nan)], 1)
    soundfile.write(path, samples, 16000, "FLOAT")
    assert len(read_audio(path, channel=0)) == 8000
    assert len(load_audio({"wav": path, "channel": 0})) == 8000
    assert len(as_waveform(samples, 16000, channel=0)) == 8000
    with pytest.raises(AudioError, match="NaN"):
        read_audio(path, channel=1)


SPEECH = tone(16000, 4.0) * np.sin(np.arange(64000) / 5000)
NOISE = np.random.default_rng(0).standard_normal((64000, 2))
ANTIPHASE = {
    "noise of the room": SPEECH[:, None] * [1, -1] + 0.08 * NOISE,
    "a beep before": np.concatenate(
        [
            np.full((3200, 2), 0.9) * tone(16000, 0.2)[:, None],
            0.1 * SPEECH[:, None] * [1, -1],
        ]
    ),
    "a quieter channel": SPEECH[:, None] * [1, -0.7],
    "mostly pauses with noise": np.concatenate(
        [1e-4 * NOISE] * 5 + [SPEECH[:, None] * [1, -1]]
    ),
}


@pytest.mark.parametrize("kind", ANTIPHASE)
def test_antiphase_speech_is_not_lost(tmp_path, kind):
    samples = ANTIPHASE[kind].astype("f4")
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, 16000, "FLOAT")
    for found in (read_audio(path), as_waveform(samples, 16000)):
        assert any(np.array_equal(found, side) for side in samples.T)


@pytest.mark.parametrize(
    "samples",
    [
        NOISE,
        SPEECH[:, None] + 0.2 * NOISE,
        np.concatenate(
            [SPEECH[:, None] * [1, 1], SPEECH[:9000, None] * [1, -1]]
        ),
        # Two sides of a call, and noise that cancels.
        np.concatenate(
            [SPEECH[:, None] * [1, 0], SPEECH[:, None] * [0, 1]]
            + [1e-3 * SPEECH[:, None] * [1, -1]] * 5
        ),
    ],
)
def test_what_does_not_cancel_is_averaged(samples):
    samples = samples.astype("f4")
    expected = torch.from_numpy(samples.mean(1))
    torch.testing.assert_close(as_waveform(samples, 16000), expected)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32"])
def test_a_file_that_the_standard_library_opened(tmp_path, subtype):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([tone(8000)] * 2, 1), 8000, subtype)
    with wave.open(str(path)) as file:
        file.readframes(7)
        torch.testing.assert_close(load_audio(file), read_audio(path))


PLACES = {"WAV": "<I", "RF64": "<Q", "AU": ">I", "AIFF": ">I", "CAF": ">q"}


@pytest.mark.parametrize("form", PLACES)
def test_a_header_that_tells_less_than_there_is(tmp_path, form):
    # The recorder wrote the sizes once a second, and was killed.
    path = tmp_path / "a"
    soundfile.write(path, tone(8000, 1.1), 8000, format=form)
    whole, content = read_audio(path), bytearray(path.read_bytes())
    sign, more = PLACES[form], {"AIFF": 8, "CAF": 4}.get(form, 0)
    place = content.index(struct.pack(sign, 17600 + more))
    struct.pack_into(sign, content, place, 8800 + more)
    path.write_bytes(content)
    torch.testing.assert_close(read_audio(path), whole)


@pytest.mark.parametrize("endian", ["BIG", "LITTLE"])
@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_an_au_without_its_size(tmp_path, endian, size):
    path = tmp_path / "a.au"
    soundfile.write(path, tone(16000), 16000, "PCM_16", endian)
    whole, content = read_audio(path), bytearray(path.read_bytes())
    content[8:12] = size.to_bytes(4, endian.lower())
    path.write_bytes(content)
    torch.testing.assert_close(read_audio(path), whole)


@pytest.mark.parametrize(
    "behind",
    [
        b"TAG" + bytes(5000),
        bytes(5000),
        b"any \x80\x13\0\0" * 625,  # a chunk
        b"LIST\xff\xff\0\0" * 625,  # a damaged one
    ],
)
def test_what_programs_put_behind_the_samples_is_no_sound(tmp_path, behind):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16000), 16000)
    path.write_bytes(path.read_bytes() + behind)
    assert len(read_audio(path)) == 8000


@pytest.mark.parametrize(
    "head, name",
    [
        (b"RIFF\0\0\0\0WEBPVP8 ", "a WebP picture"),
        (b"\0\0\0\x18ftypheic", "a HEIC picture"),
        (b"#EXTM3U\n", "a playlist: give the files that it names"),
        (b"BZh91AY", "a bzip2 archive"),
        (b"\x56\xe1\x0b", "AAC (LATM)"),
        (b"ajkg\2", "Shorten"),
    ],
)
def test_what_a_file_is(head, name):
    assert recognise(head).name == name


@pytest.mark.parametrize(
    "name, options",
    [
        ("a.vox", "u8 -acodec adpcm_ima_oki -ar 8000"),
        ("a.gsm", "gsm -i"),
        ("a.g722", "g722 -i"),
        ("a.sln16", "s16le -ar 16000"),
        ("a.pcmu", "mulaw -ar 8000"),
    ],
)
def test_a_remedy_that_ffmpeg_takes(name, options):
    assert f"ffmpeg -f {options} " in remedy(name, None, "")


@pytest.mark.parametrize("words", ["bad map offset", "bad data length"])
def test_what_is_taken_for_a_resource_fork_is_of_no_known_format(words):
    assert "not recognised" in reason(RuntimeError(f"Error : {words}."))
