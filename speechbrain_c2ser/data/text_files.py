"""Text of a file, whatever encoding an editor or a spreadsheet gave it."""

import codecs
import re
from collections import Counter
from pathlib import Path

# UTF-32's little-endian mark begins with UTF-16's: it is tried first.
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Of the mainland, and of Taiwan and Hong Kong: first and last of the leading
# bytes of the characters that are in daily use.
COMMON = 0.8  # of the characters of a text, at least
CHINESE = {"gb18030": (0xB0, 0xD7), "big5": (0xA4, 0xC6)}
HAN = re.compile("[\u4e00-\u9fff]")
EAST_ASIA = re.compile(
    "[\t\r\n -~\u2010-\u2030\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef]"
)
CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1f]")
WITHIN = re.compile("[A-Za-z][\u4e00-\u9fff]")
HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
MARK = re.compile("(?<![^\r\n])\ufeff+")  # where a line begins
REPLACED = "\ufffd"
# Of the characters beyond ASCII, or of the lines with such: few of GBK look
# like UTF-8.
MOSTLY = 0.75
ZEROS = 0.2  # of the bytes: more than strayed into another encoding


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

    A byte order mark decides; then many zero bytes, which UTF-16 has beside
    every Latin letter; then UTF-8. Where few characters are none of UTF-8, each
    line is read by itself: one bad byte does not spoil the others. Of the older
    ones, Chinese (GB 18030, or Big5 where that gives more of the common
    characters) writes characters as pairs of bytes, most of them high (of
    traditional characters in GBK the second one often is not); Western European
    (Windows 1252) accents and apostrophes as single ones.

    Arguments
    ---------
    content : bytes
        Of a text file.

    Returns
    -------
    str
        Without byte order marks, also those of files that were put one behind
        another.

    Raises
    ------
    UnicodeDecodeError
        If the bytes are no text.

    Example
    -------
    >>> decode("生气".encode("gb18030")), decode("I’m sad".encode("cp1252"))
    ('生气', 'I’m sad')
    """
    text = _decode(content)
    # Looked for first: of a manifest of a million rows it takes a second.
    return MARK.sub("", text) if "\ufeff" in text else text


def _decode(content):
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return content.decode(encoding)
    if content.endswith(b"\0") and b"\0" not in content.rstrip(b"\0"):
        content = content.rstrip(b"\0")  # a disk that was not written to
    odd = even = 0
    if b"\0" in content:
        odd, even = content[1::2].count(0), content[::2].count(0)
    wide = "utf-16-le" if odd > even else "utf-16-be"
    if odd + even > ZEROS * len(content):
        return content.decode(wide)
    # Cyrillic, Greek or Arabic: nearly every second byte is one of control.
    if odd + even > 1 and not min(odd, even):
        if len(CONTROL.findall(content)) > ZEROS * len(content):
            return content.decode(wide)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    # A zero byte strays into any text. Those of UTF-16 are on one side of the
    # pairs, but for that of the Chinese "one".
    if odd + even > 1:
        text = _read_wide(content, wide)
        if text and (not min(odd, even) or _is_of_east_asia(text)):
            return text
    if _is_mostly_utf8(content):
        return "".join(map(_decode_line, content.splitlines(keepends=True)))
    # Long Chinese has few: at signs, digits and the end of each line.
    if odd + even > content.count(b"\n"):
        return content.decode(wide)
    return _decode_older(content)


def _read_wide(content, encoding):
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_of_east_asia(text):
    return len(EAST_ASIA.findall(text)) >= 0.95 * len(text)


def _is_mostly_utf8(content):
    # Each once: a word of GBK that looks like UTF-8 may fill a column.
    lines = {b"".join(HIGH_BYTES.findall(x)) for x in content.splitlines()}
    shares = [_share_of_utf8(line) for line in lines - {b""}]
    whole = shares.count(1) / len(shares)
    return max(whole, _share_of_utf8(b"\n".join(lines))) >= MOSTLY


def _share_of_utf8(content):
    """Of the characters beyond ASCII, those that are UTF-8."""
    text = content.decode("utf-8", "replace")
    beyond = len(text) - len(text.encode("ascii", "ignore"))
    bad = text.count(REPLACED) - content.count(REPLACED.encode())
    return (beyond - bad) / max(beyond, 1)


def _decode_line(line):
    """A line of a text that is UTF-8 for the most part."""
    # What is cut within a character is shown, not taken for another encoding.
    if _share_of_utf8(line) > 0.5 or line.isascii():
        return line.decode("utf-8", "replace")
    return _decode_older(line)


def _decode_older(content):
    """Text in one of the encodings before UTF-8."""
    runs = [len(run) for run in HIGH_BYTES.findall(content)]
    pairs = 2 * sum(run % 2 for run in runs) <= len(runs)
    gb18030 = _read_as(content, "gb18030")
    written = HAN.findall(gb18030[0] or "")
    # An accent mostly stands within a word of Latin letters.
    within = 2 * len(WITHIN.findall(gb18030[0] or "")) > len(written)
    if within or not (pairs or _is_in_daily_use(written)):
        gb18030 = None, 0.0
    big5 = _read_as(content, "big5") if max(runs) > 1 else (None, 0.0)
    if big5[0] is not None and big5[1] > max(COMMON, gb18030[1]):
        return big5[0]
    if gb18030[0] is not None:
        return gb18030[0]
    # Five bytes stand for nothing in Windows 1252: shown, not refused.
    return content.decode("cp1252", errors="replace")


def _read_as(content: bytes, encoding: str) -> tuple[str | None, float]:
    """Text in a Chinese encoding, and the share of its common characters."""
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None, -1.0
    first, last = CHINESE[encoding]
    heads = [
        char.encode(encoding)
        for char in text
        if "\u4e00" <= char <= "\u9fff" or "\ue000" <= char <= "\uf8ff"
    ]
    # The rare ones of GBK have a second byte below those of GB 2312.
    least = 0xA1 if encoding == "gb18030" else 0x40
    common = sum(
        first <= head[0] <= last and head[1] >= least and len(head) == 2
        for head in heads
    )
    if not heads:  # signs alone: no reason to take it for Taiwan's
        return text, float(encoding == "gb18030")
    return text, common / len(heads)


def _is_in_daily_use(written: list[str]) -> bool:
    """Whether characters are mostly common ones, of either encoding."""
    common = 0
    for char, number in Counter(written).items():
        heads = {
            name: char.encode(codec, "ignore")[:1]
            for name, codec in (("gb18030", "gb2312"), ("big5", "big5"))
        }
        common += number * any(
            head and CHINESE[name][0] <= head[0] <= CHINESE[name][1]
            for name, head in heads.items()
        )
    return len(written) > 1 and common >= COMMON * len(written)
