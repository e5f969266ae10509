"""Files that were sent as text, by which bytes of theirs were changed."""

from typing import BinaryIO

SEEN = 1 << 16  # bytes
LEAST = 16  # line feeds that cannot all be chance


def was_sent_as_text(file: BinaryIO) -> bool:
    """Whether each line feed in a file has a carriage return before it.

    FTP in text mode makes two bytes of each line feed; in a recording, it
    comes after any byte.

    Arguments
    ---------
    file : BinaryIO
        Of a binary format; read from its start.

    Returns
    -------
    bool

    Example
    -------
    >>> import io
    >>> content = bytes(range(256)) * 16
    >>> was_sent_as_text(io.BytesIO(content))
    False
    >>> content = bytes(range(7, 20)) * 9 + bytes(range(20, 4, -1)) * 9
    >>> was_sent_as_text(io.BytesIO(content.replace(b"\\n", b"\\r\\n")))
    True
    """
    file.seek(0)
    lines = file.read(SEEN).split(b"\n")[:-1]
    if len(lines) < LEAST or not all(line.endswith(b"\r") for line in lines):
        return False
    # A constant may happen to be of these two bytes.
    return len({line[-2:] for line in lines}) > 1
