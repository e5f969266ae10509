"""What free texts tell beside one label: sets of emotions, and clues."""

from collections.abc import Mapping, Sequence

import numpy as np

from speechbrain_c2ser.evaluation.metrics.answers import content_units
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.labels.emotion_words import CONCEPTS, concept_of
from speechbrain_c2ser.labels.given import BETWEEN
from speechbrain_c2ser.labels.spelling import MARKS, clean_text, plain_label

# Not an emotion that a text tells of.
NO_EMOTIONS = ("other", "unknown")


def score_free_texts(
    predictions: Sequence[dict], references: Mapping[str, dict]
) -> dict[str, dict]:
    """Figures of texts against open sets of emotions, and against clues.

    Emotions: words of one meaning are one emotion, by the words that the
    labels are known by; those that they do not know are their own. As in
    MER-UniBench, precision and recall of the two sets are means over the
    utterances and f1 is theirs (there, wheels of emotions tell what is one).
    Clues: how much of the reference's words the text has, as EMER asks a
    language model; a text's words behind them lower the precision.

    Arguments
    ---------
    predictions : sequence of dict
        Those with ``text`` count.
    references : mapping
        Id -> row; those with ``emotions`` (a list of words) or ``clues`` (a
        text) count.

    Returns
    -------
    dict
        "emotions" and "clues", where any row has them: n, precision, recall
        and f1.

    Example
    -------
    >>> rows = [{"id": "a", "text": "She is furious, but not sad."}]
    >>> true = {"a": {"emotions": ["angry", "nostalgic"]}}
    >>> score_free_texts(rows, true)["emotions"]
    {'n': 1, 'precision': 1.0, 'recall': 0.5, 'f1': 0.666...}
    """
    texts = {
        row["id"]: row["text"]
        for row in predictions
        if row.get("text") is not None
    }
    told = {key: row for key, row in references.items() if key in texts}
    scores = {}
    listed = {k: r for k, r in told.items() if _words(r.get("emotions"))}
    if listed:
        scores["emotions"] = _emotions(listed, texts)
    with_clues = {k: r for k, r in told.items() if r.get("clues")}
    if with_clues:
        scores["clues"] = _clues(with_clues, texts)
    return scores


def _words(given):
    """The words of a row's set; a table may hold them as one text."""
    if isinstance(given, str):  # "[sad, angry]" of MER, "sad/angry"
        parts = BETWEEN.split(given.replace("/", ","))
        given = [part.strip(MARKS + "()") for part in parts]
    if not isinstance(given, list | tuple):
        return []
    words = [plain_label(str(word)) for word in given if word is not None]
    return [word for word in words if word]


def _emotions(rows, texts):
    true = {
        key: {concept_of(word) or word for word in words}
        for key, row in rows.items()
        if (words := _words(row["emotions"]))
    }
    own = sorted(set().union(*true.values()) - CONCEPTS.keys())
    known = [name for name in CONCEPTS if name not in NO_EMOTIONS]
    space = LabelSpace([*known, *own])
    pairs = []
    for key, names in true.items():
        text, language = clean_text(texts[key]), rows[key].get("language")
        mentions = space.mentions(text, language)
        pairs.append((names, {name for name, *_ in mentions}))
    return _mean_scores(pairs)


def _clues(rows, texts):
    return _mean_scores(
        [
            (
                set(content_units(row["clues"], row.get("language"))),
                set(content_units(texts[key], row.get("language"))),
            )
            for key, row in rows.items()
        ]
    )


def _mean_scores(pairs):
    """Precision and recall as means over (true set, told set), and their F1."""
    shares = [
        (len(true & told) / max(1, len(told)), len(true & told) / len(true))
        for true, told in pairs
        if true
    ]
    precision, recall = map(float, np.mean(shares or [(0, 0)], axis=0))
    total = precision + recall
    f1 = 2 * precision * recall / total if total else 0.0
    figures = {"precision": precision, "recall": recall, "f1": f1}
    return {"n": len(shares), **figures}
