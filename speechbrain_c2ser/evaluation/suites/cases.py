"""What every suite looks at: predictions beside what is true, as arrays."""

from dataclasses import dataclass, field

import numpy as np

from speechbrain_c2ser.data.columns import as_id
from speechbrain_c2ser.evaluation.predictions import some
from speechbrain_c2ser.evaluation.readings import read_labels
from speechbrain_c2ser.labels import LabelSpace

# Rounded probabilities are probabilities; those further off are not.
SUM_TOLERANCE = 1e-2
# What groups utterances; a number is its digits.
NAMES = ("speaker", "dataset", "gender", "language")
# Marks the row of a reference that no prediction answers.
MISSING = "missing"


@dataclass(frozen=True)
class Cases:
    """Utterances with their true and predicted labels.

    Arguments
    ---------
    space : LabelSpace
        The closed set of L labels.
    items : list of dict
        Reference rows [N], each with its "id".
    rows : list of dict
        Predictions [N], in the items' order.
    targets : np.ndarray
        True indices [N].
    guesses : np.ndarray
        Predicted indices [N]; L is unparsed.
    probabilities : np.ndarray | None
        [N, L], rows sum to 1; a row of NaN has none that can be used. None
        where no prediction has any.
    notes : list of str
        What had to be set aside, named and counted.
    """

    space: LabelSpace
    items: list
    rows: list
    targets: np.ndarray
    guesses: np.ndarray
    probabilities: np.ndarray | None
    notes: list = field(default_factory=list)

    def __len__(self):
        return len(self.items)

    @property
    def labels(self) -> list[str]:
        """Names of the labels."""
        return self.space.names

    def field(self, name: str) -> list:
        """A field of every item, None where an item does not tell it."""
        return [item.get(name) for item in self.items]

    def select(self, places: np.ndarray) -> "Cases":
        """Some of the cases, by index [M] or mask [N]."""
        places = np.arange(len(self))[places]
        return Cases(
            self.space,
            [self.items[i] for i in places],
            [self.rows[i] for i in places],
            self.targets[places],
            self.guesses[places],
            None if self.probabilities is None else self.probabilities[places],
            self.notes,
        )


def build_cases(
    predictions: list[dict],
    references: dict,
    space: LabelSpace,
    guesses: list[str | None] | None = None,
) -> Cases:
    """Put predictions beside their references; what cannot be used is noted.

    A reference without a prediction counts as unparsed, and so does a label
    outside the set; a prediction without a reference is left out;
    probabilities that are none are set aside.

    Arguments
    ---------
    predictions : list of dict
        See :mod:`speechbrain_c2ser.evaluation.predictions`.
    references : dict
        Id -> fields, with the true ``emotion``.
    space : LabelSpace
        The closed set.
    guesses : list[str] | None
        Labels already read, in the references' order; None reads them:
        ``label`` where there is one, else the text.

    Returns
    -------
    Cases

    Raises
    ------
    ValueError
        If no reference is left to compare with.

    Example
    -------
    >>> cases = build_cases(
    ...     [{"id": "a", "text": "She sounds sad."}],
    ...     {"a": {"emotion": "sad"}, "b": {"emotion": "happy"}},
    ...     LabelSpace(["happy", "sad"]),
    ... )
    >>> cases.guesses.tolist()
    [1, 2]
    >>> cases.notes
    ['1 of 2 utterances have no prediction and count as unparsed (b).']
    """
    notes = []
    by_id = {row["id"]: row for row in predictions}
    _note(
        notes,
        [key for key in by_id if key not in references],
        len(by_id),
        "predictions are of utterances that the reference does not hold and "
        "are left out",
    )
    meant = {key: space.map(row["emotion"]) for key, row in references.items()}
    kept = [key for key, name in meant.items() if name is not None]
    _note(
        notes,
        [key for key, name in meant.items() if name is None],
        len(meant),
        "utterances have a true emotion outside the labels and are left out",
    )
    if not kept:
        raise ValueError(
            "No utterance of the reference has one of the labels "
            f"{', '.join(space.names)}."
        )
    _note(
        notes,
        [key for key in kept if key not in by_id],
        len(kept),
        "utterances have no prediction and count as unparsed",
    )
    rows = [
        by_id.get(key, {"id": key, "label": None, MISSING: True})
        for key in kept
    ]
    if guesses is None:
        guesses = main_labels(rows, space)
    else:
        guesses = [
            guess
            for guess, name in zip(guesses, meant.values(), strict=True)
            if name is not None
        ]
    places = {name: i for i, name in enumerate(space.names)}
    outside = [
        row["id"]
        for row, guess in zip(rows, guesses, strict=True)
        if row.get("label") and guess not in places
    ]
    _note(
        notes,
        outside,
        len(rows),
        "predictions have a label outside the labels and count as unparsed",
    )
    return Cases(
        space,
        _items(kept, references, notes),
        rows,
        np.array([places[meant[key]] for key in kept]),
        np.array([places.get(guess, len(places)) for guess in guesses]),
        _probabilities(rows, space, notes),
        notes,
    )


def main_labels(rows: list[dict], space: LabelSpace) -> list[str | None]:
    """The label of each prediction: its own, else what its text names.

    Example
    -------
    >>> rows = [{"id": "a", "text": "furious"}, {"id": "b", "label": "sad"}]
    >>> main_labels(rows, LabelSpace(["angry", "sad"]))
    ['angry', 'sad']
    """
    plain = [
        {k: v for k, v in row.items() if k != "probabilities"} for row in rows
    ]
    readings = read_labels(plain, space, outside_as_unparsed=True)
    labels = list(readings["synonyms"])
    for number, row in enumerate(rows):
        if "label" in row:
            labels[number] = space.map(row["label"])
        elif row.get("text") is None and row.get("probabilities"):
            labels[number] = space.map(
                max(row["probabilities"], key=row["probabilities"].get)
            )
    return labels


def _items(keys, references, notes):
    """References with their id, speakers and other groups as texts."""
    items, unfit = [], {}
    for key in keys:
        item = {**references[key], "id": key}
        for name in NAMES:
            value = item.get(name)
            item[name] = as_id(value)
            if item[name] is None and isinstance(value, list | dict | bool):
                unfit.setdefault(name, []).append(key)
        items.append(item)
    for name, own in unfit.items():
        _note(notes, own, len(keys), f"utterances have a {name} that is none")
    return items


def _probabilities(rows, space, notes):
    """[N, L] or None; rows that are no probabilities are NaN, and noted."""
    places = {name: i for i, name in enumerate(space.names)}
    probabilities = np.full((len(rows), len(places)), np.nan)
    wrong, any_given = [], False
    for number, row in enumerate(rows):
        given = row.get("probabilities")
        if not given:
            continue
        any_given = True
        meant = {}
        for label, value in given.items():
            name = space.map(label)
            number_given = isinstance(value, (int, float))
            if not number_given or not 0 <= value <= 1 + SUM_TOLERANCE:
                meant = {}
                break
            if name is not None:
                meant[name] = meant.get(name, 0.0) + value
        total = sum(meant.values())
        # Labels outside the set may hold some of the whole.
        whole = sum(given.values()) if meant else 0.0
        if total <= 0 or abs(whole - 1) > SUM_TOLERANCE:
            wrong.append(row["id"])
            continue
        probabilities[number] = 0.0
        for name, value in meant.items():
            probabilities[number, places[name]] = value / total
    _note(
        notes,
        wrong,
        len(rows),
        "predictions have probabilities that are no numbers from 0 to 1 that "
        "sum to 1; they are set aside",
    )
    if any_given and not wrong:
        _note(
            notes,
            [
                row["id"]
                for row, values in zip(rows, probabilities, strict=True)
                if np.isnan(values[0])
            ],
            len(rows),
            "predictions give no probabilities",
        )
    return (
        probabilities
        if any_given and not np.isnan(probabilities).all()
        else None
    )


def _note(notes, names, total, words):
    if names:
        notes.append(f"{len(names)} of {total} {words} ({some(names)}).")
