"""Suite 2, soft labels: predictions against the votes of several raters."""

import numpy as np
from sklearn.metrics import f1_score

from speechbrain_c2ser.data.columns import as_number
from speechbrain_c2ser.evaluation.metrics.category import divergences
from speechbrain_c2ser.evaluation.predictions import some
from speechbrain_c2ser.evaluation.report.text import markdown_table, shown
from speechbrain_c2ser.evaluation.suites.cases import Cases

# A probability of zero would make one utterance's cross-entropy infinite.
LEAST = 1e-12


def compute(cases: Cases) -> dict:
    """Distances of predictions from the raters' distribution.

    Arguments
    ---------
    cases : Cases
        Items with ``votes`` (label -> count), or ``ratings`` (a list of
        labels, or of dicts with "rater" and "emotion" or "emotions").

    Returns
    -------
    dict
        n (utterances with votes), system, uniform and mean_vote: each with
        cross_entropy (nats; None where there are no probabilities), jsd
        (bits), macro_f1 (sets of labels over one K-th), hit (the label is
        one that some rater gave); raters: name -> agreement and n; notes.
    """
    size, notes = len(cases.labels), []
    votes, unmapped = count_votes(cases, notes)
    places = np.flatnonzero(votes.sum(1))
    if not len(places):
        return {
            "n": 0,
            "notes": [
                "No utterance has votes of its raters (`votes`, `ratings`): "
                "soft figures cannot be computed.",
                *notes,
            ],
        }
    if len(places) < len(cases):
        notes.append(
            f"{len(cases) - len(places)} of {len(cases)} utterances have no "
            "votes of these labels and are left out."
        )
    if unmapped:
        counts = ", ".join(f"{k} {v:g}" for k, v in unmapped.items())
        notes.append(f"Votes outside the labels are left out: {counts}.")
    votes = votes[places]
    shares = votes / votes.sum(1, keepdims=True)
    guesses = cases.guesses[places]
    given = None
    if cases.probabilities is not None:
        given = cases.probabilities[places]
        usable = ~np.isnan(given[:, 0])
        if not usable.all():
            notes.append(
                f"Cross-entropy is over the {usable.sum()} of {len(places)} "
                "utterances with probabilities; elsewhere the label counts as "
                "certain."
            )
    else:
        notes.append(
            "There are no probabilities: no cross-entropy, and a label counts "
            "as certain."
        )
    certain = np.eye(size + 1)[guesses][:, :size]
    certain[guesses == size] = 1 / size
    if given is None:
        predicted = certain
    else:
        predicted = np.where(np.isnan(given), certain, given)
    mean = np.tile(shares.mean(0), (len(places), 1))
    uniform = np.full_like(shares, 1 / size)
    result = {
        "n": len(places),
        "votes_per_utterance": float(votes.sum(1).mean()),
        "system": {
            "cross_entropy": None,
            **_distances(shares, predicted),
            "hit": hit(votes, guesses),
        },
        "raters": agreement_with_raters(cases),
        "notes": notes,
    }
    if given is not None:
        result["system"]["cross_entropy"] = soft_cross_entropy(
            shares[usable], given[usable]
        )
    for name, other in (("uniform", uniform), ("mean_vote", mean)):
        answer = np.full(len(places), int(other[0].argmax()))
        result[name] = {
            "cross_entropy": soft_cross_entropy(shares, other),
            **_distances(shares, other),
            "hit": hit(votes, answer),
        }
    return result


def count_votes(
    cases: Cases, notes: list[str] | None = None
) -> tuple[np.ndarray, dict]:
    """Votes of each case [N, L], and those outside the labels, counted.

    Counts that are none are left out, and told in ``notes``.
    """
    places = {name: i for i, name in enumerate(cases.labels)}
    votes, unmapped, unfit = np.zeros((len(cases), len(places))), {}, []
    for number, item in enumerate(cases.items):
        given = item.get("votes")
        if not isinstance(given, dict):
            given = {}
            for _, labels in _ratings(item):
                for label in labels:
                    given[label] = given.get(label, 0) + 1
        for label, count in given.items():
            count = as_number(count)
            if count is None or count < 0:
                unfit.append(item["id"])
                continue
            name = cases.space.map(label)
            if name is None:
                unmapped[label] = unmapped.get(label, 0) + count
            else:
                votes[number, places[name]] += count
    if unfit and notes is not None:
        notes.append(
            f"{len(unfit)} votes are no counts and are left out "
            f"({some(list(dict.fromkeys(unfit)))})."
        )
    return votes, unmapped


def soft_cross_entropy(shares: np.ndarray, predicted: np.ndarray) -> float:
    """Mean of -sum p log q over utterances, in nats.

    Arguments
    ---------
    shares, predicted : np.ndarray
        Raters' and predicted distributions [N, L].

    Example
    -------
    >>> half = np.array([[0.5, 0.5]])
    >>> round(soft_cross_entropy(half, half), 4)
    0.6931
    """
    return float(-(shares * np.log(np.maximum(predicted, LEAST))).sum(1).mean())


def label_sets(shares: np.ndarray) -> np.ndarray:
    """Which labels have more than one K-th of a distribution [N, L].

    Example
    -------
    >>> label_sets(np.array([[0.5, 0.4, 0.1]])).tolist()
    [[True, True, False]]
    """
    return shares > 1 / shares.shape[1] + 1e-9


def hit(votes: np.ndarray, guesses: np.ndarray) -> float:
    """How often the predicted label is one that any rater gave."""
    padded = np.pad(votes, ((0, 0), (0, 1)))
    return float((padded[np.arange(len(guesses)), guesses] > 0).mean())


def agreement_with_raters(cases: Cases) -> dict:
    """Rater -> how often the system gives (one of) that rater's labels.

    Returns
    -------
    dict
        Rater -> agreement, n; none where ratings name no raters.
    """
    agreement = {}
    for item, guess in zip(cases.items, cases.guesses, strict=True):
        for rater, labels in _ratings(item):
            names = {cases.space.map(label) for label in labels} - {None}
            if rater is None or not names:
                continue
            predicted = (
                cases.labels[guess] if guess < len(cases.labels) else None
            )
            right, n = agreement.get(rater, (0, 0))
            agreement[rater] = right + (predicted in names), n + 1
    return {
        rater: {"agreement": right / n, "n": n}
        for rater, (right, n) in sorted(agreement.items())
    }


def page(result: dict) -> str:
    """The suite's section of the report, as Markdown."""
    if not result["n"]:
        return ""
    rows = [["", "cross-entropy", "JSD (bits)", "macro F1 of sets", "hit"]]
    for key, name in (
        ("system", "this system"),
        ("mean_vote", "the mean vote, always"),
        ("uniform", "all labels alike"),
    ):
        figure = result[key]
        entropy = figure["cross_entropy"]
        rows.append(
            [
                name,
                "not measured" if entropy is None else f"{entropy:.3f}",
                f"{figure['jsd']:.3f}",
                shown(figure["macro_f1"]),
                shown(figure["hit"]),
            ]
        )
    words = (
        f"{result['n']} utterances, {result['votes_per_utterance']:.1f} votes "
        "each. A set holds the labels with more than one K-th; a hit is a "
        "label that any rater gave."
    )
    sections = [words, markdown_table(rows)]
    if result["raters"]:
        table = [["rater", "agreement", "n"]]
        for rater, figure in result["raters"].items():
            table.append([rater, shown(figure["agreement"]), str(figure["n"])])
        sections.append(markdown_table(table))
    return "\n\n".join(sections)


def _distances(shares, predicted):
    true, guess = label_sets(shares), label_sets(predicted)
    seen = true.any(0) | guess.any(0)
    return {
        "jsd": float(divergences(shares, predicted).mean()),
        "macro_f1": float(
            f1_score(
                true[:, seen], guess[:, seen], average="macro", zero_division=0
            )
        )
        if seen.any()
        else 0.0,
    }


def _ratings(item):
    """(rater or None, labels) of an item."""
    ratings = item.get("ratings")
    for rating in ratings if isinstance(ratings, list) else ():
        if isinstance(rating, str):
            yield None, [rating]
        elif isinstance(rating, dict):
            labels = rating.get("emotions") or rating.get("emotion") or []
            if not isinstance(labels, list):
                labels = [labels]
            rater = rating.get("rater")
            yield (
                None if rater is None else str(rater),
                [label for label in labels if isinstance(label, str)],
            )
