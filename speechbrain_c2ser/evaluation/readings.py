"""Labels read out of predictions, in several ways that are reported apart.

``strict``: the label's own name or surface word. ``synonyms``: also words of
the same meaning and narrower emotions. ``llm``: what a language model takes
the text for, out of the closed set; it always decides. These three read the
text, or the label where there is no text. ``label``: the system's own
decision, where it gives a text too. ``scored``: its most probable label.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from sklearn.metrics import cohen_kappa_score

from speechbrain_c2ser.chain_of_thought.answer_parsing import parse_answer
from speechbrain_c2ser.evaluation.errors import PredictionError, some
from speechbrain_c2ser.labels.emotion_words import plain_label


def read_labels(
    rows, space, judges=(), outside_as_unparsed=False, probabilities=None
):
    """The label of each prediction, in each way that it can be read.

    Arguments
    ---------
    rows : list of dict
        Predictions.
    space : LabelSpace
        The closed set.
    judges : sequence of callable
        ``texts -> labels``, for the reading "llm": what most of them say, of
        ties what the first of these says. Several are also readings of their
        own, "llm_1" and so on.
    outside_as_unparsed : bool
        A label that means none of the set is an error; or None, if True.
    probabilities : list[dict] | None
        Of the rows, on this very set (see
        :func:`speechbrain_c2ser.evaluation.probabilities.on_space`).

    Returns
    -------
    dict
        Reading -> list of labels or None (unparsed), in the rows' order.

    Raises
    ------
    PredictionError
        For labels outside the set; names some of them.

    Example
    -------
    >>> from speechbrain_c2ser.labels import LabelSpace
    >>> rows = [{"id": "a", "text": "She is furious."}]
    >>> read_labels(rows, LabelSpace(["angry", "sad"]))
    {'strict': [None], 'synonyms': ['angry']}
    """
    if not outside_as_unparsed:
        _refuse_outside(rows, space)
    readings = {
        "strict": [_strict(row, space) for row in rows],
        "synonyms": [_synonyms(row, space) for row in rows],
    }
    with_text = [
        i for i, row in enumerate(rows) if (row.get("text") or "").strip()
    ]
    if judges and with_text:
        texts = [rows[i]["text"] for i in with_text]
        judged = [list(judge(texts)) for judge in judges]
        named = {"llm": [_most(labels) for labels in zip(*judged, strict=True)]}
        if len(judged) > 1:
            named |= {f"llm_{n}": each for n, each in enumerate(judged, 1)}
        for name, labels in named.items():
            readings[name] = list(readings["synonyms"])
            for i, label in zip(with_text, labels, strict=True):
                readings[name][i] = label
    if with_text and all("label" in row for row in rows):
        readings["label"] = [_own(row, space) for row in rows]
    if probabilities is not None:
        readings["scored"] = [max(p, key=p.get) for p in probabilities]
    return readings


def judges_agreement(
    readings: dict[str, list], rows: Sequence[dict]
) -> dict[str, float] | None:
    """How far several judges of texts agree.

    Arguments
    ---------
    readings : dict
        Of :func:`read_labels`.
    rows : sequence of dict
        The predictions.

    Returns
    -------
    dict | None
        n (texts), all_agree (share of them), pairs_agree and kappa (Cohen's),
        both means over pairs of judges; None without several judges.

    Example
    -------
    >>> rows = [{"text": "a"}, {"text": "b"}, {"text": " "}]
    >>> readings = {
    ...     "llm_1": ["sad", "sad", None], "llm_2": ["sad", "angry", None]
    ... }
    >>> judges_agreement(readings, rows)
    {'n': 2, 'all_agree': 0.5, 'pairs_agree': 0.5, 'kappa': 0.0}
    """
    judges = [v for name, v in readings.items() if name.startswith("llm_")]
    if not judges:
        return None
    places = [i for i, r in enumerate(rows) if (r.get("text") or "").strip()]
    told = [[labels[i] for i in places] for labels in judges]
    pairs = list(combinations(told, 2))
    agree = [np.equal(*pair).mean() for pair in pairs]
    kappas = [
        1.0 if share == 1 else cohen_kappa_score(*pair)
        for share, pair in zip(agree, pairs, strict=True)
    ]
    whole = [len(set(labels)) == 1 for labels in zip(*told, strict=True)]
    return {
        "n": len(places),
        "all_agree": float(np.mean(whole)),
        "pairs_agree": float(np.mean(agree)),
        "kappa": float(np.mean(kappas)),
    }


def _most(labels):
    """The label that is there most often; of several, the first."""
    return max(labels, key=labels.count)


def _strict(row, space):
    if row.get("text") is not None:
        return parse_answer(row["text"], space, synonyms=False).emotion
    plain = plain_label(row.get("label") or "")
    return next((n for n in space.names if plain_label(n) == plain), None)


def _synonyms(row, space):
    if row.get("text") is not None:
        return parse_answer(row["text"], space).emotion
    return _own(row, space)


def _own(row, space):
    return space.map(row.get("label"))


def _refuse_outside(rows, space):
    outside = [
        row for row in rows if row.get("label") and _own(row, space) is None
    ]
    if outside:
        names = sorted({row["label"] for row in outside})
        raise PredictionError(
            f"{len(outside)} predictions have a label outside of "
            f"{', '.join(space.names)}: {some(names)} (first: "
            f"{outside[0]['id']!r}); give the right labels, or count them as "
            "unparsed."
        )
