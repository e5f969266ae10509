"""Timelines as the documents that linguists, editors and players open."""

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

# Any number of recordings in one file.
JOINED = ("text", "json", "jsonl", "csv", "rttm")
# A document is of one recording. Form -> (suffix, the library's module).
DOCUMENTS = {
    "vtt": (".vtt", "pysubs2"),
    "srt": (".srt", "pysubs2"),
    "textgrid": (".TextGrid", "praatio"),
    "eaf": (".eaf", "pympi"),
    "audacity": (".txt", None),
}
FORMATS = (*JOINED, *DOCUMENTS)
# No document can hold these: XML forbids them.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
MIME = {".wav": "audio/x-wav", ".mp3": "audio/mpeg", ".mp4": "video/mp4"}


def check_format(form: str) -> None:
    """Refuse a format that cannot be written here.

    Arguments
    ---------
    form : str
        One of ``FORMATS``.

    Raises
    ------
    ValueError
        When there is none, or when its library is not installed; says how to
        install it.

    Example
    -------
    >>> check_format("odt")
    Traceback (most recent call last):
    ValueError: There is no format 'odt': choose one of text, json, jsonl, \
csv, rttm, vtt, srt, textgrid, eaf, audacity.
    """
    if form not in FORMATS:
        raise ValueError(
            f"There is no format {form!r}: choose one of {', '.join(FORMATS)}."
        )
    _, module = DOCUMENTS.get(form, ("", None))
    if module is not None and find_spec(module) is None:
        raise ValueError(
            f"The format {form} needs {module}, which is not installed: "
            "pip install 'speechbrain_c2ser[formats]'"
        )


def channel_name(channel: int) -> str:
    """What a channel is called, as a speaker of a call.

    Example
    -------
    >>> channel_name(0), channel_name(1), channel_name(2)
    ('left', 'right', 'channel 3')
    """
    names = ("left", "right")
    return names[channel] if channel < 2 else f"channel {channel + 1}"


def document_of(record: dict | Sequence[dict], form: str) -> str:
    """The timeline of a recording as a document.

    Arguments
    ---------
    record : dict | sequence of dict
        A result, as of ``result_schema``; or those of its channels, which
        become tiers, or speakers in front of labels.
    form : str
        One of ``DOCUMENTS``.

    Returns
    -------
    str

    Example
    -------
    >>> segment = {"start": 0.0, "end": 1.5, "label": "sad"}
    >>> record = {"path": "a.wav", "end": 2.0, "segments": [segment]}
    >>> document_of(record, "audacity")
    '0.000\\t1.500\\tsad\\n'
    """
    records = [record] if isinstance(record, dict) else list(record)
    return WRITERS[form](records)


def rttm_name(record: dict) -> str:
    """What a Rich Transcription Time Marked file calls a recording.

    Arguments
    ---------
    record : dict
        A result, as of ``result_schema``.

    Returns
    -------
    str
        Its id, or the file's name without the suffix, as one field.

    Example
    -------
    >>> rttm_name({"path": "calls/my call.wav"})
    'my_call'
    """
    return _word(record.get("id") or Path(record["path"]).stem)


def rttm_lines(record: dict, name: str | None = None) -> Iterator[str]:
    """Lines of a Rich Transcription Time Marked file.

    The emotion stands in the field of the speaker's name, as in pyannote's
    files; a name has no spaces there.

    Arguments
    ---------
    record : dict
        A result, as of ``result_schema``.
    name : str | None
        Of the recording; None = :func:`rttm_name`.

    Yields
    ------
    str

    Example
    -------
    >>> segment = {"start": 0.25, "end": 1.5, "label": "very sad"}
    >>> list(rttm_lines({"path": "b/a.wav", "segments": [segment]}))
    ['SPEAKER a 1 0.250 1.250 <NA> <NA> very_sad <NA> <NA>']
    """
    name = name or rttm_name(record)
    channel = record.get("channel", 0) + 1
    for segment in record["segments"]:
        start, end = segment["start"], segment["end"]
        yield (
            f"SPEAKER {name} {channel} {start:.3f} {end - start:.3f} <NA> "
            f"<NA> {_word(segment['label'])} <NA> <NA>"
        )


def csv_rows(record: dict) -> Iterator[dict]:
    """Cells of the segments of a recording, a row each.

    Arguments
    ---------
    record : dict
        A result, as of ``result_schema``.

    Yields
    ------
    dict
        Of one set of columns; ``p_LABEL`` are probabilities.
    """
    shared = {
        key: record.get(key)
        for key in ("version", "model", "path", "id", "channel")
        if key in record
    }
    for segment in record["segments"]:
        yield {
            **shared,
            "start": segment["start"],
            "end": segment["end"],
            "label": segment["label"],
            "score": round(segment["probabilities"][segment["label"]], 6),
            **{
                f"p_{label}": round(value, 6)
                for label, value in segment["probabilities"].items()
            },
        }


def _word(text):
    # Readers split a line as a table, where " opens a quoted cell.
    text = CONTROL.sub("", "_".join(text.split()))
    return text.replace('"', "'") or "_"


def _by_time(records):
    """(segment, its label behind the speaker's name), in the order of time."""
    told = [
        (segment, _speaker(record, ": ") + segment["label"])
        for record in records
        for segment in record["segments"]
    ]
    return sorted(told, key=lambda pair: pair[0]["start"])


def _speaker(record, mark):
    if "channel" not in record:
        return ""
    return channel_name(record["channel"]) + mark


def _audacity(records):
    return "".join(
        f"{s['start']:.3f}\t{s['end']:.3f}\t{_line(label)}\n"
        for s, label in _by_time(records)
    )


def _line(text):
    return CONTROL.sub("", " ".join(text.split()))


def _subtitles(form):
    def write(records):
        import pysubs2

        file = pysubs2.SSAFile()
        for segment, label in _by_time(records):
            event = pysubs2.SSAEvent(
                start=round(1000 * segment["start"]),
                end=round(1000 * segment["end"]),
            )
            # A blank line would end the cue; braces would be markup.
            lines = [label, *segment.get("text", "").splitlines()]
            lines = [_line(line) for line in lines if line.strip()]
            text = "\n".join(lines).replace("{", "(").replace("}", ")")
            text = text.replace("\\", "/")
            if form == "vtt":
                text = text.replace("&", "&amp;").replace("<", "&lt;")
                text = text.replace(">", "&gt;")
            else:
                # SubRip has no escapes: a tag would be hidden, and words
                # with an arrow could be the time of another subtitle.
                text = text.replace("<", "‹").replace(">", "›")
            event.plaintext = text
            file.events.append(event)
        return file.to_string(form)

    return write


def _textgrid(records):
    from praatio import textgrid

    end = max(
        [
            moment["end"]
            for record in records
            for moment in (record, *record["segments"])
        ]
    )
    grid = textgrid.Textgrid(0, end)
    for name, record, text_of in _tiers(records):
        entries = [
            (s["start"], s["end"], text_of(s))
            for s in record["segments"]
            if text_of(s)
        ]
        grid.addTier(textgrid.IntervalTier(name, entries, 0, end))
    return _saved(
        lambda path: grid.save(path, "long_textgrid", includeBlankSpaces=True)
    )


def _eaf(records):
    from pympi.Elan import Eaf, to_eaf

    eaf = Eaf(author="speechbrain_c2ser")
    eaf.remove_tier("default")
    path = records[0]["path"]
    mime = MIME.get(Path(path).suffix.lower(), "unknown")
    eaf.add_linked_file(
        Path(os.path.abspath(path)).as_uri(),
        relpath="./" + quote(os.fsencode(Path(path).name)),
        mimetype=mime,
    )
    for name, record, text_of in _tiers(records):
        eaf.add_tier(name, part=_speaker(record, "") or None)
        for s in record["segments"]:
            if text_of(s):
                bounds = round(1000 * s["start"]), round(1000 * s["end"])
                eaf.add_annotation(name, *bounds, text_of(s))
    return _saved(lambda path: to_eaf(path, eaf))


def _tiers(records):
    """Of each channel: the emotion and, where there are words, them."""
    for record in records:
        speaker = _speaker(record, " ")
        yield f"{speaker}emotion", record, lambda s: _line(s["label"])
        if any(s.get("text") for s in record["segments"]):
            name = f"{speaker}description"
            yield name, record, lambda s: _line(s.get("text") or "")


def _saved(save):
    """The text that a library writes into a file only."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "document")
        save(path)
        return Path(path).read_text(encoding="utf-8")


WRITERS: dict[str, Callable[[list[dict]], str]] = {
    "vtt": _subtitles("vtt"),
    "srt": _subtitles("srt"),
    "textgrid": _textgrid,
    "eaf": _eaf,
    "audacity": _audacity,
}
