"""Ask a system everything that the suites need, in one pass over the audio."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from speechbrain_c2ser.chain_of_thought.answer_parsing import parse_answer
from speechbrain_c2ser.data.chance import rng_of
from speechbrain_c2ser.data.dataset import read_item
from speechbrain_c2ser.evaluation.suites.asking import System, ask_all
from speechbrain_c2ser.evaluation.suites.cases import main_labels
from speechbrain_c2ser.evaluation.suites.disturbances import (
    CONTROLS,
    DISTURBANCES,
    SHUFFLED,
    disturb,
    pair_with_others,
)
from speechbrain_c2ser.evaluation.suites.edits import (
    before_decision,
    change_content,
    change_emotion,
    turn_style,
)
from speechbrain_c2ser.evaluation.suites.words import TRANSCRIPT
from speechbrain_c2ser.labels import LabelSpace

CONFLICT = "conflict"
# Suite -> conditions that it asks for.
CONDITIONS = {
    "robustness": tuple(DISTURBANCES),
    "words": (TRANSCRIPT, "silence", SHUFFLED),
    "reasoning": ("mask_20", "mask_100"),
}
# The same question, in eight phrasings.
QUESTIONS = (
    "Which emotion does the speaker express?",
    "What does the speaker feel?",
    "Name the speaker's emotion in this speech.",
    "How does this voice sound? Name the emotion.",
    "Listen and tell the emotional state of the person who speaks.",
    "What is the emotion of this recording?",
    "Please give the speaker's mood in one word.",
    "Judging by the voice, which emotion is it?",
)


@dataclass
class Answers:
    """What a system answered, as predictions.

    Arguments
    ---------
    conditions : dict
        Condition -> rows.
    edited : dict
        Kind of edit -> list of dict, as :func:`.reasoning.compute` wants.
    phrasings : dict
        Question -> rows.
    errors : dict
        Condition -> (id -> what went wrong).
    """

    conditions: dict = field(default_factory=dict)
    edited: dict = field(default_factory=dict)
    phrasings: dict = field(default_factory=dict)
    errors: dict = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """What failed, counted, with the first of each."""
        return [
            f"{name}: the system failed on {len(failed)}, first "
            f"{next(iter(failed))}: {next(iter(failed.values()))}."
            for name, failed in self.errors.items()
        ]


def ask_for_suites(
    system: System,
    items: dict,
    rows: list[dict],
    space: LabelSpace,
    suites: list[str],
    conflicts: dict | None = None,
    most: int | None = None,
    seed: int = 0,
    noises: list[np.ndarray] | None = None,
    answers: Answers | None = None,
    read: Callable = read_item,
) -> Answers:
    """Everything that suites need of a system, beyond its plain answers.

    Arguments
    ---------
    system : System
        See :mod:`.asking`.
    items : dict
        Manifest of the test set.
    rows : list of dict
        The system's answers to it.
    space : LabelSpace
        The labels.
    suites : list of str
        Names of suites.
    conflicts : dict | None
        Manifest of a corpus of conflicts; asked whole.
    most : int | None
        Utterances of the test set that are asked again.
    seed : int
        Of all chance.
    noises : list of np.ndarray | None
        Own noise.
    answers : Answers | None
        What was answered before; not asked again.
    read : callable
        ``row -> waveform``.

    Returns
    -------
    Answers
    """
    collected = answers or Answers()
    chosen = choose(items, most, seed)
    wanted = [
        name
        for suite in suites
        for name in CONDITIONS.get(suite, ())
        if name not in collected.conditions
    ]
    conditions, errors = ask_conditions(
        system, chosen, wanted, seed, noises, read
    )
    collected.conditions |= conditions
    collected.errors |= errors
    if "words" in suites and conflicts and CONFLICT not in collected.conditions:
        collected.conditions[CONFLICT], failed = ask_plain(
            system, conflicts, read
        )
        if failed:
            collected.errors[CONFLICT] = failed
    if "reasoning" in suites:
        chosen_rows = [row for row in rows if row["id"] in chosen]
        collected.edited, failed = ask_edits(
            system, items, chosen_rows, space, seed, read
        )
        if failed:
            collected.errors["edits"] = failed
        collected.phrasings, failed = ask_phrasings(system, chosen, read)
        if failed:
            collected.errors["phrasings"] = failed
    return collected


def ask_plain(
    system: System, items: dict, read: Callable = read_item
) -> tuple[list[dict], dict]:
    """The answers to the audio as it is.

    Arguments
    ---------
    system : System
        See :mod:`.asking`.
    items : dict
        Manifest: id -> row.
    read : callable
        ``row -> waveform``.

    Returns
    -------
    rows : list of dict
    errors : dict
    """
    questions = (
        (key, lambda row=row: (_wave(read(row)),)) for key, row in items.items()
    )
    return ask_all(system, questions, getattr(system, "many", None))


def ask_conditions(
    system: System,
    items: dict,
    conditions: list[str],
    seed: int = 0,
    noises: list[np.ndarray] | None = None,
    read: Callable = read_item,
) -> tuple[dict, dict]:
    """The answers to disturbed audio, to controls and to transcripts.

    Returns
    -------
    rows : dict
        Condition -> predictions; transcript_only only of a system that has
        ``read``, and of items that have a transcript.
    errors : dict
        Condition -> (id -> what went wrong).
    """
    predictions, errors = {}, {}
    pairs = {}
    if SHUFFLED in conditions:
        emotions = [str(row.get("emotion")) for row in items.values()]
        pairs = pair_with_others(list(items), emotions, seed)
    for name in conditions:
        if name == TRANSCRIPT:
            if not hasattr(system, "read"):
                continue
            questions = [
                (
                    key,
                    lambda row=row: (
                        row["transcript"],
                        row.get("language", "en"),
                    ),
                )
                for key, row in items.items()
                if row.get("transcript")
            ]
            ask, many = system.read, None
        else:
            ask, many = system, getattr(system, "many", None)
            questions = (
                (key, lambda k=key, n=name: (heard(k, n),))
                for key in items
                if name != SHUFFLED or key in pairs
            )

        def heard(key, name):
            if name == SHUFFLED:
                return _wave(read(items[pairs[key]]))
            return disturb(_wave(read(items[key])), name, key, seed, noises)

        rows, failed = ask_all(ask, questions, many)
        if rows:
            predictions[name] = rows
        if failed:
            errors[name] = failed
    return predictions, errors


def ask_edits(
    system: System,
    items: dict,
    rows: list[dict],
    space: LabelSpace,
    seed: int = 0,
    read: Callable = read_item,
) -> tuple[dict, dict]:
    """Let the system go on from edited reasonings of its own.

    Arguments
    ---------
    system : System
        With ``go_on``; without, nothing is asked.
    items : dict
        Manifest: id -> row.
    rows : list of dict
        Its answers to the audio as it is, with text.
    space : LabelSpace
        The labels.
    seed : int
        Of the choice of other words and emotions.
    read : callable
        ``row -> waveform``.

    Returns
    -------
    edited : dict
        Kind -> list of dict, as :func:`.reasoning.compute` wants.
    errors : dict
        Id -> what went wrong.
    """
    spoken = [row for row in rows if (row.get("text") or "").strip()]
    edited, errors = {"style": [], "content": [], "emotion": []}, {}
    if not hasattr(system, "go_on"):
        return {}, {}
    for row in spoken:
        key = row["id"]
        try:
            wave = _wave(read(items[key]))
            plain = before_decision(row["text"])

            def decide(beginning, key=key, wave=wave):
                (answered,), failed = ask_all(
                    system.go_on, [(key, lambda: (wave, beginning))]
                )
                if failed:
                    raise ValueError(failed[key])
                return main_labels([answered], space)[0]

            before = decide(plain)
            wanted, content = _others(key, before, spoken, space, seed)
            changed, named = change_emotion(plain, wanted, space)
            edits = {
                "style": turn_style(plain),
                "content": content and change_content(plain, content, space),
                "emotion": changed,
            }
            for kind, text in edits.items():
                if text is not None:
                    edited[kind].append(
                        {
                            "id": key,
                            "before": before,
                            "after": decide(text),
                            "wanted": wanted if kind == "emotion" else None,
                            "named": named,
                        }
                    )
        except Exception as error:  # one item's; the rest goes on
            errors[key] = f"{type(error).__name__}: {error}"
    return edited, errors


def ask_phrasings(
    system: System, items: dict, read: Callable = read_item
) -> tuple[dict, dict]:
    """The same question in eight phrasings; nothing without ``ask``.

    Returns
    -------
    rows : dict
        Question -> predictions.
    errors : dict
        "question: id" -> what went wrong.
    """
    predictions, errors = {}, {}
    for question in QUESTIONS if hasattr(system, "ask") else ():
        predictions[question], failed = ask_all(
            system.ask,
            (
                (key, lambda row=row, q=question: (_wave(read(row)), q))
                for key, row in items.items()
            ),
        )
        errors |= {f"{question}: {key}": e for key, e in failed.items()}
    return predictions, errors


def choose(items: dict, most: int | None, seed: int = 0) -> dict:
    """So many items at most, in their order, emotions in turn.

    Example
    -------
    >>> items = {str(i): {"emotion": "aab"[i % 3]} for i in range(9)}
    >>> sorted(row["emotion"] for row in choose(items, 4).values())
    ['a', 'a', 'b', 'b']
    """
    if most is None or len(items) <= most:
        return items
    keys = list(items)
    turn, seen = {}, {}
    for place in rng_of(seed, "choice").permutation(len(keys)):
        emotion = items[keys[place]].get("emotion")
        turn[keys[place]] = seen[emotion] = seen.get(emotion, -1) + 1
    kept = set(sorted(keys, key=turn.get)[:most])
    return {key: row for key, row in items.items() if key in kept}


def read_answers(folder: str | Path, read: Callable) -> dict:
    """Condition -> rows of a folder of <condition>.jsonl (or .csv, ...).

    Arguments
    ---------
    folder : str or Path
        Files named after conditions; others are passed over.
    read : callable
        ``path -> rows``.

    Raises
    ------
    ValueError
        If none of the files is named after a condition.
    """
    known = {TRANSCRIPT, SHUFFLED, CONFLICT, *DISTURBANCES, *CONTROLS}
    predictions = {
        path.stem: read(path)
        for path in sorted(Path(folder).glob("*"))
        if path.is_file()
        and path.stem in known
        and path.suffix.lower() in (".jsonl", ".csv", ".tsv")
    }
    if not predictions:
        raise ValueError(
            f"{folder} holds no answers: files such as silence.jsonl, named "
            f"after {', '.join(sorted(known))}."
        )
    return predictions


def _others(key, before, rows, space, seed):
    """Another emotion, and what was quoted in an answer of another label."""
    rng = rng_of(seed, key, "edit")
    wanted = str(rng.choice([name for name in space if name != before]))
    quoted = [
        content
        for row in rows
        if row["id"] != key
        and row.get("label") != before
        and (content := parse_answer(row["text"], space).content)
    ]
    return wanted, str(rng.choice(quoted)) if quoted else None


def _wave(samples):
    return np.asarray(samples, dtype=np.float32)
