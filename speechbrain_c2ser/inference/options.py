"""Options that cannot be, refused in one sentence before anything is run."""

import math
import numbers
from collections.abc import Iterable

import torch

from speechbrain_c2ser.audio import AudioError
from speechbrain_c2ser.audio.waveform import as_samples, check_samples
from speechbrain_c2ser.chain_of_thought.languages import has_texts
from speechbrain_c2ser.chain_of_thought.templates import PROMPTS
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.labels.given import numbered_names, read_space


def check_number(
    name: str,
    value: object,
    least: float,
    most: float = math.inf,
    whole: bool = False,
) -> None:
    """Refuse what is no number, or out of range.

    Arguments
    ---------
    name : str
        Of the option.
    value : object
        What was given.
    least, most : float
        The range, both ends in it.
    whole : bool
        Whether it counts something.

    Raises
    ------
    ValueError
        Names the option, the value and the range.

    Example
    -------
    >>> check_number("batch_size", 0, 1, whole=True)
    Traceback (most recent call last):
    ValueError: batch_size must be a whole number from 1, not 0.
    """
    kind = numbers.Integral if whole else numbers.Real
    good = isinstance(value, kind) and not isinstance(value, bool)
    if good and math.isfinite(value) and least <= value <= most:
        return
    limits = f"from {least:g}" + ("" if most == math.inf else f" to {most:g}")
    what = "whole number" if whole else "number"
    raise ValueError(f"{name} must be a {what} {limits}, not {value!r}.")


def check_language(language: str | None) -> None:
    """Refuse a language that no answers are written in.

    Arguments
    ---------
    language : str | None
        A code or name; None is the model's own choice.

    Raises
    ------
    ValueError
        Lists the languages that there are.

    Example
    -------
    >>> check_language("Klingon")
    Traceback (most recent call last):
    ValueError: There are no answers in the language 'Klingon': choose one \
of en, zh.
    """
    if language is not None and not has_texts(language):
        raise ValueError(
            f"There are no answers in the language {language!r}: choose one "
            f"of {', '.join(sorted(PROMPTS))}."
        )


def read_labels(labels: object) -> "LabelSpace | dict[str, list[str]] | None":
    """A set of labels, however it is given.

    Arguments
    ---------
    labels : LabelSpace | dict | str | iterable[str] | None
        A set; label -> a word or words that name it; the name of a known
        set or its size, or labels with commas between; names; or
        transformers' ``id2label``.

    Returns
    -------
    LabelSpace | dict[str, list[str]] | None
        None stays None.

    Raises
    ------
    ValueError
        For an empty set, or what is no word.

    Example
    -------
    >>> read_labels({"happy": "joyful"})
    {'happy': ['joyful']}
    >>> read_labels(["happy", "sad"]).names, read_labels("happy, sad").names
    (['happy', 'sad'], ['happy', 'sad'])
    """
    if labels is None or isinstance(labels, LabelSpace):
        return labels
    if isinstance(labels, str | int) and not isinstance(labels, bool):
        return read_space(labels)
    if isinstance(labels, dict):
        if not labels:
            raise ValueError("The set of labels is empty.")
        names = numbered_names(labels)
        if names:
            return LabelSpace(names)
        named = {name: _words(name, words) for name, words in labels.items()}
        _check_shared(named)
        return named
    if not isinstance(labels, Iterable):
        raise ValueError(
            f"labels is {type(labels).__name__}: give a LabelSpace, names, or "
            "label -> words."
        )
    names = list(labels)
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"The label {name!r} is no word.")
    return LabelSpace([name.strip() for name in names])


def check_batch(
    wavs: object, wav_lens: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of waveforms with its relative lengths, after looking at it.

    Arguments
    ---------
    wavs : torch.Tensor | array
        [B, T] waveforms at 16 kHz; [T] is taken as one. Integers are scaled
        to [-1, 1).
    wav_lens : torch.Tensor | None
        [B] relative lengths; None = all full.

    Returns
    -------
    tuple
        (wavs [B, T] in float32, wav_lens [B]).

    Raises
    ------
    ValueError
        For a wrong shape, or values that are no samples.

    Example
    -------
    >>> check_batch(torch.tensor([16384, 0], dtype=torch.int16))
    (tensor([[0.5000, 0.0000]]), tensor([1.]))
    """
    if not (isinstance(wavs, torch.Tensor) and wavs.is_floating_point()):
        wavs = torch.from_numpy(as_samples(wavs, "The batch"))
    wavs = wavs.detach().float()
    if wavs.dim() == 1:
        wavs = wavs[None]
    if wavs.dim() != 2 or wavs.numel() == 0:
        raise ValueError(
            f"Waveforms must be [batch, time], not {list(wavs.shape)}; mix "
            "channels down first."
        )
    if wav_lens is None:
        wav_lens = torch.ones(len(wavs))
    wav_lens = torch.as_tensor(wav_lens, dtype=torch.float32)
    if wav_lens.shape != wavs.shape[:1]:
        raise ValueError(
            f"{len(wavs)} waveforms came with {wav_lens.numel()} lengths; "
            "give one relative length for each."
        )
    broken = (~torch.isfinite(wavs)).any(1).nonzero()[:, 0].tolist()
    if broken:
        raise AudioError(
            f"Waveforms {broken} hold NaN or infinite samples; repair them."
        )
    check_samples(torch.stack(wavs.aminmax()).cpu().numpy(), "The batch")
    return wavs, wav_lens


def _check_shared(named):
    """Refuse a word that names two labels: nothing could tell them apart."""
    owners: dict = {}
    for name, words in named.items():
        for word in words:
            owner = owners.setdefault(word.strip().lower(), name)
            if owner != name:
                raise ValueError(
                    f"{word!r} names both {owner!r} and {name!r}: give each "
                    "label words of its own."
                )


def _words(name, words):
    """A word in place of a list of words is that one word."""
    if isinstance(words, dict):  # language -> words, as a set has them
        groups = [[w] if isinstance(w, str) else w for w in words.values()]
        words = [word for group in groups for word in group]
    words = [words] if isinstance(words, str) else words
    if not isinstance(name, str):
        raise ValueError(
            f"The label {name!r} is no word: number labels from 0 without a "
            "gap, or give their names."
        )
    if not isinstance(words, Iterable) or not (words := list(words)):
        raise ValueError(f"The label {name!r} needs a word that names it.")
    for word in words:
        if not isinstance(word, str) or not word.strip():
            raise ValueError(f"{word!r} is no word for the label {name!r}.")
    return words
