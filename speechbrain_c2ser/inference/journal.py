"""Answers kept in a file as they come, so that a run can go on."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from speechbrain_c2ser.audio.objects import PATHS

OPENINGS = 9  # and no more: a disk may number its files anew each time


class Journal:
    """Answers of windows, a JSON line each; a killed run loses none of them.

    Arguments
    ---------
    path : str | Path
        The file. Its first line tells the settings of the run.
    settings : dict
        What the answers depend on, of values that JSON has.
    resume : bool
        Whether to go on from what is there; else the file begins anew.

    Raises
    ------
    ValueError
        When it is of a run with other settings, which are named; when it is
        no journal; or when another process writes it now.

    Example
    -------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "a.resume"
    >>> with Journal(place, {"window": 4.0}) as journal:
    ...     journal.add("a.wav", 0.0, 4.0, [0.25, 0.75])
    >>> with Journal(place, {"window": 4.0}, resume=True) as journal:
    ...     journal.find("a.wav", 0.0, 4.0)
    ([0.25, 0.75],)
    """

    def __init__(self, path: str | Path, settings: dict, resume: bool = False):
        self.path = Path(path)
        self._answers: dict[tuple, object] = {}
        try:
            self._open()
            size = self._read(json.loads(json.dumps(settings))) if resume else 0
        except ValueError:
            self._file.close()
            raise
        # What a killed run wrote by half goes.
        self._file.truncate(size)
        if not size:
            self._write({"settings": settings})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def __len__(self):
        return len(self._answers)

    def find(self, key: str, start: float, stop: float) -> tuple | None:
        """The answer of a window, in a tuple; None where there is none.

        Arguments
        ---------
        key : str
            Of the recording, by :func:`key_of`.
        start, stop : float
            Seconds.

        Returns
        -------
        tuple | None
        """
        place = (key, round(start, 3), round(stop, 3))
        return (self._answers[place],) if place in self._answers else None

    def add(self, key: str, start: float, stop: float, answer: object) -> None:
        """Keep the answer of a window.

        Arguments
        ---------
        key : str
            Of the recording.
        start, stop : float
            Seconds.
        answer : object
            Of what JSON has; None = silent.
        """
        place = (key, round(start, 3), round(stop, 3))
        self._answers[place] = answer
        self._write([*place, answer])

    def remove(self) -> None:
        """The file goes: all is done."""
        if fcntl is None:  # where no open file can go
            self._file.close()
        # Not once it is closed: then it may be of the next process.
        self.path.unlink(missing_ok=True)
        self._file.close()

    def _open(self):
        for number in range(OPENINGS):
            if number:  # whoever had it removed it meanwhile
                self._file.close()
            # At the end, which is cut off later: not before it is ours.
            self._file = open(self.path, "ab")
            self._lock()
            if fcntl is None or _is_at(self._file, self.path):
                break

    def _lock(self):
        """Until the file is closed, or the process ends in whatever way."""
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"Another c2ser writes {self.path}: wait, or give another -o."
            ) from None
        except OSError:
            pass  # a disk without locks

    def _write(self, value):
        self._file.write(json.dumps(value).encode("ascii") + b"\n")
        self._file.flush()

    def _read(self, settings):
        """Bytes of the lines that are whole."""
        content, size = self.path.read_bytes(), 0
        for number, line in enumerate(content.splitlines(keepends=True)):
            try:
                value = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            if number == 0:
                self._compare(value, settings)
            else:
                if not _is_answer(value):
                    raise self._foreign()
                *place, answer = value
                self._answers[tuple(place)] = answer
            size += len(line)
        return size

    def _compare(self, head, settings):
        before = head.get("settings") if isinstance(head, dict) else None
        if not isinstance(before, dict):
            raise self._foreign()
        changes = changed_settings(before, settings)
        if changes:
            raise ValueError(
                f"{self.path} is of a run with other settings "
                f"({', '.join(changes)}): "
                "give those, or leave out --resume to begin anew."
            )

    def _foreign(self):
        return ValueError(f"{self.path} is no journal of a run: remove it.")


def _is_at(file, path):
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _is_answer(value):
    if not isinstance(value, list) or len(value) != 4:
        return False
    key, *seconds, _ = value
    return isinstance(key, str) and all(
        isinstance(each, int | float) for each in seconds
    )


def changed_settings(before: dict, settings: dict) -> list[str]:
    """What is not as it was, in words.

    Arguments
    ---------
    before, settings : dict
        Name -> value; of a run before, and of this one.

    Returns
    -------
    list of str

    Example
    -------
    >>> changed_settings({"hop": 1, "model": "a"}, {"hop": 2, "model": "a"})
    ['hop was 1, is 2']
    >>> changed_settings({"files": ["a"]}, {"files": ["b"]})
    ['files changed']
    """
    return [
        f"{name} changed"
        if isinstance(settings.get(name), list | dict)
        else f"{name} was {before.get(name)}, is {settings.get(name)}"
        for name in sorted({*before, *settings})
        if before.get(name) != settings.get(name)
    ]


def key_of(audio: object, name: str) -> str:
    """What tells a recording from others, and from itself when it changed.

    Arguments
    ---------
    audio : object
        A path, or a row of a list.
    name : str
        Its name.

    Returns
    -------
    str

    Example
    -------
    >>> key_of({"wav": "a.wav", "start": 1.5, "channel": 0}, "a.wav")
    'a.wav|0|1.5|None|None|None'
    """
    row = audio if isinstance(audio, Mapping) else {}
    path = next((row[key] for key in PATHS if row.get(key)), name)
    try:
        state = os.stat(path)
        size, changed = state.st_size, state.st_mtime_ns
    except (OSError, ValueError):
        size = changed = None
    parts = (name, row.get("channel"), row.get("start"), row.get("stop"))
    return "|".join(map(str, (*parts, size, changed)))


Codec = tuple[Callable, Callable]  # answer -> JSON value, and back
