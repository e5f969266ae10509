"""Labels read out of predictions, in several ways that are reported apart.

``strict``: the label's own name or surface word. ``synonyms``: also words of
the same meaning and narrower emotions. ``llm``: what a language model takes
the text for, out of the closed set; it always decides. These three read the
text, or the label where there is no text. ``label``: the system's own
decision, where it gives a text too. ``scored``: its most probable label.
"""

from speechbrain_c2ser.chain_of_thought.answer_parsing import parse_answer
from speechbrain_c2ser.evaluation.errors import PredictionError, some
from speechbrain_c2ser.labels.emotion_words import plain_label


def read_labels(
    rows, space, judge=None, outside_as_unparsed=False, probabilities=None
):
    """The label of each prediction, in each way that it can be read.

    Arguments
    ---------
    rows : list of dict
        Predictions.
    space : LabelSpace
        The closed set.
    judge : callable | None
        ``texts -> labels``, for the reading "llm".
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
    if judge is not None and with_text:
        readings["llm"] = list(readings["synonyms"])
        judged = judge([rows[i]["text"] for i in with_text])
        for i, label in zip(with_text, judged, strict=True):
            readings["llm"][i] = label
    if with_text and all("label" in row for row in rows):
        readings["label"] = [_own(row, space) for row in rows]
    if probabilities is not None:
        readings["scored"] = [max(p, key=p.get) for p in probabilities]
    return readings


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
