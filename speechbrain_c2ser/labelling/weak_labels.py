"""A weak label out of what one or several models say of a recording."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from speechbrain_c2ser.labels import LabelSpace

QUESTION = (
    'Someone says: "{transcript}"\nWhich one of these emotions does the '
    "speaker most likely feel: {labels}? Answer with one word."
)
WORDS = ("transcript", "transcript_asr")


def answer_of(row: Any, labels: Sequence[str]) -> dict:
    """A result of ``iter_files`` as plain as JSON.

    Arguments
    ---------
    row : FileResult
        Of a classifier or of C2SER.
    labels : sequence of str
        Of the model.

    Returns
    -------
    dict
        ``labels`` (label → share) and perhaps ``vad``, or ``error``.
    """
    if row.error is not None:
        return {"error": row.error}
    answer = {}
    shares = row.result.probabilities
    if shares is not None:
        answer["labels"] = {
            label: round(float(share), 6)
            for label, share in zip(labels, shares, strict=True)
        }
    for record in (getattr(row.result, "heads", None) or {}).values():
        values = record.get("values")
        if values and "valence" in values:
            answer["vad"] = {k: round(v, 6) for k, v in values.items()}
    if not answer:
        return {"error": f"{row.path}: the model tells neither label nor vad."}
    return answer


def place_shares(shares: dict, space: LabelSpace) -> dict[str, float]:
    """Shares by the labels of a set, summing to 1; empty where none is.

    Arguments
    ---------
    shares : dict
        Label → share; a label without a place in the set is left out.
    space : LabelSpace
        The set.

    Returns
    -------
    dict

    Example
    -------
    >>> place_shares({"excited": 0.5, "bored": 0.5}, LabelSpace(["happy"]))
    {'happy': 1.0}
    """
    placed: dict[str, float] = {}
    for label, share in shares.items():
        own = space.map(label)
        if own is not None:
            placed[own] = placed.get(own, 0.0) + share
    total = sum(placed.values())
    return {label: share / total for label, share in placed.items() if total}


def weak_of(
    answers: dict[str, dict],
    space: LabelSpace,
    agree: bool = False,
    least: float = 0.0,
) -> tuple[dict | None, str]:
    """One weak label out of what several models say.

    Arguments
    ---------
    answers : dict
        Model → answer of :func:`answer_of`.
    space : LabelSpace
        The labels; shares of every model are brought to it and averaged.
    agree : bool
        Whether all models must have the same most probable label.
    least : float
        Share that the label must have.

    Returns
    -------
    weak : dict | None
        ``labels``, ``score``, ``source`` and perhaps ``vad``; None without.
    reason : str
        Why there is none.

    Example
    -------
    >>> answers = {"a": {"labels": {"sad": 0.8, "angry": 0.2}},
    ...            "b": {"labels": {"sad": 0.6, "angry": 0.4}}}
    >>> weak_of(answers, LabelSpace(["angry", "sad"]))[0]["score"]
    0.7
    >>> weak_of(answers, LabelSpace(["angry", "sad"]), least=0.9)
    (None, 'below the least score')
    """
    shares = {
        name: placed
        for name, answer in answers.items()
        if (placed := place_shares(answer.get("labels") or {}, space))
    }
    weak: dict[str, Any] = {}
    if shares:
        tops = {max(s, key=s.__getitem__) for s in shares.values()}
        if agree and len(tops) > 1:
            return None, "models disagree"
        mean = {
            label: sum(s.get(label, 0.0) for s in shares.values()) / len(shares)
            for label in space.names
        }
        score = max(mean.values())
        if score < least:
            return None, "below the least score"
        weak["labels"] = {k: round(v, 6) for k, v in mean.items() if v}
        weak["score"] = round(score, 6)
    rated = [a["vad"] for a in answers.values() if a.get("vad")]
    if rated:
        weak["vad"] = {
            name: round(sum(r[name] for r in rated) / len(rated), 6)
            for name in rated[0]
            if all(name in r for r in rated)
        }
    if not weak:
        return None, "no model tells a label of the set"
    return {**weak, "source": list(answers)}, ""


def sureness(answers: dict, space: LabelSpace, label: str) -> float:
    """Share that the least sure of several models gives a label.

    Arguments
    ---------
    answers : dict
        Model -> answer; one that tells no label of the set does not count.
    space : LabelSpace
        The set.
    label : str
        Of it.

    Returns
    -------
    float

    Example
    -------
    >>> answers = {"a": {"labels": {"sad": 0.9, "angry": 0.1}},
    ...            "b": {"labels": {"sad": 0.6, "angry": 0.4}}}
    >>> sureness(answers, LabelSpace(["angry", "sad"]), "sad")
    0.6
    """
    return min(
        (
            placed.get(label, 0.0)
            for answer in answers.values()
            if (placed := place_shares(answer.get("labels") or {}, space))
        ),
        default=0.0,
    )


def ask_words(
    rows: Iterable[dict], llm: Any, space: LabelSpace
) -> Iterator[tuple[str, dict]]:
    """What a text LLM makes of each row's words.

    Arguments
    ---------
    rows : iterable of dict
        Manifest rows with their ids; "transcript" or else "transcript_asr"
        is read, and a row without either is passed over.
    llm : TextLLM
        Scores the labels.
    space : LabelSpace
        The labels.

    Yields
    ------
    tuple
        (id, answer as of :func:`answer_of`)
    """
    answers = {name: [space.surface(name)] for name in space}
    labels = ", ".join(space.surface(name) for name in space)
    for row in rows:
        words = next((row[key] for key in WORDS if row.get(key)), None)
        if words is None:
            continue
        question = QUESTION.format(transcript=words, labels=labels)
        try:
            (shares,) = llm.score([question], answers)
        except Exception as error:  # one bad item never costs the others
            yield row["id"], {"error": f"{row['id']}: {error}"}
            continue
        yield row["id"], {"labels": {k: float(v) for k, v in shares.items()}}


def same_folder(path: str | Path) -> str:
    """A model's name in a manifest: its folder's, or its hub name."""
    return os.path.basename(os.path.normpath(path)) or str(path)


def source_names(folders: Sequence[str | Path]) -> list[str]:
    """Names of several models: two folders of one name go by their paths.

    Example
    -------
    >>> source_names(["x/probe", "y/c2ser"]), source_names(["x/m", "y/m"])
    (['probe', 'c2ser'], ['x/m', 'y/m'])
    """
    names = [same_folder(folder) for folder in folders]
    if len(set(names)) < len(names):
        return [str(folder) for folder in folders]
    return names
