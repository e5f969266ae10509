"""Labels read out of predictions, in several ways that are reported apart.

``strict``: the label's own name or surface word. ``synonyms``: also words of
the same meaning and narrower emotions. ``llm``: what a language model takes
the text for, out of the closed set; it always decides. These three read the
text, or the label where there is no text. ``label``: the system's own
decision, where it gives a text too. ``scored``: its most probable label.
"""

from speechbrain_c2ser.chain_of_thought.answer_parsing import parse_answer
from speechbrain_c2ser.evaluation.predictions import PredictionError, some


def read_labels(rows, space, judge=None, outside_as_unparsed=False):
    """The label of each prediction, in each way that it can be read.

    Arguments
    ---------
    rows : list of dict
        Predictions.
    space : LabelSpace
        The closed set.
    judge : callable or None
        ``texts -> labels``, for the reading "llm".
    outside_as_unparsed : bool
        A label that means none of the set is an error; or None, if True.

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
    said = [i for i, row in enumerate(rows) if (row.get("text") or "").strip()]
    if judge is not None and said:
        readings["llm"] = list(readings["synonyms"])
        judged = judge([rows[i]["text"] for i in said])
        for i, label in zip(said, judged, strict=True):
            readings["llm"][i] = label
    if said and all("label" in row for row in rows):
        readings["label"] = [_own(row, space) for row in rows]
    if has_probabilities(rows, space):
        readings["scored"] = [
            max(space.names, key=lambda name: row["probabilities"].get(name, 0))
            for row in rows
        ]
    return readings


def has_probabilities(rows, space):
    """Whether every prediction gives probabilities of this very set.

    Raises
    ------
    PredictionError
        If only some give them, or they are of other labels.
    """
    with_them = [row for row in rows if row.get("probabilities")]
    if not with_them:
        return False
    if len(with_them) < len(rows):
        without = [row["id"] for row in rows if not row.get("probabilities")]
        raise PredictionError(
            f"{len(without)} of {len(rows)} predictions give no probabilities "
            f"({some(without)}): give them for all or none."
        )
    for row in rows:
        names = set(row["probabilities"])
        if names != set(space.names):
            raise PredictionError(
                f"Prediction {row['id']!r} has probabilities of "
                f"{', '.join(sorted(names))}, not of the labels "
                f"{', '.join(space.names)}."
            )
    return True


def within(probabilities, space):
    """A system's probabilities of its own labels, as those of a closed set.

    Labels that mean one of the set are summed, the others left out; what is
    left is made to sum to 1.

    Arguments
    ---------
    probabilities : dict
        Label of the system -> probability.
    space : LabelSpace
        The closed set.

    Returns
    -------
    dict
        Label of the set -> probability.

    Raises
    ------
    PredictionError
        If no label of the system means one of the set.

    Example
    -------
    >>> from speechbrain_c2ser.labels import LabelSpace
    >>> own = {"hap": 0.25, "exc": 0.125, "neu": 0.125, "other": 0.5}
    >>> within(own, LabelSpace(["happy", "neutral"]))
    {'happy': 0.75, 'neutral': 0.25}
    """
    totals = dict.fromkeys(space.names, 0.0)
    meant = {label: space.map(label) for label in probabilities}
    if not any(meant.values()):
        raise PredictionError(
            f"None of the system's labels {', '.join(probabilities)} means "
            f"one of {', '.join(space.names)}."
        )
    for label, name in meant.items():
        if name is not None:
            totals[name] += probabilities[label]
    whole = sum(totals.values())
    if whole == 0:
        return {name: 1 / len(totals) for name in totals}
    return {name: value / whole for name, value in totals.items()}


def _strict(row, space):
    if row.get("text") is not None:
        return parse_answer(row["text"], space, synonyms=False).emotion
    plain = _plain(row.get("label") or "")
    return next((n for n in space.names if _plain(n) == plain), None)


def _plain(name):
    return " ".join(name.lower().replace("_", " ").split())


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
