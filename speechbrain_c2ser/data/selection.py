"""What of a manifest is trained on; what is left out is counted and said."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from speechbrain.utils.logger import get_logger
from tqdm import tqdm

from speechbrain_c2ser.chain_of_thought.languages import has_texts
from speechbrain_c2ser.data.arrow_manifest import ArrowManifest
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.streams import codes_of, durations_of

logger = get_logger(__name__)

MEL_FRAMES_PER_SECOND = 100
NAMED = 5  # ids in a message
SHORTEST = 0.1  # seconds: less holds no syllable


def long_enough(items: dict, least: float) -> dict:
    """Items whose audio is not too short; the others are counted and named.

    Arguments
    ---------
    items : dict
        Manifest rows (id → row).
    least : float
        Shortest audio (s).

    Returns
    -------
    dict
        The other items, in their order.

    Raises
    ------
    ManifestError
        If nothing is left, or an item has no duration.

    Example
    -------
    >>> items = {"a": {"duration": 2.0}, "b": {"duration": 0.01}}
    >>> list(long_enough(items, 0.1))
    ['a']
    """
    unknown = next((k for k, i in items.items() if "duration" not in i), None)
    if unknown is not None:
        raise ManifestError(
            f"Item {unknown!r} has no 'duration': give its seconds as a number."
        )
    left_out = {
        key: _shorter(least)
        for key, item in items.items()
        if item["duration"] < least
    }
    return _without(items, left_out)


def within_limits(
    items: dict | ArrowManifest,
    answers: Callable,
    count_tokens: Callable,
    mel_frames: int | None,
    answer_tokens: int | None,
    progress: bool = True,
    least: float = SHORTEST,
) -> tuple[dict | ArrowManifest, dict]:
    """Items whose audio and answers a training batch can hold.

    Every answer that may be drawn for an item is counted, whatever its mode
    and phrasing. What is left out is logged as a warning: how many, why,
    and the first ids.

    Arguments
    ---------
    items : dict | ArrowManifest
        Manifest rows (id → row).
    answers : callable
        ``item → list of str``: the answers that may be drawn.
    count_tokens : callable
        ``str → int``: length of an answer with its end token.
    mel_frames : int | None
        Longest audio, in frames of 10 ms; None is no limit.
    answer_tokens : int | None
        Longest answer, in tokens; None is no limit.
    progress : bool
        Show a progress bar.
    least : float
        Shortest audio (s).

    Returns
    -------
    kept : dict | ArrowManifest
        The other items, in their order.
    left_out : dict
        id → reason, such as "audio over N mel frames", "audio under N s" or
        "answer over N tokens".

    Raises
    ------
    ManifestError
        If nothing is left.

    Example
    -------
    >>> items = {
    ...     "a": {"duration": 2.0, "said": "Yes."},
    ...     "b": {"duration": 40.0, "said": "No."},
    ... }
    >>> kept, left_out = within_limits(
    ...     items, lambda item: [item["said"]], len, 2900, 200, progress=False
    ... )
    >>> list(kept), left_out
    (['a'], {'b': 'audio over 2900 mel frames'})
    """
    left_out = {}
    durations = durations_of(items)
    # without a limit to the answers no row is made of a stream
    bare = answer_tokens is None
    pairs = ((key, None) for key in items) if bare else items.items()
    for (key, item), seconds in tqdm(
        zip(pairs, durations.tolist(), strict=True),
        desc="answer lengths",
        total=len(items),
        disable=not progress,
    ):
        frames = seconds * MEL_FRAMES_PER_SECOND
        if mel_frames is not None and frames > mel_frames:
            left_out[key] = f"audio over {mel_frames} mel frames"
        elif seconds < least:
            left_out[key] = _shorter(least)
        elif answer_tokens is not None and any(
            _is_longer(answer, answer_tokens, count_tokens)
            for answer in answers(item)
        ):
            left_out[key] = f"answer over {answer_tokens} tokens"
    return _without(items, left_out), left_out


def describe_training_set(items: dict | ArrowManifest, label_space) -> dict:
    """Log what a training set teaches, and warn of what it cannot.

    Arguments
    ---------
    items : dict | ArrowManifest
        Manifest rows (id → row) with an emotion.
    label_space : LabelSpace
        The emotions that the model shall tell apart.

    Returns
    -------
    dict
        ``emotions`` (label → items; 0 where the corpus has none) and
        ``languages`` (those without texts of their own → items; their
        answers are in English, with the transcript as it is).

    Example
    -------
    >>> from speechbrain_c2ser.labels import LabelSpace
    >>> items = {"a": {"emotion": "sad", "language": "de"}}
    >>> describe_training_set(items, LabelSpace(["happy", "sad"]))
    {'emotions': {'happy': 0, 'sad': 1}, 'languages': {'de': 1}}
    """
    counts = _counts(items, "emotion")
    emotions = {name: counts[name] for name in label_space.names}
    languages = {
        language or "unknown": number
        for language, number in _counts(items, "language").items()
        if not has_texts(language)
    }
    shown = ", ".join(f"{name} {n}" for name, n in emotions.items())
    logger.info("Training set: %d items (%s)", len(items), shown)
    absent = [name for name, number in emotions.items() if number == 0]
    if absent:
        logger.warning(
            "The training set has no item for %s: the model will hardly "
            "answer so. Add some, or take the label out of label_names.",
            ", ".join(absent),
        )
    for language, number in languages.items():
        logger.warning(
            "%d items are in '%s', for which there are no answer texts: "
            "their answers are in English, with the transcript as it is.",
            number,
            language,
        )
    return {"emotions": emotions, "languages": languages}


def _counts(items, field):
    """Value → items; None is those that have none."""
    values, codes = codes_of(items, field)
    counts = np.bincount(codes + 1, minlength=len(values) + 1).tolist()
    pairs = zip([None, *values], counts, strict=True)
    return Counter({value: number for value, number in pairs if number})


def _shorter(least):
    return f"audio under {least} s"


def _without(items, left_out):
    """The other items; how many are left out, why, and the first ids."""
    for reason, number in Counter(left_out.values()).items():
        ids = [key for key, why in left_out.items() if why == reason]
        logger.warning(
            "%d of %d items are left out, %s: %s",
            number,
            len(items),
            reason,
            _some(ids),
        )
    if len(left_out) == len(items):
        raise ManifestError(
            f"None of the {len(items)} items is within the limits "
            f"({', '.join(sorted(set(left_out.values())))}): change them."
        )
    if isinstance(items, ArrowManifest):
        return items.without(left_out) if left_out else items
    return {k: item for k, item in items.items() if k not in left_out}


def _is_longer(answer, limit, count_tokens):
    # A token holds a byte at least; two more may mark beginning and end.
    if len(answer.encode()) + 2 <= limit:
        return False
    return count_tokens(answer) > limit


def _some(ids):
    more = len(ids) - NAMED
    shown = ", ".join(ids[:NAMED])
    return f"{shown} and {more} more" if more > 0 else shown
