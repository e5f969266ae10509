"""Every figure of a set of predictions, each way of reading them apart."""

from itertools import chain, islice
from pathlib import PurePath

import numpy as np

from speechbrain_c2ser.audio.formats import SOUNDS
from speechbrain_c2ser.data.columns import (
    FIELDS,
    PREDICTED,
    as_id,
    as_seconds,
    is_missing,
    plain_name,
)
from speechbrain_c2ser.evaluation.errors import PredictionError, some
from speechbrain_c2ser.evaluation.free_texts import score_free_texts
from speechbrain_c2ser.evaluation.metrics import (
    bootstrap_intervals,
    classification_metrics,
    expected_calibration_error,
    reliability_bins,
    selective_accuracy,
)
from speechbrain_c2ser.evaluation.probabilities import on_space
from speechbrain_c2ser.evaluation.readings import (
    judges_agreement,
    read_labels,
)
from speechbrain_c2ser.labels import LabelSpace

# Endings of what stands for one recording, that its name may be without.
ENDINGS = frozenset([*SOUNDS, ".npy", ".npz", ".pt", ".txt", ".json"])
ID_NAMES = frozenset(map(plain_name, PREDICTED["id"].split()))
WAV_NAMES = frozenset(map(plain_name, FIELDS["wav"].split()))
METRICS = ("wa", "ua", "macro_f1", "weighted_f1")
# What utterances are grouped by, and how a manifest calls it.
GROUPS = {
    "language": "language",
    "gender": "gender",
    "corpus": "dataset",
    "speaker": "speaker",
}


def evaluate(
    predictions,
    references,
    space=None,
    judges=(),
    missing_as_unparsed=False,
    outside_as_unparsed=False,
    samples=1000,
    seed=0,
    group_by=(),
):
    """Score predictions against what is true.

    Arguments
    ---------
    predictions : list of dict
        See :mod:`.predictions`.
    references : dict
        Id -> fields, with the true ``emotion``.
    space : LabelSpace | None
        The closed set; None takes the emotions of the references.
    judges : sequence of callable
        ``texts -> labels``: language models that read free text.
    missing_as_unparsed : bool
        An utterance without a prediction is an error; or unparsed, if True.
    outside_as_unparsed : bool
        The same of a label that means none of the set.
    samples, seed : int
        Of the bootstrap.
    group_by : sequence of str
        More fields of the references, beside language, gender, corpus and
        speaker, for figures of each of their values.

    Returns
    -------
    dict
        labels, n, missing (count), mapped (true labels that were mapped into
        the set: raw -> count), main (the reading that counts: "label" or
        "synonyms"), readings (name -> figures as :func:`score` gives them,
        with groups), judges (how far several agree, or None), free_texts
        (sets of emotions and clues, where there are any), calibration (or
        None), utterances (id, target and each reading).

    Raises
    ------
    PredictionError
        If ids do not match or labels are outside the set.

    Example
    -------
    >>> rows = [{"id": "a", "text": "sad"}, {"id": "b", "text": "Hello?"}]
    >>> true = {"a": {"emotion": "sad"}, "b": {"emotion": "happy"}}
    >>> result = evaluate(rows, true, samples=10)
    >>> result["main"], result["readings"]["strict"]["unparsed"]
    ('synonyms', 1)
    """
    space = space or LabelSpace.from_items(references)
    groups = _groups(references, group_by)
    rows = _in_order(predictions, references, missing_as_unparsed)
    targets, mapped = _targets(references, space)
    missing = len(rows) - len(predictions)
    probabilities, left_out = on_space(rows, space)
    readings = read_labels(
        rows, space, judges, outside_as_unparsed, probabilities
    )
    figures = {}
    for name, labels in readings.items():
        figures[name] = score(targets, labels, space.names, samples, seed)
        figures[name]["groups"] = _grouped(
            groups, targets, labels, space, samples, seed
        )
    calibration = None
    if probabilities is not None:
        calibration = _calibration(probabilities, targets, space)
        calibration["left_out"] = left_out
    return {
        "labels": space.names,
        "n": len(rows),
        "missing": missing,
        "mapped": mapped,
        "main": "label" if "label" in readings else "synonyms",
        "readings": figures,
        "judges": judges_agreement(readings, rows),
        "free_texts": score_free_texts(rows, references),
        "calibration": calibration,
        "utterances": [
            {
                "id": row["id"],
                "target": targets[i],
                **{name: labels[i] for name, labels in readings.items()},
            }
            for i, row in enumerate(rows)
        ],
    }


def score(targets, predictions, labels, samples=1000, seed=0):
    """Classification figures with their 95 % bootstrap intervals.

    Arguments
    ---------
    targets, predictions, labels
        As :func:`speechbrain_c2ser.evaluation.metrics.classification_metrics`.
    samples, seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        As classification_metrics, with unparsed (count) and interval
        (metric -> [low, high]).
    """
    figures = classification_metrics(targets, predictions, labels)
    figures["unparsed"] = list(predictions).count(None)
    intervals = bootstrap_intervals(
        targets, predictions, labels, METRICS, samples=samples, seed=seed
    )
    figures["interval"] = {m: list(pair) for m, pair in intervals.items()}
    return figures


def print_scores(predictions, references, title, space=None):
    """Print what the predictions are worth: one line, unparsed aloud.

    A label outside the set counts as unparsed.
    """
    result = evaluate(predictions, references, space, outside_as_unparsed=True)
    print(f"{title}: {summary(result)}")


def summary(result):
    """The figures of a result that count, in one line.

    Example
    -------
    >>> true = {"a": {"emotion": "sad"}}
    >>> summary(evaluate([{"id": "a", "label": "sad"}], true, samples=9))
    'UA 1.000 [1.000, 1.000], WA 1.000, macro F1 1.000; 0 of 1 unparsed'
    """
    figures = result["readings"][result["main"]]
    low, high = figures["interval"]["ua"]
    return (
        f"UA {figures['ua']:.3f} [{low:.3f}, {high:.3f}], "
        f"WA {figures['wa']:.3f}, macro F1 {figures['macro_f1']:.3f}; "
        f"{figures['unparsed']} of {result['n']} unparsed"
    )


def unparsed_answers(result, predictions):
    """(id, text or label) of the predictions that named no label."""
    words = {
        row["id"]: row["text"] if row.get("text") else row.get("label")
        for row in predictions
    }
    return [
        (row["id"], words.get(row["id"]))
        for row in result["utterances"]
        if row[result["main"]] is None
    ]


def _in_order(predictions, references, missing_as_unparsed):
    """A prediction of each reference, in their order."""
    matched = match_recordings(predictions, references)
    by_id = {row["id"]: row for row in matched}
    unknown = [key for key in by_id if key not in references]
    if unknown:
        raise PredictionError(
            f"{len(unknown)} predictions are of utterances that the "
            f"references do not hold ({some(unknown)}; theirs are "
            f"{some(list(references), 2)}): give the list that was predicted."
        )
    missing = [key for key in references if key not in by_id]
    if missing and not missing_as_unparsed:
        raise PredictionError(
            f"{len(missing)} of {len(references)} utterances have no "
            f"prediction ({some(missing)}): predict them, or count them as "
            "unparsed."
        )
    nothing = {"label": None}
    if any("text" in row for row in predictions):
        nothing["text"] = ""
    return [by_id.get(key, {"id": key, **nothing}) for key in references]


def match_recordings(predictions, references):
    """Predictions whose ids are files, with the ids of the references.

    Arguments
    ---------
    predictions : list of dict
        Each with its id.
    references : dict
        Id -> fields, with ``wav``.

    Returns
    -------
    list of dict
        By their ids, or else another column that names them. As they are
        where the name of one (with its folder or start, where names are there
        twice) belongs to no utterance or to several.

    Example
    -------
    >>> true = {"one": {"wav": "data/b.wav", "emotion": "sad"}}
    >>> match_recordings([{"id": "x/b.wav", "label": "sad"}], true)
    [{'id': 'one', 'label': 'sad'}]
    """
    if all(
        row["id"] in references
        and not _is_other_recording(row, references[row["id"]])
        for row in predictions
    ):
        return predictions
    owners = owners_of(references)
    names = [{"id": row["id"]} | _other_ids(row) for row in predictions]
    columns = dict.fromkeys(c for each in names for c in each)
    for column in columns:
        pairs = []
        for each, row in zip(names, predictions, strict=True):
            key = find_owner(each.get(column), row, references, owners)
            if key is None:
                break
            pairs.append((row, key))
        if len({key for _, key in pairs}) == len(predictions):
            # Ids that fit may be numbers of rows, in another order.
            if column != "id" or not any(
                _is_other_recording(row, references[key]) for row, key in pairs
            ):
                return [{**row, "id": key} for row, key in pairs]
    return predictions


def find_owner(
    name: str | None, row: dict, references: dict, owners: dict
) -> str | None:
    """The one utterance that a name is of, or None.

    Arguments
    ---------
    name : str | None
        An id, or a path.
    row : dict
        Its prediction, perhaps with the ``start`` of its segment.
    references : dict
        Id -> fields.
    owners : dict
        Of :func:`owners_of`.

    Returns
    -------
    str | None

    Example
    -------
    >>> true = {"data/b.wav": {"emotion": "sad"}}
    >>> find_owner("B.flac", {}, true, owners_of(true))
    'data/b.wav'
    """
    if name is None or (name in references and name == row.get("id")):
        return name
    path = PurePath(name.replace("\\", "/"))
    names = (str(path), path.name, path.stem)
    places = [("exact", n) for n in names]
    places += [("folded", n.casefold()) for n in names]
    places.insert(1, ("end", path.parts))
    place = next((p for p in places if p in owners), ())
    found = owners.get(place, set())
    start = as_seconds(row.get("start"))
    # The whole of a recording that was cut out before starts at 0.
    if start is not None and (start > 0 or len(found) > 1):
        tick = round(start, 2)
        near = (None, tick, round(tick - 0.01, 2), round(tick + 0.01, 2))
        starting = [owners.get((*place, each), ()) for each in near]
        found = {
            k for k in chain(*starting) if _starts_at(references[k], start)
        }
    if len(found) > 1:
        ends = owners.get(("end", path.parts), set())
        few, many = sorted((found, ends), key=len)
        found = set(islice((k for k in few if k in many), 2))
    return next(iter(found)) if len(found) == 1 else None


def owners_of(references: dict) -> dict[tuple, set]:
    """Each name that an utterance may go by -> the ids that go by it.

    Arguments
    ---------
    references : dict
        Id -> fields.

    Returns
    -------
    dict
        ("exact", name), ("folded", name without case) or ("end", last parts
        of the path) -> ids; the same and the rounded start -> ids.

    Example
    -------
    >>> owners = owners_of({"data/B.wav": {"emotion": "sad"}})
    >>> owners["folded", "b"], owners["end", ("B.wav",), None]
    ({'data/B.wav'}, {'data/B.wav'})
    """
    owners: dict[tuple, set] = {}
    for key, item in references.items():
        names = {key, *_other_ids(item).values()}
        paths = [PurePath(name.replace("\\", "/")) for name in names]
        names |= {path.name for path in paths}
        names |= {p.stem for p in paths if p.suffix.lower() in ENDINGS}
        parts = PurePath(item.get("wav") or key).parts
        places = {("end", parts[i:]) for i in range(len(parts))}
        places |= {("exact", name) for name in names}
        places |= {("folded", name.casefold()) for name in names}
        start = as_seconds(item.get("start"))
        tick = None if start is None else round(start, 2)
        for place in places:
            owners.setdefault(place, set()).add(key)
            owners.setdefault((*place, tick), set()).add(key)
    return owners


def _other_ids(row):
    """Column -> what may name the utterance too; numbers of rows do not."""
    ids = {
        column: as_id(value)
        for column, value in row.items()
        if column != "id" and plain_name(column) in ID_NAMES
    }
    return {c: v for c, v in ids.items() if v and not v.isdigit()}


def _starts_at(item, start):
    own = as_seconds(item.get("start"))
    return own is None or abs(own - start) < 0.01


def _is_other_recording(row, item):
    """Whether a prediction names another recording than its reference."""
    named = [
        PurePath(value.replace("\\", "/")).stem.casefold()
        for column, value in _other_ids(row).items()
        if plain_name(column) in WAV_NAMES
    ]
    wav = PurePath(item.get("wav") or "").stem.casefold()
    return bool(wav and named) and wav not in named


def _targets(references, space):
    """True labels of the set, and which raw ones were mapped into it."""
    targets, mapped = [], {}
    for key, item in references.items():
        raw = item["emotion"]
        name = space.map(raw)
        if name is None:
            raise PredictionError(
                f"Item {key!r}: its true emotion {raw!r} is none of "
                f"{', '.join(space.names)}."
            )
        if name != raw:
            mapped[raw] = mapped.get(raw, 0) + 1
        targets.append(name)
    return targets, mapped


def _groups(references, group_by):
    """Group -> its value of each utterance, where any tells it."""
    groups = {}
    fields = GROUPS | {field: field for field in group_by}
    for group, field in fields.items():
        values = [
            "unknown" if is_missing(value) else str(value)
            for value in (item.get(field) for item in references.values())
        ]
        if set(values) != {"unknown"}:
            groups[group] = values
        elif field in group_by:
            raise PredictionError(
                f"No reference has the field {field!r} to group by: give a "
                "--reference that has it."
            )
    return groups


def _grouped(values_of, targets, labels, space, samples, seed):
    """Group -> value -> figures."""
    groups = {}
    for group, values in values_of.items():
        groups[group] = {}
        for value in sorted(set(values)):
            inside = [i for i, other in enumerate(values) if other == value]
            true, said = ([x[i] for i in inside] for x in (targets, labels))
            groups[group][value] = score(true, said, space.names, samples, seed)
    return groups


def _calibration(probabilities, targets, space):
    probabilities = np.array([[row[n] for n in space] for row in probabilities])
    indices = [space.index(name) for name in targets]
    return {
        "ece": expected_calibration_error(probabilities, indices),
        "bins": reliability_bins(probabilities, indices),
        "selective": selective_accuracy(probabilities, indices),
    }
