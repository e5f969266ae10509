"""Experts listen: blind sheets, agreement, and the unanimous as a test set.

As Emo-Emilia was verified (arXiv 2502.18186): what all experts call the same
stays. Agreement beyond chance is Krippendorff's alpha for nominal data
(Krippendorff 2011, Computing Krippendorff's alpha-reliability).
"""

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import soundfile

from speechbrain_c2ser.audio import AudioError
from speechbrain_c2ser.data.arrow_manifest import hash_of
from speechbrain_c2ser.data.atomic import file_name, write_atomic
from speechbrain_c2ser.data.cells import csv_line, from_cell
from speechbrain_c2ser.data.columns import plain_name
from speechbrain_c2ser.data.corpora.emo_emilia import LANGUAGES, LIST
from speechbrain_c2ser.data.dataset import read_item
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import (
    read_manifest,
    write_manifest,
)
from speechbrain_c2ser.data.tables import read_table
from speechbrain_c2ser.labelling.review_page import write_page
from speechbrain_c2ser.labelling.sampling import label_of
from speechbrain_c2ser.labels import LabelSpace

SAMPLE = "sample.json"
COLUMNS = ("recording", "transcript", "emotion")
PREFIX = {language: prefix for prefix, language in LANGUAGES.items()}


def write_review(
    sample: Mapping[str, dict],
    labels: Sequence[str],
    experts: Sequence[str],
    folder: str | Path,
    seed: int = 1,
) -> list[Path]:
    """Write a folder to be listened to: recordings, a sheet and a page each.

    Arguments
    ---------
    sample : Mapping
        Id -> row, of
        :func:`~speechbrain_c2ser.labelling.sampling.draw_sample`.
    labels : sequence of str
        What an expert may answer.
    experts : sequence of str
        Two or more names.
    folder : str | Path
        Gets ``wav/0001_3fa2.wav`` ... (what is behind the number differs
        from sample to sample), ``NAME.csv`` and ``NAME.html`` for each
        expert in an order of its own, and ``sample.json``, which experts do
        not need: it alone knows the labels.
    seed : int
        Of the orders.

    Returns
    -------
    list of Path
        The sheets.

    Raises
    ------
    ValueError
        For fewer than two experts, two whose files would have one name, or a
        folder that holds a review.
    AudioError
        If a recording cannot be read.
    """
    folder = Path(folder)
    names = sorted({file_name(expert) for expert in experts})
    if len(names) < 2 or len(names) < len(set(experts)):
        raise ValueError(
            "A review needs two experts or more, of different names: name them."
        )
    if (folder / SAMPLE).exists():
        raise ValueError(f"{folder} holds a review: give another folder.")
    if not sample:
        raise ValueError("The sample is empty: nothing is to be reviewed.")
    (folder / "wav").mkdir(parents=True, exist_ok=True)
    rows = {}
    for number, (key, row) in enumerate(sample.items(), 1):
        wav = folder / "wav" / f"{number:04}_{hash_of(key) % 16**4:04x}.wav"
        try:
            soundfile.write(wav, read_item(row).numpy(), 16000)
        except AudioError as error:
            raise AudioError(f"Item {key!r} of the sample: {error}") from error
        plain = {k: v for k, v in row.items() if k not in ("start", "stop")}
        rows[key] = {**plain, "source": row["wav"], "wav": str(wav.resolve())}
    sheets = []
    for place, expert in enumerate(names):
        order = list(rows.values())
        random.Random(f"{seed} {place}").shuffle(order)
        lines = [
            (f"wav/{Path(row['wav']).name}", row.get("transcript") or "", "")
            for row in order
        ]
        sheets.append(folder / f"{expert}.csv")
        text = "".join(f"{csv_line(line)}\n" for line in (COLUMNS, *lines))
        write_atomic(text, sheets[-1])
        write_page(sheets[-1], COLUMNS, lines, labels)
    write_atomic(", ".join(labels) + "\n", folder / "labels.txt")
    # Last: a folder that has it is whole.
    write_manifest(rows, folder / SAMPLE)
    return sheets


def sheets_of(folder: str | Path) -> list[Path]:
    """The experts' sheets of a review.

    Arguments
    ---------
    folder : str | Path
        Of :func:`write_review`.

    Returns
    -------
    list of Path

    Raises
    ------
    ValueError
        If one is missing, or there is one that no expert was given.
    """
    folder = Path(folder)
    given = {page.stem for page in folder.glob("*.html")}
    there = {sheet.stem for sheet in folder.glob("*.csv")}
    if there - given:
        raise ValueError(
            f"{folder / min(there - given)}.csv was given to no expert: move "
            "it away, or name the sheets (--sheets)."
        )
    if given - there or len(given) < 2:
        lost = ", ".join(sorted(given - there))
        raise ValueError(
            f"{folder} lacks the sheets of {lost or 'two experts'}: bring them "
            "back, or name the others (--sheets)."
        )
    return sorted(folder / f"{name}.csv" for name in given)


def read_answers(
    folder: str | Path, sheets: Sequence[str | Path]
) -> tuple[dict, list[list[str | None]], LabelSpace]:
    """What each expert calls each recording.

    Arguments
    ---------
    folder : str | Path
        Of :func:`write_review`.
    sheets : sequence of str | Path
        The filled sheets; a cell that is blank is no answer.

    Returns
    -------
    items : dict
        The sample.
    answers : list of list
        Of each expert, in the order of the sample; None = no answer.
    space : LabelSpace
        What could be answered.

    Raises
    ------
    ManifestError
        For a recording that is not of the sample, is there twice or missing,
        an answer that is none of the labels, or no answer at all; names
        sheet and row.
    """
    folder = Path(folder)
    items = read_manifest(folder / SAMPLE)
    names = (folder / "labels.txt").read_text(encoding="utf-8")
    space = LabelSpace([name.strip() for name in names.split(",")])
    places = {Path(row["wav"]).name: n for n, row in enumerate(items.values())}
    answers = []
    for sheet in sheets:
        told: dict[int, str | None] = {}
        rows = read_table(sheet)
        columns = {plain_name(name): name for row in rows for name in row}
        for name in (COLUMNS[0], COLUMNS[2]):
            if name not in columns:
                raise ManifestError(
                    f"{sheet} has no column {name!r} (it has: "
                    f"{', '.join(columns.values())}): keep the first line."
                )
        for number, row in enumerate(rows, 2):
            row = {plain_name(name): value for name, value in row.items()}
            wav = str(row.get("recording"))
            place = places.get(wav.replace("\\", "/").rpartition("/")[2])
            if place is None or place in told:
                problem = "is none of the sample: is it another one's sheet?"
                if place in told:
                    problem = "is there twice."
                raise ManifestError(
                    f"Line {number} of {sheet}: the recording {wav!r} {problem}"
                )
            answer = row.get("emotion")
            if answer is not None:
                # As a page writes it; then as an expert may write it.
                known = space.map(from_cell(answer)) or space.map(answer)
                if known is None:
                    raise ManifestError(
                        f"Line {number} of {sheet}: {answer!r} is none of "
                        f"{', '.join(space.names)}; leave it blank where none "
                        "fits."
                    )
                answer = known
            told[place] = answer
        if len(told) < len(items):
            raise ManifestError(
                f"{sheet} holds {len(told)} of {len(items)} recordings."
            )
        if not any(told.values()):
            raise ManifestError(f"{sheet} has no answer: it is to be filled.")
        answers.append([told[n] for n in range(len(items))])
    return items, answers, space


def agreement_of(
    items: Mapping[str, dict],
    answers: Sequence[Sequence[str | None]],
    space: LabelSpace,
) -> dict:
    """How far experts agree, with each other and with the weak labels.

    Arguments
    ---------
    items : Mapping
        The sample.
    answers : sequence of sequence of (str | None)
        Of each expert.
    space : LabelSpace
        The labels.

    Returns
    -------
    dict
        ``alpha`` (Krippendorff, nominal; None where nothing varies),
        ``items``, ``unanimous``, ``unanswered`` (by at least one), ``as
        labelled`` (unanimous that are what the models said), and
        ``by_label``: weak label -> [unanimous and so labelled, items].

    Raises
    ------
    ValueError
        Where the library is not installed.
    """
    columns = list(zip(*answers, strict=True))
    agreed = [_unanimous(column) for column in columns]
    weak = [label_of(row) for row in items.values()]
    by_label: dict[str, list[int]] = {}
    for label, answer in zip(weak, agreed, strict=True):
        cell = by_label.setdefault(str(label), [0, 0])
        cell[0] += answer is not None and answer == label
        cell[1] += 1
    return {
        "alpha": _alpha(answers, space),
        "items": len(items),
        "unanimous": sum(answer is not None for answer in agreed),
        "unanswered": sum(None in column for column in columns),
        "as labelled": sum(cell[0] for cell in by_label.values()),
        "by_label": dict(sorted(by_label.items())),
    }


def write_test_set(
    items: Mapping[str, dict],
    answers: Sequence[Sequence[str | None]],
    folder: str | Path,
) -> int:
    """Write the unanimous in Emo-Emilia's own form.

    Arguments
    ---------
    items : Mapping
        The sample.
    answers : sequence of sequence of (str | None)
        Of each expert.
    folder : str | Path
        Gets ``Emo-Emilia-ALL.jsonl`` and ``wav/``;
        ``recipes/EmoEmilia/prepare.py`` reads it.

    Returns
    -------
    int
        Recordings.

    Raises
    ------
    ValueError
        If nothing is unanimous, or the folder holds such a list.
    """
    import shutil

    folder = Path(folder)
    if (folder / LIST).exists():
        raise ValueError(f"{folder} holds a test set: give another folder.")
    agreed = [_unanimous(column) for column in zip(*answers, strict=True)]
    if not any(agreed):
        raise ValueError("No recording is unanimous: there is no test set.")
    lines = []
    (folder / "wav").mkdir(parents=True, exist_ok=True)
    for (key, row), emotion in zip(items.items(), agreed, strict=True):
        if emotion is None:
            continue
        prefix = PREFIX.get(row.get("language", ""), "")
        index = key if key.startswith(prefix) else prefix + key
        name = file_name(index)
        shutil.copyfile(row["wav"], folder / "wav" / f"{name}.wav")
        line = {"index": index, "emotion": emotion, "wav": f"wav/{name}.wav"}
        line["text"] = row.get("transcript") or "-"
        lines.append(json.dumps(line, ensure_ascii=False))
    write_atomic("\n".join(lines) + "\n", folder / LIST)
    return len(lines)


def _unanimous(column):
    """What all have answered; None where they differ or one did not."""
    return column[0] if len(set(column)) == 1 else None


def _alpha(answers, space):
    try:
        import krippendorff
    except ImportError as error:
        raise ValueError(
            "Agreement needs krippendorff: pip install "
            "'speechbrain_c2ser[review]'."
        ) from error
    import numpy

    values = [
        [numpy.nan if a is None else space.index(a) for a in row]
        for row in answers
    ]
    try:
        alpha = krippendorff.alpha(
            reliability_data=values, level_of_measurement="nominal"
        )
    except ValueError:
        return None  # one label alone: nothing varies
    return round(float(alpha), 4)
