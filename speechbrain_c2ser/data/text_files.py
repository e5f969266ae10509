"""Text of a file, whatever encoding an editor or a spreadsheet gave it."""

import codecs
import re
from pathlib import Path

# UTF-32's little-endian mark begins with UTF-16's: it is tried first.
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
HIGH_BYTES = re.compile(rb"[\x80-\xff]+")


def read_text(path: str | Path) -> str:
    """Text of a file in one of the encodings of :func:`decode`.

    Arguments
    ---------
    path : str | Path
        The file.

    Returns
    -------
    str
        Without a byte order mark; line ends as they are.

    Raises
    ------
    OSError
        If the file cannot be opened.
    UnicodeDecodeError
        If the bytes are no text.
    """
    return decode(Path(path).read_bytes())


def decode(content: bytes) -> str:
    """Text out of bytes, in the encoding that they look like.

    A byte order mark decides; then zero bytes, which UTF-16 has beside every
    Latin letter; then UTF-8. Of the older ones, Chinese (GB 18030) writes
    characters as pairs of high bytes, Western European (Windows 1252) accents
    and apostrophes as single ones.

    Arguments
    ---------
    content : bytes
        Of a text file.

    Returns
    -------
    str

    Raises
    ------
    UnicodeDecodeError
        If the bytes are no text.

    Example
    -------
    >>> decode("生气".encode("gb18030")), decode("I’m sad".encode("cp1252"))
    ('生气', 'I’m sad')
    """
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return content.decode(encoding)
    if content.endswith(b"\0") and b"\0" not in content.rstrip(b"\0"):
        content = content.rstrip(b"\0")  # a disk that was not written to
    if b"\0" in content:
        little = content[1::2].count(0) > content[::2].count(0)
        return content.decode("utf-16-le" if little else "utf-16-be")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    runs = HIGH_BYTES.findall(content)
    if 2 * sum(len(run) % 2 for run in runs) <= len(runs):
        try:
            return content.decode("gb18030")
        except UnicodeDecodeError:
            pass
    # Five bytes stand for nothing in Windows 1252: shown, not refused.
    return content.decode("cp1252", errors="replace")
