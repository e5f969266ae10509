"""Many recordings of any length through a model; one answer for each.

What goes wrong with a recording, whatever it is, becomes its own answer and
never costs the others.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import torch
from torch.nn.utils.rnn import pad_sequence

from speechbrain_c2ser.audio import AudioError, is_silent
from speechbrain_c2ser.audio.objects import as_list, name_of, open_recording
from speechbrain_c2ser.inference.journal import Codec, Journal, key_of
from speechbrain_c2ser.inference.options import check_number
from speechbrain_c2ser.inference.progress import Progress
from speechbrain_c2ser.inference.results import FileResult
from speechbrain_c2ser.inference.windows import (
    Segment,
    check_windows,
    cut,
    short_segment,
    stream_stretches,
    stream_windows,
)

POOL = 16  # batches whose recordings are sorted by length together


def for_each_recording(
    audios: Iterable,
    function: Callable,
    join: Callable,
    batch_size: int = 8,
    window: float = 30.0,
    hop: float | None = None,
    least: int = 0,
    progress: bool = False,
    skip_silence: bool = True,
    speech: Callable | None = None,
    journal: Journal | None = None,
    codec: Codec | None = None,
    items: list[dict] | None = None,
) -> Iterator[FileResult]:
    """Apply a model to recordings, their stretches batched by length.

    Arguments
    ---------
    audios : iterable
        Anything that
        :func:`~speechbrain_c2ser.audio.objects.open_recording` takes; one
        alone is a list of one.
    function : callable
        ``(wavs [B, T], wav_lens [B]) -> list of B answers``.
    join : callable
        ``[(start, stop, answer | None where silent), ...] -> result`` of a
        recording's stretches, in seconds; not called when all are silent.
    batch_size : int
        Stretches that are run together.
    window : float
        Longer recordings are cut into stretches of so many seconds.
    hop : float | None
        Seconds from one start to the next; None = ``window``.
    least : int
        Samples that the model needs; shorter stretches get zeros.
    progress : bool
        Whether to show a progress bar.
    skip_silence : bool
        Whether silent stretches are left out.
    speech : callable | None
        ``(recording, window) -> [(start, stop), ...]``, the stretches of
        speech in place of windows everywhere.
    journal : Journal | None
        Where answers are kept, and those of a run before are found.
    codec : tuple of callable | None
        Answer -> what JSON has, and back; for the journal.
    items : list of dict | None
        What is known of each recording; ``function`` then also takes
        ``items``, those of its batch.

    Returns
    -------
    iterator of FileResult
        One for each recording, in the order given.

    Raises
    ------
    ValueError
        For options that cannot be, before anything is read.
    """
    check_number("batch_size", batch_size, 1, whole=True)
    check_windows(window, hop)
    audios = as_list(audios)
    run = _Run(
        function, batch_size, window, hop, least, skip_silence, speech,
        journal, codec,
    )  # fmt: skip
    return _results(audios, run, join, batch_size, progress, items)


def value_of(result: FileResult) -> object:
    """The result of a recording, or its error raised.

    Arguments
    ---------
    result : FileResult
        Of :func:`for_each_recording`.

    Returns
    -------
    object

    Raises
    ------
    AudioError
        What went wrong with the recording.
    """
    if result.error is None:
        return result.result
    raise AudioError(result.error) from result.exception


def least_samples(model: torch.nn.Module) -> int:
    """Samples that a model needs for its first frame.

    Arguments
    ---------
    model : torch.nn.Module
        Of any lobes; those that need more than one sample say so by
        ``receptive_field``.

    Returns
    -------
    int

    Example
    -------
    >>> least_samples(torch.nn.Linear(1, 1))
    0
    """
    return max(
        (getattr(module, "receptive_field", 0) for module in model.modules()),
        default=0,
    )


def _results(audios, run, join, batch_size, progress, items):
    with Progress(len(audios), progress) as bar:
        for first in range(0, len(audios), POOL * batch_size):
            pool = audios[first : first + POOL * batch_size]
            names = [name_of(a, first + n) for n, a in enumerate(pool)]
            answers, errors = run.answer(
                pool,
                names,
                lambda n, share, at=first: bar.move(at + n, share),
                None if items is None else items[first : first + len(pool)],
            )
            for number, name in enumerate(names):
                error = errors.get(number)
                parts = run.restored(answers.pop(number, None))
                # Before it: whoever has the last result may ask no more.
                bar.move(first + number, 1.0)
                yield _joined(name, error, parts, join)


class _Run:
    """What is done with a pool of recordings."""

    def __init__(
        self, function, batch_size, window, hop, least, skip_silence, speech,
        journal, codec,
    ):  # fmt: skip
        self._function, self._batch_size = function, batch_size
        self._window, self._hop, self._least = window, hop, least
        self._skip_silence, self._speech = skip_silence, speech
        self._journal, self._codec = journal, codec

    def answer(self, pool, names, moved, items=None):
        """Number -> {start: (stop, answer)}; number -> error."""
        errors, keys = {}, {}
        answers = {number: {} for number in range(len(pool))}
        segments, streams = self._cut_all(pool, names, errors, keys)
        if items is not None:
            keys = {n: f"{key}|{_digest(items[n])}" for n, key in keys.items()}
        waiting = self._waiting(
            _in_turn(segments, streams, errors), answers, errors, keys, moved
        )
        while batch := list(islice(waiting, self._batch_size)):
            told = items and [items[number] for number, _, _ in batch]
            wavs = [wav for _, _, wav in batch]
            results = _attempt(self._function, wavs, told)
            for (number, segment, _), result in zip(
                batch, results, strict=True
            ):
                if isinstance(result, Exception):
                    errors.setdefault(number, result)
                    continue
                plain = self._plain(result)
                answers[number][segment.start] = (segment.stop, plain)
                self._note(keys, number, segment, plain)
                moved(number, _share(segment))
        return answers, errors

    def _cut_all(self, pool, names, errors, keys):
        """[(number of its recording, segment)], sorted; and as streams."""
        segments, streams = [], []
        for number, (audio, name) in enumerate(zip(pool, names, strict=True)):
            try:
                parts, stream = self._cut(open_recording(audio, name))
            except Exception as error:
                errors[number] = error
                continue
            segments += [(number, part) for part in parts]
            if stream is not None:
                streams.append((number, stream))
            if self._journal is not None:
                keys[number] = key_of(audio, name)
        # A stable sort: windows of one recording stay in their order.
        segments.sort(key=lambda item: round(item[1].start - item[1].stop, 3))
        return segments, streams

    def _cut(self, recording):
        """(segments to be read in any order, segments of a stream | None)."""
        window, hop = self._window, self._hop
        told = recording.told is not None
        if self._speech is not None:
            stretches = self._speech(recording, window)
            if not stretches:
                raise AudioError(f"{recording.name} holds no speech.")
            if told:
                return [Segment(recording, *s) for s in stretches], None
            return [], stream_stretches(recording, stretches)
        if told:
            return cut(recording, window, hop), None
        short = short_segment(recording, window)
        if short is not None:
            return [short], None
        return [], stream_windows(recording, window, hop)

    def _waiting(self, segments, answers, errors, keys, moved):
        """(number, segment, waveform) of what the model must hear."""
        for number, segment in segments:
            if number in errors:
                continue
            place = (segment.start, segment.stop)
            known = None
            if number in keys:
                known = self._journal.find(keys[number], *place)
            if known is not None:
                answers[number][segment.start] = (segment.stop, known[0])
                moved(number, _share(segment))
                continue
            try:
                wav = segment.read(self._least)
            except Exception as error:
                errors[number] = error
                continue
            if self._skip_silence and is_silent(wav):
                answers[number][segment.start] = (segment.stop, None)
                self._note(keys, number, segment, None)
                continue
            yield number, segment, wav

    def _plain(self, answer):
        """An answer as it is held: as numbers, where there is a codec.

        A small tensor stands on the heap between the large ones of its
        batch; thousands that stay would let none of that be used again.
        """
        return answer if self._codec is None else self._codec[0](answer)

    def restored(self, answers):
        """start -> (stop, answer) with the answers as the model gave them."""
        if self._codec is None or answers is None:
            return answers
        return {
            start: (stop, None if plain is None else self._codec[1](plain))
            for start, (stop, plain) in answers.items()
        }

    def _note(self, keys, number, segment, plain):
        if number in keys:
            self._journal.add(keys[number], segment.start, segment.stop, plain)


def _in_turn(segments, streams, errors):
    yield from segments
    for number, stream in streams:
        try:
            for segment in stream:
                yield number, segment
                if number in errors:
                    break
        except Exception as error:
            errors.setdefault(number, error)
        finally:
            stream.close()


def _share(segment):
    """What share of its recording lies before the end of a segment."""
    if segment.share is not None:
        return min(segment.share, 0.99)
    if segment.whole or not segment.recording.told:
        return 0.0
    return min(segment.stop / segment.recording.told, 0.99)


def _digest(item):
    """What tells an item from itself when what is known of it changed."""
    content = json.dumps(item, sort_keys=True, default=str)
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def _attempt(function, wavs, items=None):
    """Answers; if the batch fails, each item has its own try."""
    if not wavs:
        return []
    try:
        lengths = torch.tensor([len(wav) for wav in wavs])
        padded = pad_sequence(wavs, batch_first=True)
        told = {} if items is None else {"items": items}
        return function(padded, lengths / padded.shape[1], **told)
    except Exception as error:
        if len(wavs) == 1:
            return [error]
        return [
            _attempt(function, [wav], items and [items[number]])[0]
            for number, wav in enumerate(wavs)
        ]


def _joined(name, error, answers, join):
    if error is None:
        parts = [
            (start, stop, answer)
            for start, (stop, answer) in sorted(answers.items())
        ]
        try:
            if all(answer is None for _, _, answer in parts):
                raise AudioError(
                    f"{name} holds only silence: there is nothing to hear."
                )
            return FileResult(name, join(parts))
        except Exception as problem:
            error = problem
    return FileResult(name, error=_sentence(name, error), exception=error)


def _sentence(name, error):
    """One line that names the recording, whatever went wrong."""
    message = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, (ValueError, OSError, RuntimeError)):
        message = f"{type(error).__name__}: {message}"
    return message if name in message else f"{name}: {message}"
