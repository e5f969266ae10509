"""Format of an audio file, by its first bytes and never by its name."""

import os
import re
import shlex
from dataclasses import dataclass

HEAD = 192  # bytes that tell
# Suffixes that recordings have: what of a folder is listened to.
SOUNDS = (
    ".wav .flac .ogg .oga .opus .mp3 .m4a .mp4 .aac .aif .aiff .aifc .au .snd "
    ".caf .w64 .rf64 .amr .webm .mka .wma .sph .nist .voc .raw .pcm .3gp .3g2 "
    ".mp2 .mpga .spx .wv .ape .awb .ac3 .tta .m4b"
).split()
# A corpus may hold these beside its recordings: no .ts, which programs have.
VIDEOS = ".mov .mkv .avi .flv .m4v .wmv .asf .mpg .mpeg".split()
# What exchanges write, often beside a .wav of the same name.
EXCHANGES = ".gsm .ulaw .ul .alaw .vox .sln .g722 .g729".split()


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Arguments
    ---------
    name : str
        What people call it.
    demuxer : str | None
        ffmpeg's name of its container; None where it holds no audio.
    """

    name: str
    demuxer: str | None = None


MP4 = Format("M4A/MP4 (AAC)", "mov")
WAV = Format("WAV", "wav")
MP3 = Format("MP3", "mp3")
VOC = Format("Creative Voice", "voc")
# First bytes like those of recordings, and none.
PICTURES = (
    (8, b"WEBP", Format("a WebP picture")),
    (8, b"RMID", Format("a MIDI file: notes, and no sound")),
    (4, b"ftyphei", Format("a HEIC picture")),
    (4, b"ftypmif1", Format("a HEIC picture")),
    (4, b"ftypavif", Format("an AVIF picture")),
)
# Place and first bytes -> format. The demuxer is forced on ffmpeg: a playlist
# in disguise must not make it open other files or addresses.
AUDIO = (
    (8, b"AVI ", Format("AVI video", "avi")),
    (8, b"QLCM", Format("QCP", "qcp")),
    (0, b"RIFF", WAV),
    (0, b"RIFX", WAV),
    (0, b"RF64", WAV),
    (0, b"BW64", WAV),
    (0, b"riff\x2e\x91\xcf\x11", Format("Wave64", "w64")),
    (0, b"FORM", Format("AIFF", "aiff")),
    (0, b"NIST_1A", Format("SPHERE", "nistsphere")),
    (0, b".snd", Format("AU", "au")),
    (0, b"caff", Format("CAF", "caf")),
    (0, b"fLaC", Format("FLAC", "flac")),
    (0, b"OggS", Format("Ogg", "ogg")),
    (0, b"ID3", MP3),
    (4, b"ftyp", MP4),
    (4, b"moov", MP4),
    (4, b"mdat", MP4),
    (0, b"\x1a\x45\xdf\xa3", Format("WebM/Matroska", "matroska")),
    (0, b"#!AMR", Format("AMR", "amr")),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Format("WMA", "asf")),
    (0, b"FLV\x01", Format("Flash video", "flv")),
    (0, b"ADIF", Format("AAC", "aac")),
    (0, b"MAC ", Format("Monkey's Audio", "ape")),
    (0, b"wvpk", Format("WavPack", "wv")),
    (0, b"TTA1", Format("True Audio", "tta")),
    (0, b"MP+", Format("Musepack", "mpc")),
    (0, b"MPCK", Format("Musepack", "mpc8")),
    (0, b"tBaK", Format("TAK", "tak")),
    (0, b"ajkg", Format("Shorten", "shn")),
    (0, b"DSD ", Format("DSD", "dsf")),
    (0, b"MMMD", Format("SMAF", "mmf")),
    (0, b"\x00\x00\x01\xba", Format("MPEG video", "mpeg")),
    (0, b"\x0b\x77", Format("AC-3", "ac3")),
    (0, b"\x7f\xfe\x80\x01", Format("DTS", "dts")),
    (0, b".ra\xfd", Format("RealAudio", "rm")),
    (0, b".RMF", Format("RealMedia", "rm")),
    (0, b"Creative Voice File", VOC),
    (0, b".SoX", Format("SoX", "sox")),
    (0, b"XoS.", Format("SoX", "sox")),
)
CONTAINER = re.compile(
    rb"RIFF....WAVE|fLaC\x00\x00\x00|OggS\x00\x02", re.DOTALL
)
OTHERS = (
    (0, b"%PDF", Format("a PDF document")),
    (0, b"PK\x03\x04", Format("a ZIP archive")),
    (0, b"\x1f\x8b", Format("a gzip archive")),
    (0, b"7z\xbc\xaf", Format("a 7-Zip archive")),
    (0, b"BZh", Format("a bzip2 archive")),
    (0, b"\xfd7zXZ", Format("an xz archive")),
    (0, b"(\xb5/\xfd", Format("a Zstandard archive")),
    (0, b"\xd0\xcf\x11\xe0", Format("an Office document")),
    (0, b"\x89HDF", Format("an HDF5 file")),
    (0, b"\x80\x04\x95", Format("a pickle, which is never opened")),
    (0, b"MThd", Format("a MIDI file: notes, and no sound")),
    (0, b"#EXTM3U", Format("a playlist: give the files that it names")),
    (0, b"[playlist]", Format("a playlist: give the files that it names")),
    (0, b"File type = ", Format("a TextGrid of Praat")),
    (0, b"Rar!", Format("a RAR archive")),
    (0, b"\x89PNG", Format("a PNG picture")),
    (0, b"\xff\xd8\xff", Format("a JPEG picture")),
    (0, b"GIF8", Format("a GIF picture")),
    (0, b"\x7fELF", Format("a program")),
    (0, b"\x93NUMPY", Format("a NumPy array")),
    (0, b"\x00\x05\x16\x07", Format("macOS's notes on a file, not the file")),
    (0, b"version https://git-lfs", Format("a Git LFS pointer: run git lfs")),
)
# Suffixes of samples without a header -> ffmpeg's options for them.
TELEPHONE = " -ar 8000 -ac 1"
HEADERLESS = {
    **dict.fromkeys(
        (".raw", ".pcm", ".s16", ".sw", ".sln", ".slin", ".bin"),
        "s16le" + TELEPHONE,
    ),
    ".sln16": "s16le -ar 16000 -ac 1",
    ".l16": "s16be" + TELEPHONE,
    ".f32": "f32le" + TELEPHONE,
    ".vox": "u8 -acodec adpcm_ima_oki" + TELEPHONE,
    **dict.fromkeys((".ul", ".ulaw", ".g711", ".pcmu"), "mulaw" + TELEPHONE),
    **dict.fromkeys((".al", ".alaw", ".pcma"), "alaw" + TELEPHONE),
    ".g722": "g722",  # these know their rate
    ".g729": "g729",
    ".gsm": "gsm",
}


def recognise(head: bytes) -> Format | None:
    """Format of a file by its first bytes.

    Arguments
    ---------
    head : bytes
        The first ``HEAD`` bytes.

    Returns
    -------
    Format | None
        Without ``demuxer`` where it is known to hold no audio; None where it
        is unknown.

    Example
    -------
    >>> recognise(b"\\x00\\x00\\x00\\x1cftypM4A ").name
    'M4A/MP4 (AAC)'
    """
    for place, magic, form in PICTURES + AUDIO + OTHERS:
        if head[place : place + len(magic)] == magic:
            return form
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        # MPEG's sync word; "layer 0" of it is AAC (ADTS).
        return Format("AAC", "aac") if head[1] & 0x06 == 0 else MP3
    if len(head) > 1 and head[0] == 0x56 and head[1] & 0xE0 == 0xE0:
        return Format("AAC (LATM)", "loas")
    if head[:1] == b"G" and head[188:189] == b"G":
        return Format("MPEG transport stream", "mpegts")
    text = head.lstrip(b"\xef\xbb\xbf").lstrip()[:9].lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return Format("a web page: the download failed")
    if text.startswith((b'{"', b"data:", b"http/1.")):
        return Format("the text of an answer of a server, not a recording")
    return None


def first_container(head: bytes) -> int:
    """Where a WAV, FLAC or Ogg begins behind something else; 0 where none does.

    Example
    -------
    >>> first_container(b"\\xef\\xbb\\xbfRIFF....WAVE")
    3
    """
    match = CONTAINER.search(head)
    return match.start() if match else 0


def remedy(
    path: object, form: Format | None, reason: str, tried: bool = False
) -> str:
    """The rest of the sentence on a file that cannot be read.

    Arguments
    ---------
    path : object
        Its path or name.
    form : Format | None
        What its first bytes tell.
    reason : str
        What the decoder said.
    tried : bool
        Whether ffmpeg was tried too.

    Returns
    -------
    str

    Example
    -------
    >>> remedy("a.raw", None, "")
    'has no header (raw samples?), so that its rate and encoding cannot be \
known; if it is telephone speech, convert it: ffmpeg -f s16le -ar 8000 -ac 1 \
-i a.raw a.wav'
    """
    stem, suffix = os.path.splitext(str(path))
    target = f"{stem}.wav" if suffix.lower() != ".wav" else f"{stem}_pcm.wav"
    path, target = _word(path), _word(target)
    reason = " ".join(str(reason).split()).strip(". ") or "no audio in it"
    if form is None and suffix.lower() in HEADERLESS:
        return (
            "has no header (raw samples?), so that its rate and encoding "
            "cannot be known; if it is telephone speech, convert it: ffmpeg "
            f"-f {HEADERLESS[suffix.lower()]} -i {path} {target}"
        )
    if form is None:
        return (
            f"cannot be read: its first bytes are of no audio format "
            f"({reason}); give a recording, such as WAV, FLAC, MP3 or Ogg"
        )
    if form.demuxer is None:
        told = "" if ":" in form.name else "; give a recording"
        return f"is no audio: it is {form.name}{told}"
    if tried:
        return (
            f"is {form.name} and cannot be read ({reason}); record, export or "
            "download it again"
        )
    return (
        f"is {form.name} and cannot be read ({reason}); convert it: ffmpeg "
        f"-i {path} {target}"
    )


def _word(path):
    """A path as a shell takes it, and no program for an option."""
    path = str(path)
    return shlex.quote(f"./{path}" if path.startswith("-") else path)
