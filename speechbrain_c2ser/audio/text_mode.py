"""Files that were sent as text, by which bytes of theirs were changed."""

import re
from typing import BinaryIO

SEEN = 1 << 16  # bytes
LEAST = 8  # line feeds that cannot all be chance
NO_TEXT = re.compile(rb"[\x00-\x08\xfe\xff]")


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
    >>> content = b"".join(bytes([0, n, 10, n]) for n in range(99))
    >>> was_sent_as_text(io.BytesIO(content))
    False
    >>> was_sent_as_text(io.BytesIO(content.replace(b"\\n", b"\\r\\n")))
    True
    """
    file.seek(0)
    lines = file.read(SEEN).split(b"\n")[:-1]
    if not all(line.endswith(b"\r") for line in lines):
        return False
    # Text in a header may have such lines, and samples be all zero.
    ends = {line[-5:-1] for line in lines if NO_TEXT.search(line[-5:-1])}
    return len(ends) >= LEAST
