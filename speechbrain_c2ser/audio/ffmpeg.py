"""Decoding by ffmpeg of what libsndfile cannot (AAC, AMR, WebM ...)."""

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from speechbrain_c2ser.audio.errors import AudioError


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
    path: str, demuxer: str, block: int
) -> Iterator[tuple[int, int, Iterator[np.ndarray]]]:
    """Decode the first audio track of a file as a stream.

    Only the named file is opened, as the named container: no shell, no
    network, no file that the file refers to.

    Arguments
    ---------
    path : str
        The file.
    demuxer : str
        ffmpeg's name of its container.
    block : int
        Frames of a block.

    Yields
    ------
    tuple
        (rate, channels, iterator over float32 [n, channels]).

    Raises
    ------
    AudioError
        With ffmpeg's last words, when it decodes nothing.
    """
    command = [find_ffmpeg(), "-nostdin", "-hide_banner", "-v", "error"]
    command += ["-protocol_whitelist", "file,pipe", "-f", demuxer]
    command += ["-i", f"file:{path}"]
    command += ["-map", "0:a:0", "-map_metadata", "-1", "-vn", "-sn", "-dn"]
    # AU is the plainest header that can tell rate and channels in a pipe.
    command += ["-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words,
        )
        try:
            head = process.stdout.read(24)
            if len(head) < 24:
                process.wait()
                raise AudioError(
                    _last_words(words).replace(f"file:{path}: ", "")
                )
            _, start, _, _, rate, channels = struct.unpack(">4s5I", head)
            process.stdout.read(start - 24)
            yield rate, channels, _frames(process.stdout, channels, block)
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


def _last_words(file):
    file.seek(max(0, file.seek(0, os.SEEK_END) - 500))
    lines = file.read().decode("utf-8", "replace").split("\n")
    messages = [line.strip(" .\r") for line in lines if line.strip()]
    if not messages or any("matches no streams" in each for each in messages):
        return "it holds no audio"
    return messages[-1]
