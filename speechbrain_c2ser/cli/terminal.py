"""What is printed, on any terminal and into any pipe."""

import codecs
import json
import logging
import os
import re
import sys

# Also those that turn the direction of what follows.
CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
# JSON need not escape them, but terminals obey the first, and UTF-8 lacks
# the others.
UNSAFE = re.compile(r"[\x7f-\x9f\ud800-\udfff]")


def prepare_streams() -> None:
    """Let no character end a command: what a terminal lacks is escaped.

    Warnings are told as errors are, above a bar.

    So are the bytes of file names that are no UTF-8, which Python keeps as
    lone surrogates: ``caf\\udce9.wav``.
    """
    # Closed ones (>&-) are None.
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    logging.lastResort = _Told(logging.WARNING)


def tell(message: str) -> None:
    """A line on standard error, above the bar where one stands there.

    Arguments
    ---------
    message : str
        What is told; one line.
    """
    line = f"c2ser: {one_line(message)}"
    # Without a bar there is no need to import what draws it.
    bars = sys.modules.get("tqdm")
    if bars is None:
        print(line, file=sys.stderr)
    else:
        bars.tqdm.write(line, file=sys.stderr)


def say(text: object) -> None:
    """Print what holds names of others, such as a model's labels.

    Arguments
    ---------
    text : object
        One line or several; :func:`one_line` is asked of each.

    Example
    -------
    >>> say("labels:\\n  sad\\x1b[31m")
    labels:
      sad\\x1b[31m
    """
    print(each_line(str(text)))


def each_line(text: str) -> str:
    """Lines without characters that a terminal obeys.

    Arguments
    ---------
    text : str
        What ends its lines is a line feed.

    Returns
    -------
    str

    Example
    -------
    >>> each_line("a\\nb\\tc") == "a\\nb\\\\tc"
    True
    """
    return "\n".join(map(one_line, text.split("\n")))


def quiet_libraries() -> None:
    """No bars of the libraries; what they log is told as ours is.

    Their own handlers would print names out of a stranger's model as they
    are. Call it before a model is opened; it imports transformers.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    for name in ("transformers", "huggingface_hub"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


class _Told(logging.Handler):
    """Warnings of libraries and ours, where nobody else takes them; once."""

    def __init__(self, level):
        super().__init__(level)
        self._told = set()

    def emit(self, record):
        message = self.format(record).replace("\n", " ")
        # A recording is opened for its length, and for each window.
        if message not in self._told:
            self._told.add(message)
            tell(message)


def leave_closed_pipe() -> None:
    """Keep Python from flushing once more into a pipe that is closed."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass  # no file behind it: nothing is flushed


def one_line(text: str) -> str:
    """A name or message without characters that would break a line or cell.

    Arguments
    ---------
    text : str
        Such as a file name.

    Returns
    -------
    str
        With control characters escaped.

    Example
    -------
    >>> print(one_line("a\\tb\\n.wav"))
    a\\tb\\n.wav
    """
    return CONTROL.sub(_escaped, text)


def is_utf8(stream: object) -> bool:
    """Whether a stream writes UTF-8, as JSON is read.

    Arguments
    ---------
    stream : text file
        One without an encoding, such as a notebook's, takes any character.

    Returns
    -------
    bool

    Example
    -------
    >>> with open(os.devnull, "w", encoding="cp1252") as file:
    ...     is_utf8(file)
    False
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return codecs.lookup(encoding).name == "utf-8"


def to_json(
    value: object, indent: int | None = None, ascii_only: bool = False
) -> str:
    """JSON that any reader takes, and a terminal: valid UTF-8, no NaN.

    Bytes of a file name that are no UTF-8 become the escapes of lone
    surrogates, ``\\udce9``; Python's ``json.loads`` and ``os.fsencode`` give
    the name back.

    Arguments
    ---------
    value : object
        Of dictionaries, lists, texts and numbers.
    indent : int | None
        Of nested lines; None = one line.
    ascii_only : bool
        Whether to escape all else, for a stream that is no UTF-8.

    Returns
    -------
    str

    Example
    -------
    >>> print(to_json({"path": "caf\\udce9 \\u5f55.wav"}).isascii())
    False
    >>> os.fsencode(json.loads(to_json("caf\\udce9.wav")))
    b'caf\\xe9.wav'
    """
    text = json.dumps(
        value, ensure_ascii=ascii_only, indent=indent, allow_nan=False
    )
    return UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _escaped(match):
    return match[0].encode("unicode_escape").decode("ascii")
