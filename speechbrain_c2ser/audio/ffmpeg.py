"""Decoding by ffmpeg of what libsndfile cannot (AAC, AMR, WebM ...)."""

import logging
import os
import re
import secrets
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import numpy as np

from speechbrain_c2ser.audio.errors import AudioError

logger = logging.getLogger(__name__)
GAP, LONGEST_GAP = 0.1, 600  # seconds
# Where a track begins after its video, or pauses, there is silence; elsewhere
# samples follow each other, whatever the clock of a recorder says. 0: time
# since what was before, 1: where that ended, 2: added since a clock that was
# set back, as of files that were joined; 3: where this begins. A filter cannot
# fill what is before the first: it begins anew at each change of the rate or
# the channels, and would fill there too. So that is printed behind a number of
# this run, which no name of a file can tell, and filled here.
CLOCK = (
    "st(0, PTS + ld(2) - ld(1));"
    f"if(between(ld(0) * TB, -{GAP}, {LONGEST_GAP}), 0,"
    " st(2, ld(1) - PTS) + st(0, 0));"
    f"st(3, ld(1) + if(gt(ld(0) * TB, {GAP}), ld(0), 0));"
    "st(1, ld(3) + S / SR / TB);"
    "if(N, 0, print({mark}); print(ld(3) * TB));"
    "ld(3)"
)
PRINTED = re.compile(r"(?:\[\w+ @ \w+\] )?\[info\] (\d+\.\d+)\s*$")
LEVEL = re.compile(r"^(?:\[[^\]]* @ \w+\] )*\[(\w+)\] ?")
TRACK = re.compile(r"Stream #0:\d.*: Audio: ")
WORDS = 1 << 16  # bytes
MEANINGS = {
    "moov atom not found": "it was never finished: its index is missing",
    "matches no streams": "it holds no audio",
}


def find_ffmpeg() -> str | None:
    """Path of the ffmpeg that is installed; None where there is none.

    Example
    -------
    >>> path = find_ffmpeg()
    >>> path is None or path.endswith("ffmpeg") or path.endswith(".exe")
    True
    """
    return shutil.which("ffmpeg")


@contextmanager
def ffmpeg_blocks(
    path: str, demuxer: str, block: int, name: str
) -> Iterator[tuple[int, int, Iterator[np.ndarray]]]:
    """Decode the first audio track of a file as a stream.

    Only the named file is opened, as the named container: no shell, no
    network, no file that the file refers to. At its end a warning tells of
    what could not be decoded, and of other tracks.

    Arguments
    ---------
    path : str
        The file.
    demuxer : str
        ffmpeg's name of its container.
    block : int
        Frames of a block.
    name : str
        What warnings call the file.

    Yields
    ------
    tuple
        (rate, channels, iterator over float32 [n, channels]).

    Raises
    ------
    AudioError
        With ffmpeg's words, when it decodes nothing.
    """
    command = [find_ffmpeg(), "-nostdin", "-hide_banner", "-nostats"]
    command += ["-v", "level+info"]
    command += ["-protocol_whitelist", "file,pipe", "-f", demuxer]
    command += ["-i", f"file:{path}"]
    command += ["-map", "0:a:0", "-map_metadata", "-1", "-vn", "-sn", "-dn"]
    mark = 10**8 + secrets.randbelow(10**8)
    clock = CLOCK.replace("{mark}", str(mark))
    command += ["-af", f"asetpts='{clock}',aresample=async=1"]
    # AU is the plainest header that can tell rate and channels in a pipe.
    command += ["-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
    with tempfile.TemporaryDirectory() as folder:
        words = os.path.join(folder, "words")
        with open(words, "wb") as file:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
            )
        try:
            head = process.stdout.read(24)
            if len(head) < 24:
                process.wait()
                raise AudioError(_reason(_read(words), path))
            _, start, _, _, rate, channels = struct.unpack(">4s5I", head)
            process.stdout.read(start - 24)
            frames = _frames(process.stdout, channels, block)
            frames = _from_zero(frames, words, mark, rate, block)
            yield rate, channels, _told(frames, process, words, name)
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def _frames(stream, channels, block):
    size = 4 * channels
    while content := stream.read(size * block):
        whole = content[: len(content) // size * size]
        samples = np.frombuffer(whole, ">f4").astype(np.float32)
        yield samples.reshape(-1, channels)


def _from_zero(frames, words, mark, rate, block):
    """Frames after the silence in which their track has not begun."""
    for first in islice(frames, 1):
        silent = round(_first(words, mark) * rate)
        for place in range(0, silent, block):
            shape = (min(block, silent - place), first.shape[1])
            yield np.zeros(shape, np.float32)
        yield first
    yield from frames


def _first(words, mark):
    """Seconds before a track, by what is printed next to the mark."""
    with open(words, encoding="utf-8", errors="replace") as file:
        # Line by line to the end: chapters alone may take more than WORDS.
        printed = (float(m[1]) for m in map(PRINTED.match, file) if m)
        if mark not in printed:
            return 0.0
        seconds = next(printed, 0.0)
    return seconds if seconds <= LONGEST_GAP else 0.0


def _told(frames, process, words, name):
    """Frames, and warnings at their end."""
    yield from frames
    process.wait()
    before, _, after = _read(words).partition("] Output #0")
    tracks = len(TRACK.findall(before))
    if tracks > 1:
        logger.warning(
            "%s holds %d audio tracks: the first is used.", name, tracks
        )
    if errors := _errors(after):
        logger.warning(
            "%s is damaged: ffmpeg could not decode all of it (%s); what it "
            "could is used.",
            name,
            errors[0],
        )


def _read(words):
    with open(words, "rb") as file:
        return file.read(WORDS).decode("utf-8", "replace")


def _errors(text):
    """What ffmpeg tells of errors, without who in it tells that."""
    found = []
    for line in text.splitlines():
        match = LEVEL.match(line)
        if match and match[1] in ("error", "fatal", "panic"):
            found.append(line[match.end() :].strip(" ."))
    return found


def _reason(text, path):
    """Why nothing was decoded, by the first error."""
    lines = [line.strip(" .") for line in text.splitlines() if line.strip()]
    message = next(iter(_errors(text) or lines[-1:]), "it holds no audio")
    for words, meaning in MEANINGS.items():
        if words in message:
            return meaning
    return message.replace(f"file:{path}: ", "")
