"""Data URLs, as a browser's recorder gives them."""

import base64
import re
from urllib.parse import unquote_to_bytes

from speechbrain_c2ser.audio.errors import AudioError

DATA = re.compile(r"\s*data:[^,]{0,200};base64,", re.IGNORECASE)


def content_of(text: str, name: str) -> bytes | None:
    """The file that a data URL holds; nothing is fetched.

    Arguments
    ---------
    text : str
        Such as ``data:audio/webm;base64,GkXfo...``.
    name : str
        What the errors call it.

    Returns
    -------
    bytes | None
        None where it is no data URL.

    Raises
    ------
    AudioError
        When what it holds is not whole.

    Example
    -------
    >>> content_of("data:audio/wav;base64,UklGRg==", "recording 0")
    b'RIFF'
    """
    match = DATA.match(text)
    if match is None:
        return None
    content = unquote_to_bytes(text[match.end() :])
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except ValueError as error:
        raise AudioError(
            f"{name} is a data URL that is not whole ({error}): give all of "
            "it, or the bytes of the file."
        ) from None
